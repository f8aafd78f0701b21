/* SPDX-License-Identifier: MIT */
/* cache_scale.c: a tree of 100,000 files is published, opened and walked; what that costs is printed and
 * bounded. */
#include "cache_rig.h"

#include <malloc.h>

#define DIRS  400
#define FILES 250

static long rss_kib(void)
{
	struct buf text = { 0 };
	long kib = 0;
	assert_int_equal(io_read_file(AT_FDCWD, "/proc/self/status", 1 << 16, &text), 0);
	const char *line = strstr(text.data, "VmRSS:");
	assert_non_null(line);
	kib = atol(line + 6);
	buf_free(&text);
	return kib;
}

static void make_files(void)
{
	put_text("k/kernel.conf",
		"name = big\nversion = 1\narch = x86_64\nmodes = fullVM\nimage = images/k\n");
	put_text("k/README.md", "# big\n");
	put_text("k/images/k", "image\n");
	for (int d = 0; d < DIRS; d++) {
		autofree char *dir = xasprintf("k/src/directory-%03d", d);
		assert_int_equal(io_mkdirs(tmp_dir, dir, 0755), 0);
		autoclose int dirfd = openat(tmp_dir, dir, O_RDONLY | O_DIRECTORY);
		for (int i = 0; i < FILES; i++) {
			char name[64], text[64];
			snprintf(name, sizeof(name), "some-source-file-%03d.c", i);
			int n = snprintf(text, sizeof(text), "int f_%d_%d(void);\n", d, i);
			autoclose int fd = openat(dirfd, name, O_WRONLY | O_CREAT, 0644);
			assert_int_equal(write(fd, text, (size_t)n), n);
		}
	}
}

static double seconds(uint64_t since)
{
	return (double)(clock_mono_ns() - since) / 1e9;
}

static void a_hundred_thousand_files(void **state)
{
	(void)state;
	struct rig r;
	struct view *v;
	struct entry e;
	make_files();
	uint64_t start = clock_mono_ns();
	publish_to("k", "layout", NULL, NULL);
	print_message("published in %.1f s\n", seconds(start));
	malloc_trim(0);

	rig_open(&r, "cache", "layout");
	long before = rss_kib();
	start = clock_mono_ns();
	assert_int_equal(rig_view(&r, "big", "1", &v), 0);
	print_message("opened first in %.2f s, %ld KiB more\n", seconds(start), rss_kib() - before);
	assert_true(view_count(v) > DIRS * FILES);

	start = clock_mono_ns();
	for (int d = 0; d < DIRS; d++) {
		autofree char *path = xasprintf("src/directory-%03d/some-source-file-%03d.c", d, d % FILES);
		assert_int_equal(view_path(v, path, &e), 0);
	}
	for (uint32_t i = 0; i < view_count(v); i++) {
		struct entry child;
		assert_int_equal(view_entry(v, i, &e), 0);
		if (i > 0)
			assert_int_equal(view_lookup(v, e.parent, e.name, &child), 0);
	}
	long more = rss_kib() - before;
	print_message("walked in %.3f s, %ld KiB more\n", seconds(start), more);
	assert_in_range(more, 0, 20 << 10);
	view_put(v);

	start = clock_mono_ns();
	assert_int_equal(rig_view(&r, "big", "1", &v), 0);
	print_message("opened again in %.4f s\n", seconds(start));
	view_put(v);
	rig_close(&r);
}

RUN("cache_scale", tmp_test(a_hundred_thousand_files))
