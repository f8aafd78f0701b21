/* SPDX-License-Identifier: MIT */
/*
 * intern.h: strings get numbers, for ever: 0, 1, 2 ... in the order of their coming.
 *
 * Owns     the strings; a returned string lives as long as the struct intern
 * Threads  one at a time
 */
#ifndef FS_INTERN_H
#define FS_INTERN_H

#include <stdbool.h>
#include <stdint.h>

struct intern {
	char **keys;
	uint32_t *slots; /* number + 1, 0 free; open addressing */
	uint32_t count, slot_count;
};

/* The number of (key), or -1: it has none and (add) is false. */
int64_t intern_id(struct intern *t, const char *key, bool add);
const char *intern_key(const struct intern *t, uint32_t id);
void intern_free(struct intern *t);

#endif
