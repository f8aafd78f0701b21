/* SPDX-License-Identifier: MIT */
/* archives.c: archives of strangers: none of them hangs, crashes, fills the disk, or leads anywhere. */
#include "../unit/cache_craft.h"

#include "cache/layer.h"

/* What a view of a kernel with this source layer ends with; words must be in the error. */
static void refused(const struct buf *tar, const char *words)
{
	struct rig r;
	struct view *v;
	run_command("rm -rf %s %s", at("layout"), at("cache"));
	craft_kernel("layout", craft_blob("layout", MT_TAR, tar->data, tar->len), "src.tar", "k:1");
	rig_open_foreign(&r, "cache", "layout");
	int err = rig_view(&r, "k", "1", &v);
	if (!err)
		fail_msg("was not refused: %s", words);
	if (!strstr(r.why.text, words))
		fail_msg("%s is not in: %s", words, r.why.text);
	rig_close(&r);
}

static void put_end(struct buf *tar)
{
	static const char zeros[1024];
	buf_append(tar, zeros, sizeof(zeros));
}

static void put_file(struct buf *tar, const char *path, char type, const char *target, const char *content)
{
	static const char zeros[512];
	size_t len = content ? strlen(content) : 0;
	tar_header(tar, &(struct tar_member){
				.path = path, .target = target, .type = type, .mode = 0644, .size = len });
	buf_append(tar, content ? content : "", len);
	buf_append(tar, zeros, (512 - len % 512) % 512);
}

static void refuses_names(void **state)
{
	(void)state;
	autofree char *deep = xmalloc(2 * 300 + 1), *component = xmalloc(300);
	memset(component, 'a', 299);
	component[299] = 0;
	for (int i = 0; i < 300; i++)
		memcpy(deep + 2 * i, "a/", 2);
	deep[600] = 0;
	const struct {
		const char *path, *words;
	} cases[] = {
		{ "../x", "\"..\"" },
		{ "a/../../x", "\"..\"" },
		{ "a/./b", "\".\"" },
		{ "a//b", "empty name" },
		{ component, "longer than 255" },
		{ deep, "deeper than" },
		{ ".wh.x", "whiteout" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		autobuf struct buf tar = { 0 };
		put_file(&tar, cases[i].path, '0', NULL, "x");
		put_end(&tar);
		refused(&tar, cases[i].words);
	}
}

static void refuses_shapes(void **state)
{
	(void)state;
	autobuf struct buf twice = { 0 }, parent = { 0 }, out = { 0 }, circle = { 0 }, self = { 0 };
	put_file(&twice, "a", '0', NULL, "1");
	put_file(&twice, "a", '0', NULL, "2");
	put_end(&twice);
	refused(&twice, "there twice");
	put_file(&parent, "a", '0', NULL, "1");
	put_file(&parent, "a/b", '0', NULL, "2");
	put_end(&parent);
	refused(&parent, "no directory");
	put_file(&out, "a", '1', "../../etc/passwd", NULL);
	put_end(&out);
	refused(&out, "a");
	put_file(&circle, "a", '1', "b", NULL);
	put_file(&circle, "b", '1', "a", NULL);
	put_end(&circle);
	refused(&circle, "");
	put_file(&self, "a", '1', "a", NULL);
	put_end(&self);
	refused(&self, "");
}

/* Absolute names lose their slash, devices and fifos are not there, links that lead out are data, set-id bits go. */
static void tames(void **state)
{
	(void)state;
	struct rig r;
	struct view *v;
	struct entry e;
	autobuf struct buf tar = { 0 };
	put_file(&tar, "/abs", '0', NULL, "x");
	put_file(&tar, "dev", '3', NULL, NULL);
	put_file(&tar, "fifo", '6', NULL, NULL);
	put_file(&tar, "out", '2', "../../../etc/passwd", NULL);
	tar_header(&tar, &(struct tar_member){ .path = "suid", .type = '0', .mode = 06755 });
	put_end(&tar);
	craft_kernel("layout", craft_blob("layout", MT_TAR, tar.data, tar.len), "src.tar", "k:1");
	rig_open_foreign(&r, "cache", "layout");
	assert_int_equal(rig_view(&r, "k", "1", &v), 0);
	assert_int_equal(rig_cat(&r, v, "src/abs"), 0);
	assert_string_equal(r.data.data, "x");
	assert_int_equal(view_path(v, "src/dev", &e), -ENOENT);
	assert_int_equal(view_path(v, "src/fifo", &e), -ENOENT);
	assert_int_equal(view_path(v, "src/out", &e), 0);
	assert_int_equal(e.type, ENTRY_LINK);
	assert_int_equal(view_path(v, "src/suid", &e), 0);
	assert_int_equal(e.mode, 0555);
	view_put(v);
	rig_close(&r);
}

static void read_into(struct buf *b, const char *command)
{
	FILE *f = popen(command, "r");
	char some[65536];
	for (size_t n; (n = fread(some, 1, sizeof(some), f)) > 0;)
		buf_append(b, some, n);
	pclose(f);
}

static void refuses_bombs(void **state)
{
	(void)state;
	autobuf struct buf zst = { 0 }, many = { 0 }, claim = { 0 };
	/* a gigabyte in some kilobytes */
	autofree char *cmd =
		xasprintf("cd %s && truncate -s 1G big && tar -cf - big | zstd -q -c; rm -f big", at("."));
	read_into(&zst, cmd);
	assert_in_range(zst.len, 1000, 200000);
	refused(&zst, "a bomb");
	/* a claim that nothing stands behind */
	tar_header(&claim,
		&(struct tar_member){ .path = "a", .type = '0', .mode = 0644, .size = UINT64_C(1) << 40 });
	refused(&claim, "claims 1099511627776 bytes");
	/* each entry makes 250 directories */
	for (int i = 0; i < 8100; i++) {
		char path[600];
		int n = snprintf(path, sizeof(path), "%d", i);
		for (int k = 0; k < 250; k++, n += 2)
			memcpy(path + n, "/a", 3);
		put_file(&many, path, '0', NULL, NULL);
	}
	put_end(&many);
	refused(&many, "more than 2000000 entries");
}

static void refuses_garbage(void **state)
{
	(void)state;
	autobuf struct buf whole = { 0 };
	put_file(&whole, "a", '0', NULL, "some content");
	put_file(&whole, "b", '0', NULL, "more of it");
	put_end(&whole);
	autobuf struct buf text = { 0 }, cut = { 0 }, header = { 0 };
	buf_puts(&text, "this is no archive, and it is not short either, because it goes on for a while");
	refused(&text, "cannot be read");
	buf_append(&cut, whole.data, 600);
	refused(&cut, "");
	buf_append(&header, whole.data, whole.len);
	header.data[1024 + 150] ^= 0x55; /* the second header's checksum */
	refused(&header, "");
	for (unsigned seed = 0; seed < 30; seed++) { /* whatever it is, it ends */
		autofree char *data = noise(20000, seed);
		autobuf struct buf b = { 0 };
		static const char *const heads[] = { "\x1f\x8b\x08\0", "\x28\xb5\x2f\xfd", "" };
		buf_append(&b, heads[seed % 3], strlen(heads[seed % 3]));
		buf_append(&b, data, 20000);
		refused(&b, "");
	}
}

/* The blob is not what its digest says. */
static void refuses_other_bytes(void **state)
{
	(void)state;
	struct rig r;
	struct view *v;
	autobuf struct buf tar = { 0 };
	put_file(&tar, "a", '0', NULL, "some content");
	put_end(&tar);
	json_t *layer = craft_blob("layout", MT_TAR, tar.data, tar.len);
	autofree char *digest = xstrdup(json_string_value(json_object_get(layer, "digest")));
	craft_kernel("layout", layer, "src.tar", "k:1");
	run_command("cd %s/blobs/sha256 && printf X | dd of=%s bs=1 seek=515 conv=notrunc status=none",
		at("layout"), digest + 7);
	rig_open_foreign(&r, "cache", "layout");
	assert_int_equal(rig_view(&r, "k", "1", &v), -EILSEQ);
	assert_non_null(strstr(r.why.text, "does not match its digest"));
	run_command("test -z \"$(ls %s/packs %s/trees)\" || test -z \"$(find %s/packs %s/trees -type f)\"",
		at("cache"), at("cache"), at("cache"), at("cache"));
	rig_close(&r);
}

RUN("archives", tmp_test(refuses_names), tmp_test(refuses_shapes), tmp_test(tames), tmp_test(refuses_bombs),
	tmp_test(refuses_garbage), tmp_test(refuses_other_bytes))
