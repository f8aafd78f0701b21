/* SPDX-License-Identifier: MIT */
/* deploy_plan.c: the plan's grammar and the command line that guests parse (guest.h section 2). */
#include "deployers/guest.h"
#include "deployers/plan.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static int parse(const char *text, struct plan *p, struct why *why)
{
	return plan_parse(text, strlen(text), p, why);
}

static void reads_all_keys(void **state)
{
	struct plan p;
	struct why why = { 0 };

	(void)state;
	assert_int_equal(
		parse("name = n\nimage = /i\ncmdline = \"a b\"\narg = 1\narg = \"\"\nmemory = 33554432\ncpus "
		      "= 2\n"
		      "machine = pc\naccel = kvm\nstreams = console\ntee = yes\ntimeout = 3\norphan = 2\n"
		      "net = restricted\nforward = tcp:127.0.0.1:auto->80\nforward = udp:0.0.0.0:5->6\n"
		      "disk = /d\ndisk_write = yes\nsome_later_key = x\n",
			&p, &why),
		0);
	assert_string_equal(p.image, "/i");
	assert_string_equal(p.cmdline, "a b");
	assert_int_equal(p.args.count, 2);
	assert_int_equal(p.memory_bytes, 33554432);
	assert_int_equal(p.cpus, 2);
	assert_int_equal(p.machine, MACHINE_PC);
	assert_int_equal(p.accel, ACCEL_KVM);
	assert_int_equal(p.streams, STREAMS_CONSOLE);
	assert_true(p.tee);
	assert_int_equal(p.orphan_ms, 2000);
	assert_int_equal(p.net, NET_RESTRICTED);
	assert_int_equal(p.forwards.count, 2);
	assert_string_equal(p.disk, "/d");
	assert_true(p.disk_write);
	plan_free(&p);
}

static void refuses_bad_values(void **state)
{
	static const char *const bad[] = {
		"cpus = 0\n",
		"cpus = x\n",
		"memory = 1\n",
		"machine = vax\n",
		"accel = auto\n",
		"streams = no\n",
		"tee = 3\n",
		"timeout = -1\n",
		"net = bridge\n",
		"forward = 80\n",
		"disk_write = x\n",
		"no equals sign\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct plan p;
		struct why why = { 0 };
		assert_true(parse(bad[i], &p, &why) < 0);
		assert_non_null(strstr(why.text, "plan: line 1"));
	}
}

static void check_line(const char *plan, const char *expected)
{
	autobuf struct buf line = { 0 };
	struct plan p;
	struct why why = { 0 };

	assert_int_equal(parse(plan, &p, &why), 0);
	assert_int_equal(plan_command_line(&p, &line, &why), 0);
	assert_string_equal(line.data ? line.data : "", expected);
	plan_free(&p);
}

static void joins_arguments(void **state)
{
	(void)state;
	check_line("", "");
	check_line("cmdline = quiet x=1\n", "quiet x=1");
	check_line("arg = 7\n", "-- 7");
	check_line("cmdline = v\narg = a/b:c\narg = \"\"\n", "v -- a/b:c \"\"");
	check_line("arg = \"a b\"\narg = \"q\\\"b\\\\s\"\n", "-- \"a b\" \"q\\\"b\\\\s\"");
	check_line("arg = \"l\\nt\\t\"\narg = \"\\xc3\\xa9\"\n", "-- \"l\\x0at\\x09\" \"\\xc3\\xa9\"");
	check_line("arg = --\narg = $x\n", "-- -- \"$x\"");
}

static void bounds_the_line(void **state)
{
	autobuf struct buf text = { 0 }, line = { 0 };
	struct plan p;
	struct why why = { 0 };

	(void)state;
	buf_puts(&text, "cmdline = ");
	for (unsigned i = 0; i < GUEST_CMDLINE_MAX; i++)
		buf_puts(&text, "a");
	buf_puts(&text, "\n");
	assert_int_equal(parse(text.data, &p, &why), 0);
	assert_int_equal(plan_command_line(&p, &line, &why), 0);
	plan_free(&p);
	buf_puts(&text, "arg = b\n");
	buf_clear(&line);
	assert_int_equal(parse(text.data, &p, &why), 0);
	assert_int_equal(plan_command_line(&p, &line, &why), -E2BIG);
	plan_free(&p);
	assert_int_equal(parse("cmdline = \"a\\nb\"\n", &p, &why), 0);
	assert_int_equal(plan_command_line(&p, &line, &why), -EINVAL);
	plan_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_all_keys),
		cmocka_unit_test(refuses_bad_values),
		cmocka_unit_test(joins_arguments),
		cmocka_unit_test(bounds_the_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
