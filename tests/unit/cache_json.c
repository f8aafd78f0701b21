/* SPDX-License-Identifier: MIT */
/* cache_json.c: what is refused in JSON of strangers. */
#include "base_tmp.h"

#include "cache/json.h"
#include "cache/limits.h"

#include <errno.h>
#include <string.h>

static int load(const char *text, size_t len)
{
	struct why why = { 0 };
	json_t *j;
	int err = strict_load(text, len, "test", &j, &why);
	assert_true(err == 0 || why.text[0]);
	json_decref(j);
	return err;
}

static void documents(void **state)
{
	(void)state;
	static const char *const bad[] = { "", "[]", "1", "\"a\"", "{", "{}x", "{}{}", "{\"a\":1,\"a\":2}",
		"{\"a\":\"\\u0000\"}", "{\"a\":\"\xff\"}", "{\"a\":1e999}", "{\"a\":99999999999999999999}",
		"{a:1}", "{\"a\":01}", "{\"a\":1,}" };
	assert_int_equal(load("{\"a\":[1,2]}\n", 12), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(load(bad[i], strlen(bad[i])), -EBADMSG);
	assert_int_equal(load("{\"a\":1}\0", 8), -EBADMSG);
}

static void depth(void **state)
{
	(void)state;
	for (unsigned n = 1; n < 100000; n = n * 3 + 1) {
		struct buf b = { 0 };
		buf_puts(&b, "{\"a\":");
		for (unsigned i = 1; i < n; i++)
			buf_puts(&b, "[");
		buf_puts(&b, "\"[[[[\"");
		for (unsigned i = 1; i < n; i++)
			buf_puts(&b, "]");
		buf_puts(&b, "}");
		assert_int_equal(load(b.data, b.len), n <= MAX_JSON_DEPTH ? 0 : -EFBIG);
		assert_int_equal(strict_span(b.data, b.len), n <= MAX_JSON_DEPTH ? b.len : 0);
		buf_free(&b);
	}
}

static void members(void **state)
{
	(void)state;
	struct why why = { 0 };
	json_t *j, *list = NULL, *obj = NULL;
	uint64_t n = 7;
	const char *s = "kept";
	static const char text[] =
		"{\"f\":1.0,\"i\":5,\"neg\":-1,\"big\":9007199254740993,\"s\":\"x\",\"l\":[1,2,3],"
		"\"o\":{},\"null\":null}";
	assert_int_equal(strict_load(text, strlen(text), "test", &j, &why), 0);
	assert_int_equal(strict_number(j, "f", REQUIRED, 100, &n, &why), -EBADMSG);
	assert_int_equal(strict_number(j, "neg", REQUIRED, 100, &n, &why), -EBADMSG);
	assert_int_equal(strict_number(j, "big", REQUIRED, UINT64_MAX, &n, &why), -EBADMSG);
	assert_int_equal(strict_number(j, "s", REQUIRED, 100, &n, &why), -EBADMSG);
	assert_int_equal(strict_number(j, "i", REQUIRED, 4, &n, &why), -EFBIG);
	assert_int_equal(strict_number(j, "none", REQUIRED, 4, &n, &why), -EBADMSG);
	assert_int_equal(strict_number(j, "none", OPTIONAL, 4, &n, &why), 0);
	assert_int_equal(n, 7);
	assert_int_equal(strict_number(j, "i", REQUIRED, 5, &n, &why), 0);
	assert_int_equal(n, 5);
	assert_int_equal(strict_text(j, "i", OPTIONAL, &s, &why), -EBADMSG);
	assert_int_equal(strict_text(j, "null", OPTIONAL, &s, &why), 0);
	assert_string_equal(s, "kept");
	assert_int_equal(strict_list(j, "l", REQUIRED, 2, &list, &why), -EFBIG);
	assert_int_equal(strict_list(j, "o", REQUIRED, 2, &list, &why), -EBADMSG);
	assert_int_equal(strict_object(j, "l", REQUIRED, &obj, &why), -EBADMSG);
	assert_int_equal(strict_object(j, "o", REQUIRED, &obj, &why), 0);
	json_decref(j);
}

static void spans(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		size_t len;
	} cases[] = { { "{}", 2 }, { "{\"}\":\"\\\"\"},x", 10 }, { "\"a\\\\\",", 5 }, { "12,", 2 },
		{ "true]", 4 }, { "[1,[2]]]", 7 }, { "{", 0 }, { "\"abc", 0 }, { "\"\\", 0 }, { "", 0 } };
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(strict_span(cases[i].text, strlen(cases[i].text)), cases[i].len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(documents),
		cmocka_unit_test(depth),
		cmocka_unit_test(members),
		cmocka_unit_test(spans),
	};
	return cmocka_run_group_tests_name("cache_json", tests, NULL, NULL);
}
