/* SPDX-License-Identifier: MIT */
/*
 * tree_build.c: nodes in flat arrays and one hash table of (parent, name), so that millions of entries are
 * bounded by arithmetic and not by malloc. The final order and the packs are tree_order.c's.
 */
#include "cache/tree_build.h"

#include "cache/limits.h"
#include "cache/tree_nodes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static void *grow(void *p, uint32_t count, uint32_t *cap, size_t each)
{
	if (count < *cap)
		return p;
	*cap = *cap ? *cap + *cap / 2 : 64;
	return xrealloc(p, *cap * each);
}

static const char *node_name(const struct tree_build *b, uint32_t n)
{
	return b->strings.data + b->nodes[n].name;
}

static uint32_t add_string(struct tree_build *b, const char *s, size_t len)
{
	uint32_t at = (uint32_t)b->strings.len;
	buf_append(&b->strings, s, len);
	buf_append(&b->strings, "", 1);
	return at;
}

static uint64_t slot_of(const struct tree_build *b, uint32_t parent, const char *name, size_t len)
{
	return XXH3_64bits_withSeed(name, len, parent) & (b->table_size - 1);
}

static void table_put(struct tree_build *b, uint32_t node)
{
	const char *name = node_name(b, node);
	uint64_t i = slot_of(b, b->nodes[node].parent, name, strlen(name));
	while (b->table[i])
		i = (i + 1) & (b->table_size - 1);
	b->table[i] = node; /* the root, 0, is never looked up by name */
}

static void table_grow(struct tree_build *b)
{
	if (b->node_count * 2u < b->table_size)
		return;
	b->table_size *= 2;
	free(b->table);
	b->table = xcalloc(b->table_size, sizeof(*b->table));
	for (uint32_t n = 1; n < b->node_count; n++)
		table_put(b, n);
}

static uint32_t find(const struct tree_build *b, uint32_t parent, const char *name, size_t len)
{
	for (uint64_t i = slot_of(b, parent, name, len); b->table[i]; i = (i + 1) & (b->table_size - 1)) {
		const struct node *n = &b->nodes[b->table[i]];
		const char *have = b->strings.data + n->name;
		if (n->parent == parent && strlen(have) == len && memcmp(have, name, len) == 0)
			return b->table[i];
	}
	return NO_NODE;
}

static uint32_t add_node(struct tree_build *b, uint32_t parent, const char *name, size_t len)
{
	table_grow(b);
	b->nodes = grow(b->nodes, b->node_count, &b->node_cap, sizeof(*b->nodes));
	uint32_t n = b->node_count++;
	b->nodes[n] = (struct node){ .parent = parent, .kind = ITEM_DIR, .implicit = true };
	b->nodes[n].name = add_string(b, name, len);
	if (n > 0)
		table_put(b, n);
	return n;
}

struct tree_build *tree_build_new(void)
{
	struct tree_build *b = xcalloc(1, sizeof(*b));
	b->table_size = 256;
	b->table = xcalloc(b->table_size, sizeof(*b->table));
	add_node(b, TREE_ROOT, "", 0);
	return b;
}

void tree_build_free(struct tree_build *b)
{
	if (!b)
		return;
	free(b->nodes);
	free(b->table);
	free(b->chunks);
	free(b->layers);
	free(b->limits);
	buf_free(&b->strings);
	free(b);
}

/* "./a", "/a", "a/" mean a: tar writers differ in this. Anything else that is not plain is refused. */
static int next_component(
	const char **path, const char **name, size_t *len, const char *whole, struct why *why)
{
	const char *p = *path;
	*name = p;
	*len = strcspn(p, "/");
	p += *len;
	if (*p == '/')
		p++;
	*path = p;
	if (*len == 0)
		return why_fail(why, -EBADMSG, "entry \"%s\" has an empty name in its path", whole);
	if (*len > MAX_NAME_LEN)
		return why_fail(why, -EBADMSG, "entry \"%.80s…\" has a name longer than %u bytes", whole,
			MAX_NAME_LEN);
	if ((*len == 1 && **name == '.') || (*len == 2 && memcmp(*name, "..", 2) == 0))
		return why_fail(
			why, -EBADMSG, "entry \"%s\" has \"%.*s\" in its path", whole, (int)*len, *name);
	if (*len >= 4 && memcmp(*name, ".wh.", 4) == 0)
		return why_fail(why, -EBADMSG,
			"entry \"%s\" is a whiteout, which means nothing in a kernel's sources", whole);
	return 0;
}

static const char *skip_prefix(const char *path)
{
	for (;;) {
		if (path[0] == '/')
			path++;
		else if (path[0] == '.' && path[1] == '/')
			path += 2;
		else if (path[0] == '.' && !path[1])
			path++;
		else
			return path;
	}
}

uint32_t node_find(const struct tree_build *b, uint32_t base, const char *path)
{
	path = skip_prefix(path);
	while (*path && base != NO_NODE) {
		const char *name;
		size_t len;
		if (next_component(&path, &name, &len, path, NULL) < 0)
			return NO_NODE;
		base = find(b, base, name, len);
	}
	return base;
}

/* The node of (path), made if it is new; its parents too. */
static int reach(
	struct tree_build *b, uint32_t base, const char *path, uint32_t *out, bool *made, struct why *why)
{
	const char *p = skip_prefix(path);
	unsigned depth = 0;
	uint32_t at = base;
	*made = false;
	if (strlen(path) > MAX_PATH_LEN)
		return why_fail(why, -EBADMSG, "entry \"%.80s…\" has a path longer than %u bytes", path,
			MAX_PATH_LEN);
	while (*p) {
		const char *name;
		size_t len;
		int err = next_component(&p, &name, &len, path, why);
		if (err)
			return err;
		if (++depth > MAX_DEPTH)
			return why_fail(why, -EBADMSG, "entry \"%.80s…\" is deeper than %u directories", path,
				MAX_DEPTH);
		if (b->nodes[at].kind != ITEM_DIR)
			return why_fail(why, -EBADMSG,
				"entry \"%s\" has something for a parent that is no directory", path);
		uint32_t next = find(b, at, name, len);
		*made = next == NO_NODE;
		if (*made && b->node_count >= MAX_ENTRIES)
			return why_fail(why, -EFBIG, "more than %u entries", MAX_ENTRIES);
		if (*made && b->strings.len > UINT32_MAX - 2 * MAX_PATH_LEN)
			return why_fail(why, -EFBIG, "more than 4 GiB of names");
		at = *made ? add_node(b, at, name, len) : next;
	}
	*out = at;
	return 0;
}

static int fill(struct tree_build *b, uint32_t base, struct node *n, const char *path,
	const struct tree_item *item, struct why *why)
{
	n->implicit = false;
	n->kind = (uint8_t)item->kind;
	n->mtime = item->mtime;
	n->mode = item->kind == ITEM_DIR || item->mode & 0111 ? 0555 : 0444;
	n->size = item->kind == ITEM_FILE ? item->size : 0;
	n->first = b->chunk_count;
	if (item->kind == ITEM_FILE && item->size > MAX_LAYER_RAW)
		return why_fail(
			why, -EFBIG, "entry \"%s\" claims %llu bytes", path, (unsigned long long)item->size);
	if (item->kind != ITEM_LINK && item->kind != ITEM_HARD)
		return 0;
	if (!item->target || !*item->target || strlen(item->target) >= MAX_PATH_LEN)
		return why_fail(
			why, -EBADMSG, "entry \"%s\" is a link with an empty or overlong target", path);
	n->size = strlen(item->target);
	n->first = base;
	n->target = add_string(b, item->target, n->size);
	if (item->kind == ITEM_LINK)
		n->mode = 0777;
	return 0;
}

int tree_add(struct tree_build *b, uint32_t base, const char *path, const struct tree_item *item,
	uint32_t *out, struct why *why)
{
	bool made;
	int err = reach(b, base, path, out, &made, why);
	if (err)
		return err;
	struct node *n = &b->nodes[*out];
	if (!made && (n->kind != ITEM_DIR || item->kind != ITEM_DIR))
		return why_fail(why, -EBADMSG, "entry \"%s\" is there twice", path);
	return fill(b, base, n, path, item, why);
}

int tree_add_inline(struct tree_build *b, const char *name, const void *data, size_t len, struct why *why)
{
	struct tree_item item = { .kind = ITEM_FILE, .size = len };
	uint32_t n;
	int err = tree_add(b, TREE_ROOT, name, &item, &n, why);
	if (err)
		return err;
	b->nodes[n].inlined = true;
	b->nodes[n].first = add_string(b, data, len);
	return 0;
}

int tree_add_layer(struct tree_build *b, const struct digest *blob, uint64_t blob_size, uint64_t start,
	uint64_t limit, struct why *why)
{
	if (b->layer_count >= MAX_LAYERS)
		return why_fail(why, -EFBIG, "more than %u layers", MAX_LAYERS);
	if (blob_size > MAX_BLOB || limit > blob_size || start > limit)
		return why_fail(why, -EBADMSG, "the size of a layer is impossible");
	uint32_t cap = b->layer_cap;
	b->layers = grow(b->layers, b->layer_count, &b->layer_cap, sizeof(*b->layers));
	b->limits = grow(b->limits, b->layer_count, &cap, sizeof(*b->limits));
	b->layers[b->layer_count] =
		(struct tree_layer){ .blob = *blob, .blob_size = blob_size, .first_chunk = b->chunk_count };
	b->limits[b->layer_count++] = (struct layer_limit){ .start = start, .end = limit };
	return 0;
}

int tree_add_chunk(struct tree_build *b, uint32_t file, const struct chunk_item *c, struct why *why)
{
	struct node *n = &b->nodes[file];
	const char *name = node_name(b, file);
	if (b->layer_count == 0 || n->kind != ITEM_FILE || n->first + n->count != b->chunk_count)
		return why_fail(why, -EBADMSG, "a chunk of \"%s\" is not with its file", name);
	const struct layer_limit *lim = &b->limits[b->layer_count - 1];
	if (b->chunk_count >= MAX_CHUNKS)
		return why_fail(why, -EFBIG, "more than %u chunks", MAX_CHUNKS);
	if (c->raw == 0 || c->raw > MAX_CHUNK || c->packed > MAX_CHUNK_PACKED)
		return why_fail(why, -EFBIG, "a chunk of \"%s\" has an impossible size", name);
	if (chunk_has_extent(c->kind) &&
		(c->packed == 0 || c->blob_off < lim->start || c->blob_off > lim->end ||
			c->packed > lim->end - c->blob_off))
		return why_fail(why, -EBADMSG, "the content of \"%s\" lies outside of its layer", name);
	if (c->kind == CHUNK_RAW && c->packed != c->raw)
		return why_fail(why, -EBADMSG, "a chunk of \"%s\" has two sizes", name);
	b->chunks = grow(b->chunks, b->chunk_count, &b->chunk_cap, sizeof(*b->chunks));
	b->chunks[b->chunk_count++] = (struct tree_chunk){
		.blob_off = c->blob_off,
		.packed = chunk_has_extent(c->kind) ? (uint32_t)c->packed : 0,
		.raw = (uint32_t)c->raw,
		.layer = (uint16_t)(b->layer_count - 1),
		.kind = (uint16_t)c->kind,
		.inner = (uint32_t)c->inner,
		.digest = c->digest,
	};
	n->count++;
	n->have += c->raw;
	return 0;
}
