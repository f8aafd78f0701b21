/* SPDX-License-Identifier: MIT */
/*
 * syscalls.c: a bar for each call, as long as the logarithm of its count: few calls are frequent, and the rare ones are to
 * be seen too. Within the bar what the kernel served itself is dark, what Linux served for it light.
 */
#include "fs/syscalls.h"

#include "cache/base/io.h"
#include "fs/instance.h"

#include <stdio.h>
#include <string.h>

#define TEXT_MAX (128u << 10)
#define ROWS_MAX 60
#define ROW	 18
#define LEFT	 150
#define BAR	 480
#define WIDTH	 800

struct row {
	char name[24];
	unsigned long long count, served, delegated, other;
};

void syscalls_text(const struct instance *in, struct buf *out)
{
	io_read_file(in->dirfd, "syscalls", TEXT_MAX, out);
}

/* Columns as deployers/splitvm/counts.c writes them. */
static bool parse_row(const char *line, struct row *r)
{
	unsigned long long refused, unknown;

	*r = (struct row){ 0 };
	if (sscanf(line, "%23[a-z0-9_] %llu %llu %*s %*s %llu %*s %*s %llu %llu", r->name, &r->count,
		    &r->served, &r->delegated, &refused, &unknown) != 6)
		return false;
	r->other = refused + unknown;
	return r->count > 0;
}

/* Bits of a number, with a fraction: a logarithm that needs no libm. */
static double bits(unsigned long long n)
{
	double b = 1;

	for (; n >= 2; n /= 2) {
		if (n < 4)
			return b + (double)(n % 2) / 2 + 1;
		b++;
	}
	return b;
}

static void put_bar(struct buf *out, double x, unsigned y, double width, const char *colour)
{
	if (width > 0)
		buf_printf(out, "<rect x=\"%.1f\" y=\"%u\" width=\"%.1f\" height=\"%u\" fill=\"%s\"/>\n", x,
			y, width, ROW - 4, colour);
}

static void put_row(struct buf *out, const struct row *r, unsigned y, double longest)
{
	double width = BAR * bits(r->count) / longest, each = width / (double)r->count;
	double served = each * (double)r->served, delegated = each * (double)r->delegated;

	buf_printf(out, "<text x=\"%u\" y=\"%u\" text-anchor=\"end\">%s</text>\n", LEFT - 6, y + ROW - 6,
		r->name);
	put_bar(out, LEFT, y, served, "#1f4e79");
	put_bar(out, LEFT + served, y, delegated, "#7fb2e5");
	put_bar(out, LEFT + served + delegated, y, width - served - delegated, "#d9534f");
	buf_printf(out, "<text x=\"%.1f\" y=\"%u\">%llu</text>\n", LEFT + width + 6, y + ROW - 6, r->count);
}

static void put_key(struct buf *out)
{
	static const struct {
		const char *colour, *text;
	} keys[] = { { "#1f4e79", "served by the kernel" }, { "#7fb2e5", "delegated to Linux" },
		{ "#d9534f", "refused or unknown" } };

	for (unsigned i = 0; i < 3; i++) {
		put_bar(out, LEFT + i * 180, 30, 12, keys[i].colour);
		buf_printf(out, "<text x=\"%u\" y=\"42\">%s</text>\n", LEFT + i * 180 + 18, keys[i].text);
	}
}

void syscalls_svg(const struct instance *in, struct buf *out)
{
	autobuf struct buf text = { 0 };
	struct row rows[ROWS_MAX];
	unsigned n = 0;
	double longest = 1;

	syscalls_text(in, &text);
	char *rest = text.data;
	for (char *line; n < ROWS_MAX && rest && (line = strsep(&rest, "\n"));)
		if (parse_row(line, &rows[n])) {
			longest = bits(rows[n].count) > longest ? bits(rows[n].count) : longest;
			n++;
		}
	buf_printf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" "
		"font-family=\"sans-serif\" "
		"font-size=\"12\">\n<text x=\"8\" y=\"18\" font-size=\"14\">System calls of %s (bars are "
		"logarithmic)"
		"</text>\n",
		WIDTH, 60 + n * ROW, in->name);
	put_key(out);
	for (unsigned i = 0; i < n; i++)
		put_row(out, &rows[i], 56 + i * ROW, longest);
	buf_puts(out, "</svg>\n");
}
