/* SPDX-License-Identifier: MIT */
/*
 * digest.h: SHA-256, the only digest that is trusted here.
 *
 * Shape    32 bytes; as text "sha256:" and 64 lower-case hexadecimal digits, nothing else is accepted
 * Threads  any; one hasher belongs to one thread at a time
 */
#ifndef CACHE_DIGEST_H
#define CACHE_DIGEST_H

#include "cache/cache.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_HEX_LEN 64

struct digest {
	uint8_t bytes[32];
};

/* 0 or -EINVAL. */
int digest_parse(const char *text, struct digest *out);
int digest_parse_hex(const char *hex, struct digest *out);
void digest_text(const struct digest *d, char out[DIGEST_TEXT_LEN + 1]);
void digest_hex(const struct digest *d, char out[DIGEST_HEX_LEN + 1]);
bool digest_equal(const struct digest *a, const struct digest *b);

void digest_of(const void *data, size_t len, struct digest *out);
/* digest_two.c: of two texts of the same length, in little more time than of one. */
void digest_of_two(const void *one, const void *two, size_t len, struct digest *first, struct digest *second);

struct hasher;
struct hasher *hasher_new(void);
void hasher_add(struct hasher *h, const void *data, size_t len);
void hasher_end(struct hasher *h, struct digest *out); /* and begins anew */
void hasher_free(struct hasher *h);

#endif
