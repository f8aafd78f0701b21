/* SPDX-License-Identifier: MIT */
/*
 * read.c: bytes of files. What is in a pack and in memory is answered at once; the rest is chunks, each fetched
 * once, however many wait for it: from the disk and local registries by the pool, from remote ones by
 * read_remote.c.
 */
#include "cache/foreign.h"
#include "cache/impl.h"
#include "cache/layer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define OTHERS_MS 2000

/* --- one chunk -------------------------------------------------------------------------------- */

static void path_above(const struct tree *t, uint32_t i, struct buf *out)
{
	if (i == 0)
		return;
	path_above(t, t->entries[i].parent, out);
	buf_printf(out, "%s%s", out->len ? "/" : "", t->strings + t->entries[i].name);
}

/* Which file a chunk belongs to is searched for only when there is something to say about it. */
static int bad_chunk(const struct view *v, uint32_t chunk, struct why *why)
{
	const struct tree *t = v->content->tree;
	autobuf struct buf path = { 0 };
	for (uint32_t i = 0; i < t->head->entry_count; i++) {
		const struct tree_entry *e = &t->entries[i];
		if (e->type == ENTRY_FILE && !e->flags && chunk >= e->first && chunk < e->first + e->count)
			path_above(t, i, &path);
	}
	return why_prefix(why, "%s:%s: %s", v->name, v->tag, path.len ? path.data : "?");
}

/* (packed) is what the registry gave. */
static int unpack(
	const struct view *v, const struct tree_chunk *c, const void *packed, void *buf, struct why *why)
{
	int err = chunk_unpack(c, packed, buf, why);
	return err ? why_prefix(why, "registry %s", v->registry->where) : 0;
}

static int fetch_chunk(const struct view *v, const struct tree_chunk *c, void *buf, struct why *why)
{
	const struct tree_layer *l = &v->content->tree->layers[c->layer];
	if (c->kind == CHUNK_ZEROS) {
		memset(buf, 0, c->raw);
		return 0;
	}
	if (registry_is_remote(v->registry))
		return -EAGAIN;
	if (c->kind == CHUNK_WHOLE)
		return foreign_obtain(v, (uint32_t)(c - v->content->tree->chunks), buf, why);
	autofree char *packed = c->kind != CHUNK_RAW ? xmalloc(c->packed) : NULL;
	int err = v->registry->ops->blob(v->registry, v->name, &l->blob, l->blob_size, c->blob_off,
		packed ? packed : buf, c->packed, why);
	if (!err)
		v->cache->fetched += c->packed;
	if (!err && packed)
		err = unpack(v, c, packed, buf, why);
	return err;
}

/* Another process may be fetching the chunk: it is waited for as long as that takes a healthy one. True if nobody else
 * does now. */
static bool wait_for_others(struct pack *p, uint32_t number)
{
	static const struct timespec moment = { .tv_nsec = 2000000 };
	for (int i = 0; i < OTHERS_MS / 2 && !pack_has(p, number); i++) {
		if (pack_claim(p, number))
			return true;
		nanosleep(&moment, NULL);
	}
	return false;
}

/* (is) is the digest of what a registry gave for chunk (i). */
static int check_digest(const struct view *v, uint32_t i, const struct digest *is, struct why *why)
{
	const struct tree_chunk *c = &v->content->tree->chunks[i];
	char text[DIGEST_TEXT_LEN + 1];
	if (digest_equal(is, &c->digest))
		return 0;
	digest_text(&c->digest, text);
	return why_fail(why, -EILSEQ,
		"the bytes from registry %s do not match their digest %s; the registry is damaged or "
		"dishonest",
		v->registry->where, text);
}

static void keep_chunk(const struct view *v, uint32_t i, const void *data)
{
	uint32_t number = 0;
	struct pack *p = content_pack(v->content, i, &number)->pack; /* sets number: not in one call */
	pack_put(p, number, &v->content->tree->chunks[i], data);
}

int chunk_obtain(const struct view *v, uint32_t i, void *buf, struct why *why)
{
	const struct tree_chunk *c = &v->content->tree->chunks[i];
	struct why in = { 0 };
	uint32_t number = 0;
	struct pack *p = content_pack(v->content, i, &number)->pack;
	/* (those of a remote registry claim what they ask for in read_remote.c) */
	bool mine = !registry_is_remote(v->registry) && wait_for_others(p, number);
	if (pack_get(p, number, c, buf, false) == 0) {
		if (mine)
			pack_unclaim(p, number);
		return 0;
	}
	int err = fetch_chunk(v, c, buf, &in);
	if (err == -EAGAIN)
		return err;
	if (!err) {
		struct digest is;
		digest_of(buf, c->raw, &is);
		err = check_digest(v, i, &is, &in);
	}
	if (!err) {
		keep_chunk(v, i, buf);
	} else {
		bad_chunk(v, i, &in);
		why_fail(why, err, "%s", in.text);
	}
	if (mine)
		pack_unclaim(p, number);
	return err;
}

static const struct tree_chunk *chunk_of(const struct chunk_fetch *f)
{
	return &f->view->content->tree->chunks[f->chunk];
}

static void unpack_fetch(struct chunk_fetch *f)
{
	const struct tree_chunk *c = chunk_of(f);
	why_clear(&f->why);
	f->err = 0;
	f->data = f->packed;
	if (c->kind != CHUNK_RAW) {
		f->owned = xmalloc(c->raw);
		f->data = f->owned;
		f->err = unpack(f->view, c, f->packed, f->owned, &f->why);
	}
}

static void check_fetch(struct chunk_fetch *f, const struct digest *is)
{
	if (!f->err)
		f->err = check_digest(f->view, f->chunk, is, &f->why);
	if (f->err)
		bad_chunk(f->view, f->chunk, &f->why);
}

void chunk_verify(struct chunk_fetch *f)
{
	struct digest is = { 0 };
	unpack_fetch(f);
	if (!f->err)
		digest_of(f->data, chunk_of(f)->raw, &is);
	check_fetch(f, &is);
}

void chunk_verify_two(struct chunk_fetch *f, struct chunk_fetch *g)
{
	struct digest is = { 0 }, other = { 0 };
	unpack_fetch(f);
	unpack_fetch(g);
	if (!f->err && !g->err)
		digest_of_two(f->data, g->data, chunk_of(f)->raw, &is, &other);
	else if (!f->err)
		digest_of(f->data, chunk_of(f)->raw, &is);
	else if (!g->err)
		digest_of(g->data, chunk_of(g)->raw, &other);
	check_fetch(f, &is);
	check_fetch(g, &other);
}

void chunk_keep(struct chunk_fetch *f)
{
	keep_chunk(f->view, f->chunk, f->data);
	if (f->claimed)
		pack_unclaim(f->ref->pack, f->number);
	f->claimed = false;
}

/* --- chunks under way --------------------------------------------------------------------------- */

static struct chunk_fetch *find_fetch(const struct pack_ref *ref, uint32_t number)
{
	struct chunk_fetch *f = ref->fetches[number % 64];
	while (f && f->number != number)
		f = f->next;
	return f;
}

bool chunk_under_way(const struct pack_ref *ref, uint32_t number)
{
	return find_fetch(ref, number) != NULL;
}

/* --- now -------------------------------------------------------------------------------------- */

/* The stretch of one chunk that a read touches. */
struct stretch {
	uint32_t chunk;
	uint32_t from; /* within the chunk */
	uint32_t len;
};

static struct stretch stretch_at(const struct tree *t, const struct tree_entry *f, uint64_t off, size_t len)
{
	struct stretch s = { .chunk = tree_chunk_at(t, f, off) };
	const struct tree_chunk *c = &t->chunks[s.chunk];
	s.from = (uint32_t)(off + t->chunks[f->first].pack_off - c->pack_off);
	s.len = len < c->raw - s.from ? (uint32_t)len : c->raw - s.from;
	return s;
}

static int stretch_now(struct view *v, const struct stretch *s, char *buf)
{
	const struct tree_chunk *c = &v->content->tree->chunks[s->chunk];
	uint32_t number = 0;
	struct pack_ref *ref = content_pack(v->content, s->chunk, &number);
	struct pack *p = ref->pack;
	int err = pack_peek(p, number, c->pack_off + s->from, buf, s->len);
	if (err != -ENOENT)
		return err;
	const struct chunk_fetch *f = find_fetch(ref, number);
	if (f && f->verified) { /* it is just being written */
		memcpy(buf, f->data + s->from, s->len);
		return 0;
	}
	/* here and not yet checked in this process: checking a small chunk is cheaper than a trip to the pool
	 */
	if (c->raw > SCRATCH)
		return -EAGAIN;
	char *whole = s->len == c->raw ? buf : v->cache->scratch;
	err = pack_get(p, number, c, whole, true);
	if (err)
		return -EAGAIN;
	if (whole != buf)
		memcpy(buf, whole + s->from, s->len);
	return 0;
}

/* 0, or the length to read, clamped to the file. */
static ssize_t begin_read(
	const struct view *v, uint32_t index, uint64_t off, size_t len, const struct tree_entry **f)
{
	if (index >= v->content->tree->head->entry_count)
		return -ENOENT;
	*f = tree_file(v->content->tree, index);
	if (!*f)
		return -EISDIR;
	if (off >= (*f)->size)
		return 0;
	if (len > (*f)->size - off)
		len = (size_t)((*f)->size - off);
	return len > INT32_MAX ? INT32_MAX : (ssize_t)len;
}

ssize_t view_read_now(struct view *v, uint32_t index, uint64_t off, void *buf, size_t len)
{
	const struct tree *t = v->content->tree;
	const struct tree_entry *f;
	ssize_t n = begin_read(v, index, off, len, &f);
	if (n <= 0)
		return n;
	if (f->flags & TREE_INLINE) {
		memcpy(buf, t->strings + f->first + off, (size_t)n);
		return n;
	}
	uint32_t first = 0, last = 0;
	for (size_t done = 0; done < (size_t)n;) {
		struct stretch s = stretch_at(t, f, off + done, (size_t)n - done);
		int err = stretch_now(v, &s, (char *)buf + done);
		if (err)
			return err;
		last = s.chunk;
		first = done ? first : s.chunk;
		done += s.len;
	}
	if (registry_is_remote(v->registry))
		read_ahead(v, first, last, false);
	return n;
}

/* --- later ------------------------------------------------------------------------------------ */

struct read {
	struct view *view;
	view_read_fn *done;
	void *arg;
	char *buf; /* NULL if one chunk has all of it */
	size_t len;
	uint32_t pending; /* chunks */
	int err;
	struct why why;
};

struct wait {
	struct wait *next;
	struct read *read;
	uint32_t from, len;
	size_t to;
};

static void finish_read(struct read *r, const char *data)
{
	r->done(r->arg, r->err, r->err ? &r->why : NULL, r->err ? NULL : data, r->err ? 0 : r->len);
	view_put(r->view);
	free(r->buf);
	free(r);
}

static void answer_wait(const struct chunk_fetch *f, const struct wait *w)
{
	struct read *r = w->read;
	if (f->err && !r->err) {
		r->err = f->err;
		r->why = f->why;
	}
	if (!f->err && r->buf)
		memcpy(r->buf + w->to, f->data + w->from, w->len);
	if (--r->pending == 0)
		finish_read(r, r->buf || f->err ? r->buf : f->data + w->from);
}

void chunk_fetch_answer(struct chunk_fetch *f)
{
	struct wait *w = f->waits;
	f->waits = NULL;
	while (w) {
		struct wait *next = w->next;
		answer_wait(f, w);
		free(w);
		w = next;
	}
}

void chunk_fetch_done(struct chunk_fetch *f)
{
	for (struct chunk_fetch **at = &f->ref->fetches[f->number % 64]; *at; at = &(*at)->next) {
		if (*at == f) {
			*at = f->next;
			break;
		}
	}
	if (f->claimed)
		pack_unclaim(f->ref->pack, f->number);
	chunk_fetch_answer(f);
	view_put(f->view);
	free(f->owned);
	free(f);
}

static void fetch_run(void *arg)
{
	struct chunk_fetch *f = arg;
	f->owned = xmalloc(f->view->content->tree->chunks[f->chunk].raw);
	f->data = f->owned;
	why_clear(&f->why);
	f->err = chunk_obtain(f->view, f->chunk, f->owned, &f->why);
}

static void fetch_done(void *arg)
{
	struct chunk_fetch *f = arg;
	if (f->err == -EAGAIN) { /* it was thought to be here */
		free(f->owned);
		f->owned = NULL;
		chunk_fetch_remote(f);
		return;
	}
	chunk_fetch_done(f);
}

void chunk_fetch_local(struct chunk_fetch *f)
{
	f->err = why_fail(&f->why, -ECANCELED, "the cache is closing");
	cache_job(f->view->cache, fetch_run, fetch_done, f);
}

struct chunk_fetch *chunk_fetch_for(struct view *v, uint32_t chunk, bool ahead)
{
	uint32_t number = 0;
	struct pack_ref *ref = content_pack(v->content, chunk, &number);
	struct chunk_fetch *f = find_fetch(ref, number);
	if (f)
		return f;
	f = xcalloc(1, sizeof(*f));
	f->ref = ref;
	f->number = number;
	f->chunk = chunk;
	f->was_ahead = ahead;
	f->view = view_get(v);
	f->next = ref->fetches[number % 64];
	ref->fetches[number % 64] = f;
	bool local = !registry_is_remote(v->registry) || pack_has(ref->pack, number) ||
		     v->content->tree->chunks[chunk].kind == CHUNK_ZEROS;
	if (local)
		chunk_fetch_local(f);
	else
		chunk_fetch_remote(f);
	return f;
}

static void wait_for_chunk(struct read *r, const struct stretch *s, size_t to)
{
	struct chunk_fetch *f = chunk_fetch_for(r->view, s->chunk, false);
	struct wait *w = xmalloc(sizeof(*w));
	*w = (struct wait){ f->waits, r, s->from, s->len, to };
	f->waits = w;
	r->pending++;
}

void chunk_ask(struct view *v, uint32_t i, view_read_fn *done, void *arg)
{
	struct stretch s = { i, 0, v->content->tree->chunks[i].raw };
	struct read *r = xcalloc(1, sizeof(*r));
	r->view = view_get(v);
	r->done = done;
	r->arg = arg;
	r->len = s.len;
	wait_for_chunk(r, &s, 0);
}

static void read_simple(void *arg)
{
	struct read *r = arg;
	finish_read(r, r->buf);
}

static void read_chunks(struct read *r, const struct tree_entry *f, uint64_t off)
{
	const struct tree *t = r->view->content->tree;
	struct stretch first = stretch_at(t, f, off, r->len);
	uint32_t last = first.chunk;
	if (first.len < r->len)
		r->buf = xmalloc(r->len);
	for (size_t done = 0; done < r->len;) {
		struct stretch s = stretch_at(t, f, off + done, r->len - done);
		wait_for_chunk(r, &s, done);
		last = s.chunk;
		done += s.len;
	}
	if (registry_is_remote(r->view->registry))
		read_ahead(r->view, first.chunk, last, true);
}

void view_read(struct view *v, uint32_t index, uint64_t off, size_t len, view_read_fn *done, void *arg)
{
	const struct tree_entry *f;
	struct read *r = xcalloc(1, sizeof(*r));
	ssize_t n = begin_read(v, index, off, len, &f);
	r->view = view_get(v);
	r->done = done;
	r->arg = arg;
	r->len = n > 0 ? (size_t)n : 0;
	if (n > 0 && !(f->flags & TREE_INLINE)) {
		read_chunks(r, f, off);
		return;
	}
	r->buf = xmalloc(r->len + 1);
	if (n > 0)
		memcpy(r->buf, v->content->tree->strings + f->first + off, r->len);
	else if (n < 0)
		r->err = why_fail_errno(&r->why, (int)n, "%s:%s: entry %u", v->name, v->tag, index);
	loop_defer(v->cache->loop, read_simple, r);
}
