/* SPDX-License-Identifier: MIT */
/*
 * workspace_name.c: requests that name something in a directory.
 *
 * A name is one component and is opened with O_PATH | O_NOFOLLOW, so whatever it is, it is only held, never
 * followed and never started (a fifo, a device). What is to be read or written is opened anew from that
 * descriptor, once its type is known.
 */
#include "cache/base/buf.h"
#include "cache/base/io.h"
#include "fs/workspace_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef RESOLVE_CACHED
#define RESOLVE_CACHED 0x20
#endif

static void fd_path_name(int fd, char name[32])
{
	snprintf(name, 32, "/proc/self/fd/%d", fd);
}

int ws_open_path(int dirfd, const char *name, bool cached)
{
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | (cached ? RESOLVE_CACHED : 0),
	};
	int fd = syscall(SYS_openat2, dirfd, name, &how, sizeof(how));

	if (fd < 0 && cached && errno != ENOENT)
		return -EAGAIN; /* also what an older kernel says, in other words */
	if (fd < 0 && (errno == ENOSYS || errno == EPERM)) /* a container's filter may refuse the new call */
		fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

void ws_found_close(struct ws_found *f)
{
	if (f->fd >= 0)
		close(f->fd);
	if (f->fd_name >= 0)
		close(f->fd_name);
	*f = WS_FOUND_NONE;
}

int ws_open_child(struct workspace *w, int dirfd, const char *name, enum ws_find how, struct ws_found *out)
{
	int err = 0;

	*out = WS_FOUND_NONE;
	out->fd = ws_open_path(dirfd, name, how == FIND_CACHED);
	if (out->fd < 0)
		return out->fd;
	if (fstat(out->fd, &out->st) < 0)
		err = -EIO;
	else if (w->over && S_ISLNK(out->st.st_mode))
		err = lower_find(w, dirfd, name, how, out);
	if (err)
		ws_found_close(out);
	return err;
}

int ws_reopen(int fd_path, int flags)
{
	char path[32];
	int fd;

	fd_path_name(fd_path, path);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int ws_mode_fix(int fd, mode_t mode, struct stat *st)
{
	mode_t lost = mode & 0777 & ~st->st_mode;
	char path[32];

	if (!lost || S_ISLNK(st->st_mode))
		return 0;
	fd_path_name(fd, path);
	if (chmod(path, (st->st_mode & 07777) | lost) < 0 || fstat(fd, st) < 0)
		return -errno;
	return 0;
}

bool ws_name_ok(fuse_req_t req, const char *name)
{
	int err = 0;

	if (!*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
		err = -EINVAL;
	else if (strlen(name) > NAME_MAX)
		err = -ENAMETOOLONG;
	if (err)
		reply_err(req, err);
	return !err;
}

/* --- a name that becomes a node --- */

static void entry_reply(fuse_req_t req, struct ws_inode *dir, const char *name, struct ws_found *f)
{
	struct ws_inode *in;
	struct stat st = f->st;
	struct attr a;
	int err = ws_intern(dir, name, f, &in);

	if (err) {
		reply_err(req, err);
		return;
	}
	in->nlookup++; /* before the reply: a forget may follow at once */
	ws_attr(dir->w, in->b, &st, &a);
	reply_entry(req, &a);
}

static void finish_entry(struct ws_job *j)
{
	if (!j->err && j->changes)
		ws_changed(j->w);
	if (!j->err && j->in->stale)
		j->err = -ESTALE;
	if (j->err == -ENOENT && !j->changes)
		reply_absent(j->req, 0); /* the daemon, too, makes files here */
	else if (j->err)
		reply_err(j->req, j->err);
	else
		entry_reply(j->req, j->in, j->name, &j->found);
}

static int work_lookup(struct ws_job *j)
{
	return ws_open_child(j->w, j->fd_in, j->name, FIND_EXPAND, &j->found);
}

void ws_lookup(struct fs *fs, fuse_req_t req, struct node dir, const char *name)
{
	struct workspace *w;
	struct ws_inode *in = ws_node(fs, req, dir, &w);
	struct ws_found f;
	struct ws_job *j;
	int err = -EAGAIN;

	if (!in || !ws_name_ok(req, name))
		return;
	if (in->fd >= 0 && !w->frozen)
		err = ws_open_child(w, in->fd, name, FIND_CACHED, &f);
	if (!err) {
		entry_reply(req, in, name, &f);
		return;
	}
	if (err == -ENOENT) {
		reply_absent(req, 0);
		return;
	}
	j = ws_job_new(req, w, in);
	j->name = xstrdup(name);
	ws_job_start(j, work_lookup, finish_entry);
}

/* A job that changes the directory (dir): NULL when it was refused, and replied. */
static struct ws_job *change_job(
	struct fs *fs, fuse_req_t req, struct node dir, const char *name, bool removes)
{
	struct workspace *w;
	struct ws_inode *in = ws_node(fs, req, dir, &w);
	struct ws_job *j;

	if (!in || !ws_name_ok(req, name))
		return NULL;
	if (!w->writable && !(removes && w->removable)) {
		reply_err(req, -EROFS);
		return NULL;
	}
	j = ws_job_new(req, w, in);
	j->name = xstrdup(name);
	j->changes = true;
	j->make_root = !removes;
	return j;
}

static int made(struct ws_job *j)
{
	int err = work_lookup(j);

	return err ? err : ws_mode_fix(j->found.fd, j->mode, &j->found.st);
}

static int work_mkdir(struct ws_job *j)
{
	return mkdirat(j->fd_in, j->name, j->mode) < 0 ? -errno : made(j);
}

void ws_mkdir(struct fs *fs, fuse_req_t req, struct node dir, const char *name, mode_t mode)
{
	struct ws_job *j = change_job(fs, req, dir, name, false);

	if (!j)
		return;
	j->mode = mode;
	ws_job_start(j, work_mkdir, finish_entry);
}

static int work_mknod(struct ws_job *j)
{
	int fd = openat(
		j->fd_in, j->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, j->mode & 07777);

	if (fd < 0)
		return -errno;
	close(fd);
	return made(j);
}

void ws_mknod(struct fs *fs, fuse_req_t req, struct node dir, const char *name, mode_t mode, dev_t rdev)
{
	struct ws_job *j;

	(void)rdev;
	if (!S_ISREG(mode)) { /* sources have no devices; a fifo would keep the mount busy while it is open */
		reply_err(req, -EPERM);
		return;
	}
	j = change_job(fs, req, dir, name, false);
	if (!j)
		return;
	j->mode = mode & 07777;
	ws_job_start(j, work_mknod, finish_entry);
}

static int work_symlink(struct ws_job *j)
{
	return symlinkat(j->name2, j->fd_in, j->name) < 0 ? -errno : work_lookup(j);
}

void ws_symlink(struct fs *fs, fuse_req_t req, const char *target, struct node dir, const char *name)
{
	struct ws_job *j = NULL;
	struct workspace *w = ws_find(fs, dir.a);

	if (w && w->over && strncmp(target, LOWER_MARK, strlen(LOWER_MARK)) == 0)
		reply_err(req, -EINVAL); /* it would be taken for one of ours */
	else
		j = change_job(fs, req, dir, name, false);
	if (!j)
		return;
	j->name2 = xstrdup(target);
	ws_job_start(j, work_symlink, finish_entry);
}

static int work_link(struct ws_job *j)
{
	char path[32];

	fd_path_name(j->in2->fd_name >= 0 ? j->in2->fd_name : j->fd_in2, path);
	if (linkat(AT_FDCWD, path, j->fd_in, j->name, AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	return work_lookup(j);
}

void ws_link(struct fs *fs, fuse_req_t req, struct node n, struct node newdir, const char *newname)
{
	struct workspace *w;
	struct ws_inode *in;
	struct ws_job *j;

	if (n.a != newdir.a) {
		reply_err(req, -EXDEV);
		return;
	}
	in = ws_node(fs, req, n, &w);
	if (!in)
		return;
	j = change_job(fs, req, newdir, newname, false);
	if (!j)
		return;
	ws_job_second(j, in);
	ws_job_start(j, work_link, finish_entry);
}

/* --- a name that goes --- */

static int work_unlink(struct ws_job *j)
{
	uint32_t last;
	int err;

	if (!j->w->over)
		return unlinkat(j->fd_in, j->name, j->flags) < 0 ? -errno : 0;
	pthread_mutex_lock(&j->w->lock);
	last = lower_last_name(j->fd_in, j->name);
	err = unlinkat(j->fd_in, j->name, j->flags) < 0 ? -errno : 0;
	if (!err)
		lower_drop(j->w, last);
	pthread_mutex_unlock(&j->w->lock);
	return err;
}

static void remove_start(struct fs *fs, fuse_req_t req, struct node dir, const char *name, int flags)
{
	struct ws_job *j = change_job(fs, req, dir, name, true);

	if (!j)
		return;
	j->flags = flags;
	ws_job_start(j, work_unlink, ws_finish_plain);
}

void ws_unlink(struct fs *fs, fuse_req_t req, struct node dir, const char *name)
{
	remove_start(fs, req, dir, name, 0);
}

void ws_rmdir(struct fs *fs, fuse_req_t req, struct node dir, const char *name)
{
	remove_start(fs, req, dir, name, AT_REMOVEDIR);
}

static int work_rename(struct ws_job *j)
{
	uint32_t last;
	int err;

	if (!j->w->over)
		return renameat2(j->fd_in, j->name, j->fd_in2, j->name2, j->flags) < 0 ? -errno : 0;
	pthread_mutex_lock(&j->w->lock);
	last = j->flags & RENAME_EXCHANGE ? LOWER_NONE : lower_last_name(j->fd_in2, j->name2);
	if (last == lower_of(j->fd_in, j->name))
		last = LOWER_NONE; /* to where it is */
	err = renameat2(j->fd_in, j->name, j->fd_in2, j->name2, j->flags) < 0 ? -errno : 0;
	if (!err)
		lower_drop(j->w, last);
	pthread_mutex_unlock(&j->w->lock);
	return err;
}

void ws_rename(struct fs *fs, fuse_req_t req, struct node dir, const char *name, struct node newdir,
	const char *newname, unsigned flags)
{
	struct workspace *w;
	struct ws_inode *newin;
	struct ws_job *j;

	if (dir.a != newdir.a || (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE))) {
		reply_err(req, dir.a != newdir.a ? -EXDEV : -EINVAL);
		return;
	}
	newin = ws_node(fs, req, newdir, &w);
	if (!newin || !ws_name_ok(req, newname))
		return;
	j = change_job(fs, req, dir, name, false);
	if (!j)
		return;
	ws_job_second(j, newin);
	j->name2 = xstrdup(newname);
	j->flags = flags;
	ws_job_start(j, work_rename, ws_finish_plain);
}

/* --- symbolic links --- */

static int work_readlink(struct ws_job *j)
{
	ssize_t n;

	j->data = xmalloc(PATH_MAX + 1);
	n = readlinkat(j->fd_in, "", j->data, PATH_MAX);
	if (n < 0)
		return -errno;
	((char *)j->data)[n] = '\0';
	return 0;
}

static void finish_readlink(struct ws_job *j)
{
	if (j->err)
		reply_err(j->req, j->err);
	else
		reply_link(j->req, j->data);
}

void ws_readlink(struct fs *fs, fuse_req_t req, struct node n)
{
	struct workspace *w;
	struct ws_inode *in = ws_node(fs, req, n, &w);
	struct entry e;

	if (!in)
		return;
	if (!S_ISLNK(in->type))
		reply_err(req, -EINVAL);
	else if (in->lower != LOWER_NONE && !view_entry(w->lower, in->lower, &e) && e.target)
		reply_link(req, e.target);
	else
		ws_job_start(ws_job_new(req, w, in), work_readlink, finish_readlink);
}
