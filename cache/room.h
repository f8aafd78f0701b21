/* SPDX-License-Identifier: MIT */
/*
 * room.h: how much the cache may keep, and making room: what was used longest ago goes first.
 *
 * Unit     packs, trees and objects, whole. A file's modification time is when it was used last; a tree counts as
 *          used a day later, because it is small and a pack without its tree shows nothing
 * Stays    what is pinned (pins.h); a pack that anybody uses: whoever has one attached, in any process, holds a
 *          shared lock (flock) on its marks, and only who gets the exclusive one may remove it; a pack of which
 *          somebody has a hard link, because removing it would free nothing
 * Count    all files below the cache's directory, the catalog too. Counted anew when the sum comes near the quota, and
 *          every two seconds while something is stored, so that several processes together keep to it
 * Units    bytes on disk
 * Threads  any; all wait for the disk but room_usage
 */
#ifndef CACHE_ROOM_H
#define CACHE_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct digest;
struct room;
struct pack;

/* (dirfd), the cache's directory, stays the caller's and open. (quota) 0: a fifth of the file system, and at least
 * 64 MiB. */
struct room *room_open(int dirfd, uint64_t quota);
void room_close(struct room *r); /* NULL is fine */

/* All take a NULL room: then there is always room. */
/* Something of (bytes) is about to be kept. 0, or -ENOSPC: nothing that may go would make room for it. */
int room_take(struct room *r, uint64_t bytes);
/* So little was kept that nobody has to go for it now: only adds. Does not wait. */
void room_note(struct room *r, uint64_t bytes);
/* The disk is full although the quota is not: 0 if something went, so that it is worth another try; or -ENOSPC. */
int room_make(struct room *r, uint64_t bytes);
/* Counts, takes away what is above the quota and what an interrupted process left half-written. */
void room_sweep(struct room *r);
/* Removes a pack that nobody uses: 0 or -EBUSY. */
int room_drop(struct room *r, const struct digest *pack);
/* io_write_file, read-only, of what there is room for. Only for what is verified whenever it is opened, because nobody waits
 * for the disk: room_sync does; before that a power loss may leave less than all of it under its name. (dirfd) stays open. */
int room_write_file(struct room *r, int dirfd, const char *name, const void *data, size_t len);
/* What was written so since the last time is on the disk. */
void room_sync(struct room *r);
/* Packs that nobody used for a while are detached, so that any process may remove them. */
void room_rest(struct room *r);

struct room_usage {
	uint64_t used, quota, files;
};
void room_usage(const struct room *r, struct room_usage *out);

/* By pack.c: the packs of this process. */
void room_enter(struct room *r, struct pack *p);
void room_leave(struct room *r, struct pack *p);

#endif
