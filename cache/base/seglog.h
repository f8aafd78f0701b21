/* SPDX-License-Identifier: MIT */
/*
 * seglog.h: a bounded log on disk that one process appends to and others read at offsets.
 *
 * Shape    files <name>.<start>, start = 16 hex digits: the offset of the file's first byte in the
 *          log as a whole. A segment holds SEGLOG_SEGMENT bytes at most (a quarter of the bound if
 *          that is less) and is made read-only when it is complete; when there are more than fit the
 *          bound, the oldest is unlinked: offsets below seglog_start() were dropped.
 * Units    bytes from the beginning of the log; the end only grows
 * Errors   -errno. A full disk loses bytes, never the writer: the next append that succeeds writes
 *          the line "[diverfs: N bytes lost: <why>]" first
 * Threads  one writer; any number of readers, in other processes too
 */
#ifndef BASE_SEGLOG_H
#define BASE_SEGLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SEGLOG_SEGMENT (1u << 20)

struct seglog;

/* The directory fd is duplicated. (max_bytes) bounds what is kept (0: no bound). Continues after
 * what is there. */
int seglog_create(int dirfd, const char *name, uint64_t max_bytes, struct seglog **out);
/* For reading; there need not be a file yet. */
int seglog_open(int dirfd, const char *name, struct seglog **out);
void seglog_close(struct seglog *s); /* NULL is fine */

void seglog_append(struct seglog *s, const void *data, size_t len);
/* Bytes that could not be written so far. */
uint64_t seglog_lost(const struct seglog *s);

/* First offset that is still there, and the end. A reader looks at the directory for both. */
uint64_t seglog_start(struct seglog *s);
uint64_t seglog_end(struct seglog *s);
/* Up to (len) bytes at (off); 0 at the end; -ERANGE if (off) lies before the start (was dropped). */
ssize_t seglog_read(struct seglog *s, uint64_t off, void *buf, size_t len);
/* Removes all segments of (name). Who has the log open goes on seeing the old one: open it anew. */
int seglog_remove(int dirfd, const char *name);

#endif
