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

/* A worker: is (n), which (list) of registry (r) lists, to be shown? */
bool trust_shows(struct cache *c, struct registry *r, const struct names *list, const struct name *n);

#endif
