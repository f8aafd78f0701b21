/* SPDX-License-Identifier: MIT */
/*
 * scrub.h: all that is here is looked at: verify and gc.
 *
 * Shape    in steps, a tree with its packs or a round of objects each, so that a worker is not kept for long
 * Threads  scrub_step: a worker; one scrub belongs to one at a time
 */
#ifndef CACHE_SCRUB_H
#define CACHE_SCRUB_H

#include "cache/impl.h"

enum scrub_kind { SCRUB_QUICK, SCRUB_FULL, SCRUB_GC };

struct scrub;

struct scrub *scrub_new(struct cache *c, enum scrub_kind kind);
/* True: there is more to do. */
bool scrub_step(struct scrub *s);
/* What was found, a sentence. */
void scrub_tell(const struct scrub *s, struct buf *out);
void scrub_free(struct scrub *s);

#endif
