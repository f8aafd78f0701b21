/* SPDX-License-Identifier: MIT */
/*
 * fingerprint.c: walks a directory in the order of its names and feeds what it finds to one hash, each piece
 * with its length before it.
 */
#include "fs/fingerprint.h"

#include "cache/base/buf.h"
#include "cache/base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX 128
#define PIECE	  (64u << 10)

void feed(XXH3_state_t *h, const void *data, size_t len)
{
	uint64_t n = len;

	XXH3_64bits_update(h, &n, sizeof(n));
	XXH3_64bits_update(h, data, len);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void dir_names_free(struct dir_names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->at[i]);
	free(l->at);
}

int dir_names_read(int fd, struct dir_names *l)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;

	if (!d) {
		int err = -errno;

		if (copy >= 0)
			close(copy);
		return err;
	}
	while ((errno = 0, e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		l->at = xrealloc(l->at, (l->n + 1) * sizeof(*l->at));
		l->at[l->n++] = xstrdup(e->d_name);
	}
	closedir(d);
	if (l->n)
		qsort(l->at, l->n, sizeof(*l->at), by_name);
	return 0;
}

int feed_file(XXH3_state_t *h, int dirfd, const char *name, const struct stat *st)
{
	autoclose int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	autofree char *piece = xmalloc(PIECE);
	uint64_t size = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	XXH3_64bits_update(h, st->st_mode & 0100 ? "x" : "f", 1);
	while ((n = io_read_full(fd, piece, PIECE)) > 0) {
		XXH3_64bits_update(h, piece, (size_t)n);
		size += (uint64_t)n;
	}
	XXH3_64bits_update(h, &size, sizeof(size));
	return n < 0 ? (int)n : 0;
}

static int feed_dir(XXH3_state_t *h, int dirfd, const char *name, int depth, bool *empty);

static int feed_entry(XXH3_state_t *h, int dirfd, const char *name, int depth)
{
	char target[4096];
	struct stat st;
	ssize_t n;
	bool empty;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno; /* gone meanwhile: the change is counted elsewhere */
	feed(h, name, strlen(name));
	if (S_ISDIR(st.st_mode))
		return feed_dir(h, dirfd, name, depth + 1, &empty);
	if (S_ISREG(st.st_mode))
		return feed_file(h, dirfd, name, &st);
	if (!S_ISLNK(st.st_mode))
		return 0;
	n = readlinkat(dirfd, name, target, sizeof(target));
	XXH3_64bits_update(h, "l", 1);
	if (n > 0)
		feed(h, target, (size_t)n);
	return n < 0 ? -errno : 0;
}

static int feed_dir(XXH3_state_t *h, int dirfd, const char *name, int depth, bool *empty)
{
	autoclose int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct dir_names l = { 0 };
	int err;

	if (fd < 0)
		return -errno;
	if (depth > DEPTH_MAX)
		return -ELOOP;
	err = dir_names_read(fd, &l);
	*empty = l.n == 0;
	XXH3_64bits_update(h, "d", 1);
	for (size_t i = 0; i < l.n && !err; i++)
		err = feed_entry(h, fd, l.at[i], depth);
	XXH3_64bits_update(h, "e", 1);
	dir_names_free(&l);
	return err;
}

int fingerprint_tree(int dirfd, const char *name, uint64_t *hash, bool *empty)
{
	XXH3_state_t *h = XXH3_createState();
	int err;

	*empty = true;
	XXH3_64bits_reset(h);
	err = feed_dir(h, dirfd, name, 0, empty);
	if (err == -ENOENT && *empty)
		err = 0;
	*hash = XXH3_64bits_digest(h);
	XXH3_freeState(h);
	return err;
}

uint64_t fingerprint_strings(uint64_t seed, const char *const *strings)
{
	XXH3_state_t *h = XXH3_createState();
	uint64_t hash;

	XXH3_64bits_reset_withSeed(h, seed);
	for (; *strings; strings++)
		feed(h, *strings, strlen(*strings));
	hash = XXH3_64bits_digest(h);
	XXH3_freeState(h);
	return hash;
}
