/* SPDX-License-Identifier: MIT */
/*
 * sort: reads all lines, sorts them by their bytes, writes them.
 *
 * All memory is one block: the text grows upwards from its start, the table of lines downwards from its end,
 * so nothing has to be moved or guessed, and memory is exhausted only when the two meet.
 *
 * The method is quicksort on strings (Bentley and Sedgewick, 1997): part the lines by one byte at (depth)
 * into less, equal and greater; the equal ones go on with the next byte. No byte is looked at twice in vain.
 */
#include "diver.h"

typedef const unsigned char *line; /* ends with '\n' */

#define FEW 12 /* so few are sorted by insertion */

static char out[65536];
static size_t out_len;

/* The byte at a depth; the end of the line comes before all bytes, also before those below '\n'. */
static int byte_at(line l, size_t depth)
{
	return l[depth] == '\n' ? -1 : l[depth];
}

static bool less(line a, line b, size_t depth)
{
	for (;; depth++) {
		int x = byte_at(a, depth), y = byte_at(b, depth);

		if (x != y)
			return x < y;
		if (x < 0)
			return false;
	}
}

static void insertion(line *v, size_t n, size_t depth)
{
	for (size_t i = 1; i < n; i++) {
		line l = v[i];
		size_t j = i;

		for (; j && less(l, v[j - 1], depth); j--)
			v[j] = v[j - 1];
		v[j] = l;
	}
}

static int median(int a, int b, int c)
{
	if (a > b) {
		int t = a;

		a = b;
		b = t;
	}
	return c < a ? a : c > b ? b : c;
}

static void swap(line *a, line *b)
{
	line t = *a;

	*a = *b;
	*b = t;
}

struct part {
	line *v;
	size_t n, depth;
};

/* Parts v into [0] less than, [1] equal to, [2] greater than a middling byte. */
static void divide(struct part all, struct part parts[3])
{
	line *v = all.v;
	size_t lt = 0, i = 0, gt = all.n;
	int pivot = median(
		byte_at(v[0], all.depth), byte_at(v[all.n / 2], all.depth), byte_at(v[all.n - 1], all.depth));

	while (i < gt) {
		int c = byte_at(v[i], all.depth);

		if (c < pivot)
			swap(&v[lt++], &v[i++]);
		else if (c > pivot)
			swap(&v[i], &v[--gt]);
		else
			i++;
	}
	parts[0] = (struct part){ v, lt, all.depth };
	parts[1] =
		(struct part){ v + lt, pivot < 0 ? 0 : gt - lt, all.depth + 1 }; /* equal to the end: done */
	parts[2] = (struct part){ v + gt, all.n - gt, all.depth };
}

/* Calls itself for the two smaller parts and goes on with the largest, so the stack stays shallow on any
 * input. */
static void sort(struct part all)
{
	while (all.n > FEW) {
		struct part parts[3];
		int largest = 0;

		divide(all, parts);
		for (int i = 1; i < 3; i++)
			if (parts[i].n > parts[largest].n)
				largest = i;
		for (int i = 0; i < 3; i++)
			if (i != largest)
				sort(parts[i]);
		all = parts[largest];
	}
	insertion(all.v, all.n, all.depth);
}

static void put(const void *bytes, size_t len)
{
	if (out_len + len > sizeof(out)) {
		write_stdout(out, out_len);
		out_len = 0;
	}
	if (len > sizeof(out)) {
		write_stdout(bytes, len);
		return;
	}
	memcpy(out + out_len, bytes, len);
	out_len += len;
}

static void exhausted(void)
{
	printk("sort: memory exhausted: give the kernel more (config: memory = ...)\n");
	exit(1);
}

/* Enters the lines that end in [from, end) below (table); returns where the table begins now. */
static line *enter_lines(line *table, unsigned char **begin, unsigned char *from, unsigned char *end)
{
	unsigned char *nl;

	while ((nl = memchr(from, '\n', (size_t)(end - from)))) {
		if ((unsigned char *)(table - 1) < end)
			exhausted();
		*--table = *begin;
		*begin = from = nl + 1;
	}
	return table;
}

int main(int argc, char **argv)
{
	size_t size, len;
	unsigned char *text = malloc_largest(&size), *end = text, *begin = text;
	line *table = (line *)(text + (size & ~15ul)), *last = table;

	(void)argc, (void)argv;
	if (!text)
		exhausted();
	for (;;) {
		size_t room = (size_t)((unsigned char *)table - end);

		if (room < 2 * sizeof(line))
			exhausted();
		room -= sizeof(line); /* for a last line without its '\n' */
		len = read_stdin(end, room < sizeof(out) ? room : sizeof(out));
		if (!len)
			break;
		table = enter_lines(table, &begin, end, end + len);
		end += len;
	}
	if (begin < end) {
		*end++ = '\n';
		table = enter_lines(table, &begin, end - 1, end);
	}
	sort((struct part){ table, (size_t)(last - table), 0 });
	for (; table < last; table++)
		put(*table, (size_t)((unsigned char *)memchr(*table, '\n', size) + 1 - *table));
	write_stdout(out, out_len);
	return 0;
}
