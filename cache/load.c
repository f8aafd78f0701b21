/* SPDX-License-Identifier: MIT */
/*
 * load.c: from a digest to the tree that it shows. Each step is verified by what the step before said:
 * manifest, config, README, table of contents.
 */
#include "cache/artifact.h"
#include "cache/base/io.h"
#include "cache/impl.h"
#include "cache/kernel_raw.h"
#include "cache/layer.h"
#include "cache/limits.h"
#include "cache/object.h"
#include "cache/room.h"
#include "cache/search.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct loading {
	struct cache *cache; /* NULL: nothing is kept */
	int objects_fd;
	struct registry *reg;
	const char *repository;
};

static void count_fetched(const struct loading *l, uint64_t bytes)
{
	if (l->cache)
		l->cache->fetched += bytes;
}

static int get_manifest(const struct loading *l, const struct digest *d, struct buf *out, struct why *why)
{
	if (object_get(l->objects_fd, d, MAX_MANIFEST, out) == 0)
		return 0;
	int err = l->reg->ops->manifest(l->reg, l->repository, d, out, why);
	count_fetched(l, out->len);
	if (!err)
		err = object_put(l->objects_fd, l->cache ? l->cache->room : NULL, d, out, why);
	if (err)
		why_prefix(why, "manifest");
	return err;
}

/* A whole blob of the size that its descriptor says. */
static int get_blob(const struct loading *l, const struct descriptor *d, const char *what, uint64_t max,
	struct buf *out, struct why *why)
{
	if (d->size > max)
		return why_fail(
			why, -EFBIG, "the %s is larger than %llu bytes", what, (unsigned long long)max);
	if (object_get(l->objects_fd, &d->digest, max, out) == 0) {
		if (out->len == d->size)
			return 0;
		return why_fail(why, -EILSEQ, "the %s has %zu bytes where its descriptor says %llu", what,
			out->len, (unsigned long long)d->size);
	}
	char *to = buf_reserve(out, d->size);
	int err = l->reg->ops->blob(l->reg, l->repository, &d->digest, d->size, 0, to, d->size, why);
	if (!err) {
		count_fetched(l, d->size);
		out->len = d->size;
		out->data[out->len] = 0;
		err = object_put(l->objects_fd, l->cache ? l->cache->room : NULL, &d->digest, out, why);
	}
	if (err)
		why_prefix(why, "%s", what);
	return err;
}

/* kernel.conf, from the config. It is read once to see that it can be. */
static int add_kernel_conf(struct tree_build *b, const json_t *config, struct why *why)
{
	autobuf struct buf text = { 0 };
	struct kernel_raw raw;
	struct kernel_conf conf = { 0 };
	int err = kernel_raw_from_json(&raw, config, why);
	if (!err)
		kernel_raw_put(&raw, &text);
	kernel_raw_free(&raw);
	if (!err && kernel_conf_parse(&conf, text.data ? text.data : "", text.len, false, why) < 0)
		err = -EBADMSG;
	kernel_conf_free(&conf);
	if (err) {
		why_prefix(why, "config");
		return err;
	}
	return tree_add_inline(b, "kernel.conf", text.data ? text.data : "", text.len, why);
}

static int add_images(struct tree_build *b, const struct artifact *a, const json_t *config, struct why *why)
{
	json_t *files = NULL;
	int err = strict_list(config, "files", OPTIONAL, MAX_LAYERS, &files, why);
	for (size_t i = 0; !err && i < json_array_size(files); i++) {
		const json_t *f = json_array_get(files, i);
		const char *text = NULL;
		struct digest d;
		struct descriptor layer;
		if (!json_is_object(f))
			return why_fail(
				why, -EBADMSG, "config: files[] holds something that is not an object");
		err = strict_text(f, "digest", REQUIRED, &text, why);
		if (!err && digest_parse(text, &d) < 0)
			err = why_fail(
				why, -EBADMSG, "config: files[]: \"%.100s\" is not a SHA-256 digest", text);
		if (!err)
			err = artifact_image(a, &d, &layer, why);
		if (!err)
			err = layer_image_add(b, f, &d, layer.size, why);
	}
	return err;
}

static int add_config(
	const struct loading *l, struct tree_build *b, const struct artifact *a, struct why *why)
{
	autobuf struct buf text = { 0 };
	autojson json_t *config = NULL;
	int err = get_blob(l, &a->config, "config", MAX_CONFIG, &text, why);
	if (!err)
		err = strict_load(text.data ? text.data : "", text.len, "config", &config, why);
	if (!err)
		err = add_kernel_conf(b, config, why);
	return err ? err : add_images(b, a, config, why);
}

static int add_source(
	const struct loading *l, struct tree_build *b, const struct descriptor *d, struct why *why)
{
	struct toc_place place;
	uint32_t src;
	int err = tree_add(b, TREE_ROOT, "src", &(struct tree_item){ .kind = ITEM_DIR }, &src, why);
	if (!err)
		err = layer_toc_place(d->annotations, d->size, &place, why);
	if (err)
		return err;
	autobuf struct buf packed = { 0 };
	char *to = buf_reserve(&packed, place.packed);
	err = l->reg->ops->blob(l->reg, l->repository, &d->digest, d->size, place.off, to, place.packed, why);
	count_fetched(l, place.packed);
	if (!err)
		err = layer_toc_add(b, src, &d->digest, d->size, &place, to, why);
	if (err)
		why_prefix(why, "src");
	return err;
}

static int add_parts(const struct loading *l, struct tree_build *b, const struct artifact *a, struct why *why)
{
	autobuf struct buf readme = { 0 };
	uint32_t dir;
	int err = tree_add(b, TREE_ROOT, "images", &(struct tree_item){ .kind = ITEM_DIR }, &dir, why);
	if (!err && a->has_readme)
		err = get_blob(l, &a->readme, "README.md", MAX_README, &readme, why);
	if (!err)
		err = tree_add_inline(b, "README.md", readme.data ? readme.data : "", readme.len, why);
	if (!err)
		err = a->has_source ? add_source(l, b, &a->source, why)
				    : tree_add(b, TREE_ROOT, "src", &(struct tree_item){ .kind = ITEM_DIR },
					      &dir, why);
	return err ? err : add_config(l, b, a, why);
}

static int build_tree(const struct loading *l, const struct digest *d, const struct buf *manifest,
	json_t *doc, struct buf *out, struct why *why)
{
	char text[DIGEST_TEXT_LEN + 2];
	struct artifact a;
	struct tree_build *b = tree_build_new();
	digest_text(d, text);
	strcat(text, "\n");
	int err = artifact_read(&a, doc, why);
	if (!err)
		err = tree_add_inline(b, "manifest", manifest->data, manifest->len, why);
	if (!err)
		err = tree_add_inline(b, "digest", text, strlen(text), why);
	if (!err)
		err = add_parts(l, b, &a, why);
	if (!err)
		err = tree_build_finish(b, d, out, why);
	artifact_free(&a);
	tree_build_free(b);
	return err;
}

static void tree_file_name(const struct digest *d, char name[DIGEST_HEX_LEN + 8])
{
	digest_hex(d, name);
	snprintf(name + DIGEST_HEX_LEN, 8, "-v%u", TREE_VERSION);
}

/* Writes the tree and maps what was written; where it cannot be written it is used from memory. */
static int keep_tree(struct cache *c, const struct digest *d, struct buf *bytes, struct tree **out)
{
	char name[DIGEST_HEX_LEN + 8];
	tree_file_name(d, name);
	int err = room_write_file(c->room, c->trees_fd, name, bytes->data, bytes->len);
	if (!err)
		err = tree_open(c->trees_fd, name, d, out);
	if (!err)
		return 0;
	log_warn("cache: tree %s is not kept: %s", name, err_text(err));
	return tree_open_heap(bytes, d, out);
}

static int make_tree(const struct loading *l, const struct digest *d, const struct buf *manifest, json_t *doc,
	struct tree **out, struct why *why)
{
	autobuf struct buf bytes = { 0 };
	int err = build_tree(l, d, manifest, doc, &bytes, why);
	if (!err && keep_tree(l->cache, d, &bytes, out) < 0)
		err = why_fail(why, -EIO, "the tree that was just made cannot be read; is the memory sound?");
	buf_free(&bytes);
	malloc_trim(0); /* a table of contents takes tens of megabytes while it is read */
	return err;
}

static int find_tree(struct cache *c, const struct digest *d, struct tree **out)
{
	char name[DIGEST_HEX_LEN + 8];
	tree_file_name(d, name);
	int err = tree_open(c->trees_fd, name, d, out);
	if (!err)
		utimensat(c->trees_fd, name, NULL, AT_SYMLINK_NOFOLLOW); /* used: not the next to be evicted */
	if (err == -EILSEQ)
		log_warn("cache: tree %s is damaged and is made again", name);
	return err;
}

/* (child_size): what an index says of it; 0 for the outermost. */
static int load_step(const struct loading *l, const struct digest *d, uint64_t child_size, struct tree **out,
	struct why *why)
{
	autobuf struct buf manifest = { 0 };
	struct descriptor child;
	json_t *doc = NULL;
	if (find_tree(l->cache, d, out) == 0)
		return 0;
	int err = get_manifest(l, d, &manifest, why);
	if (!err && child_size && child_size != manifest.len)
		err = why_fail(why, -EILSEQ, "the manifest has not the size that its index says");
	if (err)
		return err;
	int kind = manifest_sort(manifest.data ? manifest.data : "", manifest.len, &doc, &child, why);
	if (kind == 0)
		return make_tree(l, d, &manifest, doc, out, why); /* takes doc over */
	if (kind > 0 && child_size)
		kind = why_fail(why, -EBADMSG, "an index inside an index");
	if (kind > 0)
		kind = load_step(l, &child.digest, child.size, out, why);
	json_decref(doc);
	return kind;
}

int load_tree(struct cache *c, struct registry *reg, const char *repository, const struct digest *d,
	struct tree **out, struct why *why)
{
	struct loading l = { c, c->objects_fd, reg, repository };
	int err = load_step(&l, d, 0, out, why);
	if (!err) {
		char listed[DIGEST_TEXT_LEN + 1];
		digest_text(d, listed);
		catalog_used_tree(c->catalog, &(*out)->head->manifest);
		search_index(c, repository, listed, *out);
	}
	return err;
}

int load_afresh(struct registry *reg, const char *repository, const struct digest *d, struct tree **out,
	struct why *why)
{
	struct loading l = { NULL, -1, reg, repository };
	autobuf struct buf manifest = { 0 }, bytes = { 0 };
	struct descriptor child;
	json_t *doc = NULL;
	int err = get_manifest(&l, d, &manifest, why);
	if (!err)
		err = manifest_sort(manifest.data ? manifest.data : "", manifest.len, &doc, &child, why);
	if (err) {
		json_decref(doc);
		return err < 0 ? err : why_fail(why, -EBADMSG, "an index where a manifest was expected");
	}
	err = build_tree(&l, d, &manifest, doc, &bytes, why);
	return err ? err : tree_open_heap(&bytes, d, out);
}
