/* SPDX-License-Identifier: MIT */
/* base_log.c: one event, one line, whatever the bytes are; sentences that say why. */
#include "base_tmp.h"

#include "cache/base/log.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

static int pipe_in;

/* The log goes into a pipe whose reading end is (pipe_in). */
static int to_pipe(void **state)
{
	int p[2];

	(void)state;
	if (pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	pipe_in = p[0];
	log_open("unit", LOG_LEVEL_INFO);
	log_to_fd(p[1]);
	return 0;
}

static int close_pipe(void **state)
{
	(void)state;
	return close(pipe_in);
}

static const char *logged(void)
{
	static char text[65536];
	ssize_t n = read(pipe_in, text, sizeof(text) - 1);

	text[n < 0 ? 0 : n] = '\0';
	return text;
}

/* What follows the time. */
static const char *words(const char *line)
{
	assert_true(strlen(line) > 25);
	assert_int_equal(line[10], 'T');
	assert_int_equal(line[23], 'Z');
	return line + 25;
}

static void line_has_time_and_program(void **state)
{
	char date[32];
	time_t now = time(NULL);
	const char *line;
	struct tm tm;

	(void)state;
	log_info("%s: cannot do %d", "mandel", 7);
	line = logged();
	strftime(date, sizeof(date), "%Y-%m-%dT", gmtime_r(&now, &tm));
	if (tm.tm_hour || tm.tm_min || tm.tm_sec > 5) /* not across midnight */
		assert_memory_equal(line, date, strlen(date));
	assert_string_equal(words(line), "unit: mandel: cannot do 7\n");
}

static void level_drops(void **state)
{
	(void)state;
	log_debug("not shown");
	assert_string_equal(logged(), "");
	log_open("unit", LOG_LEVEL_DEBUG);
	assert_int_equal(log_level(), LOG_LEVEL_DEBUG);
	log_debug("shown");
	assert_string_equal(words(logged()), "unit: shown\n");
	log_open("unit", LOG_LEVEL_ERROR);
	log_warn("not shown");
	log_error("shown");
	assert_string_equal(words(logged()), "unit: shown\n");
}

static void hostile_bytes_are_escaped(void **state)
{
	(void)state;
	log_info("%s", "a\nunit: forged\r\x1b[2J\x7f");
	assert_string_equal(words(logged()), "unit: a\\nunit: forged\\x0d\\x1b[2J\\x7f\n");
	log_info("%s", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x9f");
	assert_string_equal(words(logged()), "unit: gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x9f\n");
	/* overlong, surrogate, above U+10FFFF, lone continuation, cut off, C1 control, right-to-left override
	 */
	log_info("%s", "\xc0\xaf|\xed\xa0\x80|\xf4\x90\x80\x80|\x80|\xc2\x9b|\xe2\x80\xae|\xe2\x82");
	assert_string_equal(words(logged()), "unit: "
					     "\\xc0\\xaf|\\xed\\xa0\\x80|\\xf4\\x90\\x80\\x80|\\x80|"
					     "\\xc2\\x9b|\\xe2\\x80\\xae|\\xe2\\x82\n");
}

static void long_lines_stay_one_line(void **state)
{
	char big[20000];
	const char *line;

	(void)state;
	memset(big, 1, sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	log_info("%s", big);
	line = logged();
	assert_true(strlen(line) <= 4096);
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void errno_is_kept(void **state)
{
	(void)state;
	errno = EXDEV;
	log_info("x");
	assert_int_equal(errno, EXDEV);
}

static void *many_lines(void *arg)
{
	for (int i = 0; i < 100; i++)
		log_info("%s", (const char *)arg);
	return NULL;
}

static void threads_do_not_mix_lines(void **state)
{
	char a[101], b[101];
	pthread_t t[2];
	int lines = 0;
	char *save = NULL, *text;

	(void)state;
	fcntl(pipe_in, F_SETPIPE_SZ, 1 << 16);
	memset(a, 'a', 100);
	memset(b, 'b', 100);
	a[100] = b[100] = '\0';
	pthread_create(&t[0], NULL, many_lines, a);
	pthread_create(&t[1], NULL, many_lines, b);
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	text = strdup(logged());
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save), lines++)
		assert_true(strcmp(words(l) + 6, a) == 0 || strcmp(words(l) + 6, b) == 0);
	assert_int_equal(lines, 200);
	free(text);
}

static void why_says_it(void **state)
{
	struct why w = { 0 };

	(void)state;
	assert_int_equal(why_fail(&w, -EINVAL, "%s: no such %s", "config", "key"), -EINVAL);
	assert_int_equal(w.err, -EINVAL);
	assert_string_equal(w.text, "config: no such key");
	assert_int_equal(why_fail_errno(&w, -EBUSY, "cpu %d", 2), -EBUSY);
	assert_string_equal(w.text, "cpu 2: Device or resource busy");
	assert_int_equal(why_prefix(&w, "splitHW"), -EBUSY);
	assert_string_equal(w.text, "splitHW: cpu 2: Device or resource busy");
	why_clear(&w);
	assert_int_equal(w.err, 0);
	assert_string_equal(w.text, "");
}

static void why_may_be_null(void **state)
{
	(void)state;
	assert_int_equal(why_fail(NULL, -EINVAL, "x"), -EINVAL);
	assert_int_equal(why_fail_errno(NULL, -EPERM, "x"), -EPERM);
	assert_true(why_prefix(NULL, "x") < 0);
	why_clear(NULL);
}

static void why_takes_its_own_text(void **state)
{
	struct why w = { 0 };

	(void)state;
	why_fail(&w, -EIO, "inner");
	why_fail(&w, -EINVAL, "outer: %s", w.text);
	assert_string_equal(w.text, "outer: inner");
}

static void why_is_bounded_and_clean(void **state)
{
	struct why w = { 0 };
	char big[5000];

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	for (int i = 0; i < 5; i++)
		why_fail(&w, -EIO, "%s", big + i);
	assert_true(strlen(w.text) < WHY_MAX);
	assert_string_equal(w.text + strlen(w.text) - 3, "...");
	why_prefix(&w, "%s", big);
	assert_true(strlen(w.text) < WHY_MAX);
	why_fail(&w, -EIO, "two\nlines\n\n");
	assert_string_equal(w.text, "two\nlines");
	why_fail(&w, -EIO, "esc \x1b[31m");
	assert_string_equal(w.text, "esc \\x1b[31m");
}

static void err_text_knows_all(void **state)
{
	(void)state;
	assert_string_equal(err_text(-ENOENT), "No such file or directory");
	assert_string_equal(err_text(ENOENT), err_text(-ENOENT));
	assert_non_null(strstr(err_text(-99999), "99999"));
	assert_non_null(err_text(INT_MIN));
	assert_non_null(err_text(0));
}

#define piped(f) cmocka_unit_test_setup_teardown(f, to_pipe, close_pipe)

int main(void)
{
	const struct CMUnitTest tests[] = {
		piped(line_has_time_and_program),
		piped(level_drops),
		piped(hostile_bytes_are_escaped),
		piped(long_lines_stay_one_line),
		piped(errno_is_kept),
		piped(threads_do_not_mix_lines),
		cmocka_unit_test(why_says_it),
		cmocka_unit_test(why_may_be_null),
		cmocka_unit_test(why_takes_its_own_text),
		cmocka_unit_test(why_is_bounded_and_clean),
		cmocka_unit_test(err_text_knows_all),
	};

	return cmocka_run_group_tests_name("base_log", tests, NULL, NULL);
}
