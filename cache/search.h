/* SPDX-License-Identifier: MIT */
/*
 * search.h: which kernels match some words, best first.
 *
 * What is searched is what kernels say of themselves (catalog_docs.h). A kernel that is listed and was never looked at is
 * found by its name; the first search has the metadata of such kernels fetched (no content), a few at a time, waits a
 * little for them, and then answers from what there is. Without a network it answers from what was indexed before.
 *
 * Threads  the loop's
 */
#ifndef CACHE_SEARCH_H
#define CACHE_SEARCH_H

#include "cache/cache.h"

#define SEARCH_MAX 1000u /* hits */

struct hits;

/* (words) as search_words.h says. Errors are those of cache_names: nothing found is no error. The callback owns one
 * reference. */
typedef void cache_search_fn(void *arg, int err, const struct why *why, struct hits *hits);
void cache_search(struct cache *c, const char *words, cache_search_fn *done, void *arg);

struct hits *hits_get(struct hits *h);
void hits_put(struct hits *h); /* NULL is fine */
uint32_t hits_count(const struct hits *h);
const struct name *hits_at(const struct hits *h, uint32_t i);
/* All names, for who must know what else there is. */
const struct names *hits_names(const struct hits *h);

struct tree;
/* A worker: puts what a tree shows into the index, unless it is there. (digest) is the listed one. */
void search_index(struct cache *c, const char *name, const char *digest, const struct tree *t);
void search_free(struct cache *c);

#endif
