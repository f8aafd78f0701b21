/* SPDX-License-Identifier: MIT */
/* counts.c: how many calls were made, of which kind, and how long they took. */
#include "deployers/cokernel/agent/parts.h"

#include <errno.h>
#include <string.h>

static struct {
	uint64_t delegated, refused, unknown, ticks, ticks_max;
} calls[GUEST_CALLS];

static void add(uint64_t *to, uint64_t n)
{
	__atomic_fetch_add(to, n, __ATOMIC_RELAXED);
}

static void raise(uint64_t *to, uint64_t n)
{
	uint64_t was = __atomic_load_n(to, __ATOMIC_RELAXED);

	while (n > was && !__atomic_compare_exchange_n(to, &was, n, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

void count_call(uint64_t number, uint64_t ticks, int64_t result, bool refused)
{
	uint64_t n = number < GUEST_CALLS ? number : GUEST_CALLS - 1;

	if (refused) {
		add(&calls[n].refused, 1);
	} else if (result == -ENOSYS) {
		add(&calls[n].unknown, 1);
	} else {
		add(&calls[n].delegated, 1);
		add(&calls[n].ticks, ticks);
		raise(&calls[n].ticks_max, ticks);
	}
}

static uint64_t ns_of(const struct hrt *h, uint64_t ticks)
{
	uint64_t khz = h->info.tsc_khz ? h->info.tsc_khz : 1000000;

	return (uint64_t)((unsigned __int128)ticks * 1000000 / khz);
}

static bool count_of(struct hrt *h, uint32_t n, struct agent_count *c)
{
	struct guest_count k = h->counts[n]; /* by the HRT: any value */

	*c = (struct agent_count){
		.number = n,
		.served = k.served,
		.delegated = __atomic_load_n(&calls[n].delegated, __ATOMIC_RELAXED),
		.refused = __atomic_load_n(&calls[n].refused, __ATOMIC_RELAXED),
		.unknown = k.unknown + __atomic_load_n(&calls[n].unknown, __ATOMIC_RELAXED),
		.served_ns = ns_of(h, k.ticks),
		.served_ns_max = ns_of(h, k.ticks_max),
		.delegated_ns = ns_of(h, __atomic_load_n(&calls[n].ticks, __ATOMIC_RELAXED)),
		.delegated_ns_max = ns_of(h, __atomic_load_n(&calls[n].ticks_max, __ATOMIC_RELAXED)),
	};
	return c->served || c->delegated || c->refused || c->unknown;
}

void counts_send(struct hrt *h, int parent)
{
	struct agent_count all[GUEST_CALLS];
	size_t n = 0;

	_Static_assert(sizeof(all) <= AGENT_FRAME_MAX, "one frame has all");
	slots_counted();
	for (uint32_t i = 0; i < GUEST_CALLS; i++)
		n += count_of(h, i, &all[n]);
	wire_post(parent, AGENT_COUNTS, all, n * sizeof(all[0])); /* empty: a sign of life */
}
