/* SPDX-License-Identifier: MIT */
/*
 * main.c: diverfs-unpack: a tar archive, plain or compressed with gzip or zstd, becomes a row of records (unpack.h).
 *
 * libarchive reads nothing but tar here, and nothing else of diverfs touches it. Exit status: 0 after UNPACK_END, 1 after
 * UNPACK_ERROR, 2 the reader is gone, 3 it could not be confined.
 */
#include "cache/unpack/confine.h"
#include "cache/unpack/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE (64u << 10)

static void put(const void *data, size_t len)
{
	const char *p = data;
	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(2);
		p += n;
		len -= (size_t)n;
	}
}

static void put_record(
	enum unpack_type type, struct archive_entry *e, const char *path, const char *target, uint64_t size)
{
	struct unpack_record r = { .magic = UNPACK_MAGIC, .type = type, .size = size };
	r.path_len = (uint32_t)strlen(path);
	r.target_len = target ? (uint32_t)strlen(target) : 0;
	if (e) {
		r.mode = archive_entry_perm(e) & 07777;
		r.mtime = archive_entry_mtime_is_set(e) ? archive_entry_mtime(e) : 0;
	}
	put(&r, sizeof(r));
	put(path, r.path_len);
	put(target ? target : "", r.target_len);
}

static void fail(const char *words)
{
	put_record(UNPACK_ERROR, NULL, words ? words : "cannot be read", NULL, 0);
	_exit(1);
}

/* Exactly (size) bytes, whatever the archive says next. */
static void put_content(struct archive *a, uint64_t size)
{
	static char buf[PIECE];
	while (size > 0) {
		la_ssize_t n = archive_read_data(a, buf, size < PIECE ? size : PIECE);
		if (n <=
			0) /* in the middle of a file there is no room for words: the reader notices the end */
			_exit(1);
		put(buf, (size_t)n);
		size -= (uint64_t)n;
	}
}

static void put_entry(struct archive *a, struct archive_entry *e)
{
	const char *path = archive_entry_pathname(e), *hard = archive_entry_hardlink(e);
	mode_t type = archive_entry_filetype(e);
	la_int64_t size = archive_entry_size_is_set(e) ? archive_entry_size(e) : 0;
	if (!path)
		fail("an entry has a name that cannot be read");
	if (size < 0)
		fail("an entry has a size below zero");
	if (hard) {
		put_record(UNPACK_HARD, e, path, hard, 0);
	} else if (type == AE_IFREG) {
		put_record(UNPACK_FILE, e, path, NULL, (uint64_t)size);
		put_content(a, (uint64_t)size);
	} else if (type == AE_IFDIR) {
		put_record(UNPACK_DIR, e, path, NULL, 0);
	} else if (type == AE_IFLNK) {
		const char *target = archive_entry_symlink(e);
		put_record(UNPACK_LINK, e, path, target ? target : "", 0);
	} else {
		put_record(UNPACK_OTHER, e, path, NULL, 0);
	}
}

static struct archive *open_archive(void)
{
	struct archive *a = archive_read_new();
	if (!a || archive_read_support_format_tar(a) != ARCHIVE_OK ||
		archive_read_support_filter_gzip(a) != ARCHIVE_OK ||
		archive_read_support_filter_zstd(a) != ARCHIVE_OK)
		fail("the program was built without gzip or zstd");
	if (archive_read_open_fd(a, STDIN_FILENO, PIECE) != ARCHIVE_OK)
		fail(archive_error_string(a));
	return a;
}

int main(void)
{
	struct archive_entry *e;
	int r;
	setlocale(LC_CTYPE, "C.UTF-8"); /* names come as they are, without a conversion */
	signal(SIGPIPE, SIG_IGN);
	confine();
	struct archive *a = open_archive();
	while ((r = archive_read_next_header(a, &e)) == ARCHIVE_OK || r == ARCHIVE_WARN)
		put_entry(a, e);
	if (r != ARCHIVE_EOF)
		fail(archive_error_string(a));
	put_record(UNPACK_END, NULL, "", NULL, 0);
	archive_read_free(a);
	return 0;
}
