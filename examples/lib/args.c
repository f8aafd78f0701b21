/* SPDX-License-Identifier: MIT */
/*
 * args.c: the command line is  PARAMETERS -- ARGUMENT ARGUMENT ...
 * An argument is a word, or stands in double quotes where \\, \" and \xHH are one byte (guest.h section 2).
 * Decoding never makes text longer, so it is done in place.
 */
#include "lib.h"

static char *find_arguments(char *s)
{
	if (s[0] == '-' && s[1] == '-' && (s[2] == ' ' || !s[2]))
		return s + 2;
	for (; *s; s++)
		if (s[0] == ' ' && s[1] == '-' && s[2] == '-' && (s[3] == ' ' || !s[3]))
			return s + 3;
	return s;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* One byte after a backslash. */
static char *unescape(char *from, char *to)
{
	if (from[0] == 'x' && hex(from[1]) >= 0 && hex(from[2]) >= 0) {
		*to = (char)(hex(from[1]) << 4 | hex(from[2]));
		return from + 3;
	}
	*to = *from;
	return *from ? from + 1 : from;
}

/* Decodes the argument at (from) in place, ends it with NUL, returns where the next begins. */
static char *decode(char *from)
{
	char *to = from;
	bool quoted = false;

	while (*from && (quoted || *from != ' ')) {
		if (*from == '"') {
			quoted = !quoted;
			from++;
		} else if (quoted && *from == '\\') {
			from = unescape(from + 1, to++);
		} else {
			*to++ = *from++;
		}
	}
	if (*from)
		from++;
	*to = '\0';
	return from;
}

int args_parse(char *cmdline, const char *name, char **argv)
{
	static char argv0[64];
	int argc = 1;
	char *s = find_arguments(cmdline);

	for (size_t i = 0; name[i] && i < sizeof(argv0) - 1; i++)
		argv0[i] = name[i];
	argv[0] = argv0;
	for (;;) {
		while (*s == ' ')
			s++;
		if (!*s)
			break;
		if (argc == ARGS_MAX)
			panic("more than %d arguments", ARGS_MAX - 1);
		argv[argc++] = s;
		s = decode(s);
	}
	argv[argc] = NULL;
	return argc;
}
