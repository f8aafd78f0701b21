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

struct spool;

#define MAX_REGISTRIES 32u
#define SCRATCH	       (128u << 10)
#define SPARES	       8u

struct learn;
struct search;
struct trust;
struct names_query; /* who waits for names (query.c) */
struct rest;	    /* what a brief view lacks, to be fetched */
struct view_query;  /* who waits for a view */
struct walk;	    /* somebody who looks at one kernel after the other */
struct tags;	    /* digests of tags (tags.h) */

struct place {		     /* a registry and what is known of it */
	struct cache *cache; /* set once, as the registry */
	struct registry *registry;
	pthread_mutex_t lock; /* guards the next four */
	struct names *listed; /* what it said last, or the catalog remembers; NULL: nothing is known */
	int64_t as_of;
	bool reachable;
	char trouble[256];

	/* remote kinds only; the loop's */
	struct place_wait *waiting;
	bool recalled, recalling;			 /* what the catalog remembers was read */
	bool listing, failed;				 /* a list is under way; the last one failed */
	bool outdated;					 /* something was published after it began */
	uint64_t began_ns, listed_ns, took_ns, again_ns; /* monotonic; again_ns: not asked before that */
	struct timer *patience;
	struct tags *tags;
	int err; /* of the last list */
	struct why why;
};

struct cache {
	struct loop *loop;
	struct pool *pool;
	char *dir;
	int dirfd, trees_fd, packs_fd, objects_fd; /* set once */
	struct catalog *catalog;		   /* any */
	struct room *room;			   /* any */
	struct trust *trust;			   /* any; NULL: no signatures are asked for */
	struct place places[MAX_REGISTRIES];
	_Atomic uint32_t place_count; /* those below it are there */
	struct fetcher *fetcher;      /* NULL until there is a remote registry */
	char *ca_file, *auth_file;    /* NULL: the usual */
	bool insecure, offline;
	uint64_t fresh_ns; /* how old what a remote registry said may be */

	unsigned refs;
	_Atomic bool closing;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	unsigned running; /* jobs on workers; under lock */

	struct names *names;		      /* the snapshot; NULL at first */
	struct names *merged[MAX_REGISTRIES]; /* what it was made of; compared only */
	uint64_t names_at;		      /* monotonic, when it was checked */
	struct names_query *names_waiting;
	struct view_query *views_waiting;
	struct search *search;		  /* search.c; NULL: nobody has searched yet */
	struct failed_view *views_failed; /* for some seconds they fail at once */
	struct rest *rests;
	struct walk *walk; /* walk.c; NULL: nobody has walked yet */
	struct content *contents;
	struct pack_ref *packs;
	struct chunk_fetch *batch;  /* to be asked for at the end of this round of the loop */
	struct chunk_fetch *others; /* another process fetches them now */
	struct timer *others_timer;
	struct chunk_fetch *come; /* their bytes are here, to be verified at the end of this round */
	struct chunk_fetch **come_end;
	struct chunk_fetch *large; /* here, and waiting for others of them to be verified */
	unsigned large_jobs;
	uint64_t ahead;		    /* bytes under way that nobody waits for yet */
	uint64_t unkept;	    /* verified, answered, and not yet written */
	char *spare[SPARES];	    /* buffers of spans that are used again */
	unsigned spares;
	struct spool *spools;
	char *unpacker;		   /* the program diverfs-unpack; NULL: there is none */
	pthread_mutex_t unpacking; /* foreign.c: one at a time */

	char *scratch; /* SCRATCH bytes, for chunks of which a part is read */

	_Atomic uint64_t fetched; /* bytes that came from registries */
	struct timer *tick;	  /* housekeeping; NULL while it runs */
};

/* How much of a kernel who asks for a view wants to see (cache.h): each is more than the next. */
enum extent { EXTENT_ALL, EXTENT_LOOK, EXTENT_BRIEF };

struct ahead {		      /* a reader that goes forward, and how far chunks were asked for before it */
	uint32_t last, until; /* chunk numbers: read last; asked for, all below */
	uint32_t window;      /* bytes; 0: unused */
};

struct pack_ref { /* packs are shared between contents: two tags with one src/ */
	struct pack_ref *next;
	struct pack *pack;
	unsigned refs;
	struct chunk_fetch *fetches[64]; /* chunks under way, by number */
	struct ahead ahead[4];
	unsigned next_ahead;
	uint64_t came;		  /* bytes from remote registries */
	uint64_t failed_until_ns; /* after a wait for nothing the rest fails at once */
	int failed;
	struct why why;
};

struct content {
	struct content *next;
	struct tree *tree;
	struct digest digest;
	struct pack_ref **packs;     /* one a layer */
	enum extent extent;	     /* what it was loaded for, if it lacks something; else EXTENT_ALL */
	uint32_t lacks;		     /* a directory whose children are not known (cache_look); 0: none */
	uint64_t lacks_size;
	struct learn *_Atomic learn; /* learn.c: what a deploy reads; NULL: there was none */
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

/* Which chunk a fetch is for, and who waits for it (read.c). */
struct wait;
struct span;
struct chunk_fetch {
	struct chunk_fetch *next;    /* in the bucket of the pack */
	struct chunk_fetch *batched; /* in cache->batch, others, come or large */
	struct pack_ref *ref;
	uint32_t number; /* in the pack */
	uint32_t chunk;	 /* in the tree of (view) */
	struct view *view;
	struct wait *waits;
	bool was_ahead;	    /* asked for before anybody wanted it */
	bool verified;	    /* (data) may be shown, and is being written */
	bool claimed;	    /* pack_claim */
	uint64_t since_ns;  /* waiting for another process that fetches it; 0: not */
	struct span *span;  /* where its packed bytes are */
	const char *packed; /* in the span or a spool */
	struct spool *spool;
	const char *data; /* its content */
	char *owned;	  /* to be freed, if not NULL */
	int err;
	struct why why;
};

/* read.c: finds or makes the fetch of a chunk. */
struct chunk_fetch *chunk_fetch_for(struct view *v, uint32_t chunk, bool ahead);
void chunk_fetch_local(struct chunk_fetch *f); /* from the pack, a local registry, or zeros */
bool chunk_under_way(const struct pack_ref *ref, uint32_t number);
/* Answers those who wait with f->err or f->data. */
void chunk_fetch_answer(struct chunk_fetch *f);
/* The same, and frees it. */
void chunk_fetch_done(struct chunk_fetch *f);
/* Any thread: f->packed into f->data, verified. */
void chunk_verify(struct chunk_fetch *f);
/* The same of two of one length (raw), in less time than one after the other. */
void chunk_verify_two(struct chunk_fetch *f, struct chunk_fetch *g);
/* A worker: puts what was verified into the pack. */
void chunk_keep(struct chunk_fetch *f);

/* read_remote.c: adds to the batch that goes out at the end of this round. */
void chunk_fetch_remote(struct chunk_fetch *f);
/* Somebody waits now for one that was asked for before. */
void chunk_fetch_wanted(struct chunk_fetch *f);
void read_remote_stop(struct cache *c); /* when the cache closes */
void read_remote_rest(struct cache *c); /* gives back memory that nothing under way needs */
/* Chunks (first) to (last), in the tree, were read just now: what comes next? */
void read_ahead(struct view *v, uint32_t first, uint32_t last, bool missed);

/* Whoever waits for the loop or holds a view holds a reference (c->refs++). */
void cache_unref(struct cache *c);
void query_free(struct cache *c); /* what query.c keeps */
/* A view that nobody has asked for yet. */
void query_ahead(struct cache *c, const char *name, const char *reference, enum extent extent, cache_view_fn *done,
	void *arg);
/* walk.c: somebody asks for a view. */
void walk_step(struct cache *c, const char *name, const char *reference, enum extent extent);
void walk_stop(struct cache *c); /* when the cache closes */
/* rest.c: what a brief view of this digest lacks is fetched in a moment. */
void rest_later(struct cache *c, const char *name, const struct digest *d);
void rest_stop(struct cache *c); /* when the cache closes */
/* Is this tag signed? The callback gets no view. */
void query_check(struct cache *c, const char *name, const char *tag, cache_view_fn *done, void *arg);
void cache_job(struct cache *c, job_fn *run, job_fn *done, void *arg);

/* place.c. What (place) lists now, or listed when it could answer last. The callback comes on the loop, once, and gets
 * one reference; never before the call has returned. */
typedef void place_fn(void *arg, int err, const struct why *why, struct names *names);
void place_ask(struct place *p, place_fn *done, void *arg);
void place_init(struct cache *c, struct place *p, struct registry *r);
/* When nothing of it is under way any more. */
void place_free(struct place *p);
/* The same for what a tag is; for places whose names have no digests. (manifest) may be its bytes, or empty. */
void place_tag(struct place *p, const char *name, const char *tag, registry_tag_fn *done, void *arg);
/* Of a remote kind: its list and this tag are asked for anew when they are wanted. */
void place_forget(struct place *p, const char *name, const char *tag);

/* What a load needs from a remote registry. */
struct lack {
	struct lack *next;
	struct registry_part part;
	struct buf bytes;
	struct spool *spool; /* where parts cannot be had: all of the blob */
	bool there, whole;   /* whole: in a spool, whatever the server can */
	struct load *load;
};

/* load.c: the tree of a manifest or index, from the cache or made. */
struct load {
	struct cache *cache; /* NULL: nothing is kept */
	int objects_fd;
	struct registry *registry;
	const char *repository;
	struct digest digest;
	struct lack *needs;
	struct whole *wholes; /* load_foreign.c */
	enum extent extent;   /* LOOK: layers without an index are left out if they are not here; then */
	const char *lacks;    /* this directory of the tree is empty, and the tree is not kept; */
	uint64_t lacks_size;  /* so many bytes, packed, would fill it */
	bool brief;	      /* BRIEF: so are README.md and all sources; then this is set */

	/* load_ask.c */
	int (*run)(struct load *l, struct why *why); /* in place of load_tree; NULL: that */
	unsigned pending, rounds;
	int err;
	struct why why;
	struct tree *tree;
	struct pack **packs;
	void (*done)(struct load *l);
	void *arg;
};
/* A worker. -EAGAIN: the registry is remote, and what is in l->needs and not there must be fetched first. */
int load_tree(struct load *l, struct tree **out, struct why *why);
void load_free_needs(struct load *l);
void load_free_wholes(struct load *l);
/* The spool of a blob that is needed whole; NULL: it was noted. */
struct spool *load_spool(struct load *l, const struct digest *d, uint64_t size);
/* load_ask.c, the loop: the same until it is done; l->err, l->why, l->tree and l->packs are its result. (l) is the
 * caller's, who sets what is above needs, done and arg. */
void load_start(struct load *l);
/* Bytes of a manifest that came with the question for its tag; taken over. */
void load_give_manifest(struct load *l, struct buf *bytes);

/* spool.c: a whole blob in an unnamed file, verified; for servers that do not serve parts. One of each at a time. */
typedef void spool_fn(void *arg, int err, const struct why *why, struct spool *s);
void spool_get(struct cache *c, struct registry *r, const char *repository, const struct digest *d,
	uint64_t size, spool_fn *done, void *arg);
struct spool *spool_ref(struct spool *s);
void spool_put(struct spool *s);
void spool_stop(struct cache *c);		/* when the cache closes */
const char *spool_bytes(const struct spool *s); /* all of it, mapped; any thread */
/* import.c: all chunks of the layer of (chunk) out of its blob, in the background. */
void import_layer(struct view *v, uint32_t chunk, struct spool *s);
/* What came of a blob that is on its way; 0 if it is not. */
uint64_t spool_came(const struct cache *c, const struct digest *d);

/* load.c, any thread: the same from a local registry in memory, with nothing from a cache: for what was just
 * written. */
int load_afresh(struct registry *reg, const char *repository, const struct digest *d, struct tree **out,
	struct why *why);

/* learn.c. Any thread that holds the content: a chunk was read. */
void learn_note(const struct content *k, uint32_t chunk);
void learn_free(struct content *k);

/* content.c. Takes the tree and the packs of a load over, unless a content of that digest is there already.
 * One reference. */
struct content *content_adopt(struct cache *c, const struct load *l);
/* One that shows (extent) or more. */
struct content *content_find(struct cache *c, const struct digest *d, enum extent extent);
void content_unref(struct cache *c, struct content *content);
/* A worker: the packs of a tree. */
struct pack **packs_open(struct cache *c, const struct tree *t);

/* read.c, a worker: the bytes of chunk (i), from the pack or a local registry; verified. (buf) holds chunk->raw
 * bytes. -EAGAIN, without words: the registry is remote, ask with chunk_ask. */
int chunk_obtain(const struct view *v, uint32_t i, void *buf, struct why *why);
/* The loop: the same from anywhere. */
void chunk_ask(struct view *v, uint32_t i, view_read_fn *done, void *arg);

/* A view of (content), whose reference it takes over. One reference. */
struct view *view_new(
	struct cache *c, struct content *content, struct registry *reg, const char *name, const char *tag);
/* The pack of a file that is all of its layer, as that of an image is: then the pack is the file. Or NULL. */
struct pack *content_own_pack(const struct content *content, const struct tree_entry *file);
/* The pack that chunk (i) of the tree belongs to, and its number there. */
struct pack_ref *content_pack(const struct content *content, uint32_t i, uint32_t *number);

#endif
