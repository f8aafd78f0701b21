/* SPDX-License-Identifier: MIT */
/*
 * workspace_file.c: attributes, and files that are open.
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define OPEN_FLAGS (O_ACCMODE | O_TRUNC | O_SYNC | O_DSYNC)
#define READ_MAX   (1u << 20) /* no request of the kernel is larger */

/* --- handles --- */

struct ws_handle *ws_handle_new(struct workspace *w, struct ws_inode *in, int fd)
{
	struct workspaces *all = w->fs->workspaces;
	struct ws_handle *h;

	if (ws_fd_take(w->fs) < 0)
		return NULL;
	h = xcalloc(1, sizeof(*h));
	h->w = w;
	w->refs++;
	h->in = in;
	in->refs++;
	h->fd = fd;
	h->refs = 1;
	pthread_mutex_init(&h->lock, NULL);
	h->next = all->handles;
	if (h->next)
		h->next->prev = h;
	all->handles = h;
	return h;
}

struct ws_handle *ws_handle_of(struct fuse_file_info *fi)
{
	return fi ? (struct ws_handle *)(uintptr_t)fi->fh : NULL;
}

/* The last close of a removed file frees its blocks, which takes the disk's time. */
static void close_run(void *arg)
{
	close(*(int *)arg);
	*(int *)arg = -1;
}

static void close_done(void *arg)
{
	if (*(int *)arg >= 0)
		close(*(int *)arg);
	free(arg);
}

void ws_handle_put(struct ws_handle *h)
{
	struct fs *fs = h->w->fs;
	int *fd;

	if (--h->refs)
		return;
	ws_fd_drop(fs);
	if (h->fd >= 0) {
		fd = xmalloc(sizeof(*fd));
		*fd = h->fd;
		pool_submit(fs->pool, close_run, close_done, fd);
	}
	ws_inode_put(h->in);
	ws_put(h->w);
	pthread_mutex_destroy(&h->lock);
	free(h->dents);
	free(h);
}

void ws_handle_close(struct ws_handle *h)
{
	struct workspaces *all = h->w->fs->workspaces;

	if (h->prev)
		h->prev->next = h->next;
	else if (all)
		all->handles = h->next;
	if (h->next)
		h->next->prev = h->prev;
	ws_handle_put(h);
}

/* --- attributes --- */

void ws_getattr(struct fs *fs, fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	struct ws_handle *h = ws_handle_of(fi);
	struct workspace *w;
	struct ws_inode *in = h ? h->in : ws_node(fs, req, n, &w);
	struct attr a;
	struct stat st;

	if (!in)
		return;
	if (h)
		w = h->w;
	if (in->b == INODE_ROOT && !in->stale) {
		workspace_root_attr(w, &a);
	} else if (fstat(in->fd, &st) < 0) { /* an inode that is held is in memory: no disk */
		reply_err(req, -errno);
		return;
	} else {
		ws_attr(w, in->b, &st, &a);
	}
	reply_attr(req, &a);
}

static int set_size(struct ws_job *j)
{
	int fd, err;

	if (j->h)
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
	if (!err && fstat(j->fd_in, &j->st) < 0)
		err = -errno;
	return err;
}

static void finish_setattr(struct ws_job *j)
{
	struct attr a;

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
	j->st = *st;
	j->flags = to_set;
	ws_job_start(j, work_setattr, finish_setattr);
}

/* --- open --- */

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

void ws_open(struct fs *fs, fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	struct workspace *w;
	struct ws_inode *in = ws_node(fs, req, n, &w);
	struct ws_job *j;

	if (!in)
		return;
	if (!w->writable && ((fi->flags & O_ACCMODE) != O_RDONLY || (fi->flags & O_TRUNC))) {
		reply_err(req, -EROFS);
		return;
	}
	j = ws_job_new(req, w, in);
	j->fi = *fi;
	j->changes = fi->flags & O_TRUNC;
	ws_job_start(j, work_open, finish_open);
}

/* In two steps, so that what another process put there meanwhile is opened only if it is a regular file. */
static int work_create(struct ws_job *j)
{
	int flags = (j->fi.flags & (OPEN_FLAGS & ~O_TRUNC)) | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int err;

	j->fd = openat(j->fd_in, j->name, flags, j->mode);
	if (j->fd >= 0) {
		j->fd_path = ws_reopen(j->fd, O_PATH);
		if (j->fd_path < 0)
			return j->fd_path;
		if (fstat(j->fd_path, &j->st) < 0)
			return -errno;
		return ws_mode_fix(j->fd_path, j->mode, &j->st);
	}
	if (errno != EEXIST || (j->fi.flags & O_EXCL))
		return -errno;
	j->fd_path = ws_open_child(j->fd_in, j->name, false, &j->st);
	if (j->fd_path < 0)
		return j->fd_path;
	if (!S_ISREG(j->st.st_mode))
		return S_ISDIR(j->st.st_mode) ? -EISDIR : -EEXIST;
	j->fd = ws_reopen(j->fd_path, (j->fi.flags & OPEN_FLAGS) | O_NONBLOCK);
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
		j->err = ws_intern(j->in, j->name, io_steal(&j->fd_path), &j->st, &in);
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

/* --- an open file --- */

static struct ws_job *handle_job(fuse_req_t req, struct ws_handle *h)
{
	struct ws_job *j = ws_job_new(req, h->w, h->in);

	ws_job_handle(j, h);
	return j;
}

static int work_read(struct ws_job *j)
{
	ssize_t n;

	j->data = xmalloc(j->size);
	n = io_pread_full(j->h->fd, j->data, j->size, j->off);
	if (n < 0)
		return n;
	j->size = n;
	return 0;
}

static void finish_read(struct ws_job *j)
{
	if (j->err)
		reply_err(j->req, j->err);
	else
		reply_data(j->req, j->data, j->size);
}

/* What is in memory is given at once. Short means the end of the file, or that the rest is on the disk. */
static bool read_cached(fuse_req_t req, struct ws_handle *h, size_t size, uint64_t off)
{
	static char buf[READ_MAX]; /* the loop's */
	struct iovec v = { buf, size };
	struct stat st;
	ssize_t n;

	if (size > sizeof(buf))
		return false;
	n = preadv2(h->fd, &v, 1, off, RWF_NOWAIT);
	if (n < 0)
		return false;
	if ((size_t)n < size && (fstat(h->fd, &st) < 0 || off + n < (uint64_t)st.st_size))
		return false;
	reply_data(req, buf, n);
	return true;
}

void ws_read(
	struct fs *fs, fuse_req_t req, struct node n, size_t size, uint64_t off, struct fuse_file_info *fi)
{
	struct ws_handle *h = ws_handle_of(fi);
	struct ws_job *j;

	(void)fs;
	(void)n;
	if (off > INT64_MAX - size) {
		reply_err(req, -EINVAL);
		return;
	}
	if (read_cached(req, h, size, off))
		return;
	j = handle_job(req, h);
	j->size = size;
	j->off = off;
	ws_job_start(j, work_read, finish_read);
}

static int work_write(struct ws_job *j)
{
	size_t done = 0;

	while (done < j->size) {
		ssize_t n = pwrite(j->h->fd, (char *)j->data + done, j->size - done, j->off + done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && !done)
			return -errno;
		if (n <= 0)
			break; /* the rest did not fit: the next write says why */
		done += n;
	}
	j->size = done;
	return 0;
}

static void finish_write(struct ws_job *j)
{
	if (j->err) {
		reply_err(j->req, j->err);
		return;
	}
	j->h->wrote = true;
	j->in->cached = false;
	ws_changed(j->w);
	reply_written(j->req, j->size);
}

void ws_write(struct fs *fs, fuse_req_t req, struct node n, const char *data, size_t size, uint64_t off,
	struct fuse_file_info *fi)
{
	struct ws_job *j;

	(void)fs;
	(void)n;
	if (off > INT64_MAX - size) {
		reply_err(req, -EFBIG);
		return;
	}
	j = handle_job(req, ws_handle_of(fi));
	j->data = xmalloc(size);
	memcpy(j->data, data, size);
	j->size = size;
	j->off = off;
	ws_job_start(j, work_write, finish_write);
}

/* Some file systems say only at close that a write failed. */
static int work_flush(struct ws_job *j)
{
	int fd = dup(j->h->fd);

	return fd < 0 || close(fd) < 0 ? -errno : 0;
}

void ws_flush(struct fs *fs, fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	struct ws_handle *h = ws_handle_of(fi);

	(void)fs;
	(void)n;
	if (h->wrote)
		ws_job_start(handle_job(req, h), work_flush, ws_finish_plain);
	else
		reply_err(req, 0);
}

static int work_fsync(struct ws_job *j)
{
	return (j->flags ? fdatasync(j->h->fd) : fsync(j->h->fd)) < 0 ? -errno : 0;
}

void ws_fsync(struct fs *fs, fuse_req_t req, struct node n, int datasync, struct fuse_file_info *fi)
{
	struct ws_job *j = handle_job(req, ws_handle_of(fi));

	(void)fs;
	(void)n;
	j->flags = datasync;
	ws_job_start(j, work_fsync, ws_finish_plain);
}

void ws_release(struct fs *fs, struct node n, struct fuse_file_info *fi)
{
	struct ws_handle *h = ws_handle_of(fi);

	(void)fs;
	(void)n;
	if (h->wrote)
		ws_changed(h->w);
	ws_handle_close(h);
}
