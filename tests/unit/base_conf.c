/* SPDX-License-Identifier: MIT */
/* base_conf.c: the grammar of every text of ours, both ways, and against garbage. */
#include "base_tmp.h"

#include "cache/base/conf.h"

#include <errno.h>
#include <string.h>

struct seen {
	struct buf text; /* "line:key=value;" for each */
	int answer;
};

static int see(void *arg, unsigned line, const char *key, const char *value, struct why *why)
{
	struct seen *s = arg;

	buf_printf(&s->text, "%u:%s=%s;", line, key, value);
	if (s->answer == -ENOENT)
		return why_fail(why, -ENOENT, "%s: unknown key", key);
	return s->answer;
}

static void parses(const char *text, const char *want)
{
	struct seen s = { 0 };
	struct why w = { 0 };
	int r = conf_parse(text, strlen(text), see, &s, &w);

	assert_string_equal(w.text, "");
	assert_int_equal(r, 0);
	assert_string_equal(s.text.data ? s.text.data : "", want);
	buf_free(&s.text);
}

static void refuses_len(const char *text, size_t len, const char *want)
{
	struct seen s = { 0 };
	struct why w = { 0 };

	assert_int_equal(conf_parse(text, len, see, &s, &w), -EINVAL);
	assert_int_equal(w.err, -EINVAL);
	if (!strstr(w.text, want))
		fail_msg("\"%s\" does not say \"%s\"", w.text, want);
	assert_int_equal(conf_parse(text, len, see, &s, NULL), -EINVAL);
	buf_free(&s.text);
}

static void refuses(const char *text, const char *want)
{
	refuses_len(text, strlen(text), want);
}

static void plain_values(void **state)
{
	(void)state;
	parses("", "");
	parses("a = b\n", "1:a=b;");
	parses("a=b", "1:a=b;");
	parses("\n\n \t a.b_2\t=\t b c \t\n", "3:a.b_2=b c;");
	parses("a =\nb=", "1:a=;2:b=;");
	parses("a = b = c\r\nd = e\r\n", "1:a=b = c;2:d=e;");
	parses("a = say \"hi\" \\n", "1:a=say \"hi\" \\n;");
	parses("name = gr\xc3\xbc\xc3\x9f", "1:name=gr\xc3\xbc\xc3\x9f;");
}

static void comments(void **state)
{
	(void)state;
	parses("# one\n  # two\na = b # three\n", "3:a=b;");
	parses("a = b#c", "1:a=b#c;");
	parses("a = b#c #d #e", "1:a=b#c;");
	parses("a = # nothing", "1:a=;");
	parses("a =#b", "1:a=#b;");
	parses("a = \"b\"\t# c", "1:a=b;");
}

static void quoted_values(void **state)
{
	(void)state;
	parses("a = \"  x # y  \"", "1:a=  x # y  ;");
	parses("a = \"\"", "1:a=;");
	parses("a = \"\\\"\\\\\\n\\t\\x41\\xC3\\xbc\"  ", "1:a=\"\\\n\tA\xc3\xbc;");
	parses("a = \"\\xff\"", "1:a=\xff;");
}

static void wrong_lines(void **state)
{
	(void)state;
	refuses("a = b\nfoo\n", "line 2: ");
	refuses("= b", "no key");
	refuses("A = b", "line 1");
	refuses("1a = b", "line 1");
	refuses("a b = c", "line 1");
	refuses("a-b = c", "line 1");
	refuses("a = \"b", "closing quote is missing");
	refuses("a = \"b\\", "backslash");
	refuses("a = \"b\" c", "after the closing quote");
	refuses("a = \"b\"#c", "after the closing quote");
	refuses("a = \"\\q\"", "backslash");
	refuses("a = \"\\x4\"", "hexadecimal");
	refuses("a = \"\\x4", "hexadecimal");
	refuses("a = \"\\x00\"", "NUL");
	refuses("a = b\rc", "0x0d");
	refuses("a = b\r", "0x0d");
	refuses("a = \x1b", "0x1b");
	refuses("# \x7f", "0x7f");
	refuses("a = \xff", "UTF-8");
	refuses("a = \xed\xa0\x80", "UTF-8");
	refuses_len("a = b\0c\n", 8, "0x00");
}

static void callers_words_get_the_line(void **state)
{
	struct seen s = { .answer = -ENOENT };
	struct why w = { 0 };
	const char *text = "# x\n\nfoo = 1\nbar = 2\n";

	(void)state;
	assert_int_equal(conf_parse(text, strlen(text), see, &s, &w), -ENOENT);
	assert_string_equal(w.text, "line 3: foo: unknown key");
	assert_string_equal(s.text.data, "3:foo=1;");
	s.answer = -EPERM; /* fails without words */
	assert_int_equal(conf_parse(text, strlen(text), see, &s, &w), -EPERM);
	assert_string_equal(w.text, "line 3: foo: Operation not permitted");
	buf_free(&s.text);
}

static void put_is_readable(void **state)
{
	autobuf struct buf b = { 0 };

	(void)state;
	conf_put(&b, "a", "plain text, \"quoted\" inside, c:\\dir, x#y");
	conf_put(&b, "b", "");
	conf_put(&b, "c", " x");
	conf_put(&b, "d", "a # b");
	conf_put(&b, "e", "#");
	conf_put(&b, "f", "\"");
	conf_put(&b, "g", "1\n2\t\x01\xff");
	conf_putf(&b, "h", "%d%%", 5);
	assert_string_equal(b.data, "a = plain text, \"quoted\" inside, c:\\dir, x#y\n"
				    "b =\n"
				    "c = \" x\"\n"
				    "d = \"a # b\"\n"
				    "e = \"#\"\n"
				    "f = \"\\\"\"\n"
				    "g = \"1\\n2\\t\\x01\\xff\"\n"
				    "h = 5%\n");
}

/* A generator of our own, so that a failure comes back with the same seed on any C library. */
static uint32_t rnd(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

static int want_value(void *arg, unsigned line, const char *key, const char *value, struct why *why)
{
	(void)why;
	assert_int_equal(line, 1);
	assert_string_equal(key, "k.0_z");
	assert_string_equal(value, (const char *)arg);
	return 0;
}

static void any_value_comes_back(void **state)
{
	static const char odd[] = "\"\\# \t\n\r='abc\xc3\xbc\xe2\x80\xae\x7f";
	uint32_t seed = 20260101;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		char value[64];
		size_t len = rnd(&seed) % 40;
		struct buf b = { 0 };
		struct why w = { 0 };

		for (size_t j = 0; j < len; j++) {
			uint32_t r = rnd(&seed);

			value[j] = i % 2 ? (char)(r % 255 + 1) : odd[r % (sizeof(odd) - 1)];
		}
		value[len] = '\0';
		conf_put(&b, "k.0_z", value);
		if (conf_parse(b.data, b.len, want_value, value, &w) != 0)
			fail_msg("turn %d: %s: %s", i, w.text, b.data);
		assert_ptr_equal(memchr(b.data, '\n', b.len), b.data + b.len - 1);
		buf_free(&b);
	}
}

static int ignore(void *arg, unsigned line, const char *key, const char *value, struct why *why)
{
	(void)line;
	(void)why;
	*(size_t *)arg += strlen(key) + strlen(value);
	return 0;
}

static void garbage_never_crashes(void **state)
{
	static const char odd[] = "\"\\# \t\n\r=ax0.";
	uint32_t seed = 7;
	size_t sum = 0;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		size_t len = rnd(&seed) % 60;
		char *text =
			malloc(len ? len : 1); /* exactly as long, so that a sanitizer sees a step too far */
		struct why w;

		for (size_t j = 0; j < len; j++)
			text[j] = i % 3 ? odd[rnd(&seed) % (sizeof(odd) - 1)] : (char)rnd(&seed);
		if (conf_parse(text, len, ignore, &sum, &w) != 0)
			assert_memory_equal(w.text, "line ", 5);
		free(text);
	}
}

static void size_is(const char *text, uint64_t want)
{
	struct why w = { 0 };
	uint64_t n = 0;

	if (conf_size("memory", text, 0, UINT64_MAX, &n, &w) != 0)
		fail_msg("%s", w.text);
	assert_true(n == want);
}

static void size_refused(const char *text)
{
	uint64_t n = 99;

	if (conf_size("memory", text, 0, UINT64_MAX, &n, NULL) != -EINVAL)
		fail_msg("%s was taken as %llu", text, (unsigned long long)n);
	assert_true(n == 99);
}

static void sizes(void **state)
{
	static const char *const wrong[] = { "", "M", "-1", "+1", " 1", "1 ", "1 M", "12X", "1MB", "1Mi",
		"1MiBx", "0x10", "1.", ".5G", "1.5", "1.1K", "1.0000000000000000001K", "18446744073709551616",
		"16777216T", "99999999999999999999G", "1e3", "1P", "1.5.5G", "\xff" };

	(void)state;
	size_is("0", 0);
	size_is("65536", 65536);
	size_is("512K", 512 << 10);
	size_is("64M", 64 << 20);
	size_is("64MiB", 64 << 20);
	size_is("64m", 64 << 20);
	size_is("1G", 1 << 30);
	size_is("1.5G", 3ull << 29);
	size_is("1.50G", 3ull << 29);
	size_is("2.0", 2);
	size_is("3T", 3ull << 40);
	size_is("18446744073709551615", UINT64_MAX);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		size_refused(wrong[i]);
}

static void size_limits_are_said(void **state)
{
	struct why w = { 0 };
	uint64_t n;

	(void)state;
	conf_size("memory", "12X", 0, 100, &n, &w);
	assert_string_equal(w.text, "memory: 12X is not a size (try 64M)");
	conf_size("memory", "8M", 16 << 20, 64 << 20, &n, &w);
	assert_string_equal(w.text, "memory: 8M is too little; the least is 16M");
	conf_size("memory", "1G", 16 << 20, 64 << 20, &n, &w);
	assert_string_equal(w.text, "memory: 1G is too much; the most is 64M");
	conf_size("memory", "", 0, 100, &n, &w);
	assert_string_equal(w.text, "memory: the value is missing (try 64M)");
}

static void size_text(uint64_t n, const char *want)
{
	autobuf struct buf b = { 0 };

	conf_put_size(&b, n);
	assert_string_equal(b.data, want);
	size_is(b.data, n);
}

static void sizes_are_shown_short(void **state)
{
	uint32_t seed = 3;

	(void)state;
	size_text(0, "0");
	size_text(512, "512");
	size_text(1000, "1000");
	size_text(1024, "1K");
	size_text(1536, "1536");
	size_text(65536, "64K");
	size_text(64 << 20, "64M");
	size_text(1536 << 20, "1.5G");
	size_text(1ull << 40, "1T");
	size_text(UINT64_MAX, "18446744073709551615");
	size_text(UINT64_MAX - 1023, "18014398509481983K");
	for (int i = 0; i < 20000; i++) {
		uint64_t n = ((uint64_t)rnd(&seed) << 32 | rnd(&seed)) >> rnd(&seed) % 64 << rnd(&seed) % 40;
		struct buf b = { 0 };

		conf_put_size(&b, n);
		size_is(b.data, n);
		buf_free(&b);
	}
}

static void numbers_and_words(void **state)
{
	static const char *const modes[] = { "fullVM", "splitVM", NULL };
	struct why w = { 0 };
	uint64_t n;
	bool b;

	(void)state;
	assert_int_equal(conf_number("cpus", "12", 1, 16, &n, &w), 0);
	assert_int_equal(n, 12);
	assert_int_equal(conf_number("cpus", "17", 1, 16, &n, &w), -EINVAL);
	assert_string_equal(w.text, "cpus: 17 is not between 1 and 16");
	assert_int_equal(conf_number("cpus", "two", 1, 16, &n, &w), -EINVAL);
	assert_string_equal(w.text, "cpus: two is not a number (try 1)");
	assert_int_equal(conf_number("cpus", "1K", 1, 16, &n, &w), -EINVAL);
	assert_int_equal(conf_number("cpus", "-1", 0, UINT64_MAX, &n, &w), -EINVAL);
	assert_int_equal(conf_number("cpus", "18446744073709551616", 0, UINT64_MAX, &n, &w), -EINVAL);
	assert_int_equal(conf_number("cpus", "18446744073709551615", 0, UINT64_MAX, &n, &w), 0);
	assert_int_equal(conf_bool("gdb", "on", &b, &w), 0);
	assert_true(b);
	assert_int_equal(conf_bool("gdb", "false", &b, &w), 0);
	assert_false(b);
	assert_int_equal(conf_bool("gdb", "maybe", &b, &w), -EINVAL);
	assert_string_equal(w.text, "gdb: maybe is not on or off (try on)");
	assert_int_equal(conf_word("mode", "splitVM", modes, &w), 1);
	assert_int_equal(conf_word("mode", "splitvm", modes, &w), -EINVAL);
	assert_string_equal(w.text, "mode: splitvm is not one of fullVM, splitVM");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_values),
		cmocka_unit_test(comments),
		cmocka_unit_test(quoted_values),
		cmocka_unit_test(wrong_lines),
		cmocka_unit_test(callers_words_get_the_line),
		cmocka_unit_test(put_is_readable),
		cmocka_unit_test(any_value_comes_back),
		cmocka_unit_test(garbage_never_crashes),
		cmocka_unit_test(sizes),
		cmocka_unit_test(size_limits_are_said),
		cmocka_unit_test(sizes_are_shown_short),
		cmocka_unit_test(numbers_and_words),
	};

	return cmocka_run_group_tests_name("base_conf", tests, NULL, NULL);
}
