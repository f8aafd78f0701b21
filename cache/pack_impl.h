/* SPDX-License-Identifier: MIT */
/*
 * pack_impl.h: between pack.c (attaching, marks, chunks) and pack_whole.c (packs as a whole: sealed, handed out, scrubbed);
 * nobody else includes it.
 */
#ifndef CACHE_PACK_IMPL_H
#define CACHE_PACK_IMPL_H

#include "cache/pack.h"

#include <pthread.h>

/* A read-only mapping of a pack's marks. One that was replaced stays until the pack is detached: a reader may still
 * look at it, without a lock. */
struct marks {
	struct marks *before;
	const _Atomic uint64_t *mark;
};

struct pack {
	int dirfd;
	struct room *room;
	char name[DIGEST_HEX_LEN + 1];
	struct digest id;
	uint64_t size;
	uint32_t count;
	pthread_rwlock_t use; /* who uses what follows; for writing: who attaches or detaches */
	pthread_mutex_t lock; /* who writes, seals or replaces; guards the next two */
	uint64_t stamp;	      /* of the content, as it was attached or we left it (pack_whole.c) */
	bool foreign;	      /* somebody else wrote to it since it was attached */
	int fd, have_fd;      /* -1: detached. Replaced by dup2 */
	_Atomic(struct marks *) have;
	_Atomic uint8_t *checked; /* a bit a chunk */
	_Atomic bool told;	  /* that it cannot be kept */
	_Atomic uint64_t retry;	  /* monotonic: when attaching is tried again */
	_Atomic uint64_t used_at, noted_at;
	_Atomic unsigned holds;
	struct pack *next; /* room.c's */
};

/* After the marks: that all of the pack was compared with them, in this life of the machine, when its file was as told
 * here. All zero: it was not. */
struct vouch {
	uint64_t boot, inode, stamp;
	uint64_t check; /* XXH3 of the others */
};
_Static_assert(sizeof(struct vouch) == 32, "in files");

/* A user of the pack: 0, to be ended with pack_leave; -ENOENT if it cannot be attached; with (now) -EAGAIN if that would
 * have to wait for the disk. */
int pack_enter(struct pack *p, bool now);
void pack_leave(struct pack *p);

/* For users. 0: the chunk is not here. */
uint64_t pack_mark_at(const struct pack *p, uint32_t i);
bool pack_marked(const struct pack *p, uint32_t i);
bool pack_is_checked(const struct pack *p, uint32_t i);
void pack_set_checked(struct pack *p, uint32_t i);
void pack_found_damaged(struct pack *p, uint32_t i);
bool pack_is_sealed(const struct pack *p);

uint64_t pack_mark_of(const void *data, size_t len);
size_t pack_have_len(const struct pack *p); /* bytes of the file of marks */
/* pack_whole.c: differs after anybody has written to the file; 0: unknown. */
uint64_t pack_stamp(int fd);

#endif
