/* SPDX-License-Identifier: MIT */
/*
 * query.c: questions for names and views. Those that ask the same at the same time share one answer.
 */
#include "cache/base/io.h"
#include "cache/cosign.h"
#include "cache/impl.h"
#include "cache/trust.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define FRESH_NS  UINT64_C(1000000000)
#define FAILED_NS UINT64_C(3000000000)

/* --- names ------------------------------------------------------------------------------------ */

struct names_query {
	struct names_query *next;
	cache_names_fn *done;
	void *arg;
};

struct names_job {
	struct cache *cache;
	struct names *lists[MAX_REGISTRIES];
	uint32_t count, pending, answered;
	struct buf missing; /* in words: who could not tell its names */
	struct names *before, *after;
	bool checked; /* signatures that had to be fetched were looked at */
	int err;
	struct why why;
};

struct names_part { /* one registry's answer */
	struct names_job *job;
	uint32_t place;
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

static bool shows(void *arg, uint32_t place, const struct names *list, const struct name *n)
{
	struct cache *c = arg;
	return trust_shows(c, c->places[place].registry, list, n);
}

static void merge_run(void *arg)
{
	struct names_job *j = arg;
	j->err = 0;
	why_clear(&j->why);
	j->after = names_merge(j->lists, j->count, j->missing.data, j->cache->trust ? shows : NULL, j->cache);
	if (j->before && names_equal(j->after, j->before)) {
		names_put(j->after);
		j->after = names_get(j->before);
	}
}

static void names_done(void *arg);

static void names_checked(void *arg)
{
	struct names_job *j = arg;
	names_put(j->after);
	j->after = NULL;
	j->err = why_fail(&j->why, -ECANCELED, "the cache is closing");
	cache_job(j->cache, merge_run, names_done, j);
}

static void names_done(void *arg)
{
	struct names_job *j = arg;
	struct cache *c = j->cache;
	if (!j->err && c->trust && !j->checked) {
		j->checked = true;
		if (trust_check_names(c, j->lists, j->count, names_checked, j))
			return;
	}
	if (!j->err) {
		names_put(c->names);
		c->names = names_get(j->after);
		c->names_at = clock_mono_ns();
		memcpy(c->merged, j->lists, sizeof(c->merged));
	}
	answer_names(c, j->err, &j->why, j->after);
	for (uint32_t i = 0; i < j->count; i++)
		names_put(j->lists[i]);
	buf_free(&j->missing);
	names_put(j->before);
	names_put(j->after);
	free(j);
	cache_unref(c);
}

/* All have answered. What is merged holds its parts, so that equal pointers are the same lists. */
static void merge(struct names_job *j)
{
	struct cache *c = j->cache;
	if (j->count > 0 && j->answered == 0) {
		j->err = j->why.err;
		names_done(j);
		return;
	}
	if (c->names && !memcmp(c->merged, j->lists, sizeof(c->merged)) &&
		!!j->missing.data == !!names_missing(c->names)) {
		j->after = names_get(c->names);
		names_done(j);
		return;
	}
	j->before = c->names ? names_get(c->names) : NULL;
	j->err = why_fail(&j->why, -ECANCELED, "the cache is closing");
	cache_job(c, merge_run, names_done, j);
}

static void part_came(void *arg, int err, const struct why *why, struct names *names)
{
	struct names_part *p = arg;
	struct names_job *j = p->job;
	if (err) {
		if (!j->why.err)
			why_fail(&j->why, err, "%s", why->text);
		buf_printf(&j->missing, "%s%s", j->missing.len ? "; " : "", why->text);
	} else {
		j->answered++;
		j->lists[p->place] = names;
	}
	free(p);
	if (--j->pending == 0)
		merge(j);
}

static void names_fresh(void *arg)
{
	struct cache *c = arg;
	answer_names(c, 0, NULL, c->names);
	cache_unref(c);
}

static void begin_names(void *arg)
{
	struct names_job *j = arg;
	if (j->count == 0)
		merge(j);
}

void cache_names(struct cache *c, cache_names_fn *done, void *arg)
{
	struct names_query *q = xmalloc(sizeof(*q));
	bool asked = c->names_waiting != NULL;
	*q = (struct names_query){ c->names_waiting, done, arg };
	c->names_waiting = q;
	if (asked)
		return;
	c->refs++;
	if (c->names && c->names_at && clock_mono_ns() - c->names_at < FRESH_NS) {
		loop_defer(c->loop, names_fresh, c);
		return;
	}
	struct names_job *j = xcalloc(1, sizeof(*j));
	j->cache = c;
	j->count = j->pending = c->place_count;
	for (uint32_t i = 0; i < j->count; i++) {
		struct names_part *p = xmalloc(sizeof(*p));
		*p = (struct names_part){ j, i };
		place_ask(&c->places[i], part_came, p);
	}
	if (j->count == 0)
		loop_defer(c->loop, begin_names, j);
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
	uint32_t place; /* that is asked now */
	bool by_digest;
	struct digest digest;
	struct load load, check; /* check: of the signature, before */
	struct trust_question question;
	bool trusted;
	bool only_check; /* nobody wants to see it: only whether it is signed */
	enum extent extent;
	int err;
	struct why why;
};

/* One that a registry could not answer is not asked again by each of a hundred lookups. */
struct failed_view {
	struct failed_view *next;
	char *name, *reference;
	uint64_t until_ns;
	int err;
	struct why why;
};

static void failed_free(struct failed_view *f)
{
	free(f->name);
	free(f->reference);
	free(f);
}

/* Those whose time is over go, too. */
static struct failed_view *failed_find(struct cache *c, const char *name, const char *reference)
{
	uint64_t now = clock_mono_ns();
	for (struct failed_view **at = &c->views_failed; *at;) {
		struct failed_view *f = *at;
		if (now >= f->until_ns) {
			*at = f->next;
			failed_free(f);
			continue;
		}
		if (!strcmp(f->name, name) && !strcmp(f->reference, reference))
			return f;
		at = &f->next;
	}
	return NULL;
}

static void failed_note(const struct view_query *q)
{
	struct cache *c = q->cache;
	if (q->err != -EHOSTUNREACH || failed_find(c, q->name, q->reference))
		return;
	struct failed_view *f = xmalloc(sizeof(*f));
	*f = (struct failed_view){ c->views_failed, xstrdup(q->name), xstrdup(q->reference),
		clock_mono_ns() + FAILED_NS, q->err, q->why };
	c->views_failed = f;
}

void query_free(struct cache *c)
{
	while (c->views_failed) {
		struct failed_view *f = c->views_failed;
		c->views_failed = f->next;
		failed_free(f);
	}
}

static int no_such_tag(const struct names *n, const char *name, const char *tag, struct why *why)
{
	autobuf struct buf tags = { 0 };
	for (uint32_t i = 0; i < names_count(n) && tags.len < 200; i++)
		if (strcmp(names_at(n, i)->name, name) == 0 && !cosign_is_tag(names_at(n, i)->tag))
			buf_printf(&tags, " %s", names_at(n, i)->tag);
	return why_fail(why, -ENOENT, "kernel %s has no tag \"%s\"; there are:%s", name, tag, tags.data);
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
	if (q->err)
		failed_note(q);
	for (struct view_waiter *w = q->waiters, *next; w; w = next) {
		next = w->next;
		struct view *v = NULL;
		if (content) {
			content->refs++;
			v = view_new(c, content, c->places[q->place].registry, q->name, q->reference);
		}
		w->done(w->arg, q->err, &q->why, v);
		free(w);
	}
	if (content)
		content_unref(c, content);
	load_free_needs(&q->load);
	load_free_needs(&q->check);
	free(q->name);
	free(q->reference);
	free(q);
	cache_unref(c);
}

static void fail_view(struct view_query *q, int err, const struct why *why)
{
	q->err = why_fail(&q->why, err, "%s", why->text);
	answer_view(q, NULL);
}

static void loaded(struct load *l)
{
	struct view_query *q = l->arg;
	q->err = l->err;
	if (!l->err) {
		if (l->brief)
			rest_later(q->cache, q->name, &l->tree->head->manifest);
		answer_view(q, content_adopt(q->cache, l));
		return;
	}
	/* a tag that is listed and leads nowhere is not a tag that there is not */
	if (q->err == -ENOENT && !q->by_digest)
		q->err = -EBADMSG;
	why_fail(&q->why, q->err, "%s:%s: %s", q->name, q->reference, l->why.text);
	if (registry_is_remote(l->registry) && !strstr(q->why.text, l->registry->where))
		why_prefix(&q->why, "registry %s", l->registry->where);
	answer_view(q, NULL);
}

static void ask_trust(struct view_query *q);

static void load_view(struct view_query *q)
{
	if (q->cache->trust && !q->trusted) {
		ask_trust(q);
		return;
	}
	if (q->cache->trust && !q->by_digest)
		trust_note_tag(q->cache->trust, q->name, q->reference, true);
	if (q->only_check) {
		q->err = 0;
		answer_view(q, NULL);
		return;
	}
	struct cache *c = q->cache;
	struct content *content = content_find(c, &q->digest, q->extent);
	q->err = 0;
	why_clear(&q->why);
	if (content) {
		answer_view(q, content);
		return;
	}
	q->load.cache = c;
	q->load.objects_fd = c->objects_fd;
	q->load.registry = c->places[q->place].registry;
	q->load.repository = q->name;
	q->load.digest = q->digest;
	q->load.extent = q->extent;
	q->load.done = loaded;
	q->load.arg = q;
	load_start(&q->load);
}

static void tag_known(void *arg, int err, const struct why *why, const struct digest *d, struct buf *manifest)
{
	struct view_query *q = arg;
	if (err) {
		fail_view(q, err, why);
		return;
	}
	q->digest = *d;
	if (manifest->len > 0) {
		q->load.digest = *d;
		load_give_manifest(&q->load, manifest);
	}
	load_view(q);
}

/* --- is it signed? ----------------------------------------------------------------------------- */

static void not_trusted(struct view_query *q, int err, const struct why *why)
{
	struct cache *c = q->cache;
	q->err = why_fail(&q->why, err, "%s:%s: %s", q->name, q->reference, why->text);
	bool news = q->by_digest || err != -EKEYREJECTED ||
		    trust_note_tag(c->trust, q->name, q->reference, false);
	if (news) { /* it may have to go from the names */
		memset(c->merged, 0, sizeof(c->merged));
		c->names_at = 0;
	}
	answer_view(q, NULL);
}

static int run_check(struct load *l, struct why *why)
{
	return trust_check(l, l->arg, why);
}

static void checked(struct load *l)
{
	struct view_query *q = (struct view_query *)((char *)l - offsetof(struct view_query, check));
	q->trusted = !l->err;
	if (l->err)
		not_trusted(q, l->err, &l->why);
	else
		load_view(q);
}

static void signature_known(
	void *arg, int err, const struct why *why, const struct digest *d, struct buf *manifest)
{
	struct view_query *q = arg;
	struct cache *c = q->cache;
	struct why bad = { 0 };
	char text[DIGEST_TEXT_LEN + 1];
	if (err) {
		not_trusted(q, err == -ENOENT ? -EKEYREJECTED : err, why);
		return;
	}
	digest_text(d, text);
	int verdict = trust_verdict(c->trust, q->name, &q->digest, text, &bad);
	if (verdict >= 0) {
		q->trusted = verdict;
		if (verdict)
			load_view(q);
		else
			not_trusted(q, -EKEYREJECTED, &bad);
		return;
	}
	q->question = (struct trust_question){ c->trust, q->digest };
	q->check = (struct load){ .cache = c,
		.objects_fd = c->objects_fd,
		.registry = c->places[q->place].registry,
		.repository = q->name,
		.digest = *d,
		.run = run_check,
		.done = checked,
		.arg = &q->question };
	if (manifest && manifest->len > 0)
		load_give_manifest(&q->check, manifest);
	load_start(&q->check);
}

static void signature_listed(void *arg, int err, const struct why *why, struct names *n)
{
	struct view_query *q = arg;
	struct why bad = { 0 };
	struct digest d;
	char tag[COSIGN_TAG_LEN + 1];
	if (err) {
		not_trusted(q, err, why);
		return;
	}
	cosign_tag(&q->digest, tag);
	const struct name *sig = names_find(n, q->name, tag);
	if (!sig && trust_verdict(q->cache->trust, q->name, &q->digest, NULL, &bad) == 0)
		not_trusted(q, -EKEYREJECTED, &bad);
	else if (digest_parse(sig->digest, &d) == 0)
		signature_known(q, 0, NULL, &d, NULL);
	else
		place_tag(&q->cache->places[q->place], q->name, tag, signature_known, q);
	names_put(n);
}

static void ask_trust(struct view_query *q)
{
	place_ask(&q->cache->places[q->place], signature_listed, q);
}

/* --- where is it? ------------------------------------------------------------------------------ */

static void resolve(struct view_query *q);

/* The first registry that has the name decides, and one that cannot answer is not passed over. */
static void listed(void *arg, int err, const struct why *why, struct names *n)
{
	struct view_query *q = arg;
	struct cache *c = q->cache;
	struct place *p = &c->places[q->place];
	if (err) {
		fail_view(q, err, why);
		return;
	}
	bool has = names_find(n, q->name, NULL) != NULL;
	const struct name *tag = q->by_digest ? NULL : names_find(n, q->name, q->reference);
	bool ask = tag && digest_parse(tag->digest, &q->digest) < 0;
	if (has && !q->by_digest && !tag)
		err = no_such_tag(n, q->name, q->reference, &q->why);
	names_put(n);
	if (!has) {
		q->place++;
		resolve(q);
	} else if (err) {
		q->err = err;
		answer_view(q, NULL);
	} else if (!ask) {
		load_view(q);
	} else {
		place_tag(p, q->name, q->reference, tag_known, q);
	}
}

static void resolve(struct view_query *q)
{
	struct cache *c = q->cache;
	if (q->place < c->place_count) {
		place_ask(&c->places[q->place], listed, q);
		return;
	}
	q->err = why_fail(&q->why, -ENOENT,
		"there is no kernel named \"%s\"; the directory kernels/ lists all", q->name);
	answer_view(q, NULL);
}

static void begin_view(void *arg)
{
	struct view_query *q = arg;
	struct failed_view *f = failed_find(q->cache, q->name, q->reference);
	if (f)
		fail_view(q, f->err, &f->why);
	else
		resolve(q);
}

static void ask_view(struct cache *c, const char *name, const char *reference, enum extent extent,
	bool only_check, cache_view_fn *done, void *arg)
{
	struct view_waiter *w = xmalloc(sizeof(*w));
	struct view_query *q = c->views_waiting;
	while (q && (q->only_check != only_check || q->extent != extent || strcmp(q->name, name) != 0 ||
			    strcmp(q->reference, reference) != 0))
		q = q->next;
	*w = (struct view_waiter){ q ? q->waiters : NULL, done, arg };
	if (q) {
		q->waiters = w;
		return;
	}
	q = xcalloc(1, sizeof(*q));
	q->cache = c;
	q->only_check = only_check;
	q->extent = extent;
	q->name = xstrdup(name);
	q->reference = xstrdup(reference);
	q->waiters = w;
	q->by_digest = digest_parse(reference, &q->digest) == 0;
	q->next = c->views_waiting;
	c->views_waiting = q;
	c->refs++;
	if (c->views_failed || c->place_count == 0)
		loop_defer(c->loop, begin_view, q);
	else
		resolve(q);
}

static void ask_and_step(
	struct cache *c, const char *name, const char *reference, enum extent extent, cache_view_fn *done, void *arg)
{
	ask_view(c, name, reference, extent, false, done, arg);
	walk_step(c, name, reference, extent);
}

void cache_view(struct cache *c, const char *name, const char *reference, cache_view_fn *done, void *arg)
{
	ask_and_step(c, name, reference, EXTENT_ALL, done, arg);
}

void cache_look(struct cache *c, const char *name, const char *reference, cache_view_fn *done, void *arg)
{
	ask_and_step(c, name, reference, EXTENT_LOOK, done, arg);
}

void cache_brief(struct cache *c, const char *name, const char *reference, cache_view_fn *done, void *arg)
{
	ask_and_step(c, name, reference, EXTENT_BRIEF, done, arg);
}

void query_ahead(struct cache *c, const char *name, const char *reference, enum extent extent, cache_view_fn *done,
	void *arg)
{
	ask_view(c, name, reference, extent, false, done, arg);
}

void query_check(struct cache *c, const char *name, const char *tag, cache_view_fn *done, void *arg)
{
	ask_view(c, name, tag, EXTENT_ALL, true, done, arg);
}
