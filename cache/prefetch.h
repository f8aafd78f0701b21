/* SPDX-License-Identifier: MIT */
/*
 * prefetch.h: all content of a view comes into the cache, in the order in which it lies, several pieces at a time.
 *
 * Owns     a prefetch holds its view, and the view's packs, until it is freed
 * Threads  the loop's
 */
#ifndef CACHE_PREFETCH_H
#define CACHE_PREFETCH_H

#include "cache/cache.h"

struct prefetch;

/* Only entries for which (wanted) says so; NULL: all. (done) comes once, later: 0, -ENOSPC if not all of it could be
 * kept, or why it could not be read. It may free the prefetch. */
typedef bool prefetch_wanted_fn(void *arg, uint32_t index);
struct prefetch *prefetch_new(struct view *v, prefetch_wanted_fn *wanted, cache_done_fn *done, void *arg);
/* Begins nothing more; (done) comes when what is under way has ended. */
void prefetch_stop(struct prefetch *p);
void prefetch_free(struct prefetch *p); /* after (done) */

#endif
