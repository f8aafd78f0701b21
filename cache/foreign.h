/* SPDX-License-Identifier: MIT */
/*
 * foreign.h: content of layers that have no index (CHUNK_WHOLE): the whole layer is fetched, once, and all of it goes
 * into its pack.
 *
 * Threads  as said
 */
#ifndef CACHE_FOREIGN_H
#define CACHE_FOREIGN_H

#include "cache/impl.h"

/* A blob that is all here: mapped, verified. */
struct whole {
	struct whole *next;
	struct digest digest;
	uint64_t size;
	char *map; /* NULL: spool has it */
	struct spool *spool;
};

/* A worker: of a local registry. End with whole_free. */
int whole_read(struct cache *c, struct registry *r, const char *repository, const struct digest *d,
	uint64_t size, struct whole **out, struct why *why);
const char *whole_bytes(const struct whole *w);
void whole_free(struct whole *w); /* its spool is the caller's */

/* A worker: all chunks of layer (layer) of (t), out of its blob, into pack (p). The one whose number is (want) goes to
 * (buf), too, unless that is NULL. */
int foreign_unpack(struct cache *c, const struct tree *t, uint32_t layer, struct pack *p, const void *bytes,
	uint32_t want, void *buf, struct why *why);
/* A worker: chunk (i) from a local registry. */
int foreign_obtain(const struct view *v, uint32_t i, void *buf, struct why *why);
/* The loop: the fetch of such a chunk from a remote registry. */
void foreign_fetch(struct chunk_fetch *f);

/* A worker, after a load: what was fetched whole to know the tree fills its packs. */
void foreign_keep(struct load *l);

#endif
