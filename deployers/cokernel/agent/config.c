/* SPDX-License-Identifier: MIT */
/* config.c: the lines of CONFIG, in the grammar of cache/base/conf.h as far as a program writes it. */
#include "deployers/cokernel/agent/parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int number(const char *key, const char *text, uint64_t limit, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	if (errno || end == text || *end || *text == '-' || *value > limit)
		return fail(-EINVAL, "config: %s = %s: a number up to %llu is wanted", key, text,
			(unsigned long long)limit);
	return 0;
}

static int small(const char *key, const char *text, uint32_t limit, uint32_t *value)
{
	uint64_t n = 0;
	int err = number(key, text, limit, &n);

	*value = (uint32_t)n;
	return err;
}

static int text(const char *key, const char *from, char *to, size_t size)
{
	if (strlen(from) >= size)
		return fail(-EINVAL, "config: %s is longer than %zu bytes", key, size - 1);
	strcpy(to, from);
	return 0;
}

static int set(struct config *c, const char *key, const char *value)
{
	if (!strcmp(key, "cmdline"))
		return text(key, value, c->cmdline, sizeof(c->cmdline));
	if (!strcmp(key, "root"))
		return text(key, value, c->root, sizeof(c->root));
	if (!strcmp(key, "cwd"))
		return text(key, value, c->cwd, sizeof(c->cwd));
	if (!strcmp(key, "cpus"))
		return small(key, value, COKERNEL_CPUS_MAX, &c->cpus);
	if (!strcmp(key, "writable"))
		return small(key, value, 1u << 20, &c->writable_mb);
	if (!strcmp(key, "spin"))
		return small(key, value, 1000000, &c->spin_us);
	if (!strcmp(key, "uid"))
		return small(key, value, UINT32_MAX - 1, &c->uid);
	if (!strcmp(key, "gid"))
		return small(key, value, UINT32_MAX - 1, &c->gid);
	if (!strcmp(key, "memory"))
		return number(key, value, 1ull << 46, &c->memory);
	if (!strcmp(key, "address"))
		return number(key, value, 1ull << 46, &c->address);
	if (!strcmp(key, "out"))
		c->out = !strcmp(value, "on");
	if (!strcmp(key, "net"))
		c->net = !strcmp(value, "on");
	return 0; /* a key that is not known is of a later revision, and harmless */
}

static char escaped(char **from)
{
	char *p = *from + 1, digits[3] = { 0 };

	*from = p + (*p != 0);
	if (*p == 'n' || *p == 't')
		return *p == 'n' ? '\n' : '\t';
	if (*p != 'x' || !p[1] || !p[2])
		return *p;
	memcpy(digits, p + 1, 2);
	*from = p + 3;
	return (char)strtoul(digits, NULL, 16);
}

/* A value in quotes, in place. */
static char *unquote(char *value)
{
	char *from = value + 1, *to = value;

	if (*value != '"')
		return value;
	while (*from && *from != '"')
		*to++ = *from == '\\' ? escaped(&from) : *from++;
	*to = 0;
	return value;
}

int config_parse(char *lines, struct config *c)
{
	char *line, *rest = lines;
	int err = 0;

	*c = (struct config){ .cpus = 1, .writable_mb = 64, .spin_us = 40, .cwd = "/" };
	while (!err && (line = strsep(&rest, "\n"))) {
		char *value = strchr(line, '=');

		if (!value)
			continue;
		char *key_end = value;
		while (key_end > line && key_end[-1] == ' ')
			key_end--;
		*key_end = 0;
		value += 1 + strspn(value + 1, " ");
		err = set(c, line, unquote(value));
	}
	return err;
}
