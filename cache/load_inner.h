/* SPDX-License-Identifier: MIT */
/*
 * load_inner.h: between load.c and those that read what other tools have packed: load_foreign.c (layers), load_kraft.c
 * (kernels of kraftkit).
 *
 * Errors   -EAGAIN: the registry is remote and what is needed was noted; all others with words
 * Threads  a worker's
 */
#ifndef CACHE_LOAD_INNER_H
#define CACHE_LOAD_INNER_H

#include "cache/artifact.h"
#include "cache/impl.h"
#include "cache/tree_build.h"

/* Exactly (len) bytes at (off) of a blob of (size) bytes; with (to) NULL they are only noted. */
int load_part(struct load *l, const struct digest *d, uint64_t size, uint64_t off, void *to, size_t len,
	struct why *why);
int load_manifest(struct load *l, const struct digest *d, struct buf *out, struct why *why);
/* A whole small blob, verified and kept. */
int load_blob(struct load *l, const struct descriptor *d, const char *what, uint64_t max, struct buf *out,
	struct why *why);
/* A whole large one, verified and mapped until the load ends. */
int load_whole(struct load *l, const struct descriptor *d, const char **bytes, struct why *why);

/* load_foreign.c: a source layer without annotations of zstd:chunked, below (src). */
int load_foreign_source(
	struct load *l, struct tree_build *b, uint32_t src, const struct descriptor *d, struct why *why);
/* May the sources be left out of the tree, and be asked for when they are wanted? */
bool load_may_lack(struct load *l, const struct artifact *a);
/* load_kraft.c: kernel.conf, README.md, images/ and src/ of a kernel that kraftkit has packed. */
int load_kraft(struct load *l, struct tree_build *b, const struct artifact *a, struct why *why);

#endif
