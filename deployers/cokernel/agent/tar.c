/* SPDX-License-Identifier: MIT */
/*
 * tar.c: what the program wrote, as a tar archive (ustar, with GNU's long names) in OUT frames. Files, directories and symbolic
 * links; the marks of what was deleted, devices, sockets and pipes stay out.
 */
#include "deployers/cokernel/agent/parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK	   512
#define NAME_BYTES 4096
#define DEPTH_MAX  64

struct block { /* POSIX.1-1988, "ustar" */
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100], magic[6],
		version[2];
	char uname[32], gname[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct block) == BLOCK, "a tar block");

static struct {
	int fd;
	size_t used;
	uint8_t buffer[AGENT_FRAME_MAX / BLOCK * BLOCK];
	char name[NAME_BYTES]; /* of what is walked, from the top */
	int err;
} t;

static void flush(void)
{
	if (t.used && !t.err)
		t.err = wire_send(t.fd, AGENT_OUT, t.buffer, t.used);
	t.used = 0;
}

static void put(const void *data, size_t len)
{
	const uint8_t *from = data;

	while (len) {
		size_t n = sizeof(t.buffer) - t.used < len ? sizeof(t.buffer) - t.used : len;

		if (from)
			memcpy(t.buffer + t.used, from, n);
		else
			memset(t.buffer + t.used, 0, n);
		from = from ? from + n : NULL;
		t.used += n;
		len -= n;
		if (t.used == sizeof(t.buffer))
			flush();
	}
}

static void put_padding(uint64_t len)
{
	put(NULL, (BLOCK - len % BLOCK) % BLOCK);
}

static void octal(char *field, size_t size, uint64_t value)
{
	field[--size] = 0;
	while (size) {
		field[--size] = (char)('0' + (value & 7));
		value >>= 3;
	}
}

static void text(char *field, size_t size, const char *from)
{
	size_t len = strlen(from);

	memcpy(field, from, len < size ? len : size);
}

static void put_block(const char *name, char type, const struct stat *st, uint64_t size, const char *link)
{
	struct block b = { .type = type, .magic = "ustar", .version = { '0', '0' } };
	unsigned sum = 0;

	text(b.name, sizeof(b.name), name);
	text(b.link, sizeof(b.link), link);
	octal(b.mode, sizeof(b.mode), st->st_mode & 07777);
	octal(b.uid, sizeof(b.uid), st->st_uid & 07777777);
	octal(b.gid, sizeof(b.gid), st->st_gid & 07777777);
	octal(b.size, sizeof(b.size), size);
	octal(b.mtime, sizeof(b.mtime), st->st_mtime < 0 ? 0 : (uint64_t)st->st_mtime);
	memset(b.sum, ' ', sizeof(b.sum));
	for (size_t i = 0; i < sizeof(b); i++)
		sum += ((uint8_t *)&b)[i];
	octal(b.sum, 7, sum);
	put(&b, sizeof(b));
}

/* A name that does not fit comes before its entry, as if it were a file. */
static void put_long(const char *text, char type)
{
	static const struct stat none;
	size_t len = strlen(text) + 1;

	if (len <= sizeof(((struct block *)0)->name))
		return;
	put_block("././@LongLink", type, &none, len, "");
	put(text, len);
	put_padding(len);
}

static void put_head(char type, const struct stat *st, uint64_t size, const char *link)
{
	put_long(t.name, 'L');
	put_long(link, 'K');
	put_block(t.name, type, st, size, link);
}

/* As long as it was when it was looked at, whatever is read. */
static void put_file(int dir, const char *name, const struct stat *st)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	uint64_t left = (uint64_t)st->st_size;
	static uint8_t piece[65536];

	put_head('0', st, left, "");
	while (left && !t.err) {
		ssize_t n = fd < 0 ? 0 : read(fd, piece, left < sizeof(piece) ? left : sizeof(piece));

		if (n <= 0)
			break;
		put(piece, (size_t)n);
		left -= (uint64_t)n;
	}
	put(NULL, left);
	put_padding((uint64_t)st->st_size);
	if (fd >= 0)
		close(fd);
}

static void put_link(int dir, const char *name, const struct stat *st)
{
	char to[NAME_BYTES];
	ssize_t n = readlinkat(dir, name, to, sizeof(to) - 1);

	if (n < 0)
		return;
	to[n] = 0;
	put_head('2', st, 0, to);
}

static void walk(int dir, int depth);

static void put_entry(int dir, const char *name, int depth)
{
	size_t len = strlen(t.name);
	struct stat st;

	if (len + strlen(name) + 2 > sizeof(t.name) || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	strcpy(t.name + len, name);
	if (S_ISREG(st.st_mode)) {
		put_file(dir, name, &st);
	} else if (S_ISLNK(st.st_mode)) {
		put_link(dir, name, &st);
	} else if (S_ISDIR(st.st_mode)) {
		int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

		strcat(t.name, "/");
		put_head('5', &st, 0, "");
		if (fd >= 0)
			walk(fd, depth + 1);
	}
	t.name[len] = 0;
}

static bool is_ours(const char *name, int depth)
{
	return !depth && (!strcmp(name, "dev") || !strcmp(name, "proc") || !strcmp(name, "sys"));
}

static void walk(int fd, int depth)
{
	DIR *d = depth < DEPTH_MAX ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (!d) {
		close(fd);
		return;
	}
	while (!t.err && (e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") && !is_ours(e->d_name, depth))
			put_entry(fd, e->d_name, depth);
	closedir(d);
}

int tar_send(int fd, const char *directory)
{
	int top = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	t.fd = fd;
	t.used = 0;
	t.err = 0;
	*t.name = 0;
	if (top >= 0)
		walk(top, 0);
	put(NULL, 2 * BLOCK);
	flush();
	return t.err ? t.err : wire_send(fd, AGENT_OUT, NULL, 0);
}
