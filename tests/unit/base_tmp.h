/* SPDX-License-Identifier: MIT */
/*
 * base_tmp.h: cmocka, and a directory of one's own below $TMPDIR for each test.
 *
 * Owns     tmp_setup makes the directory, opens it as tmp_dir; tmp_teardown removes it
 */
#ifndef TEST_BASE_TMP_H
#define TEST_BASE_TMP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cache/base/io.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char tmp_path[4096];
static int tmp_dir = -1;

static inline int tmp_setup(void **state)
{
	const char *base = getenv("TMPDIR");

	(void)state;
	snprintf(tmp_path, sizeof(tmp_path), "%s/diverfs-unit-XXXXXX", base && *base ? base : "/tmp");
	if (!mkdtemp(tmp_path))
		return -1;
	tmp_dir = open(tmp_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return tmp_dir < 0 ? -1 : 0;
}

static inline int tmp_teardown(void **state)
{
	(void)state;
	close(tmp_dir);
	return io_remove_tree(AT_FDCWD, tmp_path);
}

#define tmp_test(f) cmocka_unit_test_setup_teardown(f, tmp_setup, tmp_teardown)

#endif
