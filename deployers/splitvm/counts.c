/* SPDX-License-Identifier: MIT */
/*
 * counts.c: the table of system calls, as `syscalls` shows it: the most frequent first.
 */
#include "deployers/splitvm/split.h"

#include "cache/base/sysnames.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void counts_take(struct counts *c, const struct agent_count *counts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		c->call[counts[i].number] = counts[i];
}

static uint64_t add(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t total(const struct agent_count *c)
{
	return add(add(c->served, c->delegated), add(c->refused, c->unknown));
}

static int by_total(const void *a, const void *b)
{
	const struct agent_count *x = *(const struct agent_count *const *)a,
				 *y = *(const struct agent_count *const *)b;
	uint64_t tx = total(x), ty = total(y);

	return tx != ty ? (tx < ty ? 1 : -1) : (x->number < y->number ? -1 : x->number > y->number);
}

static void put_time(struct buf *out, uint64_t count, uint64_t ns, uint64_t max)
{
	if (count)
		buf_printf(out, " %10.2f %10.2f", (double)ns / (double)count / 1000, (double)max / 1000);
	else
		buf_puts(out, "          -          -");
}

static void put_call(struct buf *out, const struct agent_count *c)
{
	const char *name = c->number == GUEST_CALLS - 1 ? "others" : sysname_of(c->number);
	char number[16];

	if (!name)
		snprintf(number, sizeof(number), "call_%u", c->number);
	buf_printf(out, "%-18s %10" PRIu64 " %10" PRIu64, name ? name : number, total(c), c->served);
	put_time(out, c->served, c->served_ns, c->served_ns_max);
	buf_printf(out, " %10" PRIu64, c->delegated);
	put_time(out, c->delegated, c->delegated_ns, c->delegated_ns_max);
	buf_printf(out, " %8" PRIu64 " %8" PRIu64 "\n", c->refused, c->unknown);
}

void counts_put(const struct counts *c, struct buf *out)
{
	const struct agent_count *rows[GUEST_CALLS];
	size_t n = 0;

	for (size_t i = 0; i < GUEST_CALLS; i++)
		if (total(&c->call[i]))
			rows[n++] = &c->call[i];
	qsort(rows, n, sizeof(rows[0]), by_total);
	buf_printf(out, "%-18s %10s %10s %10s %10s %10s %10s %10s %8s %8s\n", "call", "count", "served",
		"mean_us", "max_us", "delegated", "mean_us", "max_us", "refused", "enosys");
	for (size_t i = 0; i < n; i++)
		put_call(out, rows[i]);
}
