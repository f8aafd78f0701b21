/* SPDX-License-Identifier: MIT */
/* content.c: what digests show, shared; and views, which are a name for it. */
#include "cache/impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- packs ------------------------------------------------------------------------------------ */

struct pack **packs_open(struct cache *c, const struct tree *t)
{
	struct pack **packs = xcalloc(t->head->layer_count + 1, sizeof(struct pack *));
	for (uint32_t i = 0; i < t->head->layer_count; i++)
		packs[i] = pack_open(c->packs_fd, c->room, &t->layers[i]);
	return packs;
}

static struct pack_ref *adopt_pack(struct cache *c, struct pack *p)
{
	for (struct pack_ref *r = c->packs; r; r = r->next) {
		if (digest_equal(pack_id(r->pack), pack_id(p))) {
			pack_close(p);
			r->refs++;
			return r;
		}
	}
	struct pack_ref *r = xcalloc(1, sizeof(*r));
	r->pack = p;
	r->refs = 1;
	r->next = c->packs;
	c->packs = r;
	return r;
}

static void unref_pack(struct cache *c, struct pack_ref *r)
{
	if (--r->refs > 0)
		return;
	for (struct pack_ref **at = &c->packs; *at; at = &(*at)->next) {
		if (*at == r) {
			*at = r->next;
			break;
		}
	}
	pack_close(r->pack);
	free(r);
}

/* --- contents --------------------------------------------------------------------------------- */

struct content *content_find(struct cache *c, const struct digest *d, enum extent extent)
{
	struct content *found = NULL;
	for (struct content *k = c->contents; k; k = k->next)
		if (digest_equal(&k->digest, d) && k->extent <= extent &&
			(!found || k->extent < found->extent))
			found = k;
	if (found)
		found->refs++;
	return found;
}

struct content *content_adopt(struct cache *c, const struct load *l)
{
	struct tree *t = l->tree;
	struct pack **packs = l->packs;
	uint32_t layers = t->head->layer_count;
	enum extent extent = l->brief ? EXTENT_BRIEF : l->lacks ? EXTENT_LOOK : EXTENT_ALL;
	struct content *k = content_find(c, &t->head->manifest, extent);
	struct entry e;
	if (k) {
		for (uint32_t i = 0; i < layers; i++)
			pack_close(packs[i]);
		free(packs);
		tree_unref(t);
		return k;
	}
	k = xcalloc(1, sizeof(*k));
	k->tree = t;
	k->digest = t->head->manifest;
	k->extent = extent;
	k->refs = 1;
	if (l->lacks && tree_path(t, l->lacks, &e) == 0) {
		k->lacks = e.index;
		k->lacks_size = l->lacks_size;
	}
	k->packs = xcalloc(layers + 1, sizeof(struct pack_ref *));
	for (uint32_t i = 0; i < layers; i++)
		k->packs[i] = adopt_pack(c, packs[i]);
	free(packs);
	k->next = c->contents;
	c->contents = k;
	return k;
}

void content_unref(struct cache *c, struct content *k)
{
	if (--k->refs > 0)
		return;
	for (struct content **at = &c->contents; *at; at = &(*at)->next) {
		if (*at == k) {
			*at = k->next;
			break;
		}
	}
	for (uint32_t i = 0; i < k->tree->head->layer_count; i++)
		unref_pack(c, k->packs[i]);
	free(k->packs);
	learn_free(k);
	tree_unref(k->tree);
	free(k);
}

struct pack_ref *content_pack(const struct content *k, uint32_t i, uint32_t *number)
{
	uint16_t layer = k->tree->chunks[i].layer;
	*number = i - k->tree->layers[layer].first_chunk;
	return k->packs[layer];
}

/* --- views ------------------------------------------------------------------------------------ */

struct view *view_new(
	struct cache *c, struct content *k, struct registry *reg, const char *name, const char *tag)
{
	struct view *v = xcalloc(1, sizeof(*v));
	v->cache = c;
	v->content = k;
	v->registry = reg;
	v->name = xstrdup(name);
	v->tag = xstrdup(tag);
	v->refs = 1;
	c->refs++;
	digest_text(&k->digest, v->digest);
	return v;
}

struct view *view_get(struct view *v)
{
	v->refs++;
	return v;
}

void view_put(struct view *v)
{
	if (!v || --v->refs > 0)
		return;
	content_unref(v->cache, v->content);
	cache_unref(v->cache);
	free(v->name);
	free(v->tag);
	free(v);
}

const char *view_name(const struct view *v)
{
	return v->name;
}

const char *view_tag(const struct view *v)
{
	return v->tag;
}

const char *view_digest(const struct view *v)
{
	return v->digest;
}

void view_cached(const struct view *v, uint64_t *here, uint64_t *total)
{
	const struct tree *t = v->content->tree;
	*here = 0;
	*total = t->head->content + v->content->lacks_size;
	for (uint32_t i = 0; i < t->head->layer_count; i++)
		*here += pack_here(v->content->packs[i]->pack, t->chunks + t->layers[i].first_chunk);
}

/* The pack of a file, or NULL if it needs none. */
static struct pack *pack_of(const struct view *v, uint32_t index)
{
	const struct tree *t = v->content->tree;
	const struct tree_entry *f = index < t->head->entry_count ? tree_file(t, index) : NULL;
	return f && f->count && !(f->flags & TREE_INLINE) ? v->content->packs[t->chunks[f->first].layer]->pack
							  : NULL;
}

struct attaching {
	struct view *view;
	struct pack *pack;
	view_ready_fn *done; /* or NULL */
	void *arg;
};

static void attach_run(void *arg)
{
	pack_attach(((struct attaching *)arg)->pack);
}

static void attach_done(void *arg)
{
	struct attaching *a = arg;
	if (a->done)
		a->done(a->arg);
	view_put(a->view);
	free(a);
}

static void attach(struct view *v, struct pack *p, view_ready_fn *done, void *arg)
{
	struct attaching *a = xmalloc(sizeof(*a));
	*a = (struct attaching){ view_get(v), p, done, arg };
	cache_job(v->cache, attach_run, attach_done, a);
}

void view_hold(struct view *v, uint32_t index)
{
	struct pack *p = pack_of(v, index);
	if (!p)
		return;
	pack_hold(p);
	if (!pack_attached(p))
		attach(v, p, NULL, NULL);
}

void view_let(struct view *v, uint32_t index)
{
	struct pack *p = pack_of(v, index);
	if (p)
		pack_let(p);
}

/* --- files as they lie in the cache --------------------------------------------------------------- */

struct pack *content_own_pack(const struct content *k, const struct tree_entry *f)
{
	if (!f || f->flags & TREE_INLINE || f->count == 0)
		return NULL;
	uint16_t layer = k->tree->chunks[f->first].layer;
	const struct tree_layer *l = &k->tree->layers[layer];
	return f->first == l->first_chunk && f->count == l->chunk_count && f->size == l->pack_size
		       ? k->packs[layer]->pack
		       : NULL;
}

static struct pack *own_pack(const struct view *v, uint32_t index)
{
	const struct tree *t = v->content->tree;
	return content_own_pack(v->content, index < t->head->entry_count ? tree_file(t, index) : NULL);
}

int view_whole(struct view *v, uint32_t index)
{
	struct pack *p = own_pack(v, index);
	return p ? pack_whole(p) : -ENOENT;
}

void view_ready(struct view *v, uint32_t index, view_ready_fn *done, void *arg)
{
	attach(v, pack_of(v, index), done, arg);
}

static void vouch_run(void *arg)
{
	pack_vouch(((struct attaching *)arg)->pack);
}

void view_vouch(struct view *v, uint32_t index)
{
	struct pack *p = own_pack(v, index);
	if (!p)
		return;
	struct attaching *a = xmalloc(sizeof(*a));
	*a = (struct attaching){ .view = view_get(v), .pack = p };
	cache_job(v->cache, vouch_run, attach_done, a);
}

uint64_t view_progress(const struct view *v)
{
	const struct tree *t = v->content->tree;
	uint64_t sum = 0;
	if (!registry_is_remote(v->registry)) { /* it has no other measure than what was done */
		view_cached(v, &sum, &(uint64_t){ 0 });
		return sum;
	}
	for (uint32_t i = 0; i < t->head->layer_count; i++)
		sum += v->content->packs[i]->came + spool_came(v->cache, &t->layers[i].blob);
	return sum;
}

bool view_is_brief(const struct view *v)
{
	return v->content->extent == EXTENT_BRIEF;
}

bool view_lacks(const struct view *v, uint32_t dir)
{
	return dir && dir == v->content->lacks;
}

uint32_t view_count(const struct view *v)
{
	return v->content->tree->head->entry_count;
}

int view_entry(const struct view *v, uint32_t index, struct entry *out)
{
	return tree_get(v->content->tree, index, out);
}

int view_lookup(const struct view *v, uint32_t dir, const char *name, struct entry *out)
{
	return tree_lookup(v->content->tree, dir, name, out);
}

int view_path(const struct view *v, const char *path, struct entry *out)
{
	return tree_path(v->content->tree, path, out);
}
