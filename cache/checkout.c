/* SPDX-License-Identifier: MIT */
/*
 * checkout.c: a subtree of a view, or one file, as real, writable files: what src/ of an instance begins as,
 * and what a file of its kernel/ becomes when it is written to.
 *
 * Every directory is ours, just made, and the tree guarantees that a parent is a directory; so paths below
 * the new directory lead nowhere else.
 */
#include "cache/base/io.h"
#include "cache/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP_ENTRIES 512

struct checkout {
	struct view *view;
	struct copying copying; /* file is NULL between files */
	int dirfd, top;		/* where it goes; the new directory (of a file: dirfd again), -1 before */
	char *name;
	uint32_t base;
	uint32_t *queue; /* entries in breadth-first order */
	uint32_t count, cap, at;
	bool more;
	cache_done_fn *done;
	void *arg;
	int err;
	struct why why;
};

static void put_path(const struct checkout *k, uint32_t i, struct buf *out)
{
	const struct tree *t = k->view->content->tree;
	if (i == k->base) {
		buf_puts(out, ".");
		return;
	}
	put_path(k, t->entries[i].parent, out);
	buf_printf(out, "/%s", t->strings + t->entries[i].name);
}

static void enqueue_children(struct checkout *k, uint32_t dir)
{
	const struct tree_entry *d = &k->view->content->tree->entries[dir];
	while (k->count + d->count > k->cap) {
		k->cap = k->cap ? k->cap * 2 : 256;
		k->queue = xrealloc(k->queue, k->cap * sizeof(*k->queue));
	}
	for (uint32_t i = 0; i < d->count; i++)
		k->queue[k->count++] = d->first + i;
}

static int complain(struct checkout *k, const char *path)
{
	return why_fail_errno(&k->why, -errno, "cannot make %s%s", k->name, *path == '.' ? path + 1 : "");
}

static void set_time(int dirfd, const char *path, int64_t mtime)
{
	struct timespec times[2] = { { .tv_sec = mtime }, { .tv_sec = mtime } };
	utimensat(dirfd, path, times, AT_SYMLINK_NOFOLLOW);
}

static int begin_file(struct checkout *k, const struct tree_entry *f, const char *path)
{
	mode_t mode = f->mode & 0111 ? 0755 : 0644;
	int fd = openat(k->top, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return complain(k, path);
	k->copying.fd = fd;
	k->copying.file = f;
	k->copying.next = 0;
	return 0;
}

static int continue_file(struct checkout *k, int64_t *budget)
{
	int err = copy_step(&k->copying, budget, &k->why);
	if (err > 0)
		return err;
	struct timespec times[2] = { { .tv_sec = k->copying.file->mtime },
		{ .tv_sec = k->copying.file->mtime } };
	futimens(k->copying.fd, times);
	close(k->copying.fd);
	k->copying.fd = -1;
	k->copying.file = NULL;
	return err;
}

/* 1: the file under work needs another step. */
static int put_entry(struct checkout *k, uint32_t i, int64_t *budget)
{
	const struct tree *t = k->view->content->tree;
	const struct tree_entry *e = &t->entries[i];
	autobuf struct buf path = { 0 };
	put_path(k, i, &path);
	if (e->type == ENTRY_DIR) {
		if (mkdirat(k->top, path.data, 0755) < 0)
			return complain(k, path.data);
		enqueue_children(k, i);
		return 0;
	}
	if (e->type == ENTRY_LINK) {
		if (symlinkat(t->strings + e->first, k->top, path.data) < 0)
			return complain(k, path.data);
		set_time(k->top, path.data, e->mtime);
		return 0;
	}
	int err = begin_file(k, tree_file(t, i), path.data);
	return err ? err : continue_file(k, budget);
}

static int make_file(struct checkout *k, const struct tree_entry *f)
{
	k->top = fcntl(k->dirfd, F_DUPFD_CLOEXEC, 3);
	if (k->top < 0)
		return why_fail_errno(&k->why, -errno, "%s", k->name);
	int err = begin_file(k, f, k->name);
	if (err) { /* what is in the way is not ours to undo */
		close(k->top);
		k->top = -1;
	}
	return err;
}

static int make_top(struct checkout *k)
{
	const struct tree_entry *f = tree_file(k->view->content->tree, k->base);
	if (f)
		return make_file(k, f);
	if (mkdirat(k->dirfd, k->name, 0755) < 0)
		return why_fail_errno(&k->why, -errno, "cannot make the directory %s", k->name);
	k->top = openat(k->dirfd, k->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (k->top < 0)
		return why_fail_errno(&k->why, -errno, "%s", k->name);
	enqueue_children(k, k->base);
	return 0;
}

/* Filling a directory changes its time, so directories get theirs last. */
static void set_directory_times(const struct checkout *k)
{
	const struct tree *t = k->view->content->tree;
	for (uint32_t n = k->count; n-- > 0;) {
		autobuf struct buf path = { 0 };
		if (t->entries[k->queue[n]].type != ENTRY_DIR)
			continue;
		put_path(k, k->queue[n], &path);
		set_time(k->top, path.data, t->entries[k->queue[n]].mtime);
	}
}

static int checkout_step(struct checkout *k)
{
	int64_t budget = COPY_STEP;
	int err = k->top < 0 ? make_top(k) : 0;
	if (!err && k->copying.file)
		err = continue_file(k, &budget);
	for (unsigned n = 0; !err && k->at < k->count; n++) {
		if (k->view->cache->closing)
			return why_fail(&k->why, -ECANCELED, "the cache is closing");
		if (n >= STEP_ENTRIES || budget <= 0)
			return 1;
		err = put_entry(k, k->queue[k->at++], &budget);
	}
	if (!err)
		set_directory_times(k);
	return err;
}

/* Again in checkout_done, for one that was cancelled between its steps. */
static void undo(struct checkout *k)
{
	if (k->top < 0)
		return;
	close(k->top);
	k->top = -1;
	io_remove_tree(k->dirfd, k->name);
}

static void checkout_run(void *arg)
{
	struct checkout *k = arg;
	why_clear(&k->why);
	k->err = checkout_step(k);
	k->more = k->err > 0;
	if (k->err < 0)
		undo(k);
}

static void checkout_begin(struct checkout *k);
static void checkout_done(void *arg);

static void checkout_fetched(void *arg)
{
	struct checkout *k = arg;
	if (k->copying.err) {
		k->more = false;
		k->err = why_fail(&k->why, k->copying.err, "%s", k->copying.why.text);
	}
	checkout_done(k);
}

static void checkout_done(void *arg)
{
	struct checkout *k = arg;
	if (k->more && k->copying.wanted) {
		copy_fetch(&k->copying, checkout_fetched, k);
		return;
	}
	if (k->more) {
		checkout_begin(k);
		return;
	}
	if (k->err)
		undo(k);
	k->done(k->arg, k->err, k->err ? &k->why : NULL);
	if (k->copying.fd >= 0)
		close(k->copying.fd);
	copy_end(&k->copying);
	if (k->top >= 0)
		close(k->top);
	if (k->dirfd >= 0)
		close(k->dirfd);
	view_put(k->view);
	free(k->queue);
	free(k->name);
	free(k);
}

static void checkout_begin(struct checkout *k)
{
	k->more = false;
	k->err = why_fail(&k->why, -ECANCELED, "the cache is closing");
	cache_job(k->view->cache, checkout_run, checkout_done, k);
}

void view_checkout(
	struct view *v, uint32_t index, int dirfd, const char *name, cache_done_fn *done, void *arg)
{
	struct checkout *k = xcalloc(1, sizeof(*k));
	const struct tree *t = v->content->tree;
	k->view = view_get(v);
	k->copying = (struct copying){ .view = v, .fd = -1 };
	k->dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);
	k->top = -1;
	k->name = xstrdup(name);
	k->base = index;
	k->done = done;
	k->arg = arg;
	if (k->dirfd >= 0 && index < t->head->entry_count && t->entries[index].type != ENTRY_LINK) {
		checkout_begin(k);
		return;
	}
	k->err = k->dirfd < 0 ? why_fail(&k->why, -EBADF, "%s: no directory", name)
			      : why_fail(&k->why, -ENOTDIR, "entry %u is no file or directory", index);
	loop_defer(v->cache->loop, checkout_done, k);
}
