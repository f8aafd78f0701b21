/* SPDX-License-Identifier: MIT */
/*
 * io.c: system calls made whole: all bytes or an error, whole files, whole replacements.
 */
#include "cache/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define COPY_CHUNK (128u << 10)

/* After a failed read or write: true if it is to be tried again. A descriptor that is non-blocking is
 * waited for, because the callers here promise whole results. */
static bool again(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	if (errno == EINTR)
		return true;
	if (errno != EAGAIN && errno != EWOULDBLOCK)
		return false;
	return poll(&p, 1, -1) >= 0 || errno == EINTR;
}

/* At (*off), or where the descriptor stands (NULL). */
static ssize_t read_on(int fd, void *buf, size_t len, const off_t *off)
{
	size_t done = 0;

	while (done < len) {
		char *at = (char *)buf + done;
		ssize_t n = off ? pread(fd, at, len - done, *off + (off_t)done) : read(fd, at, len - done);

		if (n == 0)
			break;
		if (n > 0)
			done += (size_t)n;
		else if (!again(fd, POLLIN))
			return -errno;
	}
	return (ssize_t)done;
}

ssize_t io_read_full(int fd, void *buf, size_t len)
{
	return read_on(fd, buf, len, NULL);
}

ssize_t io_pread_full(int fd, void *buf, size_t len, uint64_t off)
{
	off_t from = (off_t)off;

	if (off > INT64_MAX || len > INT64_MAX - off)
		return -EINVAL;
	return read_on(fd, buf, len, &from);
}

int io_write_full(int fd, const void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(fd, (const char *)buf + done, len - done);

		if (n >= 0)
			done += (size_t)n;
		else if (!again(fd, POLLOUT))
			return -errno;
	}
	return 0;
}

int io_pwrite_full(int fd, const void *buf, size_t len, uint64_t off)
{
	size_t done = 0;

	if (off > INT64_MAX || len > INT64_MAX - off)
		return -EFBIG;
	while (done < len) {
		ssize_t n = pwrite(fd, (const char *)buf + done, len - done, (off_t)(off + done));

		if (n >= 0)
			done += (size_t)n;
		else if (!again(fd, POLLOUT))
			return -errno;
	}
	return 0;
}

/* How much to read at first: what the file says of itself, which may be a lie (0 in /proc). */
static size_t first_guess(int fd, size_t max)
{
	struct stat st;
	size_t size = 4096;

	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
		size = (uint64_t)st.st_size < max ? (size_t)st.st_size + 1 : max + 1;
	return size;
}

int io_read_fd(int fd, size_t max, struct buf *out)
{
	size_t before = out->len, step;
	int err = 0;

	if (max > SIZE_MAX / 8)
		max = SIZE_MAX / 8;
	step = first_guess(fd, max);
	for (;;) {
		size_t left = max + 1 -
			      (out->len - before); /* one more than allowed tells a file that is too long */
		size_t want = step < left ? step : left;
		ssize_t n = io_read_full(fd, buf_reserve(out, want), want);

		if (n < 0) {
			err = (int)n;
			break;
		}
		out->len += (size_t)n;
		if (out->len - before > max) {
			err = -EFBIG;
			break;
		}
		if ((size_t)n < want)
			break;
		step = out->len - before < (1u << 20) ? 65536 : 1u << 20;
	}
	if (err && out->data) {
		out->len = before;
		out->data[before] = '\0';
	}
	return err;
}

int io_read_file(int dirfd, const char *path, size_t max, struct buf *out)
{
	/* Not blocking: a FIFO in the place of a file must not hang the caller. */
	autoclose int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))
		return -EINVAL;
	return io_read_fd(fd, max, out);
}

static int sync_parent(int dirfd, const char *path)
{
	const char *slash = strrchr(path, '/');
	autofree char *dir =
		slash ? xstrndup(path, slash == path ? 1 : (size_t)(slash - path)) : xstrdup(".");
	autoclose int fd = openat(dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return fsync(fd) < 0 ? -errno : 0;
}

/* A name of its own beside (path), so that the rename stays in one directory. */
static int open_beside(int dirfd, const char *path, char **name)
{
	const char *slash = strrchr(path, '/');
	int dir_len = slash ? (int)(slash - path + 1) : 0;

	for (int tries = 0; tries < 100; tries++) {
		uint64_t r;
		int fd;

		if (getrandom(&r, sizeof(r), 0) != sizeof(r))
			r = clock_mono_ns();
		*name = xasprintf("%.*s.tmp-%016llx", dir_len, path, (unsigned long long)r);
		fd = openat(dirfd, *name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd >= 0)
			return fd;
		free(*name);
		*name = NULL;
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

int io_write_file(int dirfd, const char *path, const void *data, size_t len, mode_t mode, bool durable)
{
	autofree char *name = NULL;
	autoclose int fd = open_beside(dirfd, path, &name);
	int err;

	if (fd < 0)
		return fd;
	err = io_write_full(fd, data, len);
	if (!err && fchmod(fd, mode) < 0)
		err = -errno;
	if (!err && durable && fsync(fd) < 0)
		err = -errno;
	if (!err && renameat(dirfd, name, dirfd, path) < 0)
		err = -errno;
	if (err) {
		unlinkat(dirfd, name, 0);
		return err;
	}
	return durable ? sync_parent(dirfd, path) : 0;
}

/* Through memory, for the pairs of descriptors between which the kernel does not copy. */
static int64_t copy_slowly(int from, int to)
{
	autofree char *buf = xmalloc(COPY_CHUNK);
	int64_t total = 0;

	for (;;) {
		ssize_t n = read(from, buf, COPY_CHUNK);
		int err;

		if (n == 0)
			return total;
		if (n < 0) {
			if (again(from, POLLIN))
				continue;
			return -errno;
		}
		err = io_write_full(to, buf, (size_t)n);
		if (err)
			return err;
		total += n;
	}
}

int64_t io_copy(int from, int to)
{
	int64_t total = 0, rest;

	for (;;) {
		ssize_t n = copy_file_range(from, NULL, to, NULL, 1u << 30, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO || errno == EFBIG))
			return -errno;
		/* Any other refusal, and also 0 (which files of /proc give), is settled by reading. */
		if (n <= 0)
			break;
		total += n;
	}
	rest = copy_slowly(from, to);
	return rest < 0 ? rest : total + rest;
}

int io_mkdirs(int dirfd, const char *path, mode_t mode)
{
	autofree char *p = xstrdup(path);
	char *at = p;
	struct stat st;

	while (*at) {
		char *next, was;

		at += strspn(at, "/");
		next = at + strcspn(at, "/");
		was = *next;
		*next = '\0';
		if (next != at && mkdirat(dirfd, p, mode) < 0) {
			int err = -errno;

			/* It may be there and yet be answered with EROFS or EACCES. */
			if (fstatat(dirfd, p, &st, 0) < 0)
				return err;
			if (!S_ISDIR(st.st_mode))
				return -ENOTDIR;
		}
		*next = was;
		at = next;
	}
	return 0;
}

int io_set_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);
	int want = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;

	if (flags < 0)
		return -errno;
	return want != flags && fcntl(fd, F_SETFL, want) < 0 ? -errno : 0;
}

void cleanup_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

int io_steal(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t clock_mono_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t clock_real_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}
