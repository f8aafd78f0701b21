/* SPDX-License-Identifier: MIT */
/* json.c: the checks that jansson leaves to its users. */
#include "cache/json.h"

#include "cache/limits.h"

#include <errno.h>
#include <string.h>

/* Depth is checked before jansson sees the text: its own limit is 2048. */
size_t strict_span(const char *text, size_t len)
{
	unsigned depth = 0;
	bool quoted = false;
	for (size_t i = 0; i < len; i++) {
		char c = text[i];
		if (quoted) {
			if (c == '\\')
				i++;
			else if (c == '"')
				quoted = false;
			if (!quoted && depth == 0 && c == '"')
				return i + 1;
		} else if (c == '"') {
			quoted = true;
		} else if (c == '{' || c == '[') {
			if (++depth > MAX_JSON_DEPTH)
				return 0;
		} else if (c == '}' || c == ']') {
			if (depth == 0)
				return i; /* the end of a bare number or word inside a list */
			if (--depth == 0)
				return i + 1;
		} else if (depth == 0 && (c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r')) {
			return i;
		}
	}
	return 0;
}

static bool too_deep(const char *text, size_t len)
{
	unsigned depth = 0;
	bool quoted = false;
	for (size_t i = 0; i < len; i++) {
		char c = text[i];
		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '{' || c == '[') && ++depth > MAX_JSON_DEPTH)
			return true;
		else if (!quoted && (c == '}' || c == ']') && depth > 0)
			depth--;
	}
	return false;
}

int strict_load(const char *text, size_t len, const char *what, json_t **out, struct why *why)
{
	*out = NULL;
	if (too_deep(text, len))
		return why_fail(why, -EFBIG, "%s: JSON nested deeper than %u", what, MAX_JSON_DEPTH);
	json_error_t e;
	json_t *j = json_loadb(text, len, JSON_REJECT_DUPLICATES, &e);
	if (!j)
		return why_fail(
			why, -EBADMSG, "%s: not acceptable JSON at line %d: %s", what, e.line, e.text);
	if (!json_is_object(j)) {
		json_decref(j);
		return why_fail(why, -EBADMSG, "%s: the JSON is not an object", what);
	}
	*out = j;
	return 0;
}

/* 1: there, 0: missing and that is fine. */
static int member(const json_t *o, const char *key, enum need need, json_t **out, struct why *why)
{
	*out = json_object_get(o, key);
	if (*out && !json_is_null(*out))
		return 1;
	if (need == REQUIRED)
		return why_fail(why, -EBADMSG, "\"%s\" is missing", key);
	return 0;
}

int strict_text(const json_t *o, const char *key, enum need need, const char **out, struct why *why)
{
	json_t *j;
	int r = member(o, key, need, &j, why);
	if (r <= 0)
		return r;
	if (!json_is_string(j))
		return why_fail(why, -EBADMSG, "\"%s\" is not a string", key);
	*out = json_string_value(j);
	return 0;
}

int strict_number(
	const json_t *o, const char *key, enum need need, uint64_t max, uint64_t *out, struct why *why)
{
	json_t *j;
	int r = member(o, key, need, &j, why);
	if (r <= 0)
		return r;
	if (!json_is_integer(j))
		return why_fail(why, -EBADMSG, "\"%s\" is not an integer", key);
	json_int_t v = json_integer_value(j);
	if (v < 0 || v > MAX_JSON_INT)
		return why_fail(why, -EBADMSG, "\"%s\" is out of range", key);
	if ((uint64_t)v > max)
		return why_fail(why, -EFBIG, "\"%s\" is %lld, and at most %llu is accepted", key,
			(long long)v, (unsigned long long)max);
	*out = (uint64_t)v;
	return 0;
}

int strict_list(const json_t *o, const char *key, enum need need, size_t max, json_t **out, struct why *why)
{
	json_t *j;
	int r = member(o, key, need, &j, why);
	if (r <= 0)
		return r;
	if (!json_is_array(j))
		return why_fail(why, -EBADMSG, "\"%s\" is not a list", key);
	if (json_array_size(j) > max)
		return why_fail(why, -EFBIG, "\"%s\" has more than %zu members", key, max);
	*out = j;
	return 0;
}

int strict_object(const json_t *o, const char *key, enum need need, json_t **out, struct why *why)
{
	json_t *j;
	int r = member(o, key, need, &j, why);
	if (r <= 0)
		return r;
	if (!json_is_object(j))
		return why_fail(why, -EBADMSG, "\"%s\" is not an object", key);
	*out = j;
	return 0;
}

static int append(const char *data, size_t len, void *arg)
{
	buf_append(arg, data, len);
	return 0;
}

void strict_dump(const json_t *j, struct buf *out)
{
	json_dump_callback(j, append, out, JSON_COMPACT);
}
