/* SPDX-License-Identifier: MIT */
/*
 * pending.h: writes to deploy and ctl that are answered when what they ask for has happened.
 *
 * A signal that the caller merely caught cannot be told from Ctrl-C by the INTERRUPT that it causes (PITFALLS
 * 4), so an interrupted write looks at its caller, and again every 100 ms, until there is an answer or a
 * reason to give up.
 *
 * Threads  the loop's
 */
#ifndef FS_PENDING_H
#define FS_PENDING_H

#include "fs/ops.h"

struct instance;
struct pending;

enum pending_kind {
	PENDING_DEPLOY,	 /* giving up cancels the launch */
	PENDING_BUILD,	 /* giving up cancels the build */
	PENDING_PUBLISH, /* giving up ends the publishing, and a build for which nobody else waits */
	PENDING_STOP,	 /* giving up leaves it ending */
	PENDING_COMMAND, /* likewise; told apart by their numbers */
};

void pending_add(struct instance *in, enum pending_kind kind, uint64_t number, fuse_req_t req, size_t size);
/* Answers all of (kind) and, unless it is 0, (number) with (err), or with what was written. */
void pending_answer(struct instance *in, enum pending_kind kind, uint64_t number, int err);
bool pending_any(const struct instance *in, enum pending_kind kind);
void pending_fail_all(struct instance *in, int err);

#endif
