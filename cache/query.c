/* SPDX-License-Identifier: MIT */
/*
 * query.c: questions for names and views. Those that ask the same at the same time share one answer.
 */
#include "cache/base/io.h"
#include "cache/impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FRESH_NS UINT64_C(1000000000)

/* --- one registry ----------------------------------------------------------------------------- */

/* The catalog is written only when something changed since this or another process wrote it. */
static void remember(struct cache *c, struct place *p, struct names *fresh)
{
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

static struct names *recall(struct cache *c, struct place *p)
{
	int64_t as_of = 0;
	struct names *n = known(p),
		     *old = n ? NULL : catalog_get_names(c->catalog, p->registry->where, &as_of);
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

int place_list(struct cache *c, struct place *p, struct names **out, struct why *why)
{
	struct why in = { 0 };
	int err = p->registry->ops->list(p->registry, out, &in);
	if (err) {
		tell(p, false, in.text);
		*out = recall(c, p);
		return *out ? 0 : why_fail(why, err, "%s", in.text);
	}
	struct names *before = known(p);
	if (before != *out)
		remember(c, p, *out);
	names_put(before);
	tell(p, true, "");
	return 0;
}

/* --- names ------------------------------------------------------------------------------------ */

struct names_query {
	struct names_query *next;
	cache_names_fn *done;
	void *arg;
};

struct names_job {
	struct cache *cache;
	struct names *before, *after;
	int err;
	struct why why;
};

static void answer_names(struct cache *c, int err, const struct why *why, struct names *names)
{
	struct names_query *q = c->names_waiting;
	c->names_waiting = NULL; /* a callback may ask again */
	while (q) {
		struct names_query *next = q->next;
		q->done(q->arg, err, why, err ? NULL : names_get(names));
		free(q);
		q = next;
	}
}

static void names_run(void *arg)
{
	struct names_job *j = arg;
	struct cache *c = j->cache;
	struct names *lists[MAX_REGISTRIES] = { NULL };
	uint32_t n = c->place_count, answered = 0;
	j->err = 0;
	why_clear(&j->why);
	for (uint32_t i = 0; i < n; i++) {
		struct why why = { 0 };
		int err = place_list(c, &c->places[i], &lists[i], &why);
		if (!err)
			answered++;
		else if (!j->why.err)
			j->err = why_fail(&j->why, err, "%s", why.text);
	}
	if (n == 0 || answered > 0) {
		j->err = 0;
		j->after = names_merge(lists, n);
	}
	for (uint32_t i = 0; i < n; i++)
		names_put(lists[i]);
	if (j->after && j->before && names_equal(j->after, j->before)) {
		names_put(j->after);
		j->after = names_get(j->before);
	}
}

static void names_done(void *arg)
{
	struct names_job *j = arg;
	struct cache *c = j->cache;
	if (!j->err) {
		names_put(c->names);
		c->names = names_get(j->after);
		c->names_at = clock_mono_ns();
	}
	answer_names(c, j->err, &j->why, j->after);
	names_put(j->before);
	names_put(j->after);
	free(j);
}

static void names_fresh(void *arg)
{
	struct cache *c = arg;
	answer_names(c, 0, NULL, c->names);
	cache_unref(c);
}

void cache_names(struct cache *c, cache_names_fn *done, void *arg)
{
	struct names_query *q = xmalloc(sizeof(*q));
	bool asked = c->names_waiting != NULL;
	*q = (struct names_query){ c->names_waiting, done, arg };
	c->names_waiting = q;
	if (asked)
		return;
	if (c->names && c->names_at && clock_mono_ns() - c->names_at < FRESH_NS) {
		c->refs++;
		loop_defer(c->loop, names_fresh, c);
		return;
	}
	struct names_job *j = xcalloc(1, sizeof(*j));
	j->cache = c;
	j->before = c->names ? names_get(c->names) : NULL;
	j->err = why_fail(&j->why, -ECANCELED, "the cache is closing");
	cache_job(c, names_run, names_done, j);
}

/* --- views ------------------------------------------------------------------------------------ */

struct view_waiter {
	struct view_waiter *next;
	cache_view_fn *done;
	void *arg;
};

struct view_query {
	struct view_query *next; /* in cache->views_waiting */
	struct cache *cache;
	char *name, *reference;
	struct view_waiter *waiters;
	struct registry *registry;
	struct digest digest;
	struct tree *tree;
	struct pack **packs;
	int err;
	struct why why;
};

static int no_such_tag(const struct names *n, const char *name, const char *tag, struct why *why)
{
	autobuf struct buf tags = { 0 };
	for (uint32_t i = 0; i < names_count(n) && tags.len < 200; i++)
		if (strcmp(names_at(n, i)->name, name) == 0)
			buf_printf(&tags, " %s", names_at(n, i)->tag);
	return why_fail(why, -ENOENT, "kernel %s has no tag \"%s\"; there are:%s", name, tag, tags.data);
}

/* The first registry that has the name decides, and one that cannot answer is not passed over. */
static int resolve(struct view_query *q)
{
	struct cache *c = q->cache;
	bool by_digest = digest_parse(q->reference, &q->digest) == 0;
	for (uint32_t i = 0; i < c->place_count; i++) {
		struct names *n;
		int err = place_list(c, &c->places[i], &n, &q->why);
		if (err)
			return err;
		bool has = names_find(n, q->name, NULL) != NULL;
		const struct name *tag = by_digest ? NULL : names_find(n, q->name, q->reference);
		if (tag)
			digest_parse(tag->digest, &q->digest);
		else if (has && !by_digest)
			err = no_such_tag(n, q->name, q->reference, &q->why);
		names_put(n);
		q->registry = c->places[i].registry;
		if (has)
			return err;
	}
	return why_fail(&q->why, -ENOENT, "there is no kernel named \"%s\"; the directory kernels/ lists all",
		q->name);
}

static void resolve_run(void *arg)
{
	struct view_query *q = arg;
	why_clear(&q->why);
	q->err = resolve(q);
}

static void load_run(void *arg)
{
	struct view_query *q = arg;
	struct digest ignored;
	why_clear(&q->why);
	q->err = load_tree(q->cache, q->registry, q->name, &q->digest, &q->tree, &q->why);
	if (!q->err) {
		q->packs = packs_open(q->cache, q->tree);
		return;
	}
	why_prefix(&q->why, "%s:%s", q->name, q->reference);
	/* a tag that is listed and leads nowhere is not a tag that there is not */
	if (q->err == -ENOENT && digest_parse(q->reference, &ignored) < 0)
		q->err = q->why.err = -EBADMSG;
}

static void answer_view(struct view_query *q, struct content *content)
{
	struct cache *c = q->cache;
	for (struct view_query **at = &c->views_waiting; *at; at = &(*at)->next) {
		if (*at == q) {
			*at = q->next;
			break;
		}
	}
	for (struct view_waiter *w = q->waiters, *next; w; w = next) {
		next = w->next;
		struct view *v = NULL;
		if (content) {
			content->refs++;
			v = view_new(c, content, q->registry, q->name, q->reference);
		}
		w->done(w->arg, q->err, &q->why, v);
		free(w);
	}
	if (content)
		content_unref(c, content);
	free(q->name);
	free(q->reference);
	free(q);
}

static void load_done(void *arg)
{
	struct view_query *q = arg;
	answer_view(q, q->err ? NULL : content_adopt(q->cache, q->tree, q->packs));
}

static void resolve_done(void *arg)
{
	struct view_query *q = arg;
	struct content *content = q->err ? NULL : content_find(q->cache, &q->digest);
	if (q->err || content) {
		answer_view(q, content);
		return;
	}
	q->err = why_fail(&q->why, -ECANCELED, "the cache is closing");
	cache_job(q->cache, load_run, load_done, q);
}

void cache_view(struct cache *c, const char *name, const char *reference, cache_view_fn *done, void *arg)
{
	struct view_waiter *w = xmalloc(sizeof(*w));
	struct view_query *q = c->views_waiting;
	while (q && (strcmp(q->name, name) != 0 || strcmp(q->reference, reference) != 0))
		q = q->next;
	*w = (struct view_waiter){ q ? q->waiters : NULL, done, arg };
	if (q) {
		q->waiters = w;
		return;
	}
	q = xcalloc(1, sizeof(*q));
	q->cache = c;
	q->name = xstrdup(name);
	q->reference = xstrdup(reference);
	q->waiters = w;
	q->next = c->views_waiting;
	c->views_waiting = q;
	q->err = why_fail(&q->why, -ECANCELED, "the cache is closing");
	cache_job(c, resolve_run, resolve_done, q);
}
