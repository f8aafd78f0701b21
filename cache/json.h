/* SPDX-License-Identifier: MIT */
/*
 * json.h: JSON from strangers, read strictly with jansson.
 *
 * Strict   depth of at most MAX_JSON_DEPTH, no key twice, no NUL in strings, no data after the end, integers
 *          where integers are expected (no 1.0, no 1e3), 0 .. 2^53
 * Errors   -EBADMSG with words that name the key; -EFBIG for too deep
 * Names    strict_ and not json_, which is jansson's
 * Owns     strings and values that are handed out belong to the json_t that they are in
 * Threads  any
 */
#ifndef CACHE_JSON_H
#define CACHE_JSON_H

#include "cache/base/buf.h"
#include "cache/base/log.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The document must be an object. (what) names it in errors. On success the caller owns (*out). */
int strict_load(const char *text, size_t len, const char *what, json_t **out, struct why *why);

/* Length of the value that begins at text[0] (which is not a blank), or 0 if it does not end, or is too deep.
 * Only brackets and quotes are looked at: give what was found to strict_load. So a huge list needs no tree of
 * all of it. */
size_t strict_span(const char *text, size_t len);

enum need { OPTIONAL, REQUIRED };

/* Members of an object. A missing optional one leaves (*out) as it was. */
int strict_text(const json_t *o, const char *key, enum need need, const char **out, struct why *why);
int strict_number(
	const json_t *o, const char *key, enum need need, uint64_t max, uint64_t *out, struct why *why);
int strict_list(const json_t *o, const char *key, enum need need, size_t max, json_t **out, struct why *why);
int strict_object(const json_t *o, const char *key, enum need need, json_t **out, struct why *why);

/* The document as we write it: no blanks, keys in the order in which they were set. */
void strict_dump(const json_t *j, struct buf *out);

static inline void cleanup_json(json_t **j)
{
	json_decref(*j);
}
#define autojson __attribute__((cleanup(cleanup_json)))

#endif
