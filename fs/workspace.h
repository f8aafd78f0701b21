/* SPDX-License-Identifier: MIT */
/*
 * workspace.h: a real directory of the state, shown as a tree of the mount: an instance's src/ (writable) and images/
 * (read-only). Everything is passed on to the file system below, in the pool.
 *
 * Nodes    class SRC, a = the workspace, b = its inode table; inodes hold an O_PATH fd and a lookup count and go when
 *          the kernel forgets them
 * Trust    names are one component; links are never followed by the daemon (openat with O_NOFOLLOW, /proc/self/fd)
 */
#ifndef FS_WORKSPACE_H
#define FS_WORKSPACE_H

#include "fs/fs.h"
#include "fs/tree.h"

struct workspace;

/* Shows dirfd/name, which may come into being or be replaced later (workspace_reset). */
struct workspace *workspace_new(struct fs *fs, int dirfd, const char *name, bool writable);
/* Open files stay usable; nodes answer ESTALE. */
void workspace_free(struct workspace *w);
/* The directory below was replaced as a whole: old nodes answer ESTALE, the root shows the new one. */
void workspace_reset(struct workspace *w);
struct node workspace_root(const struct workspace *w);
/* Fills in the root's attributes (mode, times), or an empty directory's when there is none. */
struct attr;
void workspace_root_attr(struct workspace *w, struct attr *out);
/* Counts changes made through the mount: unlike before, a build may be needed. */
uint64_t workspace_changes(const struct workspace *w);
/* Calls (fn) after each change. */
void workspace_on_change(struct workspace *w, void (*fn)(void *arg), void *arg);

#endif
