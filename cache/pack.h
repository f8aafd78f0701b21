/* SPDX-License-Identifier: MIT */
/*
 * pack.h: the content of a layer's files, unpacked, in one sparse file; and which chunks of it are here.
 *
 * Shape    <id>: the bytes of each chunk at its pack_off (the pack of an image is the image).
 *          <id>.have: 8 bytes a chunk, the XXH3 of its bytes, 0 where it is not here; written after
 *          the bytes. Then whether the pack is known to be whole and sound (pack_whole.c)
 * Name     id = SHA-256 over (pack_off, size, SHA-256) of all chunks, not the layer's digest: a pack's
 *          name says what belongs into it. By the layer's digest, a hostile manifest that names a good
 *          layer together with a table of contents of its own could have put its bytes where another
 *          kernel's are read
 * Trust    SHA-256 is checked before a chunk is written. The XXH3 is compared once a process, so that
 *          power loss and rot are noticed and the chunk fetched again
 * Sharing  processes may fill one pack at the same time: they write the same bytes. A pack that was
 *          handed out by a hard link is sealed (mode 0444) and never written again; if it rots, a new
 *          file takes its name
 * Full     what finds no room (room.h), also after others went, is not kept, and nothing fails
 * Life     the files are made and opened by the first use. Attached, a pack holds a shared lock (flock) on its marks, so
 *          that no process evicts it; one that was not used for a while is detached, unless it is held. Evicted, it is
 *          empty when it is used again
 * Threads  any; open and close by one
 */
#ifndef CACHE_PACK_H
#define CACHE_PACK_H

#include "cache/room.h"
#include "cache/tree.h"

#include <stdatomic.h>

struct pack;

/* Touches no disk. (dirfd) and (room), which may be NULL, must stay open as long as the pack. */
struct pack *pack_open(int dirfd, struct room *room, const struct tree_layer *layer);
void pack_close(struct pack *p); /* NULL is fine */
const struct digest *pack_id(const struct pack *p);

/* (i) counts chunks within the layer. Marked as here, not necessarily checked; false also while it is detached. */
bool pack_has(struct pack *p, uint32_t i);
/* Bytes that are here. (chunks) are the layer's. Does not attach it, but may read its marks from the disk. */
uint64_t pack_here(struct pack *p, const struct tree_chunk *chunks);

/* Held packs stay attached, once they are: somebody has a file open. */
void pack_hold(struct pack *p);
void pack_let(struct pack *p);
bool pack_attached(struct pack *p);
/* A worker: makes sure that it is attached, if it can be. */
void pack_attach(struct pack *p);

/* Reads the chunk's bytes: 0; -ENOENT if it is not here or was found damaged; -EAGAIN only with (now): it
 * would have to wait for the disk. */
int pack_get(struct pack *p, uint32_t i, const struct tree_chunk *c, void *buf, bool now);
/* A part of a chunk that was checked before, without waiting: 0, -EAGAIN, or -ENOENT if it was not. */
int pack_peek(struct pack *p, uint32_t i, uint64_t off, void *buf, size_t len);
/* Who is about to fetch a chunk says so to other processes, by a lock on its mark that ends with the process: false if
 * one of them is fetching it now. Whoever got true ends with pack_unclaim, after pack_put. Threads of one process are
 * not told apart. */
bool pack_claim(struct pack *p, uint32_t i);
void pack_unclaim(struct pack *p, uint32_t i);

/* Keeps bytes whose SHA-256 was checked. */
void pack_put(struct pack *p, uint32_t i, const struct tree_chunk *c, const void *data);

/* Compares what is here with the marks or, with (full), with the digests. Chunks that are damaged are not here
 * afterwards. Counts are added to. */
struct pack_scrub {
	uint64_t good, bad;
};
void pack_scrub(struct pack *p, const struct tree_chunk *chunks, bool full, const _Atomic bool *stop,
	struct pack_scrub *out);

/* Seals the pack if all of it is here: a descriptor that is the caller's, or -ENOENT. */
int pack_seal(struct pack *p);
/* If all of it is here and sound, for somebody who compares nothing and writes nothing: a descriptor that is the
 * caller's; -ENOENT; -EAGAIN: it is not attached. Does not wait. */
int pack_whole(struct pack *p);
/* A worker: writes down that all of it was compared, if it was, so that pack_whole knows it in other processes, too. */
void pack_vouch(struct pack *p);

/* For room.c. The list that it keeps; detaching a pack that nobody holds or has used within (idle_ns): true if it is
 * detached now; writing down when it was used last. */
struct pack **pack_next(struct pack *p);
bool pack_rest(struct pack *p, uint64_t idle_ns);
void pack_note_use(struct pack *p);

#endif
