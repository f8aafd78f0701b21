/* SPDX-License-Identifier: MIT */
/*
 * tags.h: what digest a tag had when it was asked for last; for registries that list names without digests.
 *
 * Threads  the loop's
 */
#ifndef CACHE_TAGS_H
#define CACHE_TAGS_H

#include "cache/digest.h"

struct tags;

struct tag {
	struct tag *next;
	char *key; /* NAME:TAG */
	struct digest digest;
	uint64_t asked_ns; /* monotonic; 0: remembered from an earlier mount */
	bool known, asking;
	uint64_t again_ns; /* after a failure it is not asked before */
	struct tag_wait *waiting;
	struct place *place;
};

struct tags *tags_new(void);
void tags_free(struct tags *t); /* NULL is fine */
struct tag *tags_find(struct tags *t, const char *name, const char *tag, bool make);

#endif
