/* SPDX-License-Identifier: MIT */
/*
 * delegate.h: the file `delegate` of an instance: which system calls the regular OS serves for the kernel
 * (cache/base/policy.h). What is written is in force at once if it is right, also while the kernel runs.
 *
 * Errors   -EINVAL with the line in (why): then the write did nothing
 * Threads  the loop's
 */
#ifndef FS_DELEGATE_H
#define FS_DELEGATE_H

#include "cache/base/buf.h"
#include "cache/base/log.h"

#include <stdbool.h>
#include <stdint.h>

struct instance;

struct delegate {
	struct buf text;  /* as it was written */
	struct buf force; /* as it is in force: while somebody writes it may be the one before */
	unsigned writers;
	bool refused; /* what was written last */
};

void delegate_load(struct instance *in);
void delegate_open(struct instance *in, bool truncate);
int delegate_truncate(struct instance *in, uint64_t size);
int delegate_write(struct instance *in, const char *data, size_t size, uint64_t off, struct why *why);
/* The last writer's close puts in force what is there, unless what was written last was refused: then the one before stays. */
void delegate_close(struct instance *in);
void delegate_free(struct instance *in);

#endif
