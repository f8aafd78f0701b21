/* SPDX-License-Identifier: MIT */
/* fs_config.c: what users write into config, and what becomes of it with a kernel's defaults. */
#include "base_tmp.h"

#include "fs/config.h"
#include "fs/config_device.h"

#include <errno.h>
#include <string.h>

static int parse(struct config *c, const char *text, struct why *why)
{
	why_clear(why);
	return config_parse(c, text, strlen(text), why);
}

static void refuses(const char *text, const char *words)
{
	struct config c;
	struct why why = { 0 };

	assert_int_equal(parse(&c, text, &why), -EINVAL);
	if (!strstr(why.text, words))
		fail_msg("\"%s\" does not say \"%s\"", why.text, words);
	assert_null(c.args); /* nothing is left to free */
}

static void reads_all_keys(void **state)
{
	struct config c;
	struct why why = { 0 };

	(void)state;
	assert_int_equal(
		parse(&c,
			"kernel = a/b:1.0 # c\nmode = fullVM\nmemory = 64M\ncpus = 2\ncmdline = x y\n"
			"args = a 'b c' \"d\\\"e\" f\\ g\nmachine = pc\naccel = tcg\nconsole = serial\n"
			"build = make all\ntimeout = 2m",
			&why),
		0);
	assert_string_equal(c.kernel, "a/b");
	assert_string_equal(c.reference, "1.0");
	assert_int_equal(c.mode, MODE_FULLVM);
	assert_int_equal(c.memory, 64 << 20);
	assert_int_equal(c.cpus, 2);
	assert_string_equal(c.cmdline, "x y");
	assert_int_equal(c.nargs, 4);
	assert_string_equal(c.args[1], "b c");
	assert_string_equal(c.args[2], "d\"e");
	assert_string_equal(c.args[3], "f g");
	assert_null(c.args[4]);
	assert_string_equal(c.build, "make all");
	assert_int_equal(c.timeout_s, 120);
	config_free(&c);
}

static void empty_is_fine(void **state)
{
	struct config c;
	struct why why = { 0 };

	(void)state;
	assert_int_equal(parse(&c, "\n# nothing\n", &why), 0);
	assert_null(c.kernel);
	assert_int_equal(c.mode, -1);
	assert_int_equal(c.nargs, 0);
	assert_non_null(c.args);
	config_free(&c);
}

static void says_what_is_wrong(void **state)
{
	(void)state;
	refuses("memory = 1M\nkernle = x\n",
		"line 2: there is no key 'kernle'; the keys are kernel, mode, memory");
	refuses("kernel = a\nkernel = b\n", "line 2: kernel is given twice");
	refuses("mode = fullvm\n", "splitVM");
	refuses("memory = 1K\n", "memory");
	refuses("memory = lots\n", "memory");
	refuses("cpus = 0\n", "cpus");
	refuses("timeout = -1\n", "timeout");
	refuses("timeout = 9999999999h\n", "timeout");
	refuses("args = 'a\n", "closing '");
	refuses("cmdline = \"a\\nb\"\n", "cmdline");
	refuses("build =\n", "build");
	refuses("accel = fast\n", "accel");
}

static void kernel_names(void **state)
{
	static const char *const bad[] = { "", "A", "a//b", "/a", "a/", "a:", ":1", "a@sha256:12", "../a",
		"a:-x", "-a", "a b", "a@1.0", "a-" };
	char *name, *ref;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(config_split_kernel(bad[i], &name, &ref, NULL), -EINVAL);
		assert_null(name);
	}
	assert_int_equal(config_split_kernel("reef", &name, &ref, NULL), 0);
	assert_string_equal(name, "reef");
	assert_null(ref);
	free(name);
	assert_int_equal(config_split_kernel("a.b-c/d_e:V1", &name, &ref, NULL), 0);
	assert_string_equal(ref, "V1");
	free(name);
	free(ref);
	assert_int_equal(
		config_split_kernel("x@sha256:"
				    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
			&name, &ref, NULL),
		0);
	assert_int_equal(strlen(ref), 71);
	free(name);
	free(ref);
}

static void versions(void **state)
{
	static const char *const rising[] = { "0.9", "1.0-rc1", "1.0-rc2", "1.0", "1.0.1", "1.2", "1.10", "2",
		"10" };
	const size_t n = sizeof(rising) / sizeof(rising[0]);

	(void)state;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n; k++)
			assert_int_equal(config_version_higher(rising[i], rising[k]), i > k);
}

static const char kernel_text[] =
	"name = k\nversion = 1\narch = x86_64\nmodes = fullVM\nimage = images/k.elf\n"
	"memory = 16M\nmemory_min = 4M\ncpus = 1\ncpus_max = 2\nmachine = microvm\nbuild = make\n";

static void settles_with_the_kernel(void **state)
{
	struct kernel_conf k;
	struct config c;
	struct settings s;
	struct why why = { 0 };

	(void)state;
	assert_int_equal(kernel_conf_parse(&k, kernel_text, strlen(kernel_text), true, &why), 0);
	assert_int_equal(parse(&c, "machine = pc\ncmdline =\n", &why), 0);
	assert_int_equal(config_settle(&c, &k, -1, &s, &why), 0);
	assert_int_equal(s.mode, MODE_FULLVM);
	assert_int_equal(s.memory, 16 << 20);
	assert_string_equal(s.machine, "pc");
	assert_string_equal(s.accel, "auto");
	assert_string_equal(s.build, "make");
	assert_string_equal(s.image, "images/k.elf");
	assert_int_equal(config_settle(&c, &k, MODE_SPLITVM, &s, &why), -EOPNOTSUPP);
	config_free(&c);
	assert_int_equal(parse(&c, "memory = 2M\n", &why), 0);
	assert_int_equal(config_settle(&c, &k, -1, &s, &why), -EINVAL);
	assert_non_null(strstr(why.text, "4M"));
	config_free(&c);
	assert_int_equal(parse(&c, "cpus = 3\n", &why), 0);
	assert_int_equal(config_settle(&c, &k, -1, &s, &why), -EINVAL);
	config_free(&c);
	assert_int_equal(parse(&c, "exec = /bin/ls\n", &why), 0);
	assert_int_equal(config_settle(&c, &k, -1, &s, &why), 0); /* the mode is not chosen yet */
	assert_int_equal(config_settle(&c, &k, MODE_FULLVM, &s, &why), -EINVAL);
	assert_non_null(strstr(why.text, "splitVM"));
	config_free(&c);
	kernel_conf_free(&k);
}

static void devices(void **state)
{
	struct config c;
	struct why why = { 0 };

	(void)state;
	assert_int_equal(
		parse(&c, "net = user restrict tcp:auto->80 udp:0.0.0.0:53->53\ndisk = /a b rw", &why), 0);
	assert_string_equal(c.net, "restricted");
	assert_int_equal(c.nforwards, 2);
	assert_int_equal(c.forwards[0].host_port, 0);
	assert_string_equal(c.forwards[0].host, "127.0.0.1");
	assert_true(c.forwards[1].udp);
	assert_string_equal(c.disk, "/a b");
	assert_true(c.disk_write);
	assert_int_equal(config_check_devices(&c, MODE_FULLVM, &why), 0);
	assert_int_equal(config_check_devices(&c, MODE_SPLITVM, &why), -EINVAL);
	config_free(&c);
	assert_int_equal(parse(&c, "net = none\ndisk = /rw", &why), 0);
	assert_false(c.disk_write);
	assert_string_equal(c.disk, "/rw");
	config_free(&c);
	refuses("net = none user\n", "do not go together");
	refuses("net = user tcp:1->1 tcp:1->2\n", "forwarded twice");
	refuses("net = tcp:1->1\n", "needs a network");
	refuses("disk = a\n", "not an absolute path");
	refuses("disk =\n", "not an absolute path");
}

/* Whatever it is, it is refused or read, and nothing leaks or crashes. */
static void garbage_never_crashes(void **state)
{
	static const char piece[] = "kernel=a:1\nargs='\"\\ \n#memory mode@\x80\x00";
	char text[64];

	(void)state;
	srand(7);
	for (int i = 0; i < 20000; i++) {
		size_t n = (size_t)rand() % sizeof(text);
		struct config c;

		for (size_t k = 0; k < n; k++)
			text[k] = piece[(size_t)rand() % sizeof(piece)];
		if (config_parse(&c, text, n, NULL) == 0)
			config_free(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_all_keys),
		cmocka_unit_test(empty_is_fine),
		cmocka_unit_test(says_what_is_wrong),
		cmocka_unit_test(kernel_names),
		cmocka_unit_test(versions),
		cmocka_unit_test(settles_with_the_kernel),
		cmocka_unit_test(devices),
		cmocka_unit_test(garbage_never_crashes),
	};

	return cmocka_run_group_tests_name("fs_config", tests, NULL, NULL);
}
