/* SPDX-License-Identifier: MIT */
/*
 * client.h: the parts of diverfs-run, the program behind kernels/NAME/TAG/run.
 *
 *     run.c     from the first argument to the exit status
 *     script.c  which mount and which kernel a path names
 *     copy.c    the three streams
 *     terminal.c  a terminal in their place
 *
 * Errors   0 or -errno, with words in (why)
 */
#ifndef FS_CLIENT_H
#define FS_CLIENT_H

#include "cache/base/log.h"

/* What a path .../kernels/NAME/TAG/run says. */
struct script {
	int mount;    /* fd of the mount's root (O_PATH) */
	int dir;      /* fd of NAME/TAG/ (O_PATH) */
	char *kernel; /* NAME:TAG or NAME@sha256:..., as config takes it */
};
int script_find(const char *path, struct script *s, struct why *why);

/* Copies until the end of (from), on a thread. (what) names the stream in messages. */
struct copy;
struct copy *copy_start(int from, int to, const char *what);
/* As copy_start, from our own stdin, which may be a terminal; nobody waits for it. */
void copy_start_stdin(int to);
/* Waits for the end: 0, or -errno of the side that failed (said on stderr already). */
int copy_join(struct copy *c);

/* Lends the terminal on our stdin to the kernel of the instance (dir): raw; keys are typed on its console, and its ctl is
 * told the window's size, now and whenever it changes. (key), typed, ends this program with (status). Once a process;
 * (dir) stays ours. 0 or -errno. */
int terminal_attach(int dir, int key, int status, struct why *why);
/* Gives it back as it was, for good; nothing if it was not attached. Before each _exit. */
void terminal_leave(void);

/* A key as users write it: a character, ^X for control-X, `none`. -EINVAL if it is none of these. */
#define TERMINAL_NO_KEY (-1)
int terminal_key(const char *text);
#define TERMINAL_KEY_NAME 4
void terminal_key_name(int key, char out[TERMINAL_KEY_NAME]);

#endif
