/* SPDX-License-Identifier: MIT */
/*
 * layer_archive.h: layers without an index: tar, plain or compressed with gzip or zstd, read from one end to the other
 * by a program that is confined (unpack/), because they are of strangers.
 *
 * Shape    files are cut into pieces of LAYER_CHUNK bytes; the digest of each is what a tree says, so that content
 *          which was evicted can be had again from the same archive, and compared
 * Refused  what tree_build.h refuses; an archive that unpacks to more than MAX_LAYER_RAW, or to more than RATIO times
 *          its size; one from which nothing comes for STALL_MS
 * Errors   -EBADMSG, -EFBIG, -EILSEQ with words; -ECANCELED
 * Threads  a worker's: it waits for the program
 * Source   FORMATS.md 5, 8
 */
#ifndef CACHE_LAYER_ARCHIVE_H
#define CACHE_LAYER_ARCHIVE_H

#include "cache/tree_build.h"

#include <stdbool.h>

/* Who reads an archive. Both return 0 or -errno with words, which ends it. */
struct archive_reader {
	int (*entry)(void *arg, const char *path, const struct tree_item *item, struct why *why);
	/* The next piece of the file that was last: LAYER_CHUNK bytes, but for the end. */
	int (*piece)(void *arg, const void *data, size_t len, struct why *why);
	void *arg;
};

/* (program) is the path of diverfs-unpack; (bytes), (size) of them, a verified blob. */
int layer_archive_read(const char *program, const void *bytes, uint64_t size, const struct archive_reader *r,
	const _Atomic bool *stop, struct why *why);

/* Adds all entries below (base), with chunks of the kind CHUNK_WHOLE. */
int layer_archive_add(struct tree_build *b, uint32_t base, const char *program, const struct digest *blob,
	const void *bytes, uint64_t size, const _Atomic bool *stop, struct why *why);

#endif
