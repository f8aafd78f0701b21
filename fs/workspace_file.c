/* SPDX-License-Identifier: MIT */
/*
 * workspace_file.c: files that are open.
 */
#include "cache/base/buf.h"
#include "cache/base/io.h"
#include "fs/content.h"
#include "fs/workspace_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define READ_MAX (1u << 20) /* no request of the kernel is larger */

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
	if (fd < 0 && in->lower != LOWER_NONE) {
		h->holds = true;
		view_hold(w->lower, in->lower);
	}
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
	if (h->holds)
		view_let(h->w->lower, h->in->lower);
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

/* --- an open file --- */

static struct ws_job *handle_job(fuse_req_t req, struct ws_handle *h)
{
	struct ws_job *j = ws_job_new(req, h->w, h->in);

	ws_job_handle(j, h);
	return j;
}

static int work_read(struct ws_job *j)
{
	/* opened when there was nothing to open yet (workspace_lower.c) */
	autoclose int own = j->h->fd < 0 ? ws_reopen(j->fd_in, O_RDONLY | O_NONBLOCK) : -1;
	ssize_t n;

	if (j->h->fd < 0 && own < 0)
		return own;
	j->data = xmalloc(j->size);
	n = io_pread_full(own >= 0 ? own : j->h->fd, j->data, j->size, j->off);
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

static void lower_stalled(struct fs *fs, struct node n, uint64_t until_ns)
{
	struct workspace *w = ws_find(fs, n.a);

	if (w)
		w->stalled_until_ns = until_ns;
}

void ws_read(
	struct fs *fs, fuse_req_t req, struct node n, size_t size, uint64_t off, struct fuse_file_info *fi)
{
	struct ws_handle *h = ws_handle_of(fi);
	struct ws_job *j;

	if (off > INT64_MAX - size) {
		reply_err(req, -EINVAL);
		return;
	}
	if (h->fd < 0 && h->in->fd_name < 0) {
		content_read(fs, req, n, h->w->lower, h->in->lower, size, off, h->w->stalled_until_ns,
			lower_stalled);
		return;
	}
	if (h->fd >= 0 && read_cached(req, h, size, off))
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
	if (j->h->fd < 0)
		return 0; /* opened to be read, as the artifact has it */
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
