/* SPDX-License-Identifier: MIT */
/*
 * publish_layout.h: writing into an OCI image layout that others read, and write, at the same time.
 *
 * Order    blobs: temporary, fsync, rename; then index.json, temporary, fsync, rename, under flock of
 *          the directory
 * Keeps    what the layout holds besides; only the descriptor of the tag that is published is replaced
 * Errors   -errno and words
 * Threads  any; one layout_out belongs to one
 */
#ifndef CACHE_PUBLISH_LAYOUT_H
#define CACHE_PUBLISH_LAYOUT_H

#include "cache/digest.h"

struct layout_out {
	const char *path;
	int dirfd, blobs_fd;
};

/* Makes the layout if it is not there. End with layout_out_close, also after an error. */
int layout_out_open(struct layout_out *o, const char *path, struct why *why);
void layout_out_close(struct layout_out *o);

struct blob_out {
	int fd; /* write here */
	char temp[32];
};
int layout_blob_begin(const struct layout_out *o, struct blob_out *b, struct why *why);
/* Gives what was written its name. */
int layout_blob_end(const struct layout_out *o, struct blob_out *b, const struct digest *d, struct why *why);
void layout_blob_drop(const struct layout_out *o, struct blob_out *b);
int layout_blob_put(
	const struct layout_out *o, const void *data, size_t len, struct digest *d, struct why *why);

/* (ref) is NAME:TAG. */
int layout_tag(
	const struct layout_out *o, const char *ref, const struct digest *d, uint64_t size, struct why *why);

/* For a tag that depends on what it was: nobody else moves one until the returned descriptor is closed. */
int layout_lock(const struct layout_out *o, struct why *why);
int layout_tag_locked(
	const struct layout_out *o, const char *ref, const struct digest *d, uint64_t size, struct why *why);
/* What the tag leads to; -ENOENT, without words: there is none. */
int layout_find(const struct layout_out *o, const char *ref, struct digest *d, struct why *why);

#endif
