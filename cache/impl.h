/* SPDX-License-Identifier: MIT */
/*
 * impl.h: what the files behind cache.h share; nobody else includes it.
 *
 *     content   what a digest shows: a tree and the packs of its layers. One of each digest, shared by all
 * its views job       work for the pool on behalf of a cache. It holds a reference, so that cache_close need
 * not wait for the loop; when the cache is closing, (run) is skipped and (done) finds what was prepared:
 * -ECANCELED
 *
 * Threads  the loop's, where nothing else is said. A job's (run) touches only what its argument owns,
 * contents and packs that it holds, and what says "any"
 */
#ifndef CACHE_IMPL_H
#define CACHE_IMPL_H

#include "cache/cache.h"
#include "cache/catalog.h"
#include "cache/pack.h"
#include "cache/registry.h"
#include "cache/room.h"

#include <pthread.h>

#define MAX_REGISTRIES 32u
#define SCRATCH	       (128u << 10)

struct search;
struct names_query; /* who waits for names (query.c) */
struct view_query;  /* who waits for a view */

struct place {			   /* a registry and what is known of it */
	struct registry *registry; /* set once */
	pthread_mutex_t lock;	   /* guards the rest */
	struct names *listed;	   /* what it said last, or the catalog remembers; NULL: nothing is known */
	int64_t as_of;
	bool reachable;
	char trouble[256];
};

struct cache {
	struct loop *loop;
	struct pool *pool;
	char *dir;
	int dirfd, trees_fd, packs_fd, objects_fd; /* set once */
	struct catalog *catalog;		   /* any */
	struct room *room;			   /* any */
	struct place places[MAX_REGISTRIES];
	_Atomic uint32_t place_count; /* those below it are there */

	unsigned refs;
	_Atomic bool closing;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	unsigned running; /* jobs on workers; under lock */

	struct names *names; /* the snapshot; NULL at first */
	uint64_t names_at;   /* monotonic, when it was checked */
	struct names_query *names_waiting;
	struct view_query *views_waiting;
	struct search *search; /* search.c; NULL: nobody has searched yet */
	struct content *contents;
	struct pack_ref *packs;

	char *scratch; /* SCRATCH bytes, for chunks of which a part is read */

	_Atomic uint64_t fetched; /* bytes that came from registries */
	struct timer *tick;	  /* housekeeping; NULL while it runs */
};

struct pack_ref { /* packs are shared between contents: two tags with one src/ */
	struct pack_ref *next;
	struct pack *pack;
	unsigned refs;
	struct fetch *fetches[64]; /* chunks under way, by number */
};

struct content {
	struct content *next;
	struct tree *tree;
	struct digest digest;
	struct pack_ref **packs; /* one a layer */
	unsigned refs;
};

struct view {
	struct cache *cache;
	struct content *content;
	char *name, *tag;
	char digest[DIGEST_TEXT_LEN + 1];
	struct registry *registry; /* where what is missing comes from */
	unsigned refs;
};

/* Whoever waits for the loop or holds a view holds a reference (c->refs++). */
void cache_unref(struct cache *c);
void cache_job(struct cache *c, job_fn *run, job_fn *done, void *arg);

/* query.c, any thread: what (place) lists now, or listed when it could answer last. */
int place_list(struct cache *c, struct place *p, struct names **out, struct why *why);

/* load.c, a worker: the tree of a manifest or index, from the cache or made. (reg) may be asked. */
int load_tree(struct cache *c, struct registry *reg, const char *repository, const struct digest *d,
	struct tree **out, struct why *why);

/* load.c, any thread: the same in memory, with nothing from a cache: for what was just written. */
int load_afresh(struct registry *reg, const char *repository, const struct digest *d, struct tree **out,
	struct why *why);

/* content.c. Takes (t) and opened packs over, unless a content of that digest is there already. One
 * reference. */
struct content *content_adopt(struct cache *c, struct tree *t, struct pack **packs);
struct content *content_find(struct cache *c, const struct digest *d);
void content_unref(struct cache *c, struct content *content);
/* A worker: the packs of a tree. */
struct pack **packs_open(struct cache *c, const struct tree *t);

/* read.c, a worker: the bytes of chunk (i), from the pack or the registry; verified. (buf) holds chunk->raw
 * bytes. */
int chunk_obtain(const struct view *v, uint32_t i, void *buf, struct why *why);

/* A view of (content), whose reference it takes over. One reference. */
struct view *view_new(
	struct cache *c, struct content *content, struct registry *reg, const char *name, const char *tag);
/* The pack that chunk (i) of the tree belongs to, and its number there. */
struct pack_ref *content_pack(const struct content *content, uint32_t i, uint32_t *number);

#endif
