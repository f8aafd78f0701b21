/* SPDX-License-Identifier: MIT */
/*
 * parked.h: a request of a stream that has no answer yet. It belongs to one function at a time: who holds one
 * must answer it (parked_data, parked_err), hand it to the pool, or let it wait in the list (parked_wait).
 *
 * Threads  the loop's; while a job has one, only the fields of the job are touched elsewhere
 */
#ifndef FS_PARKED_H
#define FS_PARKED_H

#include "fs/stream.h"

struct parked {
	struct parked *next;
	fuse_req_t req;
	struct handle *h;
	size_t size;
	uint64_t off;
	bool nonblock, listed, interrupted;
	/* a write to stdin: its bytes, how many were sent, and where in the stream it begins once some were
	 */
	char *data;
	size_t sent;
	uint64_t start;
	/* a read of a log, in the pool */
	uint64_t at;
	char *buf;
	ssize_t got;
	uint64_t log_start;
};

struct parked *parked_new(struct handle *h, fuse_req_t req, size_t size, uint64_t off, int flags);
void parked_free(struct parked *p);
/* Both answer and free. */
void parked_data(struct parked *p, const void *data, size_t len);
void parked_err(struct parked *p, int err);
/* Into the list until stream_wake; at once EAGAIN for O_NONBLOCK, EINTR if it was interrupted. */
void parked_wait(struct parked *p);

#endif
