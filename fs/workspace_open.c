/* SPDX-License-Identifier: MIT */
/*
 * workspace_open.c: a file is opened, or made.
 *
 * Without a write-back cache the kernel sends each write with its offset, appending ones too, so O_APPEND is
 * not passed on: a page written through a mapping would land at the end. O_DIRECT is not either: our buffers
 * are not aligned.
 */
#include "cache/base/buf.h"
#include "cache/base/io.h"
#include "fs/workspace_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define OPEN_FLAGS (O_ACCMODE | O_TRUNC | O_SYNC | O_DSYNC)

/* Whether the kernel may keep what it has of the file: nobody but the mount changed it since. */
static bool unchanged(struct ws_inode *in, const struct stat *st)
{
	bool same = in->cached && in->cached_size == st->st_size &&
		    !memcmp(&in->cached_mtime, &st->st_mtim, sizeof(st->st_mtim)) &&
		    !memcmp(&in->cached_ctime, &st->st_ctim, sizeof(st->st_ctim));

	in->cached = true;
	in->cached_size = st->st_size;
	in->cached_mtime = st->st_mtim;
	in->cached_ctime = st->st_ctim;
	return same;
}

static int work_open(struct ws_job *j)
{
	if (!S_ISREG(j->in->type))
		return S_ISLNK(j->in->type) ? -ELOOP : -ENXIO;
	j->fd = ws_reopen(j->fd_in, (j->fi.flags & OPEN_FLAGS) | O_NONBLOCK);
	if (j->fd < 0)
		return j->fd;
	return fstat(j->fd, &j->st) < 0 ? -errno : 0;
}

/* Makes the handle of an opened file; its descriptor leaves the job. */
static int open_handle(struct ws_job *j, struct ws_inode *in)
{
	struct ws_handle *h = ws_handle_new(j->w, in, j->fd);

	if (!h)
		return -ENFILE;
	io_steal(&j->fd);
	h->wrote = j->changes;
	j->fi.fh = (uintptr_t)h;
	j->fi.keep_cache = unchanged(in, &j->st);
	j->fi.noflush = (j->fi.flags & O_ACCMODE) == O_RDONLY;
	return 0;
}

static void finish_open(struct ws_job *j)
{
	if (!j->err && !j->w->fs->workspaces)
		j->err = -ECANCELED;
	if (!j->err)
		j->err = open_handle(j, j->in);
	if (j->err) {
		reply_err(j->req, j->err);
		return;
	}
	if (j->changes)
		ws_changed(j->w);
	reply_open(j->req, (struct node){ NODE_SRC, j->w->a, j->in->b }, &j->fi);
}

/* To be read as the artifact has it: there is nothing to open. */
static void open_lower(struct ws_job *j)
{
	j->err = S_ISREG(j->in->type) ? ws_stat(j->in, &j->st) : -ELOOP;
	j->finish = finish_open;
	ws_job_done(j);
}

void ws_open(struct fs *fs, fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	struct workspace *w;
	struct ws_inode *in = ws_node(fs, req, n, &w);
	bool writes = (fi->flags & O_ACCMODE) != O_RDONLY || (fi->flags & O_TRUNC);
	struct ws_job *j;

	if (!in)
		return;
	if (!w->writable && writes) {
		reply_err(req, -EROFS);
		return;
	}
	j = ws_job_new(req, w, in);
	j->fi = *fi;
	j->changes = j->empties = fi->flags & O_TRUNC;
	j->writes = writes;
	if (!writes && in->lower != LOWER_NONE && in->fd_name < 0)
		open_lower(j);
	else
		ws_job_start(j, work_open, finish_open);
}

/* In two steps, so that what another process put there meanwhile is opened only if it is a regular file. */
static int work_create(struct ws_job *j)
{
	int flags = (j->fi.flags & (OPEN_FLAGS & ~O_TRUNC)) | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int err;

	j->fd = openat(j->fd_in, j->name, flags, j->mode);
	if (j->fd >= 0) {
		j->found.fd = ws_reopen(j->fd, O_PATH);
		if (j->found.fd < 0)
			return j->found.fd;
		if (fstat(j->found.fd, &j->found.st) < 0)
			return -errno;
		err = ws_mode_fix(j->found.fd, j->mode, &j->found.st);
		j->st = j->found.st;
		return err;
	}
	if (errno != EEXIST || (j->fi.flags & O_EXCL))
		return -errno;
	err = ws_open_child(j->w, j->fd_in, j->name, FIND_EXPAND, &j->found);
	if (err)
		return err;
	if (!S_ISREG(j->found.st.st_mode))
		return S_ISDIR(j->found.st.st_mode) ? -EISDIR : -EEXIST;
	if (j->found.lower != LOWER_NONE)
		return -ESTALE; /* the kernel looks it up and opens it */
	j->fd = ws_reopen(j->found.fd, (j->fi.flags & OPEN_FLAGS) | O_NONBLOCK);
	err = j->fd < 0 ? j->fd : 0;
	if (!err && fstat(j->fd, &j->st) < 0)
		err = -errno;
	return err;
}

static void finish_create(struct ws_job *j)
{
	struct ws_inode *in;
	struct attr a;

	if (!j->err && (j->in->stale || !j->w->fs->workspaces))
		j->err = -ESTALE;
	if (!j->err)
		j->err = ws_intern(j->in, j->name, &j->found, &in);
	if (!j->err) {
		in->nlookup++;
		j->err = open_handle(j, in);
		if (j->err)
			ws_inode_forget(in, 1);
	}
	if (j->err) {
		reply_err(j->req, j->err);
		return;
	}
	ws_changed(j->w);
	ws_attr(j->w, in->b, &j->st, &a);
	reply_create(j->req, &a, &j->fi);
}

void ws_create(struct fs *fs, fuse_req_t req, struct node dir, const char *name, mode_t mode,
	struct fuse_file_info *fi)
{
	struct workspace *w;
	struct ws_inode *in = ws_node(fs, req, dir, &w);
	struct ws_job *j;

	if (!in || !ws_name_ok(req, name))
		return;
	if (!w->writable) {
		reply_err(req, -EROFS);
		return;
	}
	j = ws_job_new(req, w, in);
	j->name = xstrdup(name);
	j->mode = mode & 07777;
	j->fi = *fi;
	j->make_root = j->changes = true;
	ws_job_start(j, work_create, finish_create);
}
