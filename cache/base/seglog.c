/* SPDX-License-Identifier: MIT */
/*
 * seglog.c: a log in pieces. The writer appends to the newest piece; a full one is made read-only, and
 * only then the next is begun under the offset where the full one ends. So a reader needs one fstat to
 * know whether more can follow, and one open to go on; it looks at the directory only at first and when
 * the writer has dropped what it was reading. What is dropped stays readable for who has it open.
 */
#include "cache/base/seglog.h"

#include "cache/base/buf.h"
#include "cache/base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEX 16 /* digits of an offset in a name */

struct piece {
	int fd; /* -1: none */
	uint64_t start;
};

struct seglog {
	int dirfd;
	char *name;
	struct piece tail;   /* the newest piece known */
	struct piece cursor; /* where the last read was */
	uint64_t start, end; /* as last seen */
	/* the writer's */
	bool writer;
	uint64_t max_bytes;
	uint64_t piece_max;
	uint64_t lost;
	uint64_t unsaid; /* of (lost): not yet told in the log */
	int lost_err;
	bool mid_line;
	char note[160]; /* the line that tells of a loss; [note_done .. note_len) is still to be written */
	size_t note_len, note_done;
};

static void piece_close(struct piece *p)
{
	if (p->fd >= 0)
		close(p->fd);
	*p = (struct piece){ .fd = -1 };
}

static char *piece_name(const struct seglog *s, uint64_t start)
{
	return xasprintf("%s.%0*llx", s->name, HEX, (unsigned long long)start);
}

static int piece_open(const struct seglog *s, uint64_t start, int flags, struct piece *out)
{
	autofree char *name = piece_name(s, start);
	int fd = openat(s->dirfd, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	piece_close(out);
	*out = (struct piece){ .fd = fd, .start = start };
	return 0;
}

/* The offset in a file's name; false if it is not a piece of (name). */
static bool parse_name(const char *file, const char *name, uint64_t *start)
{
	size_t len = strlen(name);

	if (strncmp(file, name, len) != 0 || file[len] != '.' || strlen(file + len + 1) != HEX)
		return false;
	*start = 0;
	for (const char *p = file + len + 1; *p; p++) {
		if (!((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'f')))
			return false;
		*start = *start << 4 | (uint64_t)(*p <= '9' ? *p - '0' : *p - 'a' + 10);
	}
	return *start <= INT64_MAX;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The offsets of all pieces, in order: (count) numbers in (out). */
static int list(int dirfd, const char *name, struct buf *out, size_t *count)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *d;
	uint64_t start;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		int err = -errno;

		if (fd >= 0)
			close(fd);
		return err;
	}
	while ((d = readdir(dir)))
		if (parse_name(d->d_name, name, &start))
			buf_append(out, &start, sizeof(start));
	closedir(dir);
	*count = out->len / sizeof(start);
	if (*count)
		qsort(out->data, *count, sizeof(start), by_value);
	return 0;
}

/* 0 if the piece is gone. */
static uint64_t piece_end(const struct seglog *s, uint64_t start)
{
	autofree char *name = piece_name(s, start);
	struct stat st;

	if (fstatat(s->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return start + (uint64_t)st.st_size;
}

/* The first of the pieces that reach the last one without a gap: a power failure can have shortened
 * an older piece, and what lies before the gap then counts as dropped. */
static uint64_t first_of_run(const struct seglog *s, const uint64_t *starts, size_t count)
{
	size_t i = count - 1;

	while (i > 0 && piece_end(s, starts[i - 1]) >= starts[i])
		i--;
	return starts[i];
}

/* Looks at the directory: sets (start) and opens the newest piece as (tail). Pieces may go while we
 * look: then it is done again. Returns 0, 1 if there is no piece, or -errno. */
static int rescan(struct seglog *s, int flags)
{
	for (int tries = 0; tries < 16; tries++) {
		autobuf struct buf starts = { 0 };
		size_t count;
		const uint64_t *at;
		int err = list(s->dirfd, s->name, &starts, &count);

		if (err)
			return err;
		if (!count)
			return 1;
		at = (const uint64_t *)(const void *)starts.data;
		err = piece_open(s, at[count - 1], flags, &s->tail);
		if (err == -ENOENT)
			continue;
		if (err)
			return err;
		s->start = first_of_run(s, at, count);
		return 0;
	}
	return -EAGAIN;
}

static int seglog_new(int dirfd, const char *name, struct seglog **out)
{
	struct seglog *s;
	int fd;

	if (!*name || strchr(name, '/') || strlen(name) + 1 + HEX > NAME_MAX)
		return -EINVAL;
	fd = dirfd == AT_FDCWD ? open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
			       : fcntl(dirfd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return -errno;
	s = xcalloc(1, sizeof(*s));
	s->dirfd = fd;
	s->name = xstrdup(name);
	s->tail.fd = s->cursor.fd = -1;
	*out = s;
	return 0;
}

void seglog_close(struct seglog *s)
{
	if (!s)
		return;
	piece_close(&s->tail);
	piece_close(&s->cursor);
	close(s->dirfd);
	free(s->name);
	free(s);
}

int seglog_open(int dirfd, const char *name, struct seglog **out)
{
	return seglog_new(dirfd, name, out);
}

/* ---- reading ---- */

/* A piece to which nothing more will be added. */
static bool is_full(const struct stat *st)
{
	return !(st->st_mode & S_IWUSR) || st->st_size >= SEGLOG_SEGMENT;
}

/* Brings (tail) and (end) up to date. */
static void find_end(struct seglog *s)
{
	struct stat st;

	if (s->writer)
		return;
	if (s->tail.fd < 0 && rescan(s, O_RDONLY) != 0)
		return;
	for (int turn = 0; turn < 1 << 20; turn++) {
		uint64_t end;

		if (fstat(s->tail.fd, &st) < 0)
			return;
		end = s->tail.start + (uint64_t)st.st_size;
		if (end > s->end)
			s->end = end;
		if (st.st_nlink == 0) {
			if (rescan(s, O_RDONLY) != 0)
				return;
		} else if (!is_full(&st) || piece_open(s, end, O_RDONLY, &s->tail) != 0) {
			return;
		}
	}
}

uint64_t seglog_end(struct seglog *s)
{
	find_end(s);
	return s->end;
}

uint64_t seglog_start(struct seglog *s)
{
	autofree char *name = NULL;

	find_end(s);
	name = piece_name(s, s->start);
	/* The oldest goes first: if the one that was the oldest is there, it still is. */
	if (!s->writer && faccessat(s->dirfd, name, F_OK, 0) < 0 && s->tail.fd >= 0)
		rescan(s, O_RDONLY);
	return s->start;
}

/* Opens the piece that holds (off) as cursor. 0, 1 if there is nothing at (off) yet, -ERANGE or -errno. */
static int seek_cursor(struct seglog *s, uint64_t off)
{
	for (int tries = 0; tries < 16; tries++) {
		autobuf struct buf starts = { 0 };
		const uint64_t *at;
		size_t count;
		int err = list(s->dirfd, s->name, &starts, &count);

		if (err || !count)
			return err ? err : 1;
		at = (const uint64_t *)(const void *)starts.data;
		if (off < first_of_run(s, at, count))
			return -ERANGE;
		while (at[count - 1] > off)
			count--;
		err = piece_open(s, at[count - 1], O_RDONLY, &s->cursor);
		if (err != -ENOENT)
			return err;
	}
	return -EAGAIN;
}

/* At the end of the piece: goes on to the next. 0 if there is one, 1 if not (yet), 2 if there is more
 * to read in this one. */
static int next_piece(struct seglog *s, uint64_t off)
{
	struct stat st;
	uint64_t end;
	int err;

	if (fstat(s->cursor.fd, &st) < 0)
		return -errno;
	end = s->cursor.start + (uint64_t)st.st_size;
	if (end > off)
		return 2;
	if (!is_full(&st) && st.st_nlink)
		return 1;
	err = end == off ? piece_open(s, end, O_RDONLY, &s->cursor) : -ENOENT;
	if (err != -ENOENT)
		return err;
	return seek_cursor(s, off);
}

ssize_t seglog_read(struct seglog *s, uint64_t off, void *buf, size_t len)
{
	if (off > INT64_MAX || len == 0)
		return 0;
	if (s->cursor.fd < 0 || off < s->cursor.start) {
		int r = seek_cursor(s, off);

		if (r)
			return r > 0 ? 0 : r;
	}
	for (int turn = 0; turn < 1 << 10; turn++) {
		ssize_t n = pread(s->cursor.fd, buf, len, (off_t)(off - s->cursor.start));
		uint64_t was = s->cursor.start;
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n != 0)
			return n < 0 ? -errno : n;
		r = next_piece(s, off);
		if (r == 1 || (r == 0 && s->cursor.start == was))
			return 0;
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- writing ---- */

static int last_byte(int fd, uint64_t size)
{
	char c = '\n';

	if (size && pread(fd, &c, 1, (off_t)size - 1) != 1)
		return '\n';
	return c;
}

/* Goes on in the newest piece there is, or makes ready to begin after it if that is full. */
static int resume(struct seglog *s)
{
	struct stat st;
	int err = rescan(s, O_RDONLY);

	if (err)
		return err < 0 ? err : 0;
	if (fstat(s->tail.fd, &st) < 0)
		return -errno;
	s->end = s->tail.start + (uint64_t)st.st_size;
	s->mid_line = last_byte(s->tail.fd, (uint64_t)st.st_size) != '\n';
	if (is_full(&st)) {
		piece_close(&s->tail);
		return 0;
	}
	return piece_open(s, s->tail.start, O_RDWR | O_APPEND, &s->tail);
}

int seglog_create(int dirfd, const char *name, uint64_t max_bytes, struct seglog **out)
{
	struct seglog *s;
	int err = seglog_new(dirfd, name, &s);

	if (err)
		return err;
	s->writer = true;
	s->max_bytes = max_bytes;
	/* Four pieces at least, so that dropping one leaves most of what the bound allows. */
	s->piece_max = SEGLOG_SEGMENT;
	if (max_bytes && max_bytes / 4 < SEGLOG_SEGMENT)
		s->piece_max = max_bytes / 4 ? max_bytes / 4 : 1;
	err = resume(s);
	if (err) {
		seglog_close(s);
		return err;
	}
	*out = s;
	return 0;
}

/* Unlinks the oldest pieces until one more full one fits the bound. */
static void drop_oldest(struct seglog *s)
{
	autobuf struct buf starts = { 0 };
	const uint64_t *at;
	size_t count;

	if (!s->max_bytes || s->end - s->start + s->piece_max <= s->max_bytes)
		return;
	if (list(s->dirfd, s->name, &starts, &count) < 0)
		return;
	at = (const uint64_t *)(const void *)starts.data;
	for (size_t i = 0; i < count && at[i] < s->end; i++) {
		autofree char *name = NULL;

		s->start = at[i];
		if (s->end - at[i] + s->piece_max <= s->max_bytes)
			return;
		name = piece_name(s, at[i]);
		if (unlinkat(s->dirfd, name, 0) < 0 && errno != ENOENT)
			return;
		s->start = s->end;
	}
}

/* Makes the piece read-only, which tells readers to look for the next. */
static void finish_piece(struct seglog *s)
{
	fchmod(s->tail.fd, 0400);
	piece_close(&s->tail);
}

static int begin_piece(struct seglog *s)
{
	int err;

	drop_oldest(s);
	err = piece_open(s, s->end, O_RDWR | O_APPEND | O_CREAT | O_EXCL, &s->tail);
	if (!err && s->end == 0)
		s->start = 0;
	return err;
}

/* Writes what it can. Returns 0 or -errno; (*done) says how much was taken. */
static int write_some(struct seglog *s, const char *data, size_t len, size_t *done)
{
	*done = 0;
	while (*done < len) {
		uint64_t used = s->tail.fd < 0 ? 0 : s->end - s->tail.start;
		size_t want = len - *done;
		ssize_t n;
		int err;

		if (s->tail.fd >= 0 && used >= s->piece_max)
			finish_piece(s);
		if (s->tail.fd < 0) {
			err = begin_piece(s);
			if (err)
				return err;
			used = 0;
		}
		if (want > s->piece_max - used)
			want = (size_t)(s->piece_max - used);
		n = write(s->tail.fd, data + *done, want);
		if (n > 0) {
			*done += (size_t)n;
			s->end += (uint64_t)n;
			s->mid_line = data[*done - 1] != '\n';
		} else if (n < 0 && errno == EFBIG && used) {
			finish_piece(s); /* a limit on file sizes below ours: more and smaller pieces */
		} else if (n < 0 && errno != EINTR) {
			return -errno;
		} else if (n == 0) {
			return -EIO;
		}
	}
	return 0;
}

static void count_lost(struct seglog *s, size_t n, int err)
{
	s->lost += n;
	s->unsaid += n;
	s->lost_err = err;
}

/* Writes the line about a loss, or the rest of it: a full disk may cut this line too. */
static int write_note(struct seglog *s)
{
	size_t done;
	int err;

	while (s->unsaid || s->note_done < s->note_len) {
		if (s->note_done == 0 || s->note_done == s->note_len) {
			int n = snprintf(s->note, sizeof(s->note), "%s[diverfs: %llu bytes lost: %s]\n",
				s->mid_line ? "\n" : "", (unsigned long long)s->unsaid,
				err_text(s->lost_err));

			s->note_len = n < (int)sizeof(s->note) ? (size_t)n : sizeof(s->note) - 1;
			s->note_done = 0;
		}
		err = write_some(s, s->note + s->note_done, s->note_len - s->note_done, &done);
		if (s->note_done == 0 && done)
			s->unsaid = 0; /* what is lost from here on is for another line */
		s->note_done += done;
		if (err)
			return err;
	}
	return 0;
}

void seglog_append(struct seglog *s, const void *data, size_t len)
{
	size_t done = 0;
	int err = len ? write_note(s) : 0;

	if (!err)
		err = write_some(s, data, len, &done);
	if (err)
		count_lost(s, len - done, err);
}

uint64_t seglog_lost(const struct seglog *s)
{
	return s->lost;
}

int seglog_remove(int dirfd, const char *name)
{
	autobuf struct buf starts = { 0 };
	struct seglog at = { .dirfd = dirfd, .name = (char *)(uintptr_t)name };
	const uint64_t *list_of;
	size_t count = 0;
	int err = list(dirfd, name, &starts, &count);

	list_of = (const uint64_t *)(const void *)starts.data;
	for (size_t i = 0; i < count; i++) {
		autofree char *file = piece_name(&at, list_of[i]);

		if (unlinkat(dirfd, file, 0) < 0 && errno != ENOENT && !err)
			err = -errno;
	}
	return err;
}
