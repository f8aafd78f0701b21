/* SPDX-License-Identifier: MIT */
/*
 * publish_source.h: src/ becomes a layer, and what went into it is remembered for the check.
 *
 * Threads  any
 */
#ifndef CACHE_PUBLISH_SOURCE_H
#define CACHE_PUBLISH_SOURCE_H

#include "cache/layer.h"
#include "cache/publish.h"

struct publish_meter { /* calls the caller's progress function */
	publish_progress_fn *fn;
	void *arg;
	uint64_t done, total;
};
void publish_meter_add(struct publish_meter *m, const char *what, uint64_t bytes);

struct publish_sum {
	char *path; /* below the artifact's root */
	uint64_t size;
	char type; /* 'f', 'd', 'l' */
};
struct publish_sums { /* what must be found again */
	struct publish_sum *list;
	size_t count, cap;
};
void publish_sums_add(struct publish_sums *s, char type, const char *path, uint64_t size);
void publish_sums_free(struct publish_sums *s);

/* Writes dirfd/src as zstd:chunked to (to). Symbolic links are kept, hard links found; devices and the like
 * refused. */
int publish_source(int dirfd, int to, int level, struct publish_sums *sums, struct publish_meter *meter,
	struct layer_written *out, struct why *why);

#endif
