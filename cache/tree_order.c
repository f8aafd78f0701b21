/* SPDX-License-Identifier: MIT */
/*
 * tree_order.c: the last checks, places in packs, and the breadth-first file.
 */
#include "cache/limits.h"
#include "cache/tree_nodes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define ALIGN_FROM                                                                                           \
	(64u << 10) /* larger files begin at a block of the pack, so that they can be reflinked              \
		     */
#define BLOCK 4096u

static const char *str(const struct tree_build *b, uint32_t at)
{
	return b->strings.data + at;
}

/* A hard link to a hard link is followed once: TOCs need not be in the order of the tar. */
static int resolve_hard_links(struct tree_build *b, struct why *why)
{
	for (uint32_t i = 0; i < b->node_count; i++) {
		struct node *n = &b->nodes[i];
		if (n->kind != ITEM_HARD)
			continue;
		uint32_t to = node_find(b, n->first, str(b, n->target));
		n->count = to; /* kept apart until all are known: (first) is still the base for others */
		if (to != NO_NODE && to != i && b->nodes[to].kind == ITEM_HARD)
			n->count = node_find(b, b->nodes[to].first, str(b, b->nodes[to].target));
		if (n->count == NO_NODE || b->nodes[n->count].kind != ITEM_FILE)
			return why_fail(why, -EBADMSG,
				"entry \"%s\" is a hard link to \"%s\", which is no file", str(b, n->name),
				str(b, n->target));
	}
	for (uint32_t i = 0; i < b->node_count; i++)
		if (b->nodes[i].kind == ITEM_HARD)
			b->nodes[i].first = b->nodes[i].count;
	return 0;
}

static int check_sizes(const struct tree_build *b, uint64_t *content, struct why *why)
{
	*content = 0;
	for (uint32_t i = 0; i < b->node_count; i++) {
		const struct node *n = &b->nodes[i];
		if (n->kind != ITEM_FILE || n->inlined)
			continue;
		if (n->have != n->size)
			return why_fail(why, -EBADMSG,
				"entry \"%s\" claims %llu bytes, and its chunks are %llu", str(b, n->name),
				(unsigned long long)n->size, (unsigned long long)n->have);
		*content += n->size;
	}
	return 0;
}

static int by_extent(const void *a, const void *b)
{
	const struct tree_chunk *x = a, *y = b;
	if (x->blob_off != y->blob_off)
		return x->blob_off < y->blob_off ? -1 : 1;
	return x->packed < y->packed ? -1 : x->packed > y->packed;
}

/* Two files may share an extent wholly, as deduplicating writers do, never in part. */
static int check_overlap(const struct tree_build *b, const struct tree_layer *l, struct why *why)
{
	struct tree_chunk *v = xmalloc((l->chunk_count + 1) * sizeof(*v));
	uint32_t n = 0;
	int err = 0;
	for (uint32_t i = 0; i < l->chunk_count; i++)
		if (chunk_has_extent(b->chunks[l->first_chunk + i].kind))
			v[n++] = b->chunks[l->first_chunk + i];
	qsort(v, n, sizeof(*v), by_extent);
	for (uint32_t i = 1; i < n && !err; i++)
		if (by_extent(&v[i - 1], &v[i]) != 0 && v[i].blob_off < v[i - 1].blob_off + v[i - 1].packed)
			err = why_fail(why, -EBADMSG, "two files of a layer overlap at byte %llu of it",
				(unsigned long long)v[i].blob_off);
	free(v);
	return err;
}

static void place_in_packs(struct tree_build *b)
{
	for (uint32_t i = 0; i < b->node_count; i++) {
		const struct node *n = &b->nodes[i];
		if (n->kind != ITEM_FILE || n->inlined || n->count == 0)
			continue;
		struct tree_layer *l = &b->layers[b->chunks[n->first].layer];
		if (n->size >= ALIGN_FROM)
			l->pack_size = (l->pack_size + BLOCK - 1) / BLOCK * BLOCK;
		for (uint32_t c = n->first; c < n->first + n->count; c++) {
			b->chunks[c].pack_off = l->pack_size;
			l->pack_size += b->chunks[c].raw;
		}
	}
}

/* pack.h: the name of a pack is the digest of what belongs where in it. */
static void name_pack(const struct tree_build *b, struct tree_layer *l)
{
	struct hasher *h = hasher_new();
	for (uint32_t i = 0; i < l->chunk_count; i++) {
		const struct tree_chunk *c = &b->chunks[l->first_chunk + i];
		uint64_t place[2] = { c->pack_off, c->raw };
		hasher_add(h, place, sizeof(place));
		hasher_add(h, c->digest.bytes, sizeof(c->digest.bytes));
	}
	hasher_end(h, &l->pack);
	hasher_free(h);
}

static int finish_layers(struct tree_build *b, struct why *why)
{
	for (uint32_t i = 0; i < b->layer_count; i++) {
		uint32_t end = i + 1 < b->layer_count ? b->layers[i + 1].first_chunk : b->chunk_count;
		b->layers[i].chunk_count = end - b->layers[i].first_chunk;
		int err = check_overlap(b, &b->layers[i], why);
		if (err)
			return err;
	}
	place_in_packs(b);
	for (uint32_t i = 0; i < b->layer_count; i++) {
		if (b->layers[i].pack_size > MAX_LAYER_RAW)
			return why_fail(why, -EFBIG, "a layer unpacks to more than %llu bytes",
				(unsigned long long)MAX_LAYER_RAW);
		name_pack(b, &b->layers[i]);
	}
	return 0;
}

static int by_name(const void *a, const void *b, void *arg)
{
	const struct tree_build *t = arg;
	return strcmp(
		str(t, t->nodes[*(const uint32_t *)a].name), str(t, t->nodes[*(const uint32_t *)b].name));
}

struct order {
	uint32_t *start; /* of each node's children in kids */
	uint32_t *kids;
	uint32_t *queue; /* final order: nodes */
	uint32_t *final; /* node -> final index */
	uint32_t count;
};

static bool shown(const struct tree_build *b, uint32_t n)
{
	return b->nodes[n].kind != ITEM_HIDDEN;
}

static void list_children(const struct tree_build *b, struct order *o)
{
	for (uint32_t n = 1; n < b->node_count; n++)
		if (shown(b, n))
			o->start[b->nodes[n].parent + 1]++;
	for (uint32_t n = 0; n < b->node_count; n++)
		o->start[n + 1] += o->start[n];
	uint32_t *next = xmalloc((b->node_count + 1) * sizeof(*next));
	memcpy(next, o->start, (b->node_count + 1) * sizeof(*next));
	for (uint32_t n = 1; n < b->node_count; n++)
		if (shown(b, n))
			o->kids[next[b->nodes[n].parent]++] = n;
	free(next);
}

static void breadth_first(struct tree_build *b, struct order *o)
{
	size_t n = b->node_count;
	o->start = xcalloc(n + 1, sizeof(*o->start));
	o->kids = xcalloc(n, sizeof(*o->kids));
	o->queue = xcalloc(n, sizeof(*o->queue));
	o->final = xcalloc(n, sizeof(*o->final));
	list_children(b, o);
	o->count = 1;
	for (uint32_t at = 0; at < o->count; at++) {
		uint32_t dir = o->queue[at], kids = o->start[dir + 1] - o->start[dir];
		if (b->nodes[dir].kind != ITEM_DIR || kids == 0)
			continue;
		qsort_r(o->kids + o->start[dir], kids, sizeof(*o->kids), by_name, b);
		for (uint32_t k = 0; k < kids; k++) {
			o->final[o->kids[o->start[dir] + k]] = o->count;
			o->queue[o->count++] = o->kids[o->start[dir] + k];
		}
	}
}

static void count_links(struct tree_build *b)
{
	for (uint32_t n = 0; n < b->node_count; n++)
		b->nodes[n].nlink += b->nodes[n].kind == ITEM_DIR ? 2 : 1;
	for (uint32_t n = 1; n < b->node_count; n++) {
		if (b->nodes[n].kind == ITEM_DIR)
			b->nodes[b->nodes[n].parent].nlink++;
		if (b->nodes[n].kind == ITEM_HARD)
			b->nodes[b->nodes[n].first].nlink++;
	}
}

static struct tree_entry entry_of(const struct tree_build *b, const struct order *o, uint32_t node)
{
	const struct node *n = &b->nodes[node];
	struct tree_entry e = {
		.name = n->name,
		.parent = o->final[n->parent],
		.first = n->first,
		.count = n->count,
		.size = n->size,
		.mtime = n->mtime,
		.nlink = n->nlink,
		.mode = n->kind == ITEM_DIR ? 0555 : n->mode,
	};
	if (n->kind == ITEM_DIR) {
		e.type = ENTRY_DIR;
		e.count = o->start[node + 1] - o->start[node];
		e.first = e.count ? o->final[o->kids[o->start[node]]] : 0;
	} else if (n->kind == ITEM_LINK) {
		e.type = ENTRY_LINK;
		e.first = n->target;
		e.count = 0;
	} else {
		e.type = ENTRY_FILE;
		e.flags = n->inlined ? TREE_INLINE : 0;
		if (n->kind == ITEM_HARD) {
			e.flags = TREE_HARD;
			e.first = o->final[n->first];
			e.count = 0;
		}
	}
	return e;
}

static uint64_t pad8(struct buf *out, size_t base)
{
	static const char zeros[8];
	buf_append(out, zeros, (8 - (out->len - base) % 8) % 8);
	return out->len - base;
}

static void put_all(const struct tree_build *b, const struct order *o, struct tree_header *h, struct buf *out)
{
	size_t base = out->len;
	size_t room = sizeof(*h) + o->count * sizeof(struct tree_entry) +
		      b->chunk_count * sizeof(struct tree_chunk) +
		      b->layer_count * sizeof(struct tree_layer) + b->strings.len + 64;
	buf_reserve(out, room);
	buf_append(out, h, sizeof(*h));
	h->entries_at = pad8(out, base);
	for (uint32_t i = 0; i < o->count; i++) {
		struct tree_entry e = entry_of(b, o, o->queue[i]);
		buf_append(out, &e, sizeof(e));
	}
	h->chunks_at = pad8(out, base);
	buf_append(out, b->chunks, b->chunk_count * sizeof(*b->chunks));
	h->layers_at = pad8(out, base);
	buf_append(out, b->layers, b->layer_count * sizeof(*b->layers));
	h->strings_at = pad8(out, base);
	buf_append(out, b->strings.data, b->strings.len);
	h->size = out->len - base;
	memcpy(out->data + base, h, sizeof(*h));
	size_t from = offsetof(struct tree_header, manifest);
	h->check = XXH3_64bits(out->data + base + from, h->size - from);
	memcpy(out->data + base, h, sizeof(*h));
}

int tree_build_finish(struct tree_build *b, const struct digest *manifest, struct buf *out, struct why *why)
{
	struct tree_header h = { .magic = TREE_MAGIC, .version = TREE_VERSION, .manifest = *manifest };
	int err = resolve_hard_links(b, why);
	if (!err)
		err = check_sizes(b, &h.content, why);
	if (!err)
		err = finish_layers(b, why);
	if (err)
		return err;
	count_links(b);
	struct order o = { 0 };
	breadth_first(b, &o);
	h.entry_count = o.count;
	h.chunk_count = b->chunk_count;
	h.layer_count = b->layer_count;
	h.strings_len = b->strings.len;
	put_all(b, &o, &h, out);
	free(o.start);
	free(o.kids);
	free(o.queue);
	free(o.final);
	return 0;
}
