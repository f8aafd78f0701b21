/* SPDX-License-Identifier: MIT */
/*
 * syscalls.c: a bar for each call, as long as the logarithm of its count: few calls are frequent, and the rare ones are to
 * be seen too. How few is what the shares say. Within the bar what the kernel served itself is dark, what Linux served light.
 */
#include "fs/syscalls.h"

#include "cache/base/io.h"
#include "cache/base/policy.h"
#include "fs/instance.h"

#include <stdio.h>
#include <string.h>

#define TEXT_MAX (128u << 10)
#define ROWS_MAX (POLICY_CALL_MAX + 1) /* all that there are */
#define ROW	 18
#define LEFT	 150
#define BAR	 480
#define WIDTH	 800
#define TOP	 58 /* of the first bar */

#define SERVED	  "#1f4e79"
#define DELEGATED "#7fb2e5"
#define OTHER	  "#d9534f"

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

/* The logarithm to base 2, plus 1, so that one call is to be seen. Without libm: squaring brings out bit after bit. */
static double bits(double n)
{
	double b = 1, bit = 1;

	for (; n >= 2; n /= 2)
		b++;
	for (int i = 0; i < 12; i++) {
		n *= n;
		bit /= 2;
		if (n < 2)
			continue;
		n /= 2;
		b += bit;
	}
	return b;
}

static double x_of(double n, double longest)
{
	return LEFT + BAR * bits(n) / longest;
}

static void put_bar(struct buf *out, double x, unsigned y, double width, const char *colour)
{
	if (width > 0)
		buf_printf(out, "<rect x=\"%.1f\" y=\"%u\" width=\"%.1f\" height=\"%u\" fill=\"%s\"/>\n", x,
			y, width, ROW - 4, colour);
}

static void put_row(struct buf *out, const struct row *r, unsigned y, double longest, double all)
{
	double width = x_of((double)r->count, longest) - LEFT, each = width / (double)r->count;
	double served = each * (double)r->served, delegated = each * (double)r->delegated;
	double share = 100 * (double)r->count / all;

	buf_printf(out, "<text x=\"%u\" y=\"%u\" text-anchor=\"end\">%s</text>\n", LEFT - 6, y + ROW - 6,
		r->name);
	put_bar(out, LEFT, y, served, SERVED);
	put_bar(out, LEFT + served, y, delegated, DELEGATED);
	put_bar(out, LEFT + served + delegated, y, width - served - delegated, OTHER);
	buf_printf(out, "<text x=\"%.1f\" y=\"%u\">%llu", LEFT + width + 6, y + ROW - 6, r->count);
	if (share >= 0.95)
		buf_printf(out, "<tspan dx=\"8\" fill=\"#777\">%.0f %%</tspan>", share);
	buf_puts(out, "</text>\n");
}

/* A line for each power of ten. */
static void put_axis(struct buf *out, unsigned n, double longest)
{
	unsigned bottom = TOP + n * ROW + 2;

	for (double ten = 1; bits(ten) <= longest; ten *= 10) {
		double x = x_of(ten, longest);

		buf_printf(out,
			"<line x1=\"%.1f\" y1=\"%u\" x2=\"%.1f\" y2=\"%u\" stroke=\"#ddd\"/>\n"
			"<text x=\"%.1f\" y=\"%u\" text-anchor=\"middle\" fill=\"#777\">%.0f</text>\n",
			x, TOP - 4, x, bottom, x, bottom + 14, ten);
	}
}

static void put_key(struct buf *out)
{
	static const struct {
		const char *colour, *text;
	} keys[] = { { SERVED, "served by the kernel" }, { DELEGATED, "delegated to Linux" },
		{ OTHER, "refused or unknown" } };

	for (unsigned i = 0; i < 3; i++) {
		put_bar(out, LEFT + i * 180, 30, 12, keys[i].colour);
		buf_printf(out, "<text x=\"%u\" y=\"42\">%s</text>\n", LEFT + i * 180 + 18, keys[i].text);
	}
}

static unsigned parse(char *text, struct row *rows, double *all, double *longest)
{
	unsigned n = 0;

	for (char *line; n < ROWS_MAX && text && (line = strsep(&text, "\n"));)
		if (parse_row(line, &rows[n])) {
			double length = bits((double)rows[n].count);

			*longest = length > *longest ? length : *longest;
			*all += (double)rows[n++].count;
		}
	return n;
}

void syscalls_svg(const struct instance *in, struct buf *out)
{
	autobuf struct buf text = { 0 };
	struct row rows[ROWS_MAX];
	double all = 0, longest = 1;

	syscalls_text(in, &text);
	unsigned n = parse(text.data, rows, &all, &longest), height = TOP + n * ROW + 24;
	buf_printf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" "
		"font-family=\"sans-serif\" font-size=\"12\">\n"
		"<rect width=\"%u\" height=\"%u\" fill=\"white\"/>\n"
		"<text x=\"8\" y=\"18\" font-size=\"14\">System calls of %s: %.0f, on a logarithmic "
		"scale</text>\n",
		WIDTH, height, WIDTH, height, in->name, all);
	put_key(out);
	put_axis(out, n, longest);
	for (unsigned i = 0; i < n; i++)
		put_row(out, &rows[i], TOP + i * ROW, longest, all);
	buf_puts(out, "</svg>\n");
}
