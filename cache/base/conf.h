/* SPDX-License-Identifier: MIT */
/*
 * conf.h: the key = value grammar of kernel.conf, config, plan and every other text of ours.
 *
 *     # a comment, on a line of its own or after a value (a '#' with a blank before it)
 *     key = value             blanks around both are dropped; a key is [a-z][a-z0-9_.]*
 *     key = "  a # value "    quotes keep blanks and '#'; inside: \" \\ \n \t \xHH
 *     key =                   the empty value
 *
 * A file is UTF-8 text; NUL and other control bytes but tab are refused. A line ends with '\n'
 * ("\r\n" is accepted). Which keys exist, and whether one may be repeated, is the caller's to say.
 *
 * Threads  any
 */
#ifndef BASE_CONF_H
#define BASE_CONF_H

#include "cache/base/buf.h"
#include "cache/base/log.h"

#include <stdbool.h>
#include <stdint.h>

/* One line; (value) is unquoted. Returns 0, or what why_fail returned: parsing stops there and
 * "line N: " is put before the words. */
typedef int conf_fn(void *arg, unsigned line, const char *key, const char *value, struct why *why);

/* 0, -EINVAL with the line in (why), or what (fn) returned. */
int conf_parse(const char *text, size_t len, conf_fn *fn, void *arg, struct why *why);

/* A copy of (text) with the keys in lower case, for texts whose keys are read without regard to case: kernel.conf. */
char *conf_lower_keys(const char *text, size_t len);

/* Appends one line, quoted where the value needs it: conf_parse reads back the same value. */
void conf_put(struct buf *out, const char *key, const char *value);
void conf_putf(struct buf *out, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Values. Each returns 0 or -EINVAL with words: "memory: 12X is not a size (try 64M)". */
int conf_size(const char *key, const char *value, uint64_t min, uint64_t max, uint64_t *out, struct why *why);
int conf_number(const char *key, const char *value, uint64_t min, uint64_t max, uint64_t *out, struct why *why);
int conf_bool(const char *key, const char *value, bool *out, struct why *why); /* on|off, yes|no, true|false, 1|0 */
/* Index of (value) in the NULL-terminated (words); the words are listed in the error. */
int conf_word(const char *key, const char *value, const char *const *words, struct why *why);

/* "64M", "1.5G", "512": the shortest exact form with K, M, G, T (powers of 1024). */
void conf_put_size(struct buf *out, uint64_t bytes);

#endif
