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
#include "cache/load_inner.h"
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

/* --- bytes of the registry --------------------------------------------------------------------- */

/* What came for (p), from (l)'s needs; else it is noted there. */
static struct lack *need_for(struct load *l, const struct registry_part *p)
{
	struct lack **at = &l->needs;
	for (; *at; at = &(*at)->next) {
		const struct registry_part *q = &(*at)->part;
		if (!(*at)->whole && digest_equal(&q->digest, &p->digest) && !q->manifest == !p->manifest &&
			q->off == p->off && q->len == p->len)
			return (*at)->there ? *at : NULL;
	}
	*at = xcalloc(1, sizeof(**at));
	(*at)->part = *p;
	(*at)->load = l;
	return NULL;
}

struct spool *load_spool(struct load *l, const struct digest *d, uint64_t size)
{
	struct lack **at = &l->needs;
	while (*at && !((*at)->whole && digest_equal(&(*at)->part.digest, d) && (*at)->part.size == size))
		at = &(*at)->next;
	if (*at)
		return (*at)->there ? (*at)->spool : NULL;
	*at = xcalloc(1, sizeof(**at));
	(*at)->part = (struct registry_part){
		.repository = l->repository, .digest = *d, .size = size, .len = size
	};
	(*at)->whole = true;
	(*at)->load = l;
	return NULL;
}

void load_free_needs(struct load *l)
{
	load_free_wholes(l);
	while (l->needs) {
		struct lack *n = l->needs;
		l->needs = n->next;
		buf_free(&n->bytes);
		if (n->spool)
			spool_put(n->spool);
		free(n);
	}
}

/* What comes from a remote registry is counted where it comes in. */
static void count_fetched(const struct load *l, uint64_t bytes)
{
	if (l->cache)
		l->cache->fetched += bytes;
}

static int fetch_manifest(struct load *l, const struct digest *d, struct buf *out, struct why *why)
{
	struct registry *r = l->registry;
	struct registry_part p = { .repository = l->repository, .digest = *d, .manifest = out };
	if (!registry_is_remote(r)) {
		int err = r->ops->manifest(r, l->repository, d, out, why);
		count_fetched(l, out->len);
		return err;
	}
	struct lack *n = need_for(l, &p);
	if (!n)
		return -EAGAIN;
	buf_append(out, n->bytes.data, n->bytes.len);
	return 0;
}

int load_part(struct load *l, const struct digest *d, uint64_t size, uint64_t off, void *to, size_t len,
	struct why *why)
{
	struct registry *r = l->registry;
	struct registry_part p = {
		.repository = l->repository, .digest = *d, .size = size, .off = off, .len = len
	};
	if (!registry_is_remote(r)) {
		int err = r->ops->blob(r, l->repository, d, size, off, to, len, why);
		count_fetched(l, err ? 0 : len);
		return err;
	}
	struct lack *n = len ? need_for(l, &p) : NULL;
	if (!n)
		return len ? -EAGAIN : 0;
	if (to && len)
		memcpy(to, n->spool ? spool_bytes(n->spool) + off : n->bytes.data, len);
	return 0;
}

/* --- the parts of a kernel --------------------------------------------------------------------- */

int load_manifest(struct load *l, const struct digest *d, struct buf *out, struct why *why)
{
	if (object_get(l->objects_fd, d, MAX_MANIFEST, out) == 0)
		return 0;
	int err = fetch_manifest(l, d, out, why);
	if (err == -EAGAIN)
		return err;
	if (!err)
		err = object_put(l->objects_fd, l->cache ? l->cache->room : NULL, d, out, why);
	if (err)
		why_prefix(why, "manifest");
	return err;
}

/* A whole blob of the size that its descriptor says. */
int load_blob(struct load *l, const struct descriptor *d, const char *what, uint64_t max, struct buf *out,
	struct why *why)
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
	int err = load_part(l, &d->digest, d->size, 0, to, d->size, why);
	if (err == -EAGAIN)
		return err;
	if (!err) {
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

static int add_config(struct load *l, struct tree_build *b, const struct artifact *a, struct why *why)
{
	autobuf struct buf text = { 0 };
	autojson json_t *config = NULL;
	int err = load_blob(l, &a->config, "config", MAX_CONFIG, &text, why);
	if (!err)
		err = strict_load(text.data ? text.data : "", text.len, "config", &config, why);
	if (!err)
		err = add_kernel_conf(b, config, why);
	return err ? err : add_images(b, a, config, why);
}

static int add_source(struct load *l, struct tree_build *b, const struct artifact *a, struct why *why)
{
	const struct descriptor *d = &a->source;
	struct toc_place place;
	uint32_t src;
	int err = tree_add(b, TREE_ROOT, "src", &(struct tree_item){ .kind = ITEM_DIR }, &src, why);
	if (!err && load_may_lack(l, a)) {
		l->lacks = "src";
		l->lacks_size = d->size;
		return 0;
	}
	if (!err && !layer_toc_is_chunked(d->annotations)) {
		err = load_foreign_source(l, b, src, d, why);
		if (err && err != -EAGAIN)
			why_prefix(why, "src");
		return err;
	}
	if (!err)
		err = layer_toc_place(d->annotations, d->size, &place, why);
	if (err)
		return err;
	autobuf struct buf packed = { 0 };
	char *to = buf_reserve(&packed, place.packed);
	err = load_part(l, &d->digest, d->size, place.off, to, place.packed, why);
	if (!err)
		err = layer_toc_add(b, src, &d->digest, d->size, &place, to, why);
	if (err && err != -EAGAIN)
		why_prefix(why, "src");
	return err;
}

static int need_blob(struct load *l, const struct descriptor *d, uint64_t max)
{
	autobuf struct buf have = { 0 };
	if (d->size > max || object_get(l->objects_fd, &d->digest, max, &have) == 0)
		return 0;
	return load_part(l, &d->digest, d->size, 0, NULL, d->size, NULL);
}

/* From a remote registry all that is missing is fetched at the same time. */
static int need_parts(struct load *l, const struct artifact *a)
{
	struct toc_place place;
	int err = need_blob(l, &a->config, MAX_CONFIG);
	if (l->brief)
		return err;
	if (a->has_readme && need_blob(l, &a->readme, MAX_README) < 0)
		err = -EAGAIN;
	if (a->has_source && layer_toc_place(a->source.annotations, a->source.size, &place, NULL) == 0 &&
		load_part(l, &a->source.digest, a->source.size, place.off, NULL, place.packed, NULL) < 0)
		err = -EAGAIN;
	return err;
}

static int add_parts(struct load *l, struct tree_build *b, const struct artifact *a, struct why *why)
{
	autobuf struct buf readme = { 0 };
	bool remote = registry_is_remote(l->registry);
	uint32_t dir;
	l->brief = remote && l->extent == EXTENT_BRIEF;
	int err = remote ? need_parts(l, a) : 0;
	if (err)
		return err;
	err = tree_add(b, TREE_ROOT, "images", &(struct tree_item){ .kind = ITEM_DIR }, &dir, why);
	if (!err && a->has_readme && !l->brief)
		err = load_blob(l, &a->readme, "README.md", MAX_README, &readme, why);
	if (!err)
		err = tree_add_inline(b, "README.md", readme.data ? readme.data : "", readme.len, why);
	if (!err)
		err = a->has_source && !l->brief
			      ? add_source(l, b, a, why)
			      : tree_add(b, TREE_ROOT, "src", &(struct tree_item){ .kind = ITEM_DIR },
					      &dir, why);
	return err ? err : add_config(l, b, a, why);
}

static int build_tree(struct load *l, const struct digest *d, const struct buf *manifest, json_t *doc,
	struct buf *out, struct why *why)
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
		err = a.kraft ? load_kraft(l, b, &a, why) : add_parts(l, b, &a, why);
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

static int make_tree(struct load *l, const struct digest *d, const struct buf *manifest, json_t *doc,
	struct tree **out, struct why *why)
{
	autobuf struct buf bytes = { 0 };
	int err = build_tree(l, d, manifest, doc, &bytes, why);
	if (!err && (l->lacks || l->brief ? tree_open_heap(&bytes, d, out) : keep_tree(l->cache, d, &bytes, out)) < 0)
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
		utimensat(
			c->trees_fd, name, NULL, AT_SYMLINK_NOFOLLOW); /* used: not the next to be evicted */
	if (err == -EILSEQ)
		log_warn("cache: tree %s is damaged and is made again", name);
	return err;
}

/* (child_size): what an index says of it; 0 for the outermost. */
static int load_step(
	struct load *l, const struct digest *d, uint64_t child_size, struct tree **out, struct why *why)
{
	autobuf struct buf manifest = { 0 };
	struct descriptor child;
	json_t *doc = NULL;
	if (find_tree(l->cache, d, out) == 0)
		return 0;
	int err = load_manifest(l, d, &manifest, why);
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

int load_tree(struct load *l, struct tree **out, struct why *why)
{
	int err = load_step(l, &l->digest, 0, out, why);
	if (!err && !l->brief) {
		char listed[DIGEST_TEXT_LEN + 1];
		digest_text(&l->digest, listed);
		catalog_used_tree(l->cache->catalog, &(*out)->head->manifest);
		search_index(l->cache, l->repository, listed, *out);
	}
	return err;
}

int load_afresh(struct registry *reg, const char *repository, const struct digest *d, struct tree **out,
	struct why *why)
{
	struct load l = { .objects_fd = -1, .registry = reg, .repository = repository };
	autobuf struct buf manifest = { 0 }, bytes = { 0 };
	struct descriptor child;
	json_t *doc = NULL;
	int err = load_manifest(&l, d, &manifest, why);
	if (!err)
		err = manifest_sort(manifest.data ? manifest.data : "", manifest.len, &doc, &child, why);
	if (err) {
		json_decref(doc);
		return err < 0 ? err : why_fail(why, -EBADMSG, "an index where a manifest was expected");
	}
	err = build_tree(&l, d, &manifest, doc, &bytes, why);
	return err ? err : tree_open_heap(&bytes, d, out);
}
