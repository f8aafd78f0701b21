/* SPDX-License-Identifier: MIT */
/*
 * workspace.h: a real directory of the state, shown as a tree of the mount: an instance's src/ (writable) and
 * images/ (read-only), and its kernel/ (writable, over a directory of an artifact). Everything is passed on to
 * the file system below, in the pool.
 *
 * Nodes    class SRC, a = the workspace, b = its inode table; inodes hold an O_PATH fd and a
 *          lookup count and go when the kernel forgets them
 * Trust    names are one component; links are never followed by the daemon (openat with
 *          O_NOFOLLOW, /proc/self/fd)
 */
#ifndef FS_WORKSPACE_H
#define FS_WORKSPACE_H

#include "fs/fs.h"
#include "fs/tree.h"

struct workspace;

/* Shows dirfd/name, which may come into being or be replaced later (workspace_reset); until then the root is
 * an empty directory, and in a writable one the first change makes it. (dirfd) is duplicated. */
struct workspace *workspace_new(struct fs *fs, int dirfd, const char *name, bool writable);
/* A writable tree that shows the directory (index) of an artifact, and in dirfd what was changed in it
 * (workspace_lower.c); (dirfd) exists, is duplicated, and belongs to the workspace alone. Who asks before
 * the artifact is known waits if the workspace is frozen, else gets EIO; knowing it thaws. */
struct workspace *workspace_new_over(struct fs *fs, int dirfd);
void workspace_set_lower(struct workspace *w, struct view *v, uint32_t index);
struct view *workspace_lower(const struct workspace *w); /* NULL: not known yet */
/* Open files stay usable; nodes answer ESTALE. */
void workspace_free(struct workspace *w);
/* The directory below was replaced as a whole: old nodes answer ESTALE, the root shows the new one. */
void workspace_reset(struct workspace *w);
struct node workspace_root(const struct workspace *w);
/* Fills in the root's attributes (mode, times), or an empty directory's when there is none. */
struct attr;
void workspace_root_attr(struct workspace *w, struct attr *out);
/* Whether unlink and rmdir, top to bottom, remove what is below although it is read-only, and the root
 * itself: `rm -r` of an instance. The owner says yes while nothing of the instance runs, and no while it
 * does: then a read-only workspace answers EROFS (nothing of it can be changed) and a writable one goes on as
 * usual. Anything but unlink and rmdir stays EROFS. At first: no. */
void workspace_set_removable(struct workspace *w, bool removable);
/* The rmdir of the root, which is an entry of the owner's directory: removes the directory below. 0 also if
 * there is none; -ENOTEMPTY, -EBUSY if not removable, or -errno. In the loop's thread: an empty directory's
 * rmdir is short. */
int workspace_rmdir_root(struct workspace *w);
/* While the owner replaces what is below (from the moment that is decided until workspace_reset), requests
 * that name or open something wait, so that what a user does next meets the new tree: it is neither refused
 * nor lost with the old one. They go on after 5 s in any case. Freezing twice, or thawing what is not frozen,
 * is fine. */
void workspace_freeze(struct workspace *w);
void workspace_thaw(struct workspace *w);
/* Counts changes made through the mount: unlike before, a build may be needed. */
uint64_t workspace_changes(const struct workspace *w);
/* Calls (fn) after each change. */
void workspace_on_change(struct workspace *w, void (*fn)(void *arg), void *arg);

#endif
