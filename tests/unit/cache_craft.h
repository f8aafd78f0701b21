/* SPDX-License-Identifier: MIT */
/*
 * cache_craft.h: layouts made by hand, as other tools make them: blobs, manifests, an index.
 *
 * Owns     descriptors that are returned are the caller's, or the manifest's to which they are given
 */
#ifndef TEST_CACHE_CRAFT_H
#define TEST_CACHE_CRAFT_H

#include "cache_rig.h"

#include "cache/artifact.h"

static inline void run_command(const char *fmt, ...)
{
	va_list ap;
	autobuf struct buf cmd = { 0 };
	va_start(ap, fmt);
	buf_vprintf(&cmd, fmt, ap);
	va_end(ap);
	if (system(cmd.data) != 0)
		fail_msg("failed: %s", cmd.data);
}

/* Puts a blob into the layout; its descriptor. */
static inline json_t *craft_blob(const char *layout, const char *type, const void *data, size_t len)
{
	struct digest d;
	char hex[DIGEST_HEX_LEN + 1];
	digest_of(data, len, &d);
	digest_hex(&d, hex);
	autofree char *path = xasprintf("%s/blobs/sha256/%s", layout, hex);
	put_bytes(path, data, len);
	return descriptor_new(type, &d, len);
}

static inline json_t *craft_file(const char *layout, const char *type, const char *path)
{
	autobuf struct buf b = { 0 };
	assert_int_equal(io_read_file(tmp_dir, path, 1u << 30, &b), 0);
	return craft_blob(layout, type, b.data, b.len);
}

static inline void craft_note(json_t *descriptor, const char *key, const char *value)
{
	json_t *notes = json_object_get(descriptor, "annotations");
	if (!notes) {
		notes = json_object();
		json_object_set_new(descriptor, "annotations", notes);
	}
	json_object_set_new(notes, key, json_string(value));
}

/* Takes (doc) over; adds a tag to the layout's index, which is made. */
static inline void craft_tag(const char *layout, const char *type, json_t *doc, const char *ref)
{
	autobuf struct buf text = { 0 }, index = { 0 }, before = { 0 };
	strict_dump(doc, &text);
	json_decref(doc);
	json_t *d = craft_blob(layout, type, text.data, text.len);
	craft_note(d, NOTE_REF, ref);
	autofree char *index_path = xasprintf("%s/index.json", layout),
		      *mark = xasprintf("%s/oci-layout", layout);
	autojson json_t *whole = NULL;
	if (io_read_file(tmp_dir, index_path, 1u << 20, &before) < 0 ||
		strict_load(before.data, before.len, "index", &whole, NULL) < 0)
		whole = json_pack("{s:i, s:[]}", "schemaVersion", 2, "manifests");
	json_array_append_new(json_object_get(whole, "manifests"), d);
	strict_dump(whole, &index);
	put_bytes(index_path, index.data, index.len);
	put_text(mark, "{\"imageLayoutVersion\":\"1.0.0\"}");
}

/* A kernel of ours, called (ref), whose source layer is (layer), which it takes over. */
static inline void craft_kernel(const char *layout, json_t *layer, const char *title, const char *ref)
{
	static const char conf[] =
		"{\"schema\":1,\"name\":\"k\",\"version\":\"1\",\"arch\":\"x86_64\",\"modes\":["
		"\"fullVM\"],\"description\":\"d\",\"boot\":[{\"memory\":16777216}],\"files\":[]}";
	json_t *config = craft_blob(layout, MT_CONFIG, conf, strlen(conf));
	json_t *readme = craft_blob(layout, MT_README, "# k\n", 4);
	craft_note(readme, NOTE_TITLE, "README.md");
	craft_note(layer, NOTE_TITLE, title);
	craft_tag(layout, MT_MANIFEST,
		json_pack("{s:i, s:s, s:s, s:o, s:[o, o]}", "schemaVersion", 2, "mediaType", MT_MANIFEST,
			"artifactType", MT_KERNEL, "config", config, "layers", readme, layer),
		ref);
}

static inline char *craft_unpacker(void)
{
	const char *build = getenv("BUILD");
	return xasprintf("%s/libexec/diverfs/diverfs-unpack", build ? build : "build");
}

static inline void rig_open_foreign(struct rig *r, const char *cache_dir, const char *layout)
{
	struct why why = { 0 };
	memset(r, 0, sizeof(*r));
	r->loop = loop_new();
	r->pool = pool_new(r->loop, 2);
	autofree char *dir = xstrdup(at(cache_dir)), *unpacker = craft_unpacker();
	struct cache_options o = { .dir = dir, .loop = r->loop, .pool = r->pool, .unpacker = unpacker };
	assert_int_equal(cache_open(&o, &r->cache, &why), 0);
	assert_int_equal(cache_add_registry(r->cache, at(layout), &why), 0);
}

#endif
