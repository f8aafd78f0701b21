/* SPDX-License-Identifier: MIT */
/*
 * build.h: one build command in one sandbox.
 *
 * Shape    main.c copies, starts and ends it; sandbox.c writes bubblewrap's command line; tree.c
 *          walks what came out; errors.c finds the compiler's complaint
 * Trust    none in what runs inside: it may write its two directories, and nothing that it leaves
 *          there is followed
 */
#ifndef BUILD_BUILD_H
#define BUILD_BUILD_H

#include "cache/base/buf.h"
#include "cache/base/log.h"
#include "deployers/plan.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define BUILD_PATH "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"

/* sandbox.c: where the three directories are for bubblewrap, which may run as another user than we. */
struct sandbox {
	const struct plan *plan;
	const char *kernel, *app, *out; /* on the host; (kernel) is the private copy */
	int status_fd;			/* bubblewrap writes the command's exit status to it */
	bool drops; /* we are root and the sandbox is not: the directories are shown to it elsewhere */
};
struct sandbox_args {
	char **item; /* ends with NULL */
	size_t count;
};
void sandbox_args(const struct sandbox *s, struct sandbox_args *out);
void sandbox_args_free(struct sandbox_args *a);
/* In the child, as root, when (drops): makes the directories reachable. For struct child.prepare. */
int sandbox_prepare(void *arg);

/* tree.c: while nothing runs inside, unless it says otherwise. */
int tree_give(const char *dir, uid_t uid, gid_t gid);
/* Removes what is neither file nor directory, and odd modes; a line for each to (said). */
int tree_tidy(const char *dir, struct buf *said);
/* Bytes on disk; also while something runs. */
uint64_t tree_bytes(const char *dir);

/* errors.c: fed with the build's output as it comes. */
struct complaints {
	struct buf line;
	char first[512]; /* the first line that looks like an error of a compiler or linker */
	char last[512];	 /* the last line with anything on it */
};
void complaints_feed(struct complaints *c, const char *data, size_t len);
/* What users should see: the first error or else the last line, with their own names of the directories. */
void complaints_text(struct complaints *c, struct buf *out);

#endif
