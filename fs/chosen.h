/* SPDX-License-Identifier: MIT */
/*
 * chosen.h: the kernel that an instance's config names: looked up, pinned by digest, its kernel.conf read.
 *
 * Owns     counted; chosen_put ends it
 * Errors   -ENOENT no such kernel or tag, and what cache.h says
 * Threads  the loop's
 */
#ifndef FS_CHOSEN_H
#define FS_CHOSEN_H

#include "cache/cache.h"
#include "cache/kernel.h"

struct chosen {
	unsigned refs;
	struct view *view;
	struct kernel_conf conf;
	char *text; /* NAME:TAG or NAME@sha256:..., as users write it */
};

/* On success the callback owns a reference. Never called before chosen_find has returned. */
typedef void chosen_fn(void *arg, int err, const struct why *why, struct chosen *k);
/* (reference): a tag, sha256:..., or NULL: the only tag, else `latest`, else the highest version. (brief): a brief view will
 * do (cache.h), with which it can be launched and no more. */
void chosen_find(
	struct cache *c, const char *name, const char *reference, bool brief, chosen_fn *done, void *arg);
struct chosen *chosen_get(struct chosen *k);
void chosen_put(struct chosen *k); /* NULL is fine */

#endif
