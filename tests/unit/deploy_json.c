/* SPDX-License-Identifier: MIT */
/* deploy_json.c: QMP's lines, good and broken. */
#include "deployers/qmp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char shutdown[] =
	"{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"SHUTDOWN\", \"data\": "
	"{\"guest\": true, "
	"\"list\": [1, {\"reason\": \"no\"}, \"]\"], \"reason\": \"guest-\\u0041\\\"reset\"}}\r";

static void finds(void **state)
{
	char out[64];

	(void)state;
	assert_true(json_find(shutdown, "event", out, sizeof(out)));
	assert_string_equal(out, "SHUTDOWN");
	assert_true(json_find(shutdown, "data.reason", out, sizeof(out)));
	assert_string_equal(out, "guest-?\"reset");
	assert_true(json_find(shutdown, "data.guest", out, sizeof(out)));
	assert_string_equal(out, "true");
	assert_true(json_find(shutdown, "timestamp.microseconds", out, sizeof(out)));
	assert_string_equal(out, "2");
}

static void does_not_find(void **state)
{
	char out[64], small[4];

	(void)state;
	assert_false(json_find(shutdown, "reason", out, sizeof(out)));
	assert_false(json_find(shutdown, "event.data", out, sizeof(out)));
	assert_false(json_find(shutdown, "even", out, sizeof(out)));
	assert_false(json_find(shutdown, "event", small, sizeof(small)));
	assert_false(json_find("", "a", out, sizeof(out)));
	assert_false(json_find("[1]", "a", out, sizeof(out)));
}

static void survives(void **state)
{
	static const char *const broken[] = {
		"{",
		"{\"",
		"{\"a",
		"{\"a\"",
		"{\"a\":",
		"{\"a\":\"",
		"{\"a\":\"\\",
		"{\"a\":[",
		"{\"a\":{\"b\":1,",
		"{\"b\":\"\\u00\"}",
		"{\"a\"::}",
		"{\"b\":[,],\"a\":1}",
		"{:}",
		"{\"a\":}",
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		assert_false(json_find(broken[i], "a", out, sizeof(out)));
	for (size_t len = 0; len < sizeof(shutdown) - 1; len++) {
		char *part = strndup(shutdown, len);
		json_find(part, "data.reason", out, sizeof(out));
		free(part);
	}
}

static void is_bounded_in_depth(void **state)
{
	char deep[4000] = "{\"x\":", out[8];

	(void)state;
	memset(deep + 5, '[', sizeof(deep) - 6);
	assert_false(json_find(deep, "a", out, sizeof(out)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds),
		cmocka_unit_test(does_not_find),
		cmocka_unit_test(survives),
		cmocka_unit_test(is_bounded_in_depth),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
