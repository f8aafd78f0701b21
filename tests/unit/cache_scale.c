/* SPDX-License-Identifier: MIT */
/*
 * cache_scale.c: a tree of 100,000 files is packed, opened and walked; what that costs is printed and
 * bounded.
 *
 * The artifact is put together by hand: making 100,000 files on a disk takes longer than all the rest.
 */
#include "cache_rig.h"

#include "cache/artifact.h"
#include "cache/layer.h"
#include "cache/publish_layout.h"

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

static void put_sources(struct layer_writer *w, int fd)
{
	struct why why = { 0 };
	for (int d = 0; d < DIRS; d++) {
		char path[64], text[64];
		snprintf(path, sizeof(path), "directory-%03d", d);
		assert_int_equal(layer_put_dir(w, path, &why), 0);
		for (int i = 0; i < FILES; i++) {
			snprintf(path, sizeof(path), "directory-%03d/some-source-file-%03d.c", d, i);
			int n = snprintf(text, sizeof(text), "int f_%d_%d(void);\n", d, i);
			assert_int_equal(pwrite(fd, text, (size_t)n, 0), n);
			assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
			assert_int_equal(layer_put_file(w, path, false, fd, (uint64_t)n, &why), 0);
		}
	}
}

static json_t *put_layer(struct layout_out *o)
{
	struct why why = { 0 };
	struct blob_out blob;
	struct layer_written done;
	put_text("source", "");
	autoclose int fd = openat(tmp_dir, "source", O_RDWR | O_CLOEXEC);
	assert_int_equal(layout_blob_begin(o, &blob, &why), 0);
	struct layer_writer *w = layer_writer_new(blob.fd, 9);
	put_sources(w, fd);
	assert_int_equal(layer_writer_finish(w, &done, &why), 0);
	layer_writer_free(w);
	assert_int_equal(layout_blob_end(o, &blob, &done.digest, &why), 0);
	json_t *layer = descriptor_new(MT_TAR_ZSTD, &done.digest, done.size);
	json_object_set_new(done.annotations, NOTE_TITLE, json_string("src.tar.zst"));
	json_object_set_new(layer, "annotations", done.annotations);
	return layer;
}

static void put_artifact(void)
{
	static const char config[] = "{\"name\":\"big\"}";
	struct why why = { 0 };
	struct layout_out o;
	struct digest d;
	struct buf text = { 0 };
	assert_int_equal(layout_out_open(&o, at("layout"), &why), 0);
	json_t *layer = put_layer(&o);
	assert_int_equal(layout_blob_put(&o, config, strlen(config), &d, &why), 0);
	json_t *m = json_pack("{s:i,s:s,s:o,s:[o]}", "schemaVersion", 2, "artifactType", MT_KERNEL, "config",
		descriptor_new(MT_CONFIG, &d, strlen(config)), "layers", layer);
	strict_dump(m, &text);
	assert_int_equal(layout_blob_put(&o, text.data, text.len, &d, &why), 0);
	assert_int_equal(layout_tag(&o, "big:1", &d, text.len, &why), 0);
	json_decref(m);
	buf_free(&text);
	layout_out_close(&o);
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
	uint64_t start = clock_mono_ns();
	put_artifact();
	print_message("packed in %.1f s\n", seconds(start));
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
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they keep what is freed */
	assert_in_range(more, 0, 20 << 10);
#endif
	view_put(v);

	start = clock_mono_ns();
	assert_int_equal(rig_view(&r, "big", "1", &v), 0);
	print_message("opened again in %.4f s\n", seconds(start));
	view_put(v);
	rig_close(&r);
}

RUN("cache_scale", tmp_test(a_hundred_thousand_files))
