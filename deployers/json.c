/* SPDX-License-Identifier: MIT */
/*
 * json.c: finds one value in a JSON text, without building a tree of it.
 */
#include "deployers/qmp.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 32

static const char *skip_blank(const char *p)
{
	while (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n')
		p++;
	return p;
}

/* Past the string that begins at (p), or NULL. */
static const char *skip_string(const char *p)
{
	if (*p != '"')
		return NULL;
	for (p++; *p && *p != '"'; p++)
		if (*p == '\\' && !*++p)
			return NULL;
	return *p ? p + 1 : NULL;
}

static const char *skip_value(const char *p, int depth);

/* Past an object or array. */
static const char *skip_group(const char *p, int depth)
{
	bool object = *p == '{';
	char close = object ? '}' : ']';

	p = skip_blank(p + 1);
	if (*p == close)
		return p + 1;
	for (;;) {
		if (object) {
			p = skip_string(skip_blank(p));
			if (!p || *(p = skip_blank(p)) != ':')
				return NULL;
			p++;
		}
		p = skip_value(p, depth + 1);
		if (!p)
			return NULL;
		p = skip_blank(p);
		if (*p == close)
			return p + 1;
		if (*p++ != ',')
			return NULL;
	}
}

static const char *skip_value(const char *p, int depth)
{
	p = skip_blank(p);
	if (*p == '"')
		return skip_string(p);
	if (*p == '{' || *p == '[')
		return depth < DEPTH_MAX ? skip_group(p, depth) : NULL;
	size_t n = strspn(p, "+-.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
	return n ? p + n : NULL;
}

/* The value of member (name) of the object at (p), or NULL. */
static const char *member(const char *p, const char *name, size_t len)
{
	p = skip_blank(p);
	if (*p != '{')
		return NULL;
	p = skip_blank(p + 1);
	while (*p == '"') {
		const char *end = skip_string(p);
		if (!end)
			return NULL;
		bool found = (size_t)(end - p) == len + 2 && !memcmp(p + 1, name, len);
		p = skip_blank(end);
		if (*p++ != ':')
			return NULL;
		p = skip_blank(p);
		if (found)
			return p;
		p = skip_value(p, 0);
		if (!p)
			return NULL;
		p = skip_blank(p);
		if (*p != ',')
			return NULL;
		p = skip_blank(p + 1);
	}
	return NULL;
}

static char unescape(const char **p)
{
	static const char from[] = "nrtbf", to[] = "\n\r\t\b\f";
	const char *c = strchr(from, **p);

	if (**p == 'u') { /* QEMU's words are ASCII: other characters are not worth a decoder */
		for (int i = 0; i < 4 && (*p)[1]; i++)
			(*p)++;
		return '?';
	}
	return c ? to[c - from] : **p;
}

static bool copy_string(const char *p, const char *end, char *out, size_t size)
{
	size_t n = 0;

	for (p++; p < end - 1; p++) {
		char c = *p;
		if (c == '\\') {
			p++;
			c = unescape(&p);
		}
		if (n + 1 >= size)
			return false;
		out[n++] = c;
	}
	out[n] = 0;
	return true;
}

bool json_find(const char *json, const char *path, char *out, size_t size)
{
	const char *p = json;

	while (*path) {
		size_t len = strcspn(path, ".");
		p = member(p, path, len);
		if (!p)
			return false;
		path += len + (path[len] == '.');
	}
	const char *end = skip_value(p, 0);
	if (!end)
		return false;
	if (*p == '"')
		return copy_string(p, end, out, size);
	if ((size_t)(end - p) >= size)
		return false;
	memcpy(out, p, (size_t)(end - p));
	out[end - p] = 0;
	return true;
}
