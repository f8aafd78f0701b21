/* SPDX-License-Identifier: MIT */
/*
 * read_remote.c: chunks from a server. Those that are wanted in one round of the loop, and what is read ahead,
 * are sorted by their place in the blob; neighbours become one request, a span, of which each chunk is
 * verified and answered as soon as its bytes are there, and then written. A small one that somebody waits for is
 * verified by the loop, because a worker's waking up takes longer than that.
 *
 * Reading ahead: a reader that goes forward through the chunks of a layer, which may be one large file or many
 * small ones, has its window doubled with every step, up to MAX_WINDOW; one that jumps gets what it asks for,
 * and at least MIN_WINDOW, because a request costs more than that many bytes.
 */
#include "cache/base/io.h"
#include "cache/foreign.h"
#include "cache/impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_GAP	   (64u << 10) /* bytes that nobody wants, between two that somebody does */
#define MAX_SPAN   (1u << 20)
#define MIN_WINDOW (64u << 10)
#define MAX_WINDOW (8u << 20)
#define MAX_AHEAD  (32u << 20)	/* under way in all, for nobody yet */
#define NEAR	   16u		/* chunks that a reader may leave out and still go forward */
#define MAX_UNKEPT (16u << 20)	/* if the disk is that far behind, who reads waits for it */
#define MAX_BATCH  (128u << 10) /* of a job */
#define SMALL	   (32u << 10)
#define LARGE	   (64u << 10)
#define LARGE_JOBS 3u
#define MORE_PAIRS 3u /* of large ones in a job, beside the first */
#define FAILED_NS  UINT64_C(3000000000)
#define OTHERS_NS  UINT64_C(2000000000)

struct span {
	struct cache *cache;
	struct view *view;
	struct pack_ref *ref;
	struct digest blob;
	uint64_t blob_size, off;
	char *buf;
	size_t len, have;
	bool ahead; /* counted in cache->ahead */
	unsigned refs;
	struct chunk_fetch **list; /* by place in the blob */
	uint32_t count, next;	   /* next: the first that has not gone to the pool */
};

static const struct tree_chunk *chunk_of(const struct chunk_fetch *f)
{
	return &f->view->content->tree->chunks[f->chunk];
}

/* A buffer that is malloc'ed anew each time is new pages each time, which cost more than what is copied into them. */
static char *buffer_get(struct cache *c, size_t len)
{
	if (len > SMALL && len <= MAX_SPAN && c->spares)
		return c->spare[--c->spares];
	return xmalloc(len > SMALL && len < MAX_SPAN ? MAX_SPAN : len);
}

static void buffer_put(struct cache *c, char *buf, size_t len)
{
	if (len > SMALL && len <= MAX_SPAN && c->spares < SPARES)
		c->spare[c->spares++] = buf;
	else
		free(buf);
}

void read_remote_rest(struct cache *c)
{
	while (!c->ahead && c->spares)
		free(c->spare[--c->spares]);
}

static void span_put(struct span *s)
{
	if (--s->refs > 0)
		return;
	buffer_put(s->cache, s->buf, s->len);
	view_put(s->view);
	free(s->list);
	free(s);
}

/* --- verifying and writing --------------------------------------------------------------------- */

struct batch { /* small neighbours are one job */
	struct cache *cache;
	struct chunk_fetch *first; /* linked by (batched) */
	uint64_t raw;		   /* counted in cache->unkept */
	bool large;		   /* counted in cache->large_jobs */
};

static void verify_large(struct cache *c);

static void put_source(struct chunk_fetch *f)
{
	struct span *span = f->span;
	struct spool *spool = f->spool;
	chunk_fetch_done(f);
	if (span)
		span_put(span);
	if (spool)
		spool_put(spool);
}

static void verify_batch(const struct batch *b)
{
	for (struct chunk_fetch *f = b->first; f; f = f->batched) {
		struct chunk_fetch *g = f->batched;
		if (g && chunk_of(f)->raw == chunk_of(g)->raw) {
			chunk_verify_two(f, g);
			f = g;
		} else {
			chunk_verify(f);
		}
	}
}

/* The loop hears that they were verified, and answers who waits, before they are written. */
static void verified(void *arg)
{
	struct batch *b = arg;
	struct cache *c = b->cache;
	bool now = c->unkept < MAX_UNKEPT;
	for (struct chunk_fetch *f = b->first; f; f = f->batched) {
		if (!f->err)
			b->raw += chunk_of(f)->raw;
		f->verified = now && !f->err;
		if (now || f->err)
			chunk_fetch_answer(f);
	}
	c->unkept += b->raw;
}

static void keep_run(void *arg)
{
	for (struct chunk_fetch *f = ((struct batch *)arg)->first; f; f = f->batched)
		if (!f->err)
			chunk_keep(f);
}

/* The same worker writes what it has verified: it has it at hand, and nobody else is woken up for it. */
static void batch_run(void *arg)
{
	struct batch *b = arg;
	verify_batch(b);
	pool_tell(b->cache->pool, verified, b);
	keep_run(b);
}

static void batch_done(void *arg)
{
	struct batch *b = arg;
	struct cache *c = b->cache;
	c->unkept -= b->raw;
	c->large_jobs -= b->large;
	for (struct chunk_fetch *f = b->first, *next; f; f = next) {
		next = f->batched;
		put_source(f);
	}
	if (b->large)
		verify_large(c);
	free(b);
}

static struct batch *batch_new(struct cache *c, struct chunk_fetch *first)
{
	struct batch *b = xcalloc(1, sizeof(*b));
	b->cache = c;
	b->first = first;
	return b;
}

static void submit(struct cache *c, struct chunk_fetch *first, bool large)
{
	if (!first)
		return;
	for (struct chunk_fetch *f = first; f; f = f->batched)
		f->err = why_fail(&f->why, -ECANCELED, "the cache is closing");
	struct batch *b = batch_new(c, first);
	b->large = large;
	c->large_jobs += large;
	cache_job(c, batch_run, batch_done, b);
}

/* The next one of the queue: that somebody waits for, or else the first in its layer; of (like)'s length. */
static struct chunk_fetch *take_large(struct cache *c, const struct chunk_fetch *like)
{
	struct chunk_fetch **best = NULL;
	for (struct chunk_fetch **at = &c->large; *at; at = &(*at)->batched) {
		if (like && chunk_of(*at)->raw != chunk_of(like)->raw)
			continue;
		if (!best || (*at)->waits || (!(*best)->waits && (*at)->number < (*best)->number))
			best = at;
		if ((*best)->waits)
			break;
	}
	struct chunk_fetch *f = best ? *best : NULL;
	if (f)
		*best = f->batched;
	return f;
}

static void put_back(struct cache *c, struct chunk_fetch *f)
{
	f->batched = c->large;
	c->large = f;
}

/* Up to (pairs) more pairs of (like)'s length that nobody waits for: the more in a job, the fewer are woken up. */
static struct chunk_fetch *take_more(struct cache *c, const struct chunk_fetch *like, unsigned pairs)
{
	struct chunk_fetch *f = pairs && !like->waits ? take_large(c, like) : NULL;
	struct chunk_fetch *g = f ? take_large(c, like) : NULL;
	if (g && !f->waits && !g->waits) {
		f->batched = g;
		g->batched = take_more(c, like, pairs - 1);
		return f;
	}
	if (g)
		put_back(c, g);
	if (f)
		put_back(c, f);
	return NULL;
}

/* Two of one length are verified in little more time than one: so one that nobody waits for stays until another has come,
 * if more of its span are to come. The last of them, or the failure of the span, brings us here again. */
static void verify_large(struct cache *c)
{
	while (c->large && c->large_jobs < LARGE_JOBS) {
		struct chunk_fetch *f = take_large(c, NULL), *g = take_large(c, f);
		if (!g && !f->waits && f->span && f->span->next < f->span->count) {
			f->batched = c->large;
			c->large = f;
			return;
		}
		f->batched = g;
		if (g)
			g->batched = f->waits ? NULL : take_more(c, g, MORE_PAIRS);
		submit(c, f, true);
	}
}

void chunk_fetch_wanted(struct chunk_fetch *f)
{
	if (f->span)
		verify_large(f->view->cache);
}

/* Can the loop verify it itself? Whatever a stranger packed, also what it takes to get there must be small. */
static bool is_small(const struct tree_chunk *k)
{
	return k->raw <= SMALL && k->packed <= 2 * SMALL && k->inner <= SMALL;
}

/* What came in this round of the loop, whoever sent it: the fewer jobs, the fewer threads are woken up. */
static void arrived(void *arg)
{
	struct cache *c = arg;
	struct chunk_fetch *all = c->come, *next, *now = NULL, *later = NULL;
	uint64_t raw = 0;
	c->come = NULL;
	for (struct chunk_fetch *f = all; f; f = next) {
		const struct tree_chunk *k = chunk_of(f);
		struct chunk_fetch **list = k->raw >= LARGE			     ? &c->large
					    : f->waits && is_small(k) && !c->closing ? &now
										     : &later;
		next = f->batched;
		if (list == &later && raw && raw + k->raw > MAX_BATCH) {
			submit(c, later, false);
			later = NULL;
			raw = 0;
		}
		raw += list == &later ? k->raw : 0;
		f->batched = *list;
		*list = f;
	}
	verify_large(c);
	submit(c, later, false);
	if (now) {
		struct batch *b = batch_new(c, now);
		verify_batch(b);
		verified(b);
		cache_job(c, keep_run, batch_done, b);
	}
	cache_unref(c);
}

/* Of (f) the packed bytes are there. It is put aside, because this may be called by curl, which does not want to be
 * called while it does so. */
static void verify(struct cache *c, struct chunk_fetch *f)
{
	if (!c->come) {
		c->refs++;
		loop_defer(c->loop, arrived, c);
		c->come_end = &c->come;
	}
	f->batched = NULL;
	*c->come_end = f;
	c->come_end = &f->batched;
}

static void span_some(void *arg, size_t have)
{
	struct span *s = arg;
	s->ref->came += have - s->have;
	s->have = have;
	for (; s->next < s->count; s->next++) {
		struct chunk_fetch *f = s->list[s->next];
		const struct tree_chunk *c = chunk_of(f);
		if (c->blob_off - s->off + c->packed > have)
			return;
		f->span = s;
		f->packed = s->buf + (c->blob_off - s->off);
		s->refs++;
		verify(s->cache, f);
	}
}

/* --- the end of a span ------------------------------------------------------------------------- */

static void fail_rest(struct span *s, int err, const struct why *why)
{
	struct pack_ref *ref = s->ref;
	for (; s->next < s->count; s->next++) {
		struct chunk_fetch *f = s->list[s->next];
		if (f->waits && err == -EHOSTUNREACH) { /* somebody waited in vain: the next ones need not */
			ref->failed_until_ns = clock_mono_ns() + FAILED_NS;
			ref->failed = err;
			ref->why = *why;
		}
		f->err = why_fail(&f->why, err, "%s", why->text);
		chunk_fetch_done(f);
	}
	verify_large(s->cache); /* those that waited for others of it */
	span_put(s);
}

/* The server does not serve parts: all of the blob is here now. */
static void spooled(void *arg, int err, const struct why *why, struct spool *spool)
{
	struct span *s = arg;
	if (err) {
		fail_rest(s, err, why);
		return;
	}
	for (; s->next < s->count; s->next++) {
		struct chunk_fetch *f = s->list[s->next];
		f->spool = spool_ref(spool);
		f->packed = spool_bytes(spool) + chunk_of(f)->blob_off;
		verify(s->cache, f);
	}
	import_layer(s->view, s->list[0]->chunk, spool);
	spool_put(spool);
	span_put(s);
}

static void span_done(void *arg, int err, const struct why *why)
{
	struct span *s = arg;
	if (s->ahead)
		s->cache->ahead -= s->len;
	s->ahead = false;
	if (err == -EOPNOTSUPP)
		spool_get(s->cache, s->view->registry, s->view->name, &s->blob, s->blob_size, spooled, s);
	else if (err)
		fail_rest(s, err, why);
	else
		span_put(s);
}

/* --- the batch --------------------------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
	const struct chunk_fetch *x = *(struct chunk_fetch *const *)a, *y = *(struct chunk_fetch *const *)b;
	const struct tree_chunk *c = chunk_of(x), *d = chunk_of(y);
	if (x->ref != y->ref)
		return x->ref < y->ref ? -1 : 1;
	return c->blob_off < d->blob_off ? -1 : c->blob_off > d->blob_off;
}

/* How many of (list) one request is for. A span does not mix who is waited for with what is not. */
static uint32_t span_length(struct chunk_fetch **list, uint32_t count, uint64_t *end)
{
	const struct tree_chunk *first = chunk_of(list[0]);
	uint32_t n = 1;
	*end = first->blob_off + first->packed;
	for (; n < count; n++) {
		const struct tree_chunk *c = chunk_of(list[n]);
		uint64_t to = c->blob_off + c->packed;
		if (list[n]->ref != list[0]->ref || list[n]->view->registry != list[0]->view->registry ||
			c->layer != first->layer || c->blob_off > *end + MAX_GAP ||
			to - first->blob_off > MAX_SPAN)
			break;
		*end = to > *end ? to : *end;
	}
	return n;
}

static void span_start(struct cache *c, struct chunk_fetch **list, uint32_t count, uint64_t end)
{
	struct view *v = list[0]->view;
	const struct tree_chunk *first = chunk_of(list[0]);
	const struct tree_layer *l = &v->content->tree->layers[first->layer];
	struct span *s = xcalloc(1, sizeof(*s));
	bool wanted = false;
	for (uint32_t i = 0; i < count; i++)
		wanted |= !list[i]->was_ahead;
	s->cache = c;
	s->view = view_get(v);
	s->ref = list[0]->ref;
	s->blob = l->blob;
	s->blob_size = l->blob_size;
	s->off = first->blob_off;
	s->len = (size_t)(end - first->blob_off);
	s->buf = buffer_get(c, s->len);
	s->refs = 1;
	s->list = xcalloc(count, sizeof(*list));
	s->count = count;
	memcpy(s->list, list, count * sizeof(*list));
	s->ahead = !wanted;
	if (s->ahead)
		c->ahead += s->len;
	struct registry_part p = { .repository = v->name,
		.digest = s->blob,
		.size = s->blob_size,
		.off = s->off,
		.len = s->len,
		.to = s->buf,
		.ahead = s->ahead,
		.some = span_some };
	v->registry->ops->ask(v->registry, &p, span_done, s);
}

static bool fails_at_once(struct chunk_fetch *f)
{
	struct pack_ref *ref = f->ref;
	if (f->view->cache->closing)
		f->err = why_fail(&f->why, -ECANCELED, "the cache is closing");
	else if (clock_mono_ns() < ref->failed_until_ns)
		f->err = why_fail(&f->why, ref->failed, "%s", ref->why.text);
	else
		return false;
	chunk_fetch_done(f);
	return true;
}

static void look_again(void *arg)
{
	struct cache *c = arg;
	struct chunk_fetch *all = c->others, *next;
	c->others = NULL;
	c->others_timer = NULL;
	for (struct chunk_fetch *f = all; f; f = next) {
		next = f->batched;
		if (pack_has(f->ref->pack, f->number))
			chunk_fetch_local(f);
		else
			chunk_fetch_remote(f);
	}
	cache_unref(c);
}

/* True if another process of the same cache is fetching the chunk: then it is waited for, as long as that takes a
 * healthy one. */
static bool left_to_others(struct chunk_fetch *f)
{
	struct cache *c = f->view->cache;
	uint64_t now = clock_mono_ns();
	f->claimed = pack_claim(f->ref->pack, f->number);
	if (f->claimed || (f->since_ns && now - f->since_ns > OTHERS_NS))
		return false;
	if (!f->since_ns)
		f->since_ns = now;
	f->batched = c->others;
	c->others = f;
	if (!c->others_timer) {
		c->refs++;
		c->others_timer = loop_after(c->loop, 3, look_again, c);
	}
	return true;
}

void read_remote_stop(struct cache *c)
{
	if (!c->others_timer)
		return;
	timer_cancel(c->others_timer);
	look_again(c);
}

static void flush(void *arg)
{
	struct cache *c = arg;
	struct chunk_fetch *all = c->batch, **list;
	uint32_t count = 0, n = 0;
	c->batch = NULL;
	for (struct chunk_fetch *f = all; f; f = f->batched)
		count++;
	list = xcalloc(count + 1, sizeof(*list));
	for (struct chunk_fetch *f = all, *next; f; f = next) {
		next = f->batched;
		if (fails_at_once(f) || left_to_others(f))
			continue;
		if (f->view->content->tree->chunks[f->chunk].kind == CHUNK_WHOLE)
			foreign_fetch(f);
		else
			list[n++] = f;
	}
	qsort(list, n, sizeof(*list), by_place);
	for (uint32_t at = 0, taken; at < n; at += taken) {
		uint64_t end;
		taken = span_length(list + at, n - at, &end);
		span_start(c, list + at, taken, end);
	}
	free(list);
	cache_unref(c);
}

void chunk_fetch_remote(struct chunk_fetch *f)
{
	struct cache *c = f->view->cache;
	if (!c->batch) {
		c->refs++;
		loop_defer(c->loop, flush, c);
	}
	f->batched = c->batch;
	c->batch = f;
}

/* --- what comes next --------------------------------------------------------------------------- */

/* A reader of which this is the next step, or a new one in the place of the one that began longest ago. */
static struct ahead *find_reader(struct pack_ref *ref, uint32_t first, uint32_t last)
{
	for (unsigned i = 0; i < sizeof(ref->ahead) / sizeof(ref->ahead[0]); i++) {
		struct ahead *a = &ref->ahead[i];
		if (a->window && first >= a->last &&
			first <= (a->until > a->last ? a->until : a->last) + NEAR)
			return a;
	}
	struct ahead *a = &ref->ahead[ref->next_ahead++ % (sizeof(ref->ahead) / sizeof(ref->ahead[0]))];
	*a = (struct ahead){ .last = last, .until = last + 1 };
	return a;
}

/* Packed bytes of chunks that were asked for and not yet read. */
static uint64_t still_ahead(
	const struct view *v, const struct tree_layer *l, const struct ahead *a, uint32_t last)
{
	const struct tree_chunk *chunks = v->content->tree->chunks + l->first_chunk;
	uint64_t sum = 0;
	for (uint32_t i = last + 1; i < a->until && i < l->chunk_count; i++)
		sum += chunks[i].packed;
	return sum;
}

static void ask_ahead(
	struct view *v, const struct tree_layer *l, struct pack_ref *ref, struct ahead *a, uint64_t have)
{
	const struct tree_chunk *chunks = v->content->tree->chunks + l->first_chunk;
	if (a->until <= a->last)
		a->until = a->last + 1;
	while (a->until < l->chunk_count && have < a->window && v->cache->ahead < MAX_AHEAD) {
		uint32_t i = a->until;
		if (have > 0 && have + chunks[i].packed > a->window && a->window <= MIN_WINDOW)
			break;
		if (!pack_has(ref->pack, i) && chunk_has_extent(chunks[i].kind) && !chunk_under_way(ref, i))
			chunk_fetch_for(v, l->first_chunk + i, true);
		have += chunks[i].packed;
		a->until++;
	}
}

void read_ahead(struct view *v, uint32_t first, uint32_t last, bool missed)
{
	const struct tree *t = v->content->tree;
	const struct tree_layer *l = &t->layers[t->chunks[last].layer];
	uint32_t number = 0;
	struct pack_ref *ref = content_pack(v->content, last, &number);
	if (clock_mono_ns() < ref->failed_until_ns)
		return;
	if (!missed && !ref->next_ahead) /* all of it was here from the beginning */
		return;
	first = first > l->first_chunk ? first - l->first_chunk : 0;
	struct ahead *a = find_reader(ref, first, number);
	uint64_t left = still_ahead(v, l, a, number);
	if (number > a->last)
		a->last = number;
	if (!a->window) {
		a->window = MIN_WINDOW;
		left = t->chunks[last].packed; /* what was asked for counts */
	} else if (left > a->window / 2) {
		return;
	} else if (a->window < MAX_WINDOW) {
		a->window *= 2;
	}
	ask_ahead(v, l, ref, a, left);
}
