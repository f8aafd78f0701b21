/* SPDX-License-Identifier: MIT */
/* cache_kernel.c: kernel.conf, read strictly and leniently, and its way into JSON and back. */
#include "base_tmp.h"

#include "cache/kernel_raw.h"

#include <errno.h>
#include <string.h>

#define GOOD                                                                                                 \
	"name = org/sort\nversion = 1.0\narch = x86_64\nmodes = fullVM splitVM\nimage = images/a.elf\n"      \
	"cmdline = console=ttyS0  quiet\nmemory = 16M\nmemory_min = 4M\ncpus = 2\ncpus_max = 4\nstdout = "   \
	"console\nterminal = stdin\n"                                                                        \
	"template = app\nbuild = make OUT=\"$OUT\" APP=\"$APP\"\ntools = make gcc\n"                         \
	"fullVM.memory = 1.5G\nsplitVM.image = images/b.elf\nsplitVM.cmdline =\n"

static int parse(struct kernel_conf *k, const char *text, bool strict, struct why *why)
{
	memset(why, 0, sizeof(*why));
	return kernel_conf_parse(k, text, strlen(text), strict, why);
}

static void check_good(const struct kernel_conf *k)
{
	const struct kernel_launch *full = &k->launch[MODE_FULLVM], *split = &k->launch[MODE_SPLITVM];
	assert_string_equal(k->name, "org/sort");
	assert_string_equal(k->build, "make OUT=\"$OUT\" APP=\"$APP\"");
	assert_string_equal(k->tools, "make gcc");
	assert_string_equal(k->template_dir, "app");
	assert_string_equal(k->license, "");
	assert_true(k->stdout_console);
	assert_true(full->supported && split->supported && !k->launch[MODE_SPLITHW].supported);
	assert_int_equal(full->memory, 1536u << 20);
	assert_int_equal(split->memory, 16u << 20);
	assert_int_equal(full->memory_min, 4u << 20);
	assert_int_equal(full->cpus, 2);
	assert_int_equal(full->cpus_max, 4);
	assert_string_equal(full->image, "images/a.elf");
	assert_string_equal(split->image, "images/b.elf");
	assert_string_equal(full->cmdline, "console=ttyS0  quiet");
	assert_string_equal(split->cmdline, ""); /* an empty override overrides */
	assert_string_equal(full->initrd, "");
}

static void reads_all_keys(void **state)
{
	(void)state;
	struct kernel_conf k;
	struct why why;
	int err = parse(&k, GOOD, true, &why);
	assert_string_equal(why.text, "");
	assert_int_equal(err, 0);
	check_good(&k);
	kernel_conf_free(&k);
}

static void fills_in_what_is_missing(void **state)
{
	(void)state;
	struct kernel_conf k;
	struct why why;
	assert_int_equal(parse(&k, "", false, &why), 0);
	assert_int_equal(k.launch[0].cpus, 1);
	assert_int_equal(k.launch[0].cpus_max, 1);
	assert_true(k.launch[0].memory >= k.launch[0].memory_min);
	assert_false(k.stdout_console);
	kernel_conf_free(&k);
	assert_int_equal(parse(&k, "memory_min = 1G\ncpus = 3\n", false, &why), 0);
	assert_int_equal(k.launch[0].memory, 1u << 30);
	assert_int_equal(k.launch[0].cpus_max, 3);
	kernel_conf_free(&k);
}

static void refused(const char *extra, const char *words)
{
	struct kernel_conf k;
	struct why why;
	autofree char *text = xasprintf("%s%s", GOOD, extra);
	assert_int_equal(parse(&k, text, true, &why), -EINVAL);
	if (!strstr(why.text, words))
		fail_msg("\"%s\" does not say \"%s\"", why.text, words);
	kernel_conf_free(&k);
}

static void refuses_what_is_wrong(void **state)
{
	struct kernel_conf k;
	struct why why;

	(void)state;
	assert_int_equal(parse(&k, "terminal = shell\nname = x\n", true, &why), -EINVAL);
	assert_null(strstr(why.text, "terminal"));
	kernel_conf_free(&k);
	assert_int_equal(parse(&k, "terminal = teletype\n", true, &why), -EINVAL);
	assert_non_null(strstr(why.text, "terminal"));
	kernel_conf_free(&k);
	refused("colour = red\n", "cmdline"); /* lists the keys */
	refused("colour = red\n", "line 19");
	refused("name = again\n", "twice");
	refused("splitHW.memory = 12X\n", "memory");
	refused("splitHW.memory = 2T\n", "memory");
	refused("splitHW.memory = 4K\n", "memory");
	refused("splitHW.memory = 2M\n", "memory_min");
	refused("splitHW.cpus = 300\n", "cpus");
	refused("splitHW.cpus = 5\n", "cpus_max");
	refused("splitHW.cpus = 0\n", "cpus");
	refused("initrd = ../../etc/passwd\n", "initrd");
	refused("initrd = /etc/passwd\n", "initrd");
	refused("initrd = images//x\n", "initrd");
	refused("splitHW.image = images/\n", "image");
	refused("splitHW.cmdline = \"a\\nb\"\n", "cmdline");
	refused("machine = vax\n", "machine");
	refused("console = teletype\n", "console");
	refused("otherVM.memory = 1M\n", "unknown key");
	refused("fullVM.name = x\n", "unknown key");
	refused(".memory = 1M\n", "line 19");
}

static void one_line(const char *text, bool ok)
{
	struct kernel_conf k;
	struct why why;
	assert_int_equal(parse(&k, text, false, &why), ok ? 0 : -EINVAL);
	kernel_conf_free(&k);
}

static void names_follow_the_grammar(void **state)
{
	(void)state;
	static const char *const good[] = { "a", "a/b/c", "a-b", "a--b", "a.b", "a_b", "a__b", "0" };
	static const char *const bad[] = { "A", "a/", "/a", "a//b", "a..b", "a___b", "-a", "a-", "..", "a b",
		"a:b", "é" };
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_true(name_is_repository(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(name_is_repository(bad[i]));
	assert_true(name_is_tag("1.0-rc_1"));
	assert_true(name_is_tag("_x"));
	assert_false(name_is_tag(""));
	assert_false(name_is_tag(".1"));
	assert_false(name_is_tag("-1"));
	assert_false(name_is_tag(".."));
	assert_false(name_is_tag("a/b"));
	one_line("name = A\n", false);
	one_line("version = a/b\n", false);
}

static void lenient_reading_ignores_what_is_new(void **state)
{
	(void)state;
	one_line("colour = red\nmachine = q35\nmodes = otherVM fullVM\notherVM.memory = 5\n", true);
	one_line("memory = lots\n", false);
	struct kernel_conf k;
	struct why why;
	assert_int_equal(kernel_conf_parse(&k, "a\0b", 3, false, &why), -EINVAL);
	kernel_conf_free(&k);
}

static void json_and_back(void **state)
{
	(void)state;
	struct kernel_raw raw, back;
	struct kernel_conf k;
	struct why why = { 0 };
	struct buf text = { 0 }, first = { 0 }, second = { 0 };
	json_t *parsed, *j;
	assert_int_equal(kernel_raw_parse(&raw, GOOD, strlen(GOOD), true, &why), 0);
	j = kernel_raw_to_json(&raw);
	strict_dump(j, &first);
	assert_int_equal(strict_load(first.data, first.len, "config", &parsed, &why), 0);
	assert_int_equal(kernel_raw_from_json(&back, parsed, &why), 0);
	kernel_raw_put(&back, &text);
	assert_int_equal(parse(&k, text.data, true, &why), 0);
	check_good(&k);
	json_t *again = kernel_raw_to_json(&back);
	strict_dump(again, &second);
	assert_string_equal(first.data, second.data);
	assert_string_equal(back.top[TOP_TERMINAL], "stdin");
	kernel_conf_free(&k);
	kernel_raw_free(&raw);
	kernel_raw_free(&back);
	json_decref(j);
	json_decref(parsed);
	json_decref(again);
	buf_free(&text);
	buf_free(&first);
	buf_free(&second);
}

static void json_refused(const char *text)
{
	struct kernel_raw raw;
	struct why why = { 0 };
	json_t *j;
	assert_int_equal(strict_load(text, strlen(text), "config", &j, &why), 0);
	assert_int_equal(kernel_raw_from_json(&raw, j, &why), -EBADMSG);
	kernel_raw_free(&raw);
	json_decref(j);
}

static void json_of_strangers(void **state)
{
	(void)state;
	json_refused("{\"name\":1}");
	json_refused("{\"modes\":\"fullVM\"}");
	json_refused("{\"modes\":[1]}");
	json_refused("{\"boot\":{}}");
	json_refused("{\"boot\":[1]}");
	json_refused("{\"boot\":[{\"memory\":\"16M\"}]}");
	json_refused("{\"boot\":[{\"memory\":1.5}]}");
	json_refused("{\"boot\":[{\"cpus\":-1}]}");
	json_refused("{\"boot\":[{},{}]}");
	json_refused("{\"boot\":[{\"mode\":\"fullVM\"},{\"mode\":\"fullVM\"}]}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_all_keys),
		cmocka_unit_test(fills_in_what_is_missing),
		cmocka_unit_test(refuses_what_is_wrong),
		cmocka_unit_test(names_follow_the_grammar),
		cmocka_unit_test(lenient_reading_ignores_what_is_new),
		cmocka_unit_test(json_and_back),
		cmocka_unit_test(json_of_strangers),
	};
	return cmocka_run_group_tests_name("cache_kernel", tests, NULL, NULL);
}
