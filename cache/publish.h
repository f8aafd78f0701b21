/* SPDX-License-Identifier: MIT */
/*
 * publish.h: a directory becomes an artifact.
 *
 * DIR holds kernel.conf, README.md, src/ and images/. The same bytes and names give the same digest: times, owners, and
 * the order of directory entries have no influence; files are 0644 or, with any x bit, 0755.
 *
 * Artifact  FORMATS.md 3.2: config (JSON) made from kernel.conf, README.md, src as zstd:chunked, a layer per image
 * Threads   any; waits for the disk
 * Errors    -errno and words. What was written of an interrupted publish is harmless: the tag moves last, under a lock
 */
#ifndef CACHE_PUBLISH_H
#define CACHE_PUBLISH_H

#include "cache/base/log.h"

#include <stdint.h>

/* Bytes done of all; may be NULL. */
typedef void publish_progress_fn(void *arg, const char *what, uint64_t done, uint64_t total);

/* (sign_key): a private key (cosign.h) by which what is published is signed, or NULL.
 * (reference) is NAME:TAG, or NULL for what kernel.conf says. (layout) is made if it does not exist. (digest) gets
 * "sha256:..." (DIGEST_TEXT_LEN + 1 bytes, cache.h). */
int publish_directory(const char *dir, const char *layout, const char *reference, const char *sign_key,
	publish_progress_fn *progress, void *arg, char *digest, struct why *why);

#endif
