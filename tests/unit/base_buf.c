/* SPDX-License-Identifier: MIT */
/* base_buf.c: bytes that grow, and their final NUL. */
#include "base_tmp.h"

#include "cache/base/buf.h"

#include <string.h>

static void grows_and_ends_in_nul(void **state)
{
	autobuf struct buf b = { 0 };

	(void)state;
	for (int i = 0; i < 10000; i++) {
		char c = (char)i;

		buf_append(&b, &c, 1);
		assert_int_equal(b.data[b.len], 0);
	}
	assert_int_equal(b.len, 10000);
	for (int i = 0; i < 10000; i++)
		assert_int_equal(b.data[i], (char)i);
}

static void prints(void **state)
{
	autobuf struct buf b = { 0 };
	char big[3000];

	(void)state;
	memset(big, 'y', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	buf_printf(&b, "%d-%s", 42, "x");
	assert_string_equal(b.data, "42-x");
	buf_printf(&b, "%s", big);
	assert_int_equal(b.len, 4 + 2999);
	assert_string_equal(b.data + 4, big);
	buf_printf(&b, "%s", "");
	assert_int_equal(b.len, 4 + 2999);
	for (size_t n = 0; n < 300; n++) { /* every place where the room could be short by one */
		autobuf struct buf c = { 0 };

		buf_printf(&c, "%.*s", (int)n, big);
		assert_int_equal(c.len, n);
		assert_int_equal(strlen(c.data), n);
	}
}

static void puts_words_of_a_shell(void **state)
{
	autobuf struct buf b = { 0 };

	(void)state;
	buf_put_word(&b, "/a-b/c");
	buf_puts(&b, " ");
	buf_put_word(&b, "it's $HOME");
	buf_puts(&b, " ");
	buf_put_word(&b, "");
	assert_string_equal(b.data, "/a-b/c 'it'\\''s $HOME' ''");
}

static void reserve_leaves_nul_behind(void **state)
{
	autobuf struct buf b = { 0 };

	(void)state;
	buf_puts(&b, "abcdefghij");
	buf_clear(&b);
	memcpy(buf_reserve(&b, 100), "xy", 2);
	b.len += 2;
	assert_string_equal(b.data, "xy");
	memset(buf_reserve(&b, 1000), 'z', 1000);
	b.len += 1000;
	assert_int_equal(strlen(b.data), 1002);
	assert_non_null(buf_reserve(&b, 0));
}

static void consumes(void **state)
{
	autobuf struct buf b = { 0 };

	(void)state;
	buf_consume(&b, 5);
	buf_puts(&b, "hello world");
	buf_consume(&b, 6);
	assert_string_equal(b.data, "world");
	buf_consume(&b, 0);
	assert_string_equal(b.data, "world");
	buf_consume(&b, 5);
	assert_int_equal(b.len, 0);
	assert_string_equal(b.data, "");
	buf_puts(&b, "x");
	buf_consume(&b, 100);
	assert_int_equal(b.len, 0);
}

static void steals(void **state)
{
	struct buf b = { 0 };
	char *p = buf_steal(&b);

	(void)state;
	assert_string_equal(p, "");
	free(p);
	buf_puts(&b, "mine");
	p = buf_steal(&b);
	assert_string_equal(p, "mine");
	assert_null(b.data);
	assert_int_equal(b.len, 0);
	free(p);
	buf_clear(&b);
	buf_free(&b);
}

static void copies_strings(void **state)
{
	autofree char *a = xstrdup("abc"), *b = xstrndup("abc", 2), *c = xstrndup("abc", 9);
	autofree char *d = xasprintf("%s/%d", a, 3);
	autofree void *e = xmalloc(0), *f = xcalloc(0, 8);

	(void)state;
	assert_string_equal(a, "abc");
	assert_string_equal(b, "ab");
	assert_string_equal(c, "abc");
	assert_string_equal(d, "abc/3");
	assert_non_null(e);
	assert_non_null(f);
	e = xrealloc(e, 10);
	memset(e, 1, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_and_ends_in_nul),
		cmocka_unit_test(prints),
		cmocka_unit_test(puts_words_of_a_shell),
		cmocka_unit_test(reserve_leaves_nul_behind),
		cmocka_unit_test(consumes),
		cmocka_unit_test(steals),
		cmocka_unit_test(copies_strings),
	};

	return cmocka_run_group_tests_name("base_buf", tests, NULL, NULL);
}
