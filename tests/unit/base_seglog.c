/* SPDX-License-Identifier: MIT */
/* base_seglog.c: a log that outlives its writer, is bounded, and says what it lost. */
#include "base_tmp.h"

#include "cache/base/seglog.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct seglog *writer(uint64_t max)
{
	struct seglog *s = NULL;

	assert_int_equal(seglog_create(tmp_dir, "log", max, &s), 0);
	return s;
}

static struct seglog *reader(void)
{
	struct seglog *s = NULL;

	assert_int_equal(seglog_open(tmp_dir, "log", &s), 0);
	return s;
}

/* Byte (off) of the test's log: tells its own place. */
static char byte_at(uint64_t off)
{
	return (char)('a' + off * 2654435761u / 65536 % 26);
}

static void append_pattern(struct seglog *s, uint64_t from, size_t len)
{
	char *data = malloc(len);

	for (size_t i = 0; i < len; i++)
		data[i] = byte_at(from + i);
	seglog_append(s, data, len);
	free(data);
}

/* Reads (off .. end) in steps of (step); returns how many bytes were right. */
static uint64_t check_pattern(struct seglog *s, uint64_t off, size_t step)
{
	char *data = malloc(step);
	uint64_t from = off;
	ssize_t n;

	while ((n = seglog_read(s, off, data, step)) > 0)
		for (ssize_t i = 0; i < n; i++, off++)
			assert_int_equal(data[i], byte_at(off));
	assert_int_equal(n, 0);
	free(data);
	return off - from;
}

/* What the log holds as text. */
static const char *text_of(struct seglog *s)
{
	static char text[4096];
	size_t at = 0;
	ssize_t n;

	while ((n = seglog_read(s, at, text + at, sizeof(text) - 1 - at)) > 0)
		at += (size_t)n;
	text[at] = '\0';
	return text;
}

static int pieces(uint64_t *bytes)
{
	DIR *d = opendir(tmp_path);
	struct dirent *e;
	struct stat st;
	int n = 0;

	*bytes = 0;
	while ((e = readdir(d))) {
		if (strncmp(e->d_name, "log.", 4) != 0)
			continue;
		n++;
		assert_int_equal(fstatat(tmp_dir, e->d_name, &st, 0), 0);
		assert_true(st.st_size <= SEGLOG_SEGMENT);
		*bytes += (uint64_t)st.st_size;
	}
	closedir(d);
	return n;
}

static void appends_and_reads(void **state)
{
	struct seglog *r = reader(), *w;
	char text[16];

	(void)state;
	assert_int_equal(seglog_read(r, 0, text, sizeof(text)), 0);
	assert_int_equal(seglog_end(r), 0);
	assert_int_equal(seglog_start(r), 0);
	w = writer(0);
	assert_int_equal(seglog_end(r), 0);
	seglog_append(w, "hello ", 6);
	seglog_append(w, "", 0);
	assert_int_equal(seglog_end(r), 6);
	seglog_append(w, "world", 5);
	assert_int_equal(seglog_end(r), 11);
	assert_int_equal(seglog_end(w), 11);
	assert_int_equal(seglog_read(r, 4, text, sizeof(text)), 7);
	assert_memory_equal(text, "o world", 7);
	assert_int_equal(seglog_read(r, 11, text, sizeof(text)), 0);
	assert_int_equal(seglog_read(r, 1000, text, sizeof(text)), 0);
	assert_int_equal(seglog_read(r, UINT64_MAX, text, sizeof(text)), 0);
	assert_int_equal(seglog_read(w, 0, text, 5), 5);
	seglog_close(w);
	seglog_close(r);
	seglog_close(NULL);
}

static void goes_on_after_a_restart(void **state)
{
	struct seglog *r = reader();

	(void)state;
	for (int i = 0; i < 50; i++) {
		struct seglog *w = writer(0);

		assert_int_equal(seglog_end(w), (uint64_t)i * 99991);
		append_pattern(w, (uint64_t)i * 99991, 99991);
		seglog_close(w);
		assert_int_equal(seglog_end(r), (uint64_t)(i + 1) * 99991);
	}
	assert_int_equal(check_pattern(r, 0, 8192), 50 * 99991);
	assert_int_equal(check_pattern(r, 1234567, 3000000), 50 * 99991 - 1234567);
	seglog_close(r);
}

static void exactly_full_segments(void **state)
{
	struct seglog *w = writer(0), *r = reader();

	(void)state;
	append_pattern(w, 0, SEGLOG_SEGMENT);
	assert_int_equal(seglog_end(r), SEGLOG_SEGMENT);
	assert_int_equal(check_pattern(r, 0, 100000), SEGLOG_SEGMENT);
	seglog_close(w);
	w = writer(0);
	append_pattern(w, SEGLOG_SEGMENT, 1);
	assert_int_equal(seglog_end(r), SEGLOG_SEGMENT + 1);
	assert_int_equal(check_pattern(r, SEGLOG_SEGMENT, 10), 1);
	seglog_close(w);
	seglog_close(r);
}

static void is_bounded(uint64_t max)
{
	struct seglog *w = writer(max), *r = reader(), *slow = reader();
	uint64_t at = 0, kept;
	char c;

	while (at < 5 * max) {
		size_t len = (size_t)(max / 7) + 1;

		append_pattern(w, at, len);
		at += len;
		pieces(&kept);
		assert_true(kept <= max);
		if (at > max)
			assert_true(kept > max / 2);
		assert_int_equal(seglog_end(r), at);
		assert_int_equal(seglog_start(r), at - kept);
		assert_int_equal(seglog_start(w), at - kept);
		assert_int_equal(check_pattern(r, at - kept, 4096), kept);
	}
	assert_int_equal(seglog_read(r, 0, &c, 1), -ERANGE);
	assert_int_equal(seglog_read(slow, seglog_start(slow) - 1, &c, 1), -ERANGE);
	assert_int_equal(seglog_end(slow), at);
	seglog_close(w);
	w = writer(max);
	assert_int_equal(seglog_start(w), at - kept);
	assert_int_equal(seglog_end(w), at);
	seglog_close(w);
	seglog_close(r);
	seglog_close(slow);
	assert_int_equal(seglog_remove(tmp_dir, "log"), 0);
	assert_int_equal(pieces(&kept), 0);
}

static void bounds(void **state)
{
	(void)state;
	is_bounded(400);
	is_bounded(100003);
	is_bounded(8 << 20);
}

static void a_reader_left_behind(void **state)
{
	struct seglog *w = writer(4000), *r = reader();
	char text[100];

	(void)state;
	append_pattern(w, 0, 1500);
	assert_int_equal(seglog_end(r), 1500);
	assert_int_equal(seglog_read(r, 500, text, 100), 100);
	append_pattern(w, 1500, 20000);
	assert_int_equal(seglog_read(r, 600, text, 100), 100); /* it still has that piece open */
	assert_int_equal(text[0], byte_at(600));
	assert_int_equal(seglog_read(r, 1000, text, 100), -ERANGE);
	assert_int_equal(seglog_end(r), 21500);
	assert_true(seglog_start(r) >= 17500);
	assert_int_equal(check_pattern(r, seglog_start(r), 100), 21500 - seglog_start(r));
	seglog_close(w);
	seglog_close(r);
}

static void names(void **state)
{
	struct seglog *a, *b;
	char name[300];

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(seglog_create(tmp_dir, "", 0, &a), -EINVAL);
	assert_int_equal(seglog_create(tmp_dir, "a/b", 0, &a), -EINVAL);
	assert_int_equal(seglog_create(tmp_dir, name, 0, &a), -EINVAL);
	assert_int_equal(seglog_create(tmp_dir, "x", 0, &a), 0);
	assert_int_equal(seglog_create(tmp_dir, "x.y", 0, &b), 0);
	seglog_append(a, "a", 1);
	seglog_append(b, "bb", 2);
	seglog_close(a);
	seglog_close(b);
	/* neighbours that look like pieces and are none */
	close(openat(tmp_dir, "x.000000000000000g", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	close(openat(tmp_dir, "x.0000000000000001.tmp", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	close(openat(tmp_dir, "x.ffffffffffffffff", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(seglog_open(tmp_dir, "x", &a), 0);
	assert_int_equal(seglog_end(a), 1);
	seglog_close(a);
	assert_int_equal(seglog_remove(tmp_dir, "x"), 0);
	assert_int_equal(faccessat(tmp_dir, "x.y.0000000000000000", F_OK, 0), 0);
	assert_int_equal(faccessat(tmp_dir, "x.000000000000000g", F_OK, 0), 0);
	assert_int_equal(seglog_remove(tmp_dir, "x"), 0);
}

static void a_gap_counts_as_dropped(void **state)
{
	struct seglog *w = writer(4000), *r;
	int middle;
	char c;

	(void)state;
	append_pattern(w, 0, 3500);
	seglog_close(w);
	assert_int_equal(fchmodat(tmp_dir, "log.00000000000003e8", 0600, 0), 0);
	middle = openat(tmp_dir, "log.00000000000003e8", O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(middle, 10), 0);
	close(middle);
	r = reader();
	assert_int_equal(seglog_end(r), 3500);
	assert_int_equal(seglog_start(r), 2000);
	assert_int_equal(seglog_read(r, 1500, &c, 1), -ERANGE);
	assert_int_equal(seglog_read(r, 0, &c, 1), -ERANGE);
	assert_int_equal(check_pattern(r, 2000, 100), 1500);
	seglog_close(r);
}

static void links_are_not_followed(void **state)
{
	struct seglog *s;

	(void)state;
	assert_int_equal(io_write_file(tmp_dir, "victim", "safe", 4, 0600, false), 0);
	assert_int_equal(symlinkat("victim", tmp_dir, "log.0000000000000000"), 0);
	assert_true(seglog_create(tmp_dir, "log", 0, &s) < 0);
	s = reader();
	assert_int_equal(seglog_end(s), 0);
	seglog_close(s);
}

/* ---- loss ---- */

static void limit_files(rlim_t bytes)
{
	struct rlimit rl;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &rl);
	rl.rlim_cur = bytes == RLIM_INFINITY ? rl.rlim_max : bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &rl), 0);
}

static void loss_is_said(void **state)
{
	struct seglog *w = writer(0), *r = reader();

	(void)state;
	seglog_append(w, "one", 3);
	seglog_close(w);
	w = writer(0);
	limit_files(0);
	seglog_append(w, "lost", 4);
	seglog_append(w, "too", 3);
	limit_files(RLIM_INFINITY);
	assert_int_equal(seglog_lost(w), 7);
	seglog_append(w, "two\n", 4);
	seglog_append(w, "three\n", 6);
	limit_files(0);
	seglog_append(w, "again", 5);
	limit_files(RLIM_INFINITY);
	seglog_append(w, "four\n", 5);
	assert_int_equal(seglog_lost(w), 12);
	assert_string_equal(text_of(r), "one\n[diverfs: 7 bytes lost: File too large]\ntwo\nthree\n"
					"[diverfs: 5 bytes lost: File too large]\nfour\n");
	assert_int_equal(seglog_end(r), strlen(text_of(r)));
	seglog_close(w);
	seglog_close(r);
}

static void small_file_limit_makes_small_pieces(void **state)
{
	struct seglog *w = writer(0), *r = reader();
	uint64_t bytes;
	int n;

	(void)state;
	limit_files(1000);
	append_pattern(w, 0, 4500);
	limit_files(RLIM_INFINITY);
	assert_int_equal(seglog_lost(w), 0);
	n = pieces(&bytes);
	assert_int_equal(n, 5);
	assert_int_equal(check_pattern(r, 0, 100000), 4500);
	assert_int_equal(seglog_end(r), 4500);
	seglog_close(w);
	seglog_close(r);
}

/* Every byte is in the log or counted, and what was counted is told. */
static int account(struct seglog *w, struct seglog *r, uint64_t appended)
{
	static char all[1 << 17];
	unsigned long long said = 0, n = 0;
	uint64_t there = 0;
	size_t at = 0;
	ssize_t got;

	while ((got = seglog_read(r, at, all + at, sizeof(all) - 1 - at)) > 0)
		at += (size_t)got;
	for (const char *p = all; *p; p++) {
		there += *p == 'z';
		if (sscanf(p, "[diverfs: %llu bytes lost: No space left on device]\n", &n) == 1)
			said += n;
	}
	if (at != seglog_end(r))
		return 4;
	if (seglog_lost(w) == 0 || said != seglog_lost(w))
		return 5;
	return there + seglog_lost(w) == appended ? 0 : 6;
}

/* Fills a file system of 64 KiB to its last byte, and makes room again, three times. */
static int fill_disk(void)
{
	static char block[1000], room[40960];
	struct seglog *w, *r;
	uint64_t appended = 0;
	int dir, hog;

	memset(block, 'z', sizeof(block));
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("tmpfs", tmp_path, "tmpfs", 0, "size=64k") < 0)
		return 77;
	dir = open(tmp_path, O_RDONLY | O_CLOEXEC);
	if (seglog_create(dir, "log", 0, &w) < 0 || seglog_open(dir, "log", &r) < 0)
		return 1;
	hog = openat(dir, "hog", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (io_write_full(hog, room, sizeof(room)) < 0)
		return 2;
	for (off_t left = 24576; left >= 0; left -= 12288) {
		for (int i = 0; i < 70; i++, appended += sizeof(block))
			seglog_append(w, block, sizeof(block));
		if (ftruncate(hog, left) < 0)
			return 3;
		seglog_append(w, "zz", 2);
		appended += 2;
	}
	return account(w, r, appended);
}

static void a_full_disk(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(fill_disk());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

/* ---- another process writes while this one reads ---- */

#define STREAM (6u << 20)

static void write_stream(uint64_t max)
{
	struct seglog *w;
	uint64_t at = 0;

	if (seglog_create(tmp_dir, "log", max, &w) < 0)
		_exit(1);
	while (at < STREAM) {
		size_t len = (size_t)(at % 9973 + 1);

		if (len > STREAM - at)
			len = STREAM - at;
		append_pattern(w, at, len);
		at += len;
	}
	_exit(seglog_lost(w) ? 2 : 0);
}

static void read_stream(uint64_t max)
{
	struct seglog *r = reader();
	uint64_t at = 0, dropped = 0, end = 0;
	static char data[32768];
	int status;
	pid_t pid = fork();

	if (pid == 0)
		write_stream(max);
	while (at < STREAM) {
		ssize_t n = seglog_read(r, at, data, sizeof(data));

		assert_true(seglog_end(r) >= end);
		end = seglog_end(r);
		if (n == -ERANGE) {
			uint64_t start = seglog_start(r);

			assert_true(start > at);
			dropped += start - at;
			at = start;
			continue;
		}
		assert_true(n >= 0);
		for (ssize_t i = 0; i < n; i++, at++)
			if (data[i] != byte_at(at))
				fail_msg("byte %llu is wrong", (unsigned long long)at);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(seglog_end(r), STREAM);
	if (!max)
		assert_int_equal(dropped, 0);
	seglog_close(r);
	assert_int_equal(seglog_remove(tmp_dir, "log"), 0);
}

static void reads_while_another_writes(void **state)
{
	(void)state;
	read_stream(0);
	read_stream(1 << 20);
	read_stream(40000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		tmp_test(appends_and_reads),
		tmp_test(goes_on_after_a_restart),
		tmp_test(exactly_full_segments),
		tmp_test(bounds),
		tmp_test(a_reader_left_behind),
		tmp_test(names),
		tmp_test(a_gap_counts_as_dropped),
		tmp_test(links_are_not_followed),
		tmp_test(loss_is_said),
		tmp_test(small_file_limit_makes_small_pieces),
		tmp_test(a_full_disk),
		tmp_test(reads_while_another_writes),
	};

	return cmocka_run_group_tests_name("base_seglog", tests, NULL, NULL);
}
