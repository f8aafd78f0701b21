/* SPDX-License-Identifier: MIT */
/*
 * control.h: what an owner tells the cache to do, as a line of words.
 *
 *     prefetch NAME:TAG   fetches all of it
 *     pin NAME:TAG        the same, and it is not evicted until it is unpinned; the digest that the tag has now
 *     unpin NAME:TAG      may go again; asks no registry
 *     gc                  removes what is above the quota, half-written, or shown by no tree
 *     verify [full]       compares all that is here with its XXH3 or, full, its SHA-256; what is bad is dropped and
 *                         named in the log
 *
 * In place of a tag a digest may stand: NAME@sha256:...
 * Threads  the loop's
 * Errors   -EINVAL not such a line; -ENOENT no such kernel, or not pinned; -ENOSPC it does not fit into the quota;
 *          -ECANCELED; with words
 */
#ifndef CACHE_CONTROL_H
#define CACHE_CONTROL_H

#include "cache/cache.h"

extern const char cache_command_words[]; /* one line */

struct cache_command;

/* (done) comes exactly once, later. NULL, with words, if the line is wrong: then it does not come. */
struct cache_command *cache_command(
	struct cache *c, const char *line, cache_done_fn *done, void *arg, struct why *why);
/* It ends soon, with -ECANCELED unless it has just ended. What was fetched stays. */
void cache_command_cancel(struct cache_command *k);

#endif
