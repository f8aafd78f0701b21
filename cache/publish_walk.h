/* SPDX-License-Identifier: MIT */
/*
 * publish_walk.h: all that is below a directory, in an order that depends on names only.
 *
 * Threads  any
 */
#ifndef CACHE_PUBLISH_WALK_H
#define CACHE_PUBLISH_WALK_H

#include "cache/base/log.h"

#include <sys/stat.h>

struct walk_item {
	const char *path; /* below where the walk began */
	int dirfd;	  /* the directory that holds it */
	const char *name;
	struct stat st; /* not followed */
};

/* 0, or an error with words, which ends the walk. */
typedef int walk_fn(void *arg, const struct walk_item *item, struct why *why);
/* A directory comes before what is in it. A missing (name) is nothing to walk. */
int walk_directory(int dirfd, const char *name, walk_fn *fn, void *arg, struct why *why);

#endif
