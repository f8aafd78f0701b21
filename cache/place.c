/* SPDX-License-Identifier: MIT */
/*
 * place.c: one registry, as the cache sees it: what it lists, what its tags are, and what the catalog
 * remembers of both.
 *
 * A local registry is asked each time, in the pool. A remote one is asked when what it said is no longer fresh,
 * and nobody waits for that who can be given what it said before; only the first list of a mount is waited for,
 * a moment if an older one is there, else until it has come or failed. So a dead registry delays nobody twice.
 */
#include "cache/base/io.h"
#include "cache/impl.h"
#include "cache/tags.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FIRST_PATIENCE_MS 1500
#define AGAIN_NS	  UINT64_C(2000000000) /* between tries of what cannot answer */

struct place_wait {
	struct place_wait *next;
	place_fn *done;
	void *arg;
};

/* --- what is remembered ------------------------------------------------------------------------ */

/* The catalog is written only when something changed since this or another process wrote it. */
static void remember(struct place *p, struct names *fresh)
{
	struct cache *c = p->cache;
	int64_t as_of;
	pthread_mutex_lock(&p->lock);
	struct names *before = p->listed;
	p->listed = names_get(fresh);
	pthread_mutex_unlock(&p->lock);
	if (!before)
		before = catalog_get_names(c->catalog, p->registry->where, &as_of);
	if (!names_equal(before, fresh))
		catalog_put_names(c->catalog, p->registry->where, fresh);
	names_put(before);
}

/* The lock is never held while waiting for a disk: cache_status takes it in the loop. */
static void tell(struct place *p, bool reachable, const char *trouble)
{
	pthread_mutex_lock(&p->lock);
	if (!reachable && strncmp(p->trouble, trouble, sizeof(p->trouble) - 1) != 0)
		log_warn("%s", trouble);
	p->reachable = reachable;
	if (reachable)
		p->as_of = time(NULL);
	snprintf(p->trouble, sizeof(p->trouble), "%.255s", trouble);
	pthread_mutex_unlock(&p->lock);
}

/* Adds a reference; NULL if nothing is known. */
static struct names *known(struct place *p)
{
	pthread_mutex_lock(&p->lock);
	struct names *n = p->listed ? names_get(p->listed) : NULL;
	pthread_mutex_unlock(&p->lock);
	return n;
}

static struct names *recall(struct place *p)
{
	int64_t as_of = 0;
	struct names *n = known(p),
		     *old = n ? NULL : catalog_get_names(p->cache->catalog, p->registry->where, &as_of);
	if (!old)
		return n;
	pthread_mutex_lock(&p->lock);
	if (!p->listed) {
		p->listed = names_get(old);
		p->as_of = as_of;
	}
	pthread_mutex_unlock(&p->lock);
	names_put(old);
	return known(p);
}

/* --- local: in the pool ------------------------------------------------------------------------ */

struct local_question {
	struct place *place;
	place_fn *done;
	void *arg;
	struct names *names;
	int err;
	struct why why;
};

static int local_list(struct place *p, struct names **out, struct why *why)
{
	struct why in = { 0 };
	int err = p->registry->ops->list(p->registry, out, &in);
	if (err) {
		tell(p, false, in.text);
		*out = recall(p);
		return *out ? 0 : why_fail(why, err, "%s", in.text);
	}
	struct names *before = known(p);
	if (before != *out)
		remember(p, *out);
	names_put(before);
	tell(p, true, "");
	return 0;
}

static void local_run(void *arg)
{
	struct local_question *q = arg;
	why_clear(&q->why);
	q->err = local_list(q->place, &q->names, &q->why);
}

static void local_done(void *arg)
{
	struct local_question *q = arg;
	q->done(q->arg, q->err, &q->why, q->err ? NULL : q->names);
	free(q);
}

static void local_ask(struct place *p, place_fn *done, void *arg)
{
	struct local_question *q = xcalloc(1, sizeof(*q));
	q->place = p;
	q->done = done;
	q->arg = arg;
	q->err = why_fail(&q->why, -ECANCELED, "the cache is closing");
	cache_job(p->cache, local_run, local_done, q);
}

/* --- remote: names ----------------------------------------------------------------------------- */

static void settle(struct place *p);

static void answer_all(struct place *p, int err, const struct why *why, struct names *names)
{
	struct place_wait *w = p->waiting;
	struct why text = err ? *why : (struct why){ 0 };
	p->waiting = NULL;
	timer_cancel(p->patience);
	p->patience = NULL;
	while (w) {
		struct place_wait *next = w->next;
		w->done(w->arg, err, &text, err ? NULL : names_get(names));
		free(w);
		w = next;
	}
}

static void impatient(void *arg)
{
	struct place *p = arg;
	p->patience = NULL;
	struct names *n = known(p);
	answer_all(p, 0, NULL, n);
	names_put(n);
}

struct kept_list {
	struct place *place;
	struct names *names;
};

static void keep_run(void *arg)
{
	struct kept_list *k = arg;
	catalog_put_names(k->place->cache->catalog, k->place->registry->where, k->names);
}

static void keep_done(void *arg)
{
	struct kept_list *k = arg;
	names_put(k->names);
	free(k);
}

static void list_came(void *arg, int err, const struct why *why, struct names *names)
{
	struct place *p = arg;
	struct cache *c = p->cache;
	uint64_t now = clock_mono_ns();
	p->listing = false;
	p->failed = err != 0;
	p->err = err;
	p->took_ns = now - p->began_ns;
	if (err) {
		p->why = *why;
		p->again_ns = now + AGAIN_NS;
		if (err != -ECANCELED)
			tell(p, false, why->text);
	} else {
		struct names *before = known(p);
		p->listed_ns = p->outdated ? 0 : now;
		p->outdated = false;
		tell(p, true, "");
		if (names_equal(before, names)) {
			names_put(names);
		} else {
			struct kept_list *k = xmalloc(sizeof(*k));
			*k = (struct kept_list){ p, names };
			pthread_mutex_lock(&p->lock);
			names_put(p->listed);
			p->listed = names_get(names);
			pthread_mutex_unlock(&p->lock);
			cache_job(c, keep_run, keep_done, k);
		}
		names_put(before);
	}
	settle(p);
	cache_unref(c);
}

static bool is_stale(const struct place *p, uint64_t now)
{
	uint64_t fresh = p->cache->fresh_ns, dear = 10 * p->took_ns;
	return !p->listed_ns || now - p->listed_ns > (dear > fresh ? dear : fresh);
}

/* Begins a list if one is due; then answers who waits, unless the list must be waited for. */
static void settle(struct place *p)
{
	struct cache *c = p->cache;
	uint64_t now = clock_mono_ns();
	struct names *n = known(p);
	if (!p->listing && !c->closing && p->waiting && now >= p->again_ns && is_stale(p, now)) {
		p->listing = true;
		p->began_ns = now;
		c->refs++;
		p->registry->ops->ask_names(p->registry, list_came, p);
	}
	bool first = p->listing && !p->listed_ns && !p->failed;
	uint64_t waited_ms = (now - p->began_ns) / 1000000;
	if (!p->waiting || (first && !n)) {
		/* nobody asks, or there is nothing else to say */
	} else if (first && waited_ms < FIRST_PATIENCE_MS) {
		if (!p->patience)
			p->patience = loop_after(c->loop, FIRST_PATIENCE_MS - waited_ms, impatient, p);
	} else if (n) {
		answer_all(p, 0, NULL, n);
	} else {
		answer_all(p, p->err ? p->err : -ECANCELED, &p->why, NULL);
	}
	names_put(n);
}

struct recalled {
	struct place *place;
	struct catalog_tag *tags;
	size_t count;
};

static void recall_run(void *arg)
{
	struct recalled *r = arg;
	names_put(recall(r->place));
	r->tags = catalog_get_tags(r->place->cache->catalog, r->place->registry->where, &r->count);
}

static void recall_done(void *arg)
{
	struct recalled *r = arg;
	struct place *p = r->place;
	p->recalling = false;
	p->recalled = true;
	for (size_t i = 0; i < r->count; i++) {
		struct tag *t = tags_find(p->tags, r->tags[i].name, r->tags[i].tag, true);
		t->digest = r->tags[i].digest;
		t->known = true;
		free(r->tags[i].name);
		free(r->tags[i].tag);
	}
	free(r->tags);
	free(r);
	if (p->cache->closing)
		p->err = why_fail(&p->why, -ECANCELED, "the cache is closing");
	settle(p);
}

static void settle_later(void *arg)
{
	struct place *p = arg;
	struct cache *c = p->cache;
	settle(p);
	cache_unref(c);
}

void place_ask(struct place *p, place_fn *done, void *arg)
{
	struct cache *c = p->cache;
	if (!registry_is_remote(p->registry)) {
		local_ask(p, done, arg);
		return;
	}
	struct place_wait *w = xmalloc(sizeof(*w));
	*w = (struct place_wait){ p->waiting, done, arg };
	p->waiting = w;
	if (p->recalled) {
		c->refs++;
		loop_defer(c->loop, settle_later, p);
	} else if (!p->recalling) {
		struct recalled *r = xcalloc(1, sizeof(*r));
		r->place = p;
		p->recalling = true;
		cache_job(c, recall_run, recall_done, r);
	}
}

/* --- remote: tags ------------------------------------------------------------------------------ */

struct tag_wait {
	struct tag_wait *next;
	registry_tag_fn *done;
	void *arg;
};

struct kept_tag {
	struct cache *cache;
	const char *where; /* the registry's, which stays as long as the cache */
	char *name, *tag;
	struct digest digest;
};

static void keep_tag_run(void *arg)
{
	struct kept_tag *k = arg;
	catalog_put_tag(k->cache->catalog, k->where, k->name, k->tag, &k->digest);
}

static void keep_tag_done(void *arg)
{
	struct kept_tag *k = arg;
	free(k->name);
	free(k->tag);
	free(k);
}

static void keep_tag(struct place *p, const struct tag *t)
{
	struct kept_tag *k = xmalloc(sizeof(*k));
	const char *colon = strrchr(t->key, ':');
	*k = (struct kept_tag){ p->cache, p->registry->where, xstrndup(t->key, (size_t)(colon - t->key)),
		xstrdup(colon + 1), t->digest };
	cache_job(p->cache, keep_tag_run, keep_tag_done, k);
}

static void answer_tag(struct tag *t, int err, const struct why *why, struct buf *manifest)
{
	struct tag_wait *w = t->waiting;
	struct buf none = { 0 };
	t->waiting = NULL;
	while (w) {
		struct tag_wait *next = w->next;
		w->done(w->arg, err, why, err ? NULL : &t->digest, manifest ? manifest : &none);
		buf_free(&none);
		free(w);
		w = next;
	}
}

static void tag_came(void *arg, int err, const struct why *why, const struct digest *d, struct buf *manifest)
{
	struct tag *t = arg;
	struct place *p = t->place;
	struct cache *c = p->cache;
	uint64_t now = clock_mono_ns();
	t->asking = false;
	if (err) {
		t->again_ns = now + AGAIN_NS;
	} else {
		bool changed = !t->known || !digest_equal(&t->digest, d);
		t->digest = *d;
		t->known = true;
		t->asked_ns = now;
		if (changed)
			keep_tag(p, t);
	}
	if (err && t->known && err != -ECANCELED) /* what it was is better than nothing */
		answer_tag(t, 0, NULL, NULL);
	else
		answer_tag(t, err, why, manifest);
	cache_unref(c);
}

static void ask_tag(struct place *p, struct tag *t, const char *name, const char *tag)
{
	t->asking = true;
	t->place = p;
	p->cache->refs++;
	p->registry->ops->ask_tag(p->registry, name, tag, t->known ? &t->digest : NULL, tag_came, t);
}

struct tag_now {
	struct cache *cache;
	struct tag *tag;
};

static void answer_known(void *arg)
{
	struct tag_now *n = arg;
	struct cache *c = n->cache;
	answer_tag(n->tag, 0, NULL, NULL);
	free(n);
	cache_unref(c);
}

/* What is known is given at once, and asked for again behind the back of whoever wanted it. */
void place_tag(struct place *p, const char *name, const char *tag, registry_tag_fn *done, void *arg)
{
	struct cache *c = p->cache;
	uint64_t now = clock_mono_ns();
	struct tag *t = tags_find(p->tags, name, tag, true);
	struct tag_wait *w = xmalloc(sizeof(*w));
	*w = (struct tag_wait){ t->waiting, done, arg };
	t->waiting = w;
	bool stale = !t->asked_ns || now - t->asked_ns > c->fresh_ns;
	bool first = !t->asked_ns && p->listed_ns && !p->failed &&
		     now >= t->again_ns; /* of this mount: worth a wait */
	if (t->known && !first) {
		struct tag_now *n = xmalloc(sizeof(*n));
		*n = (struct tag_now){ c, t };
		c->refs++;
		loop_defer(c->loop, answer_known, n);
		if (t->asking || !stale || now < t->again_ns)
			return;
	}
	if (!t->asking)
		ask_tag(p, t, name, tag);
}

void place_forget(struct place *p, const char *name, const char *tag)
{
	struct tag *t = tags_find(p->tags, name, tag, false);
	p->listed_ns = 0;
	p->outdated = p->listing;
	if (t && !t->asking) {
		t->known = false;
		t->asked_ns = 0;
	}
}

/* --- beginning and end ------------------------------------------------------------------------- */

void place_init(struct cache *c, struct place *p, struct registry *r)
{
	*p = (struct place){ .cache = c, .registry = r };
	pthread_mutex_init(&p->lock, NULL);
	p->tags = tags_new();
}

void place_free(struct place *p)
{
	names_put(p->listed);
	tags_free(p->tags);
	p->registry->ops->close(p->registry);
	pthread_mutex_destroy(&p->lock);
}
