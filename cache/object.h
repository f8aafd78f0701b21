/* SPDX-License-Identifier: MIT */
/*
 * object.h: small whole blobs by digest: manifests, indexes, configs, READMEs.
 *
 * Shape    objects/<64 hex digits>; immutable, written temp, rename; on the disk a few seconds later
 * Trust    verified when written and whenever read; one that has rotted is removed and is not there
 * Threads  any, in several processes
 */
#ifndef CACHE_OBJECT_H
#define CACHE_OBJECT_H

#include "cache/digest.h"
#include "cache/room.h"

/* (dirfd) may be -1: nothing is there, and what is put is only verified. */
/* Appends the object to (out): 0 or -ENOENT. (out) must be empty. */
int object_get(int dirfd, const struct digest *d, size_t max, struct buf *out);
/* -EILSEQ with words if the bytes are others; that they could not be kept is a line in the log and no error.
 */
int object_put(int dirfd, struct room *room, const struct digest *d, const struct buf *bytes, struct why *why);

#endif
