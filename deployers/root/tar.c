/* SPDX-License-Identifier: MIT */
/*
 * tar.c: the tree as an archive: ustar, with GNU's long names where a name is long. All belongs to root, and a file that
 * grows or shrinks meanwhile is padded or cut to what the list says.
 */
#include "deployers/root/root.h"

#include "cache/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 512u

struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
	char magic[8], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "ustar");

static int put_header(
	int fd, const char *name, const char *link, char type, mode_t mode, uint64_t size, int64_t mtime)
{
	struct header h = { .type = type };
	unsigned sum = 0;

	/* Without a NUL where they are longer: put_long has said the whole before. */
	memcpy(h.name, name, strnlen(name, sizeof(h.name)));
	memcpy(h.link, link, strnlen(link, sizeof(h.link)));
	snprintf(h.mode, sizeof(h.mode), "%07o", (unsigned)mode & 01777);
	memcpy(h.uid, "0000000", 8);
	memcpy(h.gid, "0000000", 8);
	snprintf(h.size, sizeof(h.size), "%011" PRIo64, size);
	snprintf(h.mtime, sizeof(h.mtime), "%011" PRIo64, mtime > 0 ? (uint64_t)mtime & 077777777777 : 0);
	memcpy(h.magic, "ustar  ", 8);
	memset(h.checksum, ' ', sizeof(h.checksum));
	for (size_t i = 0; i < sizeof(h); i++)
		sum += ((unsigned char *)&h)[i];
	snprintf(h.checksum, sizeof(h.checksum), "%06o", sum & 0777777);
	return io_write_full(fd, &h, sizeof(h));
}

static int put_padding(int fd, uint64_t size)
{
	static const char zero[BLOCK];

	return size % BLOCK ? io_write_full(fd, zero, BLOCK - size % BLOCK) : 0;
}

static int put_bytes(int fd, const char *text, size_t len)
{
	int err = io_write_full(fd, text, len);

	return err ? err : put_padding(fd, len);
}

/* A name of 100 bytes or more comes before, as an entry of its own. */
static int put_long(int fd, const char *name, char type)
{
	size_t len = strlen(name) + 1;

	if (len <= 100)
		return 0;
	int err = put_header(fd, "././@LongLink", "", type, 0, len, 0);
	return err ? err : put_bytes(fd, name, len);
}

static int put_file(int fd, const struct root_entry *e)
{
	static char piece[1 << 16];
	autoclose int from = open(e->from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	uint64_t left = e->size;

	if (from < 0)
		return -errno;
	while (left) {
		size_t want = left < sizeof(piece) ? (size_t)left : sizeof(piece);
		ssize_t n = io_read_full(from, piece, want);
		if (n < 0)
			return (int)n;
		memset(piece + n, 0, want - (size_t)n);
		int err = io_write_full(fd, piece, want);
		if (err)
			return err;
		left -= want;
	}
	return put_padding(fd, e->size);
}

static int put_entry(int fd, const struct root_entry *e)
{
	bool dir = S_ISDIR(e->mode), link = S_ISLNK(e->mode);
	autofree char *name = xasprintf("%s%s", e->path, dir ? "/" : "");
	int err = put_long(fd, name, 'L');

	if (!err && link)
		err = put_long(fd, e->text, 'K');
	if (!err)
		err = put_header(fd, name, link ? e->text : "",
			dir    ? '5'
			: link ? '2'
			       : '0',
			e->mode, dir || link ? 0 : e->size, e->mtime_ns / 1000000000);
	if (err || dir || link)
		return err;
	return e->text ? put_bytes(fd, e->text, strlen(e->text)) : put_file(fd, e);
}

int tar_write(const struct root_tree *t, int fd, struct why *why)
{
	static const char end[2 * BLOCK];

	for (size_t i = 0; i < t->count; i++) {
		int err = put_entry(fd, &t->entry[i]);
		if (err)
			return why_fail_errno(why, err, "cannot pack %s",
				t->entry[i].from ? t->entry[i].from : t->entry[i].path);
	}
	int err = io_write_full(fd, end, sizeof(end));
	return err ? why_fail_errno(why, err, "cannot pack") : 0;
}
