/* SPDX-License-Identifier: MIT */
/*
 * start.h: between main.c, options.c, mountpoint.c and session.c: what happens before the first request and
 * after the last one.
 *
 * Errors   0 or -errno with a sentence
 */
#ifndef FS_START_H
#define FS_START_H

#include "fs/fs.h"

struct fuse_args;

/* Reads the command line into (o) and what libfuse shall see into (args). Returns -1 to go on, else the
 * status to exit with: --help and --version have been printed, or what was wrong was said. */
int options_parse(int argc, char **argv, struct fs_options *o, struct fuse_args *args);

/* `diverfs publish ...`; returns the exit status. */
int publish_main(int argc, char **argv);
/* `diverfs conform ...`: likewise, if the program that does it cannot be executed. */
int conform_main(int argc, char **argv);

/* (path) as it is from the root; need not exist. To be freed. */
char *options_absolute(const char *path);
/* The path of what is installed beside this program: "libexec/diverfs", "share/diverfs/registry". To be freed. */
char *options_installed(const char *what);

/* What is mounted at (path), topmost: 1 and its device and whether it is a diverfs (both may be NULL), 0
 * nothing, or -errno. Reads /proc/self/mountinfo, touches neither path nor mount. */
int mount_at(const char *path, dev_t *dev, bool *is_diverfs);
/* True if device (dev) is mounted anywhere, or it cannot be found out. */
bool mount_seen(dev_t dev);
/* Takes the topmost mount at (path) out of the tree of names. Waits for fusermount3: not for the loop. */
int mount_detach(const char *path);

/* Makes sure that (o)'s mount point can be mounted on; takes the corpse of a dead diverfs away first. */
int mountpoint_ready(const struct fs_options *o, struct why *why);
/* Makes and locks this mount point's directory in o->state_dir, which is then that directory's path; waits
 * for a daemon that is still stopping. The lock lives as long as the process. (fd) is the directory's. */
int state_open(struct fs_options *o, int *fd, struct why *why);
/* Opens the log for appending; a long one is first renamed to log.1. */
int state_log(int state_fd, struct why *why);

#endif
