/* SPDX-License-Identifier: MIT */
/* fs_fingerprint.c: what changes a fingerprint, and what does not. */
#include "base_tmp.h"

#include "fs/fingerprint.h"

#include <string.h>
#include <sys/stat.h>

static uint64_t of_src(void)
{
	uint64_t hash;
	bool empty;

	assert_int_equal(fingerprint_tree(tmp_dir, "src", &hash, &empty), 0);
	return hash;
}

static void put(const char *path, const char *text, mode_t mode)
{
	assert_int_equal(io_write_file(tmp_dir, path, text, strlen(text), mode, false), 0);
}

static void sees_every_change(void **state)
{
	uint64_t was, is;
	bool empty;

	(void)state;
	assert_int_equal(fingerprint_tree(tmp_dir, "src", &was, &empty), 0);
	assert_true(empty);
	assert_int_equal(io_mkdirs(tmp_dir, "src/d", 0755), 0);
	put("src/d/a", "one", 0644);
	was = of_src();
	put("src/d/a", "two", 0644);
	is = of_src();
	assert_true(was != is);
	put("src/d/a", "one", 0644);
	assert_true(of_src() == was);
	put("src/d/a", "one", 0755);
	assert_true(of_src() != was);
	put("src/d/a", "one", 0600); /* who may read it does not count */
	assert_true(of_src() == was);
	assert_int_equal(renameat(tmp_dir, "src/d/a", tmp_dir, "src/d/b"), 0);
	assert_true(of_src() != was);
	assert_int_equal(symlinkat("b", tmp_dir, "src/d/a"), 0);
	is = of_src();
	assert_int_equal(unlinkat(tmp_dir, "src/d/a", 0), 0);
	assert_int_equal(symlinkat("c", tmp_dir, "src/d/a"), 0);
	assert_true(of_src() != is);
}

static void strings_do_not_run_together(void **state)
{
	const char *a[] = { "ab", "c", NULL }, *b[] = { "a", "bc", NULL };

	(void)state;
	assert_true(fingerprint_strings(1, a) != fingerprint_strings(1, b));
	assert_true(fingerprint_strings(1, a) != fingerprint_strings(2, a));
	assert_true(fingerprint_strings(1, a) == fingerprint_strings(1, a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		tmp_test(sees_every_change),
		cmocka_unit_test(strings_do_not_run_together),
	};

	return cmocka_run_group_tests_name("fs_fingerprint", tests, NULL, NULL);
}
