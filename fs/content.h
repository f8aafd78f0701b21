/* SPDX-License-Identifier: MIT */
/*
 * content.h: a read of a file of an artifact, answered at once or when the content has come; used below
 * kernels/ and in an instance's kernel/.
 *
 * Errors   what cache.h says, as cache_errno tells it; -ETIMEDOUT if nothing came for 5 s (PITFALLS 2)
 * Threads  the loop's
 */
#ifndef FS_CONTENT_H
#define FS_CONTENT_H

#include "fs/ops.h"

/* Whose content does not come: after a failed read-ahead the kernel asks once more, which would be another
 * wait, so until that moment reads fail at once. */
typedef void content_stalled_fn(struct fs *fs, struct node n, uint64_t until_ns);
/* Answers (req), the read of (n), which is entry (index) of (v). */
void content_read(struct fs *fs, fuse_req_t req, struct node n, struct view *v, uint32_t index, size_t size,
	uint64_t off, uint64_t stalled_until_ns, content_stalled_fn *stalled);
/* A small file whose content is here goes into the kernel's cache, so that its first reader need not ask. Before the open is
 * answered, and only if (n) was never open before (ops_store). */
void content_push(struct fs *fs, struct node n, struct view *v, uint32_t index);
/* The part of a text that a read asks for. */
void content_text(fuse_req_t req, const char *text, size_t len, size_t size, uint64_t off);
/* What the caller is told of an error of the cache. */
int cache_errno(int err);

#endif
