/* SPDX-License-Identifier: MIT */
/*
 * export.c: a file of a view becomes a file in a directory, without a copy where that is possible: an image
 * is its pack, and a sealed pack can be linked.
 */
#include "cache/base/io.h"
#include "cache/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

struct export
{
	struct view *view;
	struct copying copying;
	int dirfd;
	char *name, *temp;
	bool verified; /* first all chunks are fetched into the pack, then linked or copied */
	bool more;
	cache_done_fn *done;
	void *arg;
	int err;
	struct why why;
};

/* 0, -EEXIST, or another error after which a copy is tried. */
static int link_fd(int fd, int dirfd, const char *name)
{
	char path[40];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, path, dirfd, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

static int already_there(struct export *e)
{
	return why_fail(&e->why, -EEXIST, "%s is there already", e->name);
}

/* The whole copy, made by the file system: 0 or an error after which bytes are copied. */
static int reflink(const struct export *e, struct pack *p)
{
	int from = p ? pack_seal(p) : -ENOENT;
	if (from < 0)
		return from;
	int err = ioctl(e->copying.fd, FICLONE, from) < 0 ? -errno : 0;
	close(from);
	return err;
}

static int begin_copy(struct export *e)
{
	e->temp = xasprintf(".%.200s.%lx", e->name, (unsigned long)clock_mono_ns());
	e->copying.fd = openat(e->dirfd, e->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (e->copying.fd < 0)
		return why_fail_errno(&e->why, -errno, "cannot make %s", e->name);
	e->copying.next = reflink(e, content_own_pack(e->view->content, e->copying.file)) == 0 ? e->copying.file->count : 0;
	return 0;
}

static int end_copy(struct export *e)
{
	if (fchmod(e->copying.fd, 0444) < 0)
		return why_fail_errno(&e->why, -errno, "%s", e->name);
	if (linkat(e->dirfd, e->temp, e->dirfd, e->name, 0) == 0)
		return 0;
	return errno == EEXIST ? already_there(e)
			       : why_fail_errno(&e->why, -errno, "cannot make %s", e->name);
}

/* Linked: 0. To be copied: 1. */
static int try_link(struct export *e)
{
	struct pack *p = content_own_pack(e->view->content, e->copying.file);
	int fd = p ? pack_seal(p) : -ENOENT;
	int err = fd < 0 ? fd : link_fd(fd, e->dirfd, e->name);
	if (fd >= 0)
		close(fd);
	if (err == -EEXIST)
		return already_there(e);
	return err ? 1 : 0;
}

static int export_step(struct export *e)
{
	int64_t budget = COPY_STEP;
	int err = e->verified && e->copying.next == e->copying.file->count &&
				  !(e->copying.file->flags & TREE_INLINE)
			  ? 0
			  : copy_step(&e->copying, &budget, &e->why);
	if (err)
		return err;
	if (!e->verified) {
		e->verified = true;
		err = try_link(e);
		if (err <= 0)
			return err;
		err = begin_copy(e);
		return err ? err : 1;
	}
	return end_copy(e);
}

/* Again in export_done, for one that was cancelled between its steps. */
static void clean(struct export *e)
{
	if (e->temp)
		unlinkat(e->dirfd, e->temp, 0);
	if (e->copying.fd >= 0)
		close(e->copying.fd);
	e->copying.fd = -1;
	free(e->temp);
	e->temp = NULL;
	copy_end(&e->copying);
}

static void export_run(void *arg)
{
	struct export *e = arg;
	why_clear(&e->why);
	e->err = export_step(e);
	e->more = e->err > 0;
	if (!e->more)
		clean(e);
}

static void export_begin(struct export *e);
static void export_done(void *arg);

static void export_fetched(void *arg)
{
	struct export *e = arg;
	if (e->copying.err) {
		e->more = false;
		e->err = why_fail(&e->why, e->copying.err, "%s", e->copying.why.text);
	}
	export_done(e);
}

static void export_done(void *arg)
{
	struct export *e = arg;
	if (e->more && e->copying.wanted) {
		copy_fetch(&e->copying, export_fetched, e);
		return;
	}
	if (e->more) {
		export_begin(e);
		return;
	}
	e->done(e->arg, e->err, e->err ? &e->why : NULL);
	clean(e);
	view_put(e->view);
	if (e->dirfd >= 0)
		close(e->dirfd);
	free(e->name);
	free(e);
}

static void export_begin(struct export *e)
{
	e->more = false;
	e->err = why_fail(&e->why, -ECANCELED, "the cache is closing");
	cache_job(e->view->cache, export_run, export_done, e);
}

static void fail_later(void *arg)
{
	export_done(arg);
}

void view_export(struct view *v, uint32_t index, int dirfd, const char *name, cache_done_fn *done, void *arg)
{
	struct export *e = xcalloc(1, sizeof(*e));
	e->view = view_get(v);
	e->dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);
	e->name = xstrdup(name);
	e->done = done;
	e->arg = arg;
	e->copying = (struct copying){ .view = v, .file = tree_file(v->content->tree, index), .fd = -1 };
	if (e->dirfd >= 0 && e->copying.file) {
		export_begin(e);
		return;
	}
	e->err = e->dirfd < 0 ? why_fail(&e->why, -EBADF, "%s: no directory", name)
			      : why_fail(&e->why, -EISDIR, "entry %u is not a file", index);
	loop_defer(v->cache->loop, fail_later, e);
}
