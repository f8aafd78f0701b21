/* SPDX-License-Identifier: MIT */
/* deploy_build.c: which line of a build's log is the error, and what stays of its results. */
#include "deployers/build/build.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/io.h"

#include <cmocka.h>

/* Fed in pieces of (step) bytes. */
static void check(const char *log, const char *expected)
{
	for (size_t step = 1; step < 40; step += 6) {
		struct complaints c = { 0 };
		autobuf struct buf out = { 0 };
		for (size_t at = 0; at < strlen(log); at += step)
			complaints_feed(&c, log + at, strnlen(log + at, step));
		complaints_text(&c, &out);
		assert_string_equal(out.data ? out.data : "", expected);
	}
}

static void finds_the_error(void **state)
{
	(void)state;
	check("", "");
	check("gcc x\n/build/app/main.c: In function 'main':\n/build/app/main.c:3:5: error: no "
	      "x\n/build/app/b.c:1:1: error: y\n",
		"src/main.c:3:5: error: no x");
	check("/build/kernel/lib/a.h:9: fatal error: z.h: No such file\nmake: *** [all] Error 1\n",
		"kernel/lib/a.h:9: fatal error: z.h: No such file");
	check("ld: main.o: in function `f':\nmain.c:(.text+0x5): undefined reference to `g'\ncollect2: "
	      "error: ld returned 1\n",
		"main.c:(.text+0x5): undefined reference to `g'");
	check("one\nmake: nothing to do for 'x'  \r\n\n  \n", "make: nothing to do for 'x'");
	check("no newline at the end", "no newline at the end");
}

static void bounds_long_lines(void **state)
{
	struct complaints c = { 0 };
	autobuf struct buf out = { 0 };
	static char block[100000];

	(void)state;
	memset(block, 'x', sizeof(block));
	for (int i = 0; i < 20; i++)
		complaints_feed(&c, block, sizeof(block));
	assert_true(c.line.cap < 65536);
	complaints_text(&c, &out);
	assert_true(out.len < 600);
}

static void tidies_results(void **state)
{
	char dir[] = "/tmp/deploy_build.XXXXXX";
	autobuf struct buf said = { 0 };
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	autoclose int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(io_write_file(fd, "image", "x", 1, 06755, false), 0);
	assert_int_equal(fchmodat(fd, "image", 04755, 0), 0);
	assert_int_equal(mkdirat(fd, "d", 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", fd, "link"), 0);
	assert_int_equal(mkfifoat(fd, "fifo", 0600), 0);
	assert_int_equal(tree_tidy(dir, &said), 0);
	assert_non_null(strstr(said.data, "out/link"));
	assert_non_null(strstr(said.data, "out/fifo"));
	assert_int_equal(faccessat(fd, "link", F_OK, AT_SYMLINK_NOFOLLOW), -1);
	assert_int_equal(fstatat(fd, "image", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(fstatat(fd, "d", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_true(tree_bytes(dir) > 0);
	assert_int_equal(io_remove_tree(AT_FDCWD, dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_error),
		cmocka_unit_test(bounds_long_lines),
		cmocka_unit_test(tidies_results),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
