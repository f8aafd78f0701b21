/* SPDX-License-Identifier: MIT */
/*
 * caller.c: who is behind a request, and whether he still wants it.
 *
 * An interrupt is not yet a wish to cancel: any signal that has a handler sends one, also that a background
 * job of the shell has ended (PITFALLS 4). Which signal it was is in /proc, as it is pending until the
 * request is answered.
 */
#include "fs/ops.h"

#include <fuse_lowlevel.h>
#include <signal.h>
#include <stdio.h>

pid_t req_pid(fuse_req_t req)
{
	return fuse_req_ctx(req)->pid;
}

uid_t req_uid(fuse_req_t req)
{
	return fuse_req_ctx(req)->uid;
}

void req_on_interrupt(fuse_req_t req, void (*fn)(fuse_req_t req, void *arg), void *arg)
{
	/* libfuse would call (fn) under a lock inside (req), which is freed if (fn) answers: so not through
	 * it. */
	if (fuse_req_interrupted(req))
		fn(req, arg);
	else
		fuse_req_interrupt_func(req, fn, arg);
}

bool req_wants_cancel(fuse_req_t req)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGKILL };
	char path[64], line[128];
	unsigned long long pending = 0, set;
	snprintf(path, sizeof path, "/proc/%d/status", (int)req_pid(req));
	FILE *f = fopen(path, "re");
	if (!f)
		return true;
	while (fgets(line, sizeof line, f))
		if (sscanf(line, "SigPnd: %llx", &set) == 1 || sscanf(line, "ShdPnd: %llx", &set) == 1)
			pending |= set;
	fclose(f);
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
		if (pending >> (ends[i] - 1) & 1)
			return true;
	return false;
}
