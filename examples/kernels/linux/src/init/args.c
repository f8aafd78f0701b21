/* SPDX-License-Identifier: MIT */
/*
 * args.c: the arguments as guest.h section 2 writes them. Linux hands them to init too, but knows no
 * backslash and splits at blanks that are quoted so; the line in /proc/cmdline is as it was given.
 */
#include "init.h"

#include <stdlib.h>
#include <string.h>

static char *find_arguments(char *s)
{
	if (!strncmp(s, "-- ", 3))
		return s + 3;
	s = strstr(s, " -- ");
	return s ? s + 4 : NULL;
}

static int hex(char c)
{
	const char *digits = "0123456789abcdef";
	const char *at = c ? strchr(digits, c | 0x20) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* The byte behind the backslash at (*s), which is moved behind it. */
static char unescape(char **s)
{
	char *p = *s + 1;

	if (p[0] == 'x' && hex(p[1]) >= 0 && hex(p[2]) >= 0) {
		*s = p + 3;
		return (char)(hex(p[1]) << 4 | hex(p[2]));
	}
	*s = *p ? p + 1 : p;
	return *p;
}

/* Decodes in place, which never makes text longer; (*s) is moved behind the argument. */
static char *decode(char **s)
{
	char *begin = *s, *to = begin, *from = begin;
	int quoted = 0;

	while (*from && (quoted || *from != ' ')) {
		if (*from == '"') {
			quoted = !quoted;
			from++;
		} else if (quoted && *from == '\\') {
			*to++ = unescape(&from);
		} else {
			*to++ = *from++;
		}
	}
	*s = *from ? from + 1 : from;
	*to = 0;
	return begin;
}

char **args_parse(char *line, char *name)
{
	size_t count = 0;
	char *s = find_arguments(line);
	char **argv = calloc(strlen(line) / 2 + 3, sizeof(*argv));

	if (!argv)
		return NULL;
	argv[count++] = name;
	while (s && *(s += strspn(s, " ")))
		argv[count++] = decode(&s);
	return argv;
}
