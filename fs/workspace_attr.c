/* SPDX-License-Identifier: MIT */
/*
 * workspace_attr.c: attributes. They are read in the loop: an inode that is held is in memory below, too.
 * Changing them may touch the disk, so the pool does it.
 */
#include "fs/workspace_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

void ws_getattr(struct fs *fs, fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	struct ws_handle *h = ws_handle_of(fi);
	struct workspace *w;
	struct ws_inode *in = h ? h->in : ws_node(fs, req, n, &w);
	struct attr a;
	struct stat st;
	int err;

	if (!in)
		return;
	if (h)
		w = h->w;
	if (in->b == INODE_ROOT && !in->stale) {
		workspace_root_attr(w, &a);
	} else if ((err = ws_stat(in, &st)) < 0) { /* an inode that is held is in memory: no disk */
		reply_err(req, err);
		return;
	} else {
		ws_attr(w, in->b, &st, &a);
	}
	reply_attr(req, &a);
}

static int set_size(struct ws_job *j)
{
	int fd, err;

	if (j->h && j->h->fd >= 0)
		return ftruncate(j->h->fd, j->st.st_size) < 0 ? -errno : 0;
	if (S_ISDIR(j->in->type))
		return -EISDIR;
	if (!S_ISREG(j->in->type))
		return -EINVAL;
	fd = ws_reopen(j->fd_in, O_WRONLY | O_NONBLOCK);
	if (fd < 0)
		return fd;
	err = ftruncate(fd, j->st.st_size) < 0 ? -errno : 0;
	close(fd);
	return err;
}

static int set_mode(struct ws_job *j)
{
	char path[32];

	if (S_ISLNK(j->in->type))
		return -EOPNOTSUPP;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", j->fd_in);
	return chmod(path, j->st.st_mode & 07777) < 0 ? -errno : 0;
}

static int set_times(struct ws_job *j)
{
	struct timespec t[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT } };

	if (j->flags & FUSE_SET_ATTR_ATIME)
		t[0] = j->st.st_atim;
	if (j->flags & FUSE_SET_ATTR_MTIME)
		t[1] = j->st.st_mtim;
	if (j->flags & FUSE_SET_ATTR_ATIME_NOW)
		t[0].tv_nsec = UTIME_NOW;
	if (j->flags & FUSE_SET_ATTR_MTIME_NOW)
		t[1].tv_nsec = UTIME_NOW;
	return utimensat(j->fd_in, "", t, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

static int work_setattr(struct ws_job *j)
{
	const int times =
		FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW;
	int err = 0;

	if (j->flags & FUSE_SET_ATTR_MODE)
		err = set_mode(j);
	if (!err && (j->flags & FUSE_SET_ATTR_SIZE))
		err = set_size(j);
	if (!err && (j->flags & times))
		err = set_times(j);
	return err;
}

static void finish_setattr(struct ws_job *j)
{
	struct attr a;

	if (!j->err) /* an inode that is held is in memory */
		j->err = ws_stat(j->in, &j->st);
	if (j->err) {
		reply_err(j->req, j->err);
		return;
	}
	if (j->flags & FUSE_SET_ATTR_SIZE)
		j->in->cached = false;
	ws_changed(j->w);
	ws_attr(j->w, j->in->b, &j->st, &a);
	reply_attr(j->req, &a);
}

void ws_setattr(struct fs *fs, fuse_req_t req, struct node n, const struct stat *st, int to_set,
	struct fuse_file_info *fi)
{
	struct workspace *w;
	struct ws_handle *h = ws_handle_of(fi);
	struct ws_inode *in = h ? h->in : ws_node(fs, req, n, &w);
	struct ws_job *j;

	if (!in)
		return;
	if (h)
		w = h->w;
	if (!w->writable) {
		reply_err(req, -EROFS);
		return;
	}
	/* everything here belongs to the mount's owner */
	if (((to_set & FUSE_SET_ATTR_UID) && st->st_uid != fs->uid) ||
		((to_set & FUSE_SET_ATTR_GID) && st->st_gid != fs->gid)) {
		reply_err(req, -EPERM);
		return;
	}
	j = ws_job_new(req, w, in);
	if (h)
		ws_job_handle(j, h);
	j->make_root = true;
	j->writes = true;
	j->empties = (to_set & FUSE_SET_ATTR_SIZE) && st->st_size == 0;
	j->st = *st;
	j->flags = to_set;
	ws_job_start(j, work_setattr, finish_setattr);
}
