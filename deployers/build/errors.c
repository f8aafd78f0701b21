/* SPDX-License-Identifier: MIT */
/*
 * errors.c: which line of a build's output says what is wrong.
 */
#include "deployers/build/build.h"

#include <string.h>

static const char *const signs[] = {
	": error: ",
	": fatal error: ",
	": undefined reference to ",
	": multiple definition of ",
	": Error: ",
	"error[E",
	"error: ",
};

static void keep(char *slot, size_t size, const char *line)
{
	size_t n = strnlen(line, size - 1);

	memcpy(slot, line, n);
	slot[n] = 0;
}

static void take_line(struct complaints *c, char *line)
{
	size_t n = strlen(line);

	while (n && strchr(" \t\r", line[n - 1]))
		line[--n] = 0;
	if (!n)
		return;
	keep(c->last, sizeof(c->last), line);
	for (size_t i = 0; !*c->first && i < sizeof(signs) / sizeof(signs[0]); i++)
		if (strstr(line, signs[i]))
			keep(c->first, sizeof(c->first), line);
}

void complaints_feed(struct complaints *c, const char *data, size_t len)
{
	while (len) {
		const char *nl = memchr(data, '\n', len);
		size_t n = nl ? (size_t)(nl - data) : len;
		size_t room = c->line.len < sizeof(c->first) ? sizeof(c->first) - c->line.len : 0;

		buf_append(&c->line, data, n < room ? n : room);
		if (!nl)
			return;
		if (c->line.data)
			take_line(c, c->line.data);
		buf_clear(&c->line);
		data += n + 1;
		len -= n + 1;
	}
}

static const struct {
	const char *inside, *outside;
} names[] = {
	{ "/build/app/", "src/" },
	{ "/build/kernel/", "kernel/" },
	{ "/build/out/", "images/" },
	{ "../app/", "src/" },
};

static void translate(const char *s, struct buf *out)
{
	while (*s) {
		size_t i;

		for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (!strncmp(s, names[i].inside, strlen(names[i].inside)))
				break;
		if (i < sizeof(names) / sizeof(names[0])) {
			buf_puts(out, names[i].outside);
			s += strlen(names[i].inside);
		} else {
			buf_append(out, s++, 1);
		}
	}
}

void complaints_text(struct complaints *c, struct buf *out)
{
	if (c->line.len)
		take_line(c, c->line.data);
	buf_clear(&c->line);
	translate(*c->first ? c->first : c->last, out);
	buf_free(&c->line);
}
