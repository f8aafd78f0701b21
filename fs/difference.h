/* SPDX-License-Identifier: MIT */
/*
 * difference.h: what an instance's kernel/ has that the registry's sources have not (workspace_lower.c says
 * how it lies on disk: tree/ and data/ in (base)).
 *
 * Source   entry (root) of the view: the directory that kernel/ shows
 * Errors   0 or -errno
 * Threads  any, with a reference of the view; waits for the disk. What is changed meanwhile is seen or not
 */
#ifndef FS_DIFFERENCE_H
#define FS_DIFFERENCE_H

#include "cache/cache.h"

#include <stdint.h>

/* A number for the changes: names, kinds, x bits and content of what is other than in the registry. 0: nothing
 * is, also where something was changed and changed back. */
int difference_scan(int base, const struct view *v, uint32_t root, uint64_t *hash);
/* Makes to_dirfd/(to), the sources with the changes, out of to_dirfd/(whole), a checkout without them, of
 * which some is left. */
int difference_apply(
	int base, const struct view *v, uint32_t root, int to_dirfd, const char *whole, const char *to);

#endif
