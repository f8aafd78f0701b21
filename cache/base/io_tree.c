/* SPDX-License-Identifier: MIT */
/*
 * io_tree.c: whole trees, removed or copied. The trees may be hostile (written by a build, or being
 * changed while we walk): every step is taken from the directory's descriptor, no symbolic link is
 * followed, no mount is entered, and depth costs neither descriptors nor stack without bound.
 */
#include "cache/base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REMOVE_DEPTH 32	 /* deeper directories are first moved up to the top */
#define REMOVE_TURNS 64	 /* for a directory that somebody fills while we empty it */
#define COPY_DEPTH   128 /* one descriptor for each side and level */

static bool is_dots(const char *name)
{
	return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* ---- removing ---- */

struct removal {
	int top; /* the directory that is being removed; not owned */
	dev_t dev;
	unsigned moved; /* names made in (top) so far */
	bool again;	/* something was moved there since */
	int err;	/* the first failure; the walk goes on */
};

static void failed(struct removal *r, int err)
{
	if (!r->err)
		r->err = err;
}

/* Opens a directory for reading and changing, whatever its mode. */
static int open_dir(int dirfd, const char *name)
{
	autoclose int path = openat(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char proc[64];
	struct stat st;
	int fd;

	if (path < 0 || fstat(path, &st) < 0)
		return -errno;
	if ((st.st_mode & 0700) != 0700) {
		snprintf(proc, sizeof(proc), "/proc/self/fd/%d", path);
		chmod(proc, (st.st_mode & 0777) | 0700); /* if it is not ours, the next steps tell */
	}
	fd = openat(path, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* A mount, also one of the same file system, is somebody else's tree. */
static bool is_mount(const struct removal *r, int fd)
{
	struct statx sx;
	struct stat st;

	if (fstat(fd, &st) == 0 && r->dev && st.st_dev != r->dev)
		return true;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &sx) < 0)
		return false;
	return sx.stx_attributes & sx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT;
}

static bool move_up(struct removal *r, int dirfd, const char *name)
{
	char to[64];

	for (int tries = 0; tries < 100; tries++) {
		snprintf(to, sizeof(to), ".rm-%x-%u", (unsigned)getpid(), r->moved++);
		if (renameat2(dirfd, name, r->top, to, RENAME_NOREPLACE) == 0)
			return r->again = true;
		if (errno != EEXIST)
			return false;
	}
	return false;
}

static void remove_dir(struct removal *r, int dirfd, const char *name, int depth);

static void remove_entry(struct removal *r, int dirfd, const struct dirent *d, int depth)
{
	if (d->d_type != DT_DIR) {
		if (unlinkat(dirfd, d->d_name, 0) == 0 || errno == ENOENT)
			return;
		if (errno != EISDIR) {
			failed(r, -errno);
			return;
		}
	}
	remove_dir(r, dirfd, d->d_name, depth);
}

/* One pass over the entries; returns false if there were none. */
static bool empty_once(struct removal *r, DIR *dir, int depth)
{
	bool any = false;
	struct dirent *d;

	rewinddir(dir);
	while ((d = readdir(dir))) {
		if (is_dots(d->d_name))
			continue;
		any = true;
		remove_entry(r, dirfd(dir), d, depth);
	}
	return any;
}

static void remove_dir(struct removal *r, int at, const char *name, int depth)
{
	autoclose int fd = -1;
	DIR *dir = NULL;

	if (unlinkat(at, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return;
	if (depth >= REMOVE_DEPTH && move_up(r, at, name))
		return;
	fd = open_dir(at, name);
	if (fd < 0) {
		failed(r, fd);
		return;
	}
	if (is_mount(r, fd) || depth >= REMOVE_DEPTH) {
		failed(r, depth >= REMOVE_DEPTH ? -ELOOP : -EXDEV);
		return;
	}
	dir = fdopendir(fd);
	if (!dir) {
		failed(r, -errno);
		return;
	}
	io_steal(&fd);
	for (int turn = 0; turn < REMOVE_TURNS && !r->err && empty_once(r, dir, depth + 1); turn++)
		;
	closedir(dir);
	if (unlinkat(at, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		failed(r, -errno);
}

/* The top is walked again as long as deep directories were moved into it. */
static int remove_top(int at, const char *path)
{
	struct removal r = { 0 };
	struct stat st;
	int fd = open_dir(at, path);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	int turn = 0;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return fd < 0 ? fd : -errno;
	}
	r.top = fd;
	if (is_mount(&r, fd) || fstat(fd, &st) < 0) {
		closedir(dir);
		return -EXDEV;
	}
	r.dev = st.st_dev;
	do {
		r.again = false;
		if (!empty_once(&r, dir, 1))
			break;
	} while (!r.err && (r.again || turn++ < REMOVE_TURNS));
	closedir(dir);
	if (unlinkat(at, path, AT_REMOVEDIR) < 0 && errno != ENOENT)
		failed(&r, -errno);
	return r.err;
}

int io_remove_tree(int dirfd, const char *path)
{
	int err;

	if (unlinkat(dirfd, path, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	err = remove_top(dirfd, path);
	if (err == -ENOTDIR)
		return -EPERM; /* no directory: unlink was refused for a reason of its own (sticky, immutable)
				*/
	return err == -ENOENT ? 0 : err;
}

/* ---- copying ---- */

struct copy {
	dev_t to_dev; /* the directory that the copy fills: never copied into itself */
	ino_t to_ino;
};

static int copy_entry(struct copy *c, int from, const char *name, int to, const char *to_name, int depth);

/* Owner (if we may), mode and time as the original; never set-id bits, which meant another owner. */
static int copy_meta(int fd, const struct stat *st)
{
	struct timespec times[2] = { st->st_atim, st->st_mtim };

	if (geteuid() == 0 && fchown(fd, st->st_uid, st->st_gid) < 0 && errno != EPERM && errno != EINVAL)
		return -errno;
	if (fchmod(fd, st->st_mode & 0777) < 0 || futimens(fd, times) < 0)
		return -errno;
	return 0;
}

static int copy_file(int from, const char *name, int to, const char *to_name)
{
	autoclose int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	autoclose int out = -1;
	struct stat st;
	int64_t n;

	if (in < 0 || fstat(in, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return 0; /* changed since we looked; other kinds are left out */
	if (unlinkat(to, to_name, 0) < 0 && errno != ENOENT)
		return -errno;
	out = openat(to, to_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0)
		return -errno;
	n = io_copy(in, out);
	return n < 0 ? (int)n : copy_meta(out, &st);
}

static int copy_link(int from, const char *name, int to, const char *to_name, const struct stat *st)
{
	struct timespec times[2] = { st->st_atim, st->st_mtim };
	char target[4097];
	ssize_t n = readlinkat(from, name, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	if (unlinkat(to, to_name, 0) < 0 && errno != ENOENT)
		return -errno;
	if (symlinkat(target, to, to_name) < 0)
		return -errno;
	if (geteuid() == 0)
		(void)!fchownat(to, to_name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW);
	utimensat(to, to_name, times, AT_SYMLINK_NOFOLLOW);
	return 0;
}

static int copy_entries(struct copy *c, DIR *dir, int to, int depth)
{
	struct dirent *d;

	for (;;) {
		int err;

		errno = 0;
		d = readdir(dir);
		if (!d)
			return -errno;
		if (is_dots(d->d_name))
			continue;
		err = copy_entry(c, dirfd(dir), d->d_name, to, d->d_name, depth + 1);
		if (err)
			return err;
	}
}

/* Made with a mode that lets us fill it; gets its own when it is full. */
static int make_target(struct copy *c, int to, const char *to_name, int depth)
{
	struct stat st;
	int fd;

	if (mkdirat(to, to_name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(to, to_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (depth == 0 && fstat(fd, &st) == 0) {
		c->to_dev = st.st_dev;
		c->to_ino = st.st_ino;
	}
	return fd;
}

static int copy_dir(struct copy *c, int from, const char *name, int to, const char *to_name, int depth)
{
	autoclose int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	autoclose int out = -1;
	struct stat st;
	DIR *dir;
	int err;

	if (in < 0 || fstat(in, &st) < 0)
		return -errno;
	if (depth > COPY_DEPTH)
		return -ELOOP;
	if (c->to_ino && st.st_dev == c->to_dev && st.st_ino == c->to_ino)
		return 0;
	out = make_target(c, to, to_name, depth);
	if (out < 0)
		return out;
	dir = fdopendir(in);
	if (!dir)
		return -errno;
	io_steal(&in);
	err = copy_entries(c, dir, out, depth);
	closedir(dir);
	return err ? err : copy_meta(out, &st);
}

static int copy_entry(struct copy *c, int from, const char *name, int to, const char *to_name, int depth)
{
	struct stat st;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return copy_dir(c, from, name, to, to_name, depth);
	if (S_ISREG(st.st_mode))
		return copy_file(from, name, to, to_name);
	if (S_ISLNK(st.st_mode))
		return copy_link(from, name, to, to_name, &st);
	return 0;
}

int io_copy_tree(int from_dirfd, const char *from, int to_dirfd, const char *to)
{
	struct copy c = { 0 };

	return copy_entry(&c, from_dirfd, from, to_dirfd, to, 0);
}
