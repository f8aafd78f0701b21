/* SPDX-License-Identifier: MIT */
/* cache_layer.c: the writer of layers against tar, zstd and the reader. */
#include "cache_rig.h"

#include "cache/layer.h"
#include "cache/limits.h"

#include <sys/wait.h>

static int sh(const char *fmt, ...)
{
	autobuf struct buf cmd = { 0 };
	va_list ap;
	va_start(ap, fmt);
	buf_vprintf(&cmd, fmt, ap);
	va_end(ap);
	int status = system(cmd.data);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void put_file(struct layer_writer *w, const char *path, const void *data, size_t len, bool x)
{
	struct why why = { 0 };
	put_bytes("in", data, len);
	int fd = open(at("in"), O_RDONLY);
	assert_int_equal(layer_put_file(w, path, x, fd, len, &why), 0);
	close(fd);
}

/* A tree of the layer that was written to the file "layer"; or the error. */
static int read_back(const struct layer_written *done, struct tree **t, struct why *why)
{
	struct toc_place place;
	uint32_t src;
	struct buf blob = { 0 }, out = { 0 };
	struct digest d = { { 1 } };
	struct tree_build *b = tree_build_new();
	assert_int_equal(io_read_file(tmp_dir, "layer", 1 << 30, &blob), 0);
	assert_int_equal(blob.len, done->size);
	digest_of(blob.data, blob.len, &d);
	assert_true(digest_equal(&d, &done->digest));
	assert_int_equal(layer_toc_place(done->annotations, done->size, &place, why), 0);
	assert_int_equal(
		tree_add(b, TREE_ROOT, "src", &(struct tree_item){ .kind = ITEM_DIR }, &src, why), 0);
	int err = layer_toc_add(b, src, &done->digest, done->size, &place, blob.data + place.off, why);
	if (!err)
		err = tree_build_finish(b, &d, &out, why);
	if (!err)
		err = tree_open_heap(&out, &d, t);
	tree_build_free(b);
	buf_free(&blob);
	buf_free(&out);
	return err;
}

static void check_file(const struct tree *t, const char *path, const char *data, size_t len)
{
	struct entry e;
	struct buf blob = { 0 };
	assert_int_equal(tree_path(t, path, &e), 0);
	assert_int_equal(e.size, len);
	const struct tree_entry *f = tree_file(t, e.index);
	assert_int_equal(io_read_file(tmp_dir, "layer", 1 << 30, &blob), 0);
	for (uint64_t off = 0; off < len;) {
		const struct tree_chunk *c = &t->chunks[tree_chunk_at(t, f, off)];
		char *raw = xmalloc(c->raw);
		struct digest d;
		struct why why = { 0 };
		assert_int_equal(zstd_unpack(blob.data + c->blob_off, c->packed, raw, c->raw, &why), 0);
		digest_of(raw, c->raw, &d);
		assert_true(digest_equal(&d, &c->digest));
		assert_memory_equal(raw, data + off, c->raw);
		off += c->raw;
		free(raw);
	}
	buf_free(&blob);
}

static void writes_what_tar_reads(void **state)
{
	(void)state;
	struct why why = { 0 };
	struct layer_written done;
	struct tree *t = NULL;
	struct entry e;
	char deep[400], wide[300], target[200];
	autofree char *big = noise(3 * LAYER_CHUNK + 5, 1), *exact = noise(LAYER_CHUNK, 2);
	memset(deep, 'd', sizeof(deep));
	for (size_t i = 90; i < sizeof(deep); i += 90)
		deep[i] = '/';
	deep[sizeof(deep) - 1] = 0;
	memset(wide, 'w', 250);
	wide[250] = 0;
	memset(target, 't', 150);
	target[150] = 0;

	int fd = open(at("layer"), O_RDWR | O_CREAT, 0644);
	struct layer_writer *w = layer_writer_new(fd, 3);
	put_file(w, "a", "x", 1, true);
	put_file(w, "big", big, 3 * LAYER_CHUNK + 5, false);
	assert_int_equal(layer_put_dir(w, "dir", &why), 0);
	put_file(w, "dir/exact", exact, LAYER_CHUNK, false);
	put_file(w, "empty", "", 0, false);
	assert_int_equal(layer_put_hard(w, "hard", "big", &why), 0);
	assert_int_equal(layer_put_link(w, "link", "/etc/passwd", &why), 0);
	assert_int_equal(layer_put_link(w, "long-link", target, &why), 0);
	put_file(w, deep, "deep", 4, false);
	put_file(w, wide, "wide", 4, false);
	put_file(w, "ünïcode ☃", "u", 1, false);
	assert_int_equal(layer_writer_finish(w, &done, &why), 0);
	layer_writer_free(w);
	close(fd);
	assert_int_equal(done.entries, 11);

	assert_int_equal(read_back(&done, &t, &why), 0);
	check_file(t, "src/a", "x", 1);
	check_file(t, "src/big", big, 3 * LAYER_CHUNK + 5);
	check_file(t, "src/hard", big, 3 * LAYER_CHUNK + 5);
	check_file(t, "src/dir/exact", exact, LAYER_CHUNK);
	check_file(t, "src/empty", "", 0);
	check_file(t, in("src", deep), "deep", 4);
	check_file(t, in("src", wide), "wide", 4);
	check_file(t, "src/ünïcode ☃", "u", 1);
	assert_int_equal(tree_path(t, "src/link", &e), 0);
	assert_string_equal(e.target, "/etc/passwd");
	assert_int_equal(tree_path(t, "src/a", &e), 0);
	assert_int_equal(e.mode, 0555);
	assert_int_equal(t->chunks[0].layer, 0);
	tree_unref(t);
	json_decref(done.annotations);

	autofree char *layer = xstrdup(at("layer"));
	if (sh("command -v zstd >/dev/null") != 0)
		skip();
	assert_int_equal(sh("mkdir %s && zstd -dcq < %s | tar x -C %s", at("x"), layer, at("x")), 0);
	holds("x/big", big, 3 * LAYER_CHUNK + 5);
	holds("x/dir/exact", exact, LAYER_CHUNK);
	holds("x/empty", "", 0);
	holds(in("x", deep), "deep", 4);
	holds(in("x", wide), "wide", 4);
	holds("x/ünïcode ☃", "u", 1);
	assert_int_equal(sh("test %s -ef %s", at("x/hard"), at("x/big")), 0);
	assert_int_equal(sh("test \"$(readlink %s)\" = %s", at("x/long-link"), target), 0);
	assert_int_equal(sh("test $(zstd -dcq < %s | tar t | wc -l) = 11", layer), 0);
}

static void refuses_while_writing(void **state)
{
	(void)state;
	struct why why = { 0 };
	int fd = open(at("layer"), O_RDWR | O_CREAT, 0644);
	struct layer_writer *w = layer_writer_new(fd, 3);
	char name[MAX_NAME_LEN + 2];
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = 0;
	assert_int_equal(layer_put_dir(w, name, &why), -EFBIG);
	assert_int_equal(layer_put_link(w, "l", "\xff", &why), -EILSEQ);
	put_bytes("in", "abc", 3);
	int short_fd = open(at("in"), O_RDONLY);
	assert_int_equal(layer_put_file(w, "f", false, short_fd, 10, &why), -EBUSY);
	close(short_fd);
	layer_writer_free(w);
	close(fd);
}

static void chunks_of_images_stay_small(void **state)
{
	(void)state;
	assert_int_equal(layer_image_chunk_size(0), 128 << 10);
	assert_int_equal(layer_image_chunk_size(UINT64_C(1) << 29), 128 << 10);
	assert_int_equal(layer_image_chunk_size(UINT64_C(1) << 30), 256 << 10);
	for (uint64_t total = 1; total < UINT64_C(1) << 38; total = total * 2 + 1) {
		uint64_t chunk = layer_image_chunk_size(total), table = total / chunk * 128 / 3;
		assert_true(table < MAX_CONFIG * 9 / 10);
		/* 4 KiB of what has up to 1 GiB: the chunk and its table, with 64 KiB left for the rest */
		if (total <= UINT64_C(1) << 30)
			assert_true(chunk + table <= (512 - 64) << 10);
	}
}

RUN("cache_layer", tmp_test(writes_what_tar_reads), tmp_test(refuses_while_writing),
	tmp_test(chunks_of_images_stay_small))
