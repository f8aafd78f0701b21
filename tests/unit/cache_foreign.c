/* SPDX-License-Identifier: MIT */
/* cache_foreign.c: layers of other tools: plain tar, gzip, zstd, eStargz; packages of kraftkit. */
#include "cache_craft.h"

#include "cache/layer.h"

#include <zlib.h>

static void make_source(void)
{
	put_text("s/app/main.c", MAIN_C);
	put_noise("s/big.bin", BIG_SIZE, 7);
	put_text("s/empty", "");
	put_text("s/run.sh", "#!/bin/sh\n");
	run_command("cd %s && chmod 755 s/run.sh && ln -sf app/main.c s/link && ln -f s/app/main.c s/hard.c",
		at("."));
}

static void shows_source(struct rig *r, struct view *v)
{
	struct entry e, hard;
	autofree char *big = noise(BIG_SIZE, 7);
	assert_int_equal(rig_cat(r, v, "src/app/main.c"), 0);
	assert_string_equal(r->data.data, MAIN_C);
	assert_int_equal(rig_cat(r, v, "src/big.bin"), 0);
	assert_int_equal(r->data.len, BIG_SIZE);
	assert_memory_equal(r->data.data, big, BIG_SIZE);
	assert_int_equal(rig_cat(r, v, "src/empty"), 0);
	assert_int_equal(r->data.len, 0);
	assert_int_equal(view_path(v, "src/run.sh", &e), 0);
	assert_int_equal(e.mode, 0555);
	assert_int_equal(view_path(v, "src/link", &e), 0);
	assert_string_equal(e.target, "app/main.c");
	assert_int_equal(view_path(v, "src/hard.c", &hard), 0);
	assert_int_equal(view_path(v, "src/app/main.c", &e), 0);
	assert_int_equal(e.index, hard.index);
}

static uint64_t fetched(struct rig *r)
{
	struct cache_usage u;
	cache_usage(r->cache, &u);
	return u.fetched;
}

static void reads_archives(void **state)
{
	(void)state;
	static const char *const kinds[][3] = {
		{ "tar cf", MT_TAR, "src.tar" }, { "tar czf", MT_TAR "+gzip", "src.tar.gz" },
		{ "tar --zstd -cf", MT_TAR_ZSTD, "src.tar.zst" },
		{ "tar --format=pax -cf", MT_TAR, "src.tar" },
		{ "tar czf", MT_TAR, "src.tar" }, /* mislabelled: the content decides */
	};
	make_source();
	for (int i = 0; i < 5; i++) {
		struct rig r;
		struct view *v;
		autofree char *layout = xasprintf("l%d", i), *cache = xasprintf("c%d", i);
		run_command("cd %s && %s a -C s .", at("."), kinds[i][0]);
		craft_kernel(layout, craft_file(layout, kinds[i][1], "a"), kinds[i][2], "k:1");
		rig_open_foreign(&r, cache, layout);
		int err = rig_view(&r, "k", "1", &v);
		assert_string_equal(r.why.text, "");
		assert_int_equal(err, 0);
		uint64_t before = fetched(&r);
		shows_source(&r, v);
		assert_int_equal(fetched(&r), before); /* it was fetched whole, once */
		view_put(v);
		rig_close(&r);
		/* the content was evicted: the archive is read again */
		run_command("rm -f %s/packs/*", at(cache));
		rig_open_foreign(&r, cache, layout);
		assert_int_equal(rig_view(&r, "k", "1", &v), 0);
		shows_source(&r, v);
		view_put(v);
		rig_close(&r);
	}
}

/* --- eStargz ---------------------------------------------------------------------------------- */

static void put_member(struct buf *out, const void *data, size_t len)
{
	z_stream z = { 0 };
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
	char *to = buf_reserve(out, len + 1000);
	z.next_in = (Bytef *)(uintptr_t)data;
	z.avail_in = (uInt)len;
	z.next_out = (Bytef *)to;
	z.avail_out = (uInt)len + 1000;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	out->len += z.total_out;
	deflateEnd(&z);
}

static void put_header(struct buf *out, const char *name, size_t size)
{
	autobuf struct buf header = { 0 };
	tar_header(&header, &(struct tar_member){ .path = name, .type = '0', .mode = 0644, .size = size });
	put_member(out, header.data, header.len);
}

static json_t *entry(const char *name, const char *type, size_t size)
{
	return json_pack(
		"{s:s, s:s, s:I, s:i}", "name", name, "type", type, "size", (json_int_t)size, "mode", 33261);
}

static void set_chunk(json_t *e, const char *data, size_t len, size_t off, size_t at, size_t inner)
{
	char text[DIGEST_TEXT_LEN + 1];
	struct digest d;
	digest_of(data, len, &d);
	digest_text(&d, text);
	json_object_set_new(e, "offset", json_integer((json_int_t)off));
	json_object_set_new(e, "chunkDigest", json_string(text));
	if (at)
		json_object_set_new(e, "chunkOffset", json_integer((json_int_t)at));
	if (inner)
		json_object_set_new(e, "innerOffset", json_integer((json_int_t)inner));
}

/* Two small files in one member, a large one in chunks. (toc) is the table's digest. */
static void make_estargz(struct buf *out, char toc[DIGEST_TEXT_LEN + 1])
{
	autojson json_t *entries = json_array();
	autofree char *big = noise(BIG_SIZE, 7);
	json_t *e;
	put_header(out, "app/main.c", strlen(MAIN_C));
	autobuf struct buf both = { 0 };
	buf_puts(&both, MAIN_C);
	buf_puts(&both, "#!/bin/sh\n");
	e = entry("app/main.c", "reg", strlen(MAIN_C));
	set_chunk(e, MAIN_C, strlen(MAIN_C), out->len, 0, 0);
	json_array_append_new(entries, e);
	e = entry("run.sh", "reg", 10);
	set_chunk(e, "#!/bin/sh\n", 10, out->len, 0, strlen(MAIN_C));
	json_array_append_new(entries, e);
	put_member(out, both.data, both.len);
	put_header(out, "big.bin", BIG_SIZE);
	for (size_t at = 0; at < BIG_SIZE; at += 150000) {
		size_t n = BIG_SIZE - at < 150000 ? BIG_SIZE - at : 150000;
		e = at ? json_pack("{s:s, s:s}", "name", "big.bin", "type", "chunk")
		       : entry("big.bin", "reg", BIG_SIZE);
		set_chunk(e, big + at, n, out->len, at, 0);
		if (at + n < BIG_SIZE)
			json_object_set_new(e, "chunkSize", json_integer((json_int_t)n));
		json_array_append_new(entries, e);
		put_member(out, big + at, n);
	}
	json_array_append_new(entries, entry("empty", "reg", 0));
	json_array_append_new(entries, entry(".no.prefetch.landmark", "reg", 1));
	json_array_append_new(entries,
		json_pack("{s:s, s:s, s:s}", "name", "link", "type", "symlink", "linkName", "app/main.c"));
	json_array_append_new(entries,
		json_pack("{s:s, s:s, s:s}", "name", "hard.c", "type", "hardlink", "linkName", "app/main.c"));
	autojson json_t *doc = json_pack("{s:i, s:O}", "version", 1, "entries", entries);
	autobuf struct buf text = { 0 }, file = { 0 };
	struct digest d;
	strict_dump(doc, &text);
	digest_of(text.data, text.len, &d);
	digest_text(&d, toc);
	size_t toc_off = out->len;
	tar_header(&file, &(struct tar_member){
				  .path = "stargz.index.json", .type = '0', .mode = 0644, .size = text.len });
	buf_append(&file, text.data, text.len);
	put_member(out, file.data, file.len);
	static const char head[] = "\x1f\x8b\x08\x04\0\0\0\0\0\xff\x1a\0SG\x16\0",
			  tail[] = "\x01\0\0\xff\xff\0\0\0\0\0\0\0\0";
	buf_append(out, head, 16);
	buf_printf(out, "%016zxSTARGZ", toc_off);
	buf_append(out, tail, 13);
}

static json_t *estargz_layer(const struct buf *blob, const char *toc)
{
	json_t *layer = craft_blob("layout", MT_TAR "+gzip", blob->data, blob->len);
	craft_note(layer, "containerd.io/snapshot/stargz/toc.digest", toc);
	return layer;
}

static void reads_estargz(void **state)
{
	(void)state;
	struct rig r;
	struct view *v;
	struct entry e;
	char toc[DIGEST_TEXT_LEN + 1];
	autobuf struct buf blob = { 0 };
	make_estargz(&blob, toc);
	craft_kernel("layout", estargz_layer(&blob, toc), "src.tar.gz", "k:1");
	rig_open_foreign(&r, "cache", "layout");
	int err = rig_view(&r, "k", "1", &v);
	assert_string_equal(r.why.text, "");
	assert_int_equal(err, 0);
	assert_in_range(fetched(&r), 1, 10000); /* the table, not the content */
	shows_source(&r, v);
	assert_int_equal(view_path(v, "src/.no.prefetch.landmark", &e), -ENOENT);
	view_put(v);
	rig_close(&r);
}

static void refuses_bad_estargz(void **state)
{
	(void)state;
	struct rig r;
	struct view *v;
	char toc[DIGEST_TEXT_LEN + 1];
	autobuf struct buf blob = { 0 };
	make_estargz(&blob, toc);
	toc[10] = toc[10] == '0' ? '1' : '0';
	craft_kernel("layout", estargz_layer(&blob, toc), "src.tar.gz", "a:1");
	toc[10] = toc[10] == '0' ? '1' : '0';
	blob.data[blob.len - 17] ^= 1; /* in the footer's magic */
	craft_kernel("layout", estargz_layer(&blob, toc), "src.tar.gz", "b:1");
	blob.data[blob.len - 17] ^= 1;
	memset(blob.data + blob.len - 35, 'f', 16); /* the table is beyond the end */
	craft_kernel("layout", estargz_layer(&blob, toc), "src.tar.gz", "c:1");
	rig_open_foreign(&r, "cache", "layout");
	assert_int_not_equal(rig_view(&r, "a", "1", &v), 0);
	assert_non_null(strstr(r.why.text, "does not match its digest"));
	assert_int_not_equal(rig_view(&r, "b", "1", &v), 0);
	assert_non_null(strstr(r.why.text, "footer"));
	assert_int_not_equal(rig_view(&r, "c", "1", &v), 0);
	assert_non_null(strstr(r.why.text, "outside of its layer"));
	rig_close(&r);
}

/* --- kraftkit --------------------------------------------------------------------------------- */

static json_t *kraft_layer(const char *path, const char *note)
{
	run_command("cd %s && rm -f l.tar && tar cf l.tar -C kraft %s", at("."), path);
	json_t *layer = craft_file("layout", MT_TAR, "l.tar");
	if (note)
		craft_note(layer, note, "/unikraft/bin/kernel");
	return layer;
}

static void craft_kraft(const char *config, bool annotated, const char *ref)
{
	json_t *m = json_pack("{s:i, s:s, s:o, s:[o, o]}", "schemaVersion", 2, "mediaType", MT_MANIFEST,
		"config", craft_blob("layout", MT_OCI_CONF, config, strlen(config)), "layers",
		kraft_layer("unikraft/bin/kernel", annotated ? "org.unikraft.kernel.image" : NULL),
		kraft_layer("unikraft/bin/initrd", NULL));
	if (annotated)
		craft_note(m, "org.unikraft.kernel.version", "0.16");
	craft_tag("layout", MT_MANIFEST, m, ref);
}

static void shows_kraft(void **state)
{
	(void)state;
	struct rig r;
	struct view *v;
	put_noise("kraft/unikraft/bin/kernel", 300000, 3);
	put_text("kraft/unikraft/bin/initrd", "an initrd");
	craft_kraft("{\"architecture\":\"x86_64\",\"os\":\"qemu\",\"os.features\":[\"CONFIG_LIBVFSCORE_FSTAB="
		    "y\"],"
		    "\"config\":{\"Cmd\":[\"/nginx\",\"-c\",\"x\"],\"Env\":[\"A=b c\"]}}",
		true, "unikraft.org/nginx:1.25");
	craft_kraft("{\"architecture\":\"x86_64\",\"os\":\"fc\",\"config\":{}}", false, "plain:1");
	craft_kraft("{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{}}", false, "image:1");
	craft_kraft("{\"architecture\":\"x86_64\",\"os\":\"qemu\",\"config\":{\"Cmd\":[\"a\\nb\"]}}", true,
		"bad:1");
	rig_open_foreign(&r, "cache", "layout");
	int err = rig_view(&r, "unikraft.org/nginx", "1.25", &v);
	assert_string_equal(r.why.text, "");
	assert_int_equal(err, 0);
	autofree char *kernel = noise(300000, 3);
	assert_int_equal(rig_cat(&r, v, "images/kernel"), 0);
	assert_int_equal(r.data.len, 300000);
	assert_memory_equal(r.data.data, kernel, 300000);
	assert_int_equal(rig_cat(&r, v, "images/initrd"), 0);
	assert_string_equal(r.data.data, "an initrd");
	assert_int_equal(rig_cat(&r, v, "kernel.conf"), 0);
	assert_non_null(strstr(r.data.data, "image = images/kernel\n"));
	assert_non_null(strstr(r.data.data, "initrd = images/initrd\n"));
	assert_non_null(strstr(
		r.data.data, "vfs.fstab=[ \"initrd0:/:extract:::\" ] env.vars=[ \"A=b c\" ] -- /nginx -c x"));
	view_put(v);
	assert_int_equal(rig_view(&r, "plain", "1", &v), 0);
	view_put(v);
	assert_int_equal(rig_view(&r, "image", "1", &v), -EBADMSG);
	assert_non_null(strstr(r.why.text, "container image"));
	assert_int_equal(rig_view(&r, "bad", "1", &v), -EBADMSG);
	rig_close(&r);
}

RUN("cache_foreign", tmp_test(reads_archives), tmp_test(reads_estargz), tmp_test(refuses_bad_estargz),
	tmp_test(shows_kraft))
