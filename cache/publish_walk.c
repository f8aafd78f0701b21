/* SPDX-License-Identifier: MIT */
/* publish_walk.c: one level of recursion a directory. */
#include "cache/publish_walk.h"

#include "cache/base/io.h"
#include "cache/limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct walk {
	walk_fn *fn;
	void *arg;
	struct buf path;
	unsigned depth;
};

struct list {
	char **names;
	size_t count, cap;
};

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int read_names(int fd, struct list *l)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	if (!d) {
		int err = -errno;
		if (copy >= 0)
			close(copy);
		return err;
	}
	errno = 0;
	for (struct dirent *e; (e = readdir(d));) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (l->count == l->cap) {
			l->cap = l->cap ? l->cap * 2 : 64;
			l->names = xrealloc(l->names, l->cap * sizeof(*l->names));
		}
		l->names[l->count++] = xstrdup(e->d_name);
		errno = 0;
	}
	int err = -errno;
	closedir(d);
	if (l->count)
		qsort(l->names, l->count, sizeof(*l->names), by_bytes);
	return err;
}

static int walk_level(struct walk *w, int fd, struct why *why);

static int walk_one(struct walk *w, int dirfd, const char *name, struct why *why)
{
	struct walk_item item = { .dirfd = dirfd, .name = name };
	size_t before = w->path.len;
	buf_printf(&w->path, "%s%s", before ? "/" : "", name);
	item.path = w->path.data;
	int err = fstatat(dirfd, name, &item.st, AT_SYMLINK_NOFOLLOW) < 0
			  ? why_fail_errno(why, -errno, "%s", item.path)
			  : w->fn(w->arg, &item, why);
	if (!err && S_ISDIR(item.st.st_mode)) {
		autoclose int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		err = fd < 0 ? why_fail_errno(why, -errno, "%s", w->path.data) : walk_level(w, fd, why);
	}
	w->path.len = before;
	if (w->path.data)
		w->path.data[before] = 0;
	return err;
}

static int walk_level(struct walk *w, int fd, struct why *why)
{
	struct list l = { 0 };
	if (++w->depth > MAX_DEPTH)
		return why_fail(why, -EFBIG, "%.80s...: deeper than %u directories", w->path.data, MAX_DEPTH);
	int err = read_names(fd, &l);
	if (err)
		why_fail_errno(why, err, "%s", w->path.data ? w->path.data : "the directory");
	for (size_t i = 0; i < l.count; i++) {
		if (!err)
			err = walk_one(w, fd, l.names[i], why);
		free(l.names[i]);
	}
	free(l.names);
	w->depth--;
	return err;
}

int walk_directory(int dirfd, const char *name, walk_fn *fn, void *arg, struct why *why)
{
	struct walk w = { .fn = fn, .arg = arg };
	autoclose int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : why_fail_errno(why, -errno, "%s", name);
	int err = walk_level(&w, fd, why);
	buf_free(&w.path);
	if (err)
		why_prefix(why, "%s", name);
	return err;
}
