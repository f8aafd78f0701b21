/* SPDX-License-Identifier: MIT */
/*
 * pins.h: what must not be evicted, because somebody said so.
 *
 * Shape    pins/<64 hex digits>, a file a pin, in one step: the line "kernel NAME:TAG", then a line a file of the
 *          cache: "packs HEX", "trees HEX", "objects HEX". The name is the SHA-256 of the first line and the digest
 * Sharing  all processes that use the cache read them whenever they make room
 * Threads  any; wait for the disk
 */
#ifndef CACHE_PINS_H
#define CACHE_PINS_H

#include "cache/tree.h"

enum part { PART_PACKS, PART_TREES, PART_OBJECTS, PARTS };
extern const char *const part_names[PARTS];

/* (reference) is NAME:TAG. 0 or -errno. */
int pins_add(int cache_fd, const char *reference, const struct tree *t, struct why *why);
/* All pins of that name: 0, or -ENOENT if there was none. */
int pins_remove(int cache_fd, const char *reference, struct why *why);
uint32_t pins_count(int cache_fd);

struct pins; /* as they were at one moment */
struct pins *pins_load(int cache_fd);
bool pins_has(const struct pins *p, enum part part, const struct digest *d);
void pins_free(struct pins *p);

#endif
