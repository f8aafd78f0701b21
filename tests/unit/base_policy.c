/* SPDX-License-Identifier: MIT */
/* base_policy.c: `delegate` as users write it, and as no user would. */
#include "cache/base/policy.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The rules that (text) makes, or "error". */
static const char *rules(const char *text)
{
	static struct buf out;
	struct why why = { 0 };

	buf_clear(&out);
	buf_puts(&out, "");
	if (policy_parse(text, strlen(text), &out, &why) < 0)
		return *why.text ? "error" : "an error without words";
	return out.len ? out.data : "";
}

static void makes_numbers(void **state)
{
	(void)state;
	assert_string_equal(rules(""), "");
	assert_string_equal(rules("# nothing\n\n  \t\n"), "");
	assert_string_equal(rules("refuse all"), "refuse all\n");
	assert_string_equal(rules(" allow\tread,1,openat  /a b/c \r\nrefuse all /"), "allow 0,1,257 /a b/c\nrefuse all /\n");
	assert_non_null(strstr(rules("refuse @net"), "41,"));
	assert_string_equal(rules("refuse 511"), "refuse 511\n");
	assert_string_equal(rules("tell openat /etc\ntell all"), "tell 257 /etc\ntell all\n");
}

static void refuses_what_an_agent_would(void **state)
{
	static const char *const bad[] = { "refuse", "allow ", "deny all", "refuse nosuch", "refuse read,", "refuse ,read",
		"refuse all,read", "refuse -1", "refuse 512", "refuse 99999999999999999999", "refuse 0x10", "refuse 1 a",
		"refuse all etc", "refuse @nosuch", "refuse read read", "allow all\nrefuse" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_string_equal(rules(bad[i]), "error");
	assert_int_equal(policy_parse("refuse\0all", 10, NULL, &(struct why){ 0 }), -EINVAL);
}

static void is_bounded(void **state)
{
	char *text = calloc(1, POLICY_TEXT_MAX + 2);
	struct buf out = { 0 };
	struct why why = { 0 };

	(void)state;
	memset(text, '#', POLICY_TEXT_MAX + 1);
	assert_int_equal(policy_parse(text, POLICY_TEXT_MAX, &out, &why), 0);
	assert_int_equal(policy_parse(text, POLICY_TEXT_MAX + 1, &out, &why), -EFBIG);
	for (size_t n = 0; n + 13 <= POLICY_TEXT_MAX; n += 13) /* short words for long lists */
		memcpy(text + n, "refuse @path\n", 13);
	assert_int_equal(policy_parse(text, POLICY_TEXT_MAX / 13 * 13, &out, &why), -EFBIG);
	assert_int_equal(out.len, 0);
	buf_free(&out);
	free(text);
}

/* Whatever is accepted is lines of the form that agent.h promises. */
static void assert_rules(const char *text)
{
	for (const char *end; *text; text = end + 1) {
		end = strchr(text, '\n');
		assert_non_null(end);
		assert_true(!strncmp(text, "allow ", 6) || !strncmp(text, "refuse ", 7) ||
			    !strncmp(text, "tell ", 5));
		text = strchr(text, ' ') + 1;
		assert_true(!strncmp(text, "all", 3) || strspn(text, "0123456789,") > 0);
	}
}

static void survives_noise(void **state)
{
	static const char *const words[] = { "allow", "refuse", "tell", " ", "\n", "all", "read", ",", "/etc",
		"@net", "@path", "511", "#", "\t", "\r", "-", "//", "\xff" };

	(void)state;
	srandom(3);
	for (int n = 0; n < 20000; n++) {
		char text[256] = "";

		for (long k = random() % 16; k; k--)
			strcat(text, words[(size_t)random() % (sizeof(words) / sizeof(words[0]))]);
		if (*text && random() % 4 == 0)
			text[(size_t)random() % strlen(text)] = (char)(random() % 255 + 1);
		const char *made = rules(text);
		assert_string_not_equal(made, "an error without words");
		if (strcmp(made, "error"))
			assert_rules(made);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(makes_numbers),
		cmocka_unit_test(refuses_what_an_agent_would),
		cmocka_unit_test(is_bounded),
		cmocka_unit_test(survives_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
