/* SPDX-License-Identifier: MIT */
/* base_forward.c: PROTOCOL:[HOST:]PORT->PORT. */
#include "base_tmp.h"

#include "cache/base/forward.h"

#include <errno.h>
#include <string.h>

static void comes_back(const char *text, const char *full)
{
	autobuf struct buf b = { 0 };
	struct forward f;
	struct why why = { 0 };

	assert_int_equal(forward_parse("net", text, &f, &why), 0);
	forward_put(&b, &f);
	assert_string_equal(b.data, full);
}

static void reads_and_writes(void **state)
{
	(void)state;
	comes_back("tcp:80->81", "tcp:127.0.0.1:80->81");
	comes_back("udp:0.0.0.0:65535->1", "udp:0.0.0.0:65535->1");
	comes_back("tcp:auto->1", "tcp:127.0.0.1:auto->1");
	comes_back("tcp:10.1.2.3:0->1", "tcp:10.1.2.3:auto->1");
}

static void says_what_is_wrong(void **state)
{
	static const struct {
		const char *text, *words;
	} bad[] = {
		{ "", "is not PROTOCOL" },
		{ "tcp", "is not PROTOCOL" },
		{ "tcp:", "is not PROTOCOL" },
		{ "sctp:1->1", "is not PROTOCOL" },
		{ "tcp:1", "is not PROTOCOL" },
		{ "->tcp:1", "is not PROTOCOL" },
		{ "tcp:->1", "host's port" },
		{ "tcp:x->1", "host's port" },
		{ "tcp:65536->1", "host's port" },
		{ "tcp:-1->1", "host's port" },
		{ "tcp:000001->1", "host's port" },
		{ "tcp:1->", "machine's port" },
		{ "tcp:1->0", "machine's port" },
		{ "tcp:1->auto", "machine's port" },
		{ "tcp:1->1,restrict=off", "machine's port" },
		{ "tcp:1->1->1", "machine's port" },
		{ "tcp::1->1", "not an IPv4 address" },
		{ "tcp:localhost:1->1", "not an IPv4 address" },
		{ "tcp:1.2.3.4.5:1->1", "not an IPv4 address" },
		{ "tcp:[::1]:1->1", "not an IPv4 address" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct forward f;
		struct why why = { 0 };

		assert_int_equal(forward_parse("net", bad[i].text, &f, &why), -EINVAL);
		if (!strstr(why.text, bad[i].words))
			fail_msg("%s: \"%s\" does not say \"%s\"", bad[i].text, why.text, bad[i].words);
	}
}

static void same_port(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} rows[] = {
		{ "tcp:1->1", "tcp:1->2", true },
		{ "tcp:1->1", "udp:1->1", false },
		{ "tcp:1->1", "tcp:2->1", false },
		{ "tcp:auto->1", "tcp:auto->1", false },
		{ "tcp:127.0.0.2:1->1", "tcp:1->1", false },
		{ "tcp:0.0.0.0:1->1", "tcp:1->1", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct forward a, b;

		assert_int_equal(forward_parse("net", rows[i].a, &a, NULL), 0);
		assert_int_equal(forward_parse("net", rows[i].b, &b, NULL), 0);
		assert_int_equal(forward_same_port(&a, &b), rows[i].same);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_writes),
		cmocka_unit_test(says_what_is_wrong),
		cmocka_unit_test(same_port),
	};

	return cmocka_run_group_tests_name("base_forward", tests, NULL, NULL);
}
