/* SPDX-License-Identifier: MIT */
/*
 * difference.c: walks the names of a kernel/ beside those of the registry's sources. Only what differs is
 * said, with its path, so that no change at all is nothing said. The cache compares contents by digests, so
 * nothing is fetched.
 */
#include "fs/difference.h"

#include "cache/base/io.h"
#include "fs/fingerprint.h"
#include "fs/workspace_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX 128

struct walk {
	int base;
	const struct view *v;
	uint32_t root;
	XXH3_state_t *hash; /* of a scan */
	bool said;
	struct buf path;
	int to_dirfd; /* of an application */
	const char *whole;
};

/* --- what differs ------------------------------------------------------------------------------ */

static void say(struct walk *w, char what, const char *name)
{
	w->said = true;
	XXH3_64bits_update(w->hash, &what, 1);
	feed(w->hash, w->path.data ? w->path.data : "", w->path.len);
	feed(w->hash, name, strlen(name));
}

/* A real file, where the registry has entry (index) or LOWER_NONE. */
static int scan_file(
	struct walk *w, int dirfd, const char *path, const char *name, const struct stat *st, uint32_t index)
{
	autoclose int fd = openat(dirfd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct entry e;
	int same = 0;

	if (fd < 0)
		return -errno;
	if (index != LOWER_NONE && view_entry(w->v, index, &e) == 0 && e.type == ENTRY_FILE &&
		!(e.mode & 0111) == !(st->st_mode & 0100))
		same = view_same(w->v, index, fd);
	if (same)
		return same < 0 ? same : 0;
	say(w, 'f', name);
	return feed_file(w->hash, dirfd, path, st);
}

/* A placeholder of entry (index), where the registry has (own). */
static int scan_placeholder(struct walk *w, const char *name, uint32_t index, uint32_t own)
{
	char data[LOWER_DATA_NAME];
	struct stat st;

	lower_data_name(index, data);
	if (fstatat(w->base, data, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return scan_file(w, w->base, data, name, &st, own);
	if (index == own)
		return 0;
	say(w, 'm', name);
	XXH3_64bits_update(w->hash, &index, sizeof(index));
	return 0;
}

static int scan_link(struct walk *w, int dirfd, const char *name, const struct entry *own)
{
	char target[4096 + 1];
	ssize_t n = readlinkat(dirfd, name, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	if (own && own->type == ENTRY_LINK && own->target && strcmp(own->target, target) == 0)
		return 0;
	say(w, 'l', name);
	feed(w->hash, target, (size_t)n);
	return 0;
}

static int scan_dir(struct walk *w, int fd, uint32_t index, int depth);

static int scan_subdir(
	struct walk *w, int dirfd, const char *name, const struct entry *own, uint32_t index, int depth)
{
	autoclose int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	bool there = own && own->type == ENTRY_DIR;
	size_t len = w->path.len;
	int err;

	if (fd < 0)
		return -errno;
	if (depth > DEPTH_MAX)
		return -ELOOP;
	if (!there)
		say(w, 'd', name);
	buf_printf(&w->path, "%s/", name);
	err = scan_dir(w, fd, there ? index : LOWER_NONE, depth + 1);
	w->path.len = len;
	return err;
}

/* (own), entry (index): what the registry has under this name; NULL, LOWER_NONE: nothing. */
static int scan_entry(
	struct walk *w, int dirfd, const char *name, const struct entry *own, uint32_t index, int depth)
{
	uint32_t placeholder = lower_of(dirfd, name);
	struct stat st;
	int err = 0;

	if (placeholder != LOWER_NONE)
		return scan_placeholder(w, name, placeholder, index);
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		err = -errno;
	else if (S_ISDIR(st.st_mode))
		err = scan_subdir(w, dirfd, name, own, index, depth);
	else if (S_ISREG(st.st_mode))
		err = scan_file(w, dirfd, name, name, &st, index);
	else if (S_ISLNK(st.st_mode))
		err = scan_link(w, dirfd, name, own);
	return err == -ENOENT ? 0 : err; /* gone meanwhile: the change is counted elsewhere */
}

/* Both sides are sorted by name. */
static int scan_dir(struct walk *w, int fd, uint32_t index, int depth)
{
	struct dir_names l = { 0 };
	struct entry dir = { 0 }, own;
	uint32_t k = 0;
	size_t i = 0;
	int err = index == LOWER_NONE ? 0 : view_entry(w->v, index, &dir);

	if (!err)
		err = dir_names_read(fd, &l);
	while (!err && (i < l.n || k < dir.child_count)) {
		int order = 1;

		if (k < dir.child_count)
			err = view_entry(w->v, dir.first_child + k, &own);
		if (k < dir.child_count && !err)
			order = i < l.n ? strcmp(own.name, l.at[i]) : -1;
		if (err)
			break;
		if (order < 0) {
			say(w, '-', own.name);
			k++;
		} else if (order == 0) {
			err = scan_entry(w, fd, l.at[i++], &own, dir.first_child + k++, depth);
		} else {
			err = scan_entry(w, fd, l.at[i++], NULL, LOWER_NONE, depth);
		}
	}
	dir_names_free(&l);
	return err;
}

static int open_tree(int base)
{
	int fd = openat(base, "tree", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int difference_scan(int base, const struct view *v, uint32_t root, uint64_t *hash)
{
	struct walk w = { .base = base, .v = v, .root = root };
	autoclose int fd = open_tree(base);
	int err;

	*hash = 0;
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd; /* nobody has looked at it */
	w.hash = XXH3_createState();
	XXH3_64bits_reset(w.hash);
	err = scan_dir(&w, fd, root, 0);
	if (w.said)
		*hash = XXH3_64bits_digest(w.hash) | 1; /* not 0 */
	XXH3_freeState(w.hash);
	buf_free(&w.path);
	return err;
}

/* --- the sources with it ----------------------------------------------------------------------- */

static int put_path(const struct walk *w, uint32_t index, struct buf *out)
{
	struct entry e;
	int err;

	if (index == w->root) {
		buf_puts(out, w->whole);
		return 0;
	}
	err = index ? view_entry(w->v, index, &e) : -EIO;
	if (!err)
		err = put_path(w, e.parent, out);
	if (!err)
		buf_printf(out, "/%s", e.name);
	return err;
}

static int apply_placeholder(struct walk *w, uint32_t index, int to, const char *name)
{
	autobuf struct buf path = { 0 };
	char data[LOWER_DATA_NAME];
	struct entry e;
	struct stat st;
	int err;

	lower_data_name(index, data);
	if (fstatat(w->base, data, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return io_copy_tree(w->base, data, to, name);
	err = view_entry(w->v, index, &e);
	if (!err)
		err = put_path(w, index, &path);
	if (err)
		return err;
	if (e.type == ENTRY_DIR)
		return renameat(w->to_dirfd, path.data, to, name) < 0 ? -errno : 0;
	return linkat(w->to_dirfd, path.data, to, name, 0) < 0 ? -errno : 0; /* it may have another name */
}

static int apply_dir(struct walk *w, int from, int to, int depth)
{
	struct dir_names l = { 0 };
	int err = depth > DEPTH_MAX ? -ELOOP : dir_names_read(from, &l);

	for (size_t i = 0; i < l.n && !err; i++) {
		uint32_t index = lower_of(from, l.at[i]);
		autoclose int sub = -1, sub_to = -1;

		if (index != LOWER_NONE) {
			err = apply_placeholder(w, index, to, l.at[i]);
			continue;
		}
		sub = openat(from, l.at[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub < 0) {
			err = io_copy_tree(from, l.at[i], to, l.at[i]);
			continue;
		}
		if (mkdirat(to, l.at[i], 0755) == 0)
			sub_to = openat(to, l.at[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		err = sub_to < 0 ? -errno : apply_dir(w, sub, sub_to, depth + 1);
	}
	dir_names_free(&l);
	return err;
}

int difference_apply(
	int base, const struct view *v, uint32_t root, int to_dirfd, const char *whole, const char *to)
{
	struct walk w = { .base = base, .v = v, .root = root, .to_dirfd = to_dirfd, .whole = whole };
	autoclose int from = open_tree(base), top = -1;

	if (from < 0)
		return from;
	if (mkdirat(to_dirfd, to, 0755) == 0)
		top = openat(to_dirfd, to, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return top < 0 ? -errno : apply_dir(&w, from, top, 0);
}
