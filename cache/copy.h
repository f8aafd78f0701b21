/* SPDX-License-Identifier: MIT */
/*
 * copy.h: one file of a view, written chunk by chunk to a descriptor: what export and checkout share.
 *
 * Threads  a worker's. A step does about COPY_STEP bytes, so that a large image does not keep a worker from
 * the reads of others
 */
#ifndef CACHE_COPY_H
#define CACHE_COPY_H

#include "cache/impl.h"

#define COPY_STEP (16u << 20)

struct copying {
	const struct view *view;
	const struct tree_entry *file;
	int fd;	       /* -1: only fetch and verify */
	uint32_t next; /* chunk of the file */
	char *buf;     /* as large as the largest chunk so far */
	size_t cap;

	/* chunks that came from a remote registry: a cache whose disk is full keeps none */
	bool wanted; /* the step ended because copy_fetch is needed first */
	struct copy_gift *gifts;
	uint32_t gift_first, gift_count;
	unsigned pending;
	void (*fetched)(void *arg);
	void *arg;
	int err;
	struct why why;
};

#define COPY_GIFTS 64u

/* 1: more to do; 0: all of it is done; or -errno with words. (*budget) is what is left of the step. With 1, look at
 * k->wanted: then the next step is only after copy_fetch. */
int copy_step(struct copying *k, int64_t *budget, struct why *why);
/* The loop: gets the next chunks, then calls (done), later; k->err and k->why if it failed. */
void copy_fetch(struct copying *k, void (*done)(void *arg), void *arg);
void copy_end(struct copying *k); /* frees the buffer; the descriptor is the caller's */

#endif
