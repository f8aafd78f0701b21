/* SPDX-License-Identifier: MIT */
/*
 * trust.h: with keys given, only kernels with a good signature (cosign.h) are shown.
 *
 *     names     what a registry in a directory lists is checked before it is shown. Of a remote one, what has no tag of a
 *               signature is hidden at once, the rest is checked when it is looked up, and hidden if it is bad
 *     views     are not given out before the signature of the digest was checked
 *
 * Life     a verdict holds for (repository, digest, digest of the signatures) as long as the cache is open
 * Threads  any
 */
#ifndef CACHE_TRUST_H
#define CACHE_TRUST_H

#include "cache/impl.h"

struct cosign_keys;
struct trust;

struct trust *trust_new(struct cosign_keys *keys); /* takes them over */
void trust_free(struct trust *t);		   /* NULL is fine */
/* Appends a line for `status`. */
void trust_status(struct trust *t, struct buf *out);

/* 1: good; 0: bad, with words; -1: not known yet. (signatures) is the digest of the tag's manifest as a text; "" if that
 * is not known, NULL if there is no such tag, which is bad. */
int trust_verdict(
	struct trust *t, const char *name, const struct digest *d, const char *signatures, struct why *why);

/* A worker: a load's run (impl.h): l->digest is that of the manifest of signatures, l->arg a struct trust_question. */
struct trust_question {
	struct trust *trust;
	struct digest digest; /* of the kernel */
};
int trust_check(struct load *l, const struct trust_question *q, struct why *why);

/* What is known of a tag whose digest the registry tells only when it is asked: (good), until it is noted anew. True if
 * that is news. */
bool trust_note_tag(struct trust *t, const char *name, const char *tag, bool good);
/* Has the repository any tag of a signature? */
bool trust_has_signatures(const struct names *list, const char *name);

/* The loop: looks at the signatures of what remote registries list (lists[i] is of place i) and of which that is not known;
 * (done) comes when all are known or some seconds have passed, in which case the rest is looked at in the background.
 * False: all are known; (done) does not come. */
bool trust_check_names(
	struct cache *c, struct names *const *lists, uint32_t count, void (*done)(void *arg), void *arg);

/* A worker: is (n), which (list) of registry (r) lists, to be shown? */
bool trust_shows(struct cache *c, struct registry *r, const struct names *list, const struct name *n);

#endif
