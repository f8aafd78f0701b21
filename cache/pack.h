/* SPDX-License-Identifier: MIT */
/*
 * pack.h: the content of a layer's files, unpacked, in one sparse file; and which chunks of it are here.
 *
 * Shape    <id>: the bytes of each chunk at its pack_off (the pack of an image is the image).
 *          <id>.have: 8 bytes a chunk, the XXH3 of its bytes, 0 where it is not here; written after
 *          the bytes
 * Name     id = SHA-256 over (pack_off, size, SHA-256) of all chunks, not the layer's digest: a pack's
 *          name says what belongs into it. By the layer's digest, a hostile manifest that names a good
 *          layer together with a table of contents of its own could have put its bytes where another
 *          kernel's are read
 * Trust    SHA-256 is checked before a chunk is written. The XXH3 is compared once a process, so that
 *          power loss and rot are noticed and the chunk fetched again
 * Sharing  processes may fill one pack at the same time: they write the same bytes. A pack that was
 *          handed out by a hard link is sealed (mode 0444) and never written again; if it rots, a new
 *          file takes its name
 * Full     where the disk is full nothing is kept, and nothing fails: fd is -1 or the write is not
 *          marked
 * Threads  any; open and close by one
 */
#ifndef CACHE_PACK_H
#define CACHE_PACK_H

#include "cache/tree.h"

#include <stdatomic.h>

struct pack;

/* Never fails: at worst nothing is kept. (dirfd) must stay open as long as the pack. */
struct pack *pack_open(int dirfd, const struct tree_layer *layer);
void pack_close(struct pack *p); /* NULL is fine */
const struct digest *pack_id(const struct pack *p);

/* (i) counts chunks within the layer. Marked as here, not necessarily checked. */
bool pack_has(const struct pack *p, uint32_t i);

/* Reads the chunk's bytes: 0; -ENOENT if it is not here or was found damaged; -EAGAIN only with (now): it
 * would have to wait for the disk. */
int pack_get(struct pack *p, uint32_t i, const struct tree_chunk *c, void *buf, bool now);
/* A part of a chunk that was checked before, without waiting: 0, -EAGAIN, or -ENOENT if it was not. */
int pack_peek(struct pack *p, uint32_t i, uint64_t off, void *buf, size_t len);
/* Keeps bytes whose SHA-256 was checked. */
void pack_put(struct pack *p, uint32_t i, const struct tree_chunk *c, const void *data);

/* Seals the pack if all of it is here: a descriptor that belongs to the pack, or -ENOENT. */
int pack_seal(struct pack *p);

#endif
