/* SPDX-License-Identifier: MIT */
/*
 * child.h: starts a program that dies with us.
 *
 * Threads  from the main thread only: PR_SET_PDEATHSIG follows the thread that forked (PITFALLS 18)
 * Errors   the pid, or -errno with words; a program that cannot be executed is an error here, not a
 *          child that ends
 */
#ifndef DEPLOYERS_CHILD_H
#define DEPLOYERS_CHILD_H

#include "cache/base/log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct child_limit {
	int resource; /* RLIMIT_*; the value is capped by the hard limit */
	uint64_t value;
};

struct child {
	/* It leads a session and process group of its own. */
	const char *const *argv; /* argv[0] is looked up in PATH unless it has a slash */
	int out, err;		 /* its stdout and stderr; -1: /dev/null. Its stdin is /dev/null */
	const int *keep;	 /* further descriptors that it inherits under the same numbers */
	size_t keep_count;
	const struct child_limit *limits;
	size_t limit_count;
	bool drop; /* when root: run as child_user() */
	/* In the child, before the user is changed; returns 0 or -errno. May be NULL. */
	int (*prepare)(void *arg);
	void *arg;
};

pid_t child_spawn(const struct child *c, struct why *why);

/* Whether we are root, so that (drop) has an effect; then the user and group that it takes. */
bool child_drops(uid_t *uid, gid_t *gid);

/* Whether the user that root becomes may still open /dev/kvm, by the device's group. */
bool child_keeps_kvm(void);

/* Whether a program by that name or path can be executed; (path) as $PATH, NULL for our own. */
bool child_found(const char *program, const char *path);

#endif
