/* SPDX-License-Identifier: MIT */
/*
 * search.c: a search is a chain: the names; the index brought up to them; the question; the answer joined with the names,
 * because the index may know kernels that this mount does not have.
 */
#include "cache/search.h"

#include "cache/base/io.h"
#include "cache/catalog_docs.h"
#include "cache/impl.h"
#include "cache/kernel.h"
#include "cache/search_words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FILL_AT_A_TIME 2u
#define FILL_WAIT_MS   2000
#define RETRY_NS       UINT64_C(60000000000)
#define README_MAX     (64u << 10)

struct hits {
	unsigned refs;
	struct names *names;
	uint32_t count;
	uint32_t at[SEARCH_MAX]; /* in names */
};

struct question {
	struct question *next; /* of those that wait for the filling */
	struct cache *cache;
	char *words;
	struct names *names;
	struct hits *hits;
	struct timer *patience;
	cache_search_fn *done;
	void *arg;
};

/* How the index gets to know kernels that nobody has looked at. */
struct search {
	struct names *names; /* that it was brought up to; NULL: none yet */
	uint64_t tried_at;
	uint32_t *unknown, count, cap, next; /* in names */
	unsigned under_way;
	struct question *waiting;
};

/* --- what a tree says ------------------------------------------------------------------------- */

static const char *inline_file(const struct tree *t, const char *path, size_t *len)
{
	struct entry e;
	const struct tree_entry *f = tree_path(t, path, &e) == 0 ? tree_file(t, e.index) : NULL;
	*len = f && f->flags & TREE_INLINE ? f->size : 0;
	return *len ? t->strings + f->first : "";
}

void search_index(struct cache *c, const char *name, const char *digest, const struct tree *t)
{
	struct kernel_conf k = { 0 };
	size_t conf_len, readme_len;
	if (catalog_knows(c->catalog, name, digest))
		return;
	const char *conf = inline_file(t, "kernel.conf", &conf_len),
		   *text = inline_file(t, "README.md", &readme_len);
	if (kernel_conf_parse(&k, conf, conf_len, false, NULL) == 0) {
		autobuf struct buf modes = { 0 };
		autofree char *readme = xstrndup(text, readme_len < README_MAX ? readme_len : README_MAX);
		for (int m = 0; m < MODE_COUNT; m++)
			if (k.launch[m].supported)
				buf_printf(&modes, "%s ", kernel_mode_names[m]);
		struct doc d = { name, digest, k.description, k.keywords, readme, modes.data, k.arch,
			k.license, k.family };
		catalog_put_doc(c->catalog, &d);
	}
	kernel_conf_free(&k);
}

/* --- filling ---------------------------------------------------------------------------------- */

static void ask(struct question *q);
static void fill(struct cache *c);

struct filling {
	struct cache *cache;
	struct view *view;
	char *name, *digest;
};

static void answer_waiting(struct cache *c)
{
	struct question *q = c->search->waiting;
	c->search->waiting = NULL;
	for (struct question *next; q; q = next) {
		next = q->next;
		timer_cancel(q->patience);
		q->patience = NULL;
		ask(q);
	}
}

static void fill_end(struct filling *f)
{
	struct cache *c = f->cache;
	c->search->under_way--;
	view_put(f->view);
	free(f->name);
	free(f->digest);
	free(f);
	fill(c);
	cache_unref(c);
}

static void fill_run(void *arg)
{
	struct filling *f = arg;
	search_index(f->cache, f->name, f->digest, f->view->content->tree);
}

static void fill_done(void *arg)
{
	fill_end(arg);
}

/* What cannot be read now is tried again with the next snapshot, or in a minute. */
static void fill_viewed(void *arg, int err, const struct why *why, struct view *view)
{
	struct filling *f = arg;
	(void)why;
	f->view = view;
	if (err)
		fill_end(f);
	else
		cache_job(f->cache, fill_run, fill_done, f);
}

static void fill(struct cache *c)
{
	struct search *s = c->search;
	while (!c->closing && s->next < s->count && s->under_way < FILL_AT_A_TIME) {
		const struct name *n = names_at(s->names, s->unknown[s->next++]);
		struct filling *f = xcalloc(1, sizeof(*f));
		*f = (struct filling){ .cache = c, .name = xstrdup(n->name), .digest = xstrdup(n->digest) };
		c->refs++;
		s->under_way++;
		cache_look(c, n->name, n->tag, fill_viewed, f);
	}
	if (s->under_way == 0)
		answer_waiting(c);
}

static void out_of_patience(void *arg)
{
	struct question *q = arg;
	q->patience = NULL;
	for (struct question **at = &q->cache->search->waiting; *at; at = &(*at)->next) {
		if (*at == q) {
			*at = q->next;
			break;
		}
	}
	ask(q);
}

/* --- the index is brought up to the names -------------------------------------------------------- */

struct update {
	struct question *question;
	uint32_t *unknown, count, cap;
};

static void add_unknown(void *arg, uint32_t i)
{
	struct update *u = arg;
	if (u->count == u->cap) {
		u->cap = u->cap ? 2 * u->cap : 64;
		u->unknown = xrealloc(u->unknown, u->cap * sizeof(*u->unknown));
	}
	u->unknown[u->count++] = i;
}

static void update_run(void *arg)
{
	struct update *u = arg;
	catalog_add_names(u->question->cache->catalog, u->question->names, add_unknown, u);
}

static void wait_or_ask(struct question *q)
{
	struct search *s = q->cache->search;
	if (s->next >= s->count && s->under_way == 0) {
		ask(q);
		return;
	}
	q->next = s->waiting;
	s->waiting = q;
	q->patience = loop_after(q->cache->loop, FILL_WAIT_MS, out_of_patience, q);
}

static void update_done(void *arg)
{
	struct update *u = arg;
	struct question *q = u->question;
	struct search *s = q->cache->search;
	names_put(s->names);
	free(s->unknown);
	s->names = names_get(q->names);
	s->unknown = u->unknown;
	s->count = u->count;
	s->next = 0;
	s->tried_at = clock_mono_ns();
	free(u);
	wait_or_ask(q);
	fill(q->cache);
}

static void update(struct question *q)
{
	struct update *u = xcalloc(1, sizeof(*u));
	u->question = q;
	cache_job(q->cache, update_run, update_done, u);
}

/* --- asking ----------------------------------------------------------------------------------- */

static void end(struct question *q, int err, const struct why *why)
{
	struct cache *c = q->cache;
	q->done(q->arg, err, why, err ? NULL : q->hits);
	names_put(q->names);
	free(q->words);
	free(q);
	cache_unref(c);
}

struct asking {
	struct question *question;
	struct search_words words;
};

/* All tags that the name has at this digest. */
static void join(void *arg, const char *name, const char *digest)
{
	struct asking *a = arg;
	struct hits *h = a->question->hits;
	const struct name *first = names_find(h->names, name, NULL);
	uint32_t i = first ? (uint32_t)(first - names_at(h->names, 0)) : 0;
	while (i > 0 && strcmp(names_at(h->names, i - 1)->name, name) == 0)
		i--;
	for (; first && i < names_count(h->names); i++) {
		const struct name *n = names_at(h->names, i);
		if (strcmp(n->name, name) != 0)
			break;
		if (h->count < SEARCH_MAX && strcmp(n->digest, digest) == 0 &&
			search_words_tag(&a->words, n->tag))
			h->at[h->count++] = i;
	}
}

static void only_tags(struct asking *a)
{
	struct hits *h = a->question->hits;
	for (uint32_t i = 0; i < names_count(h->names) && h->count < SEARCH_MAX; i++)
		if (search_words_tag(&a->words, names_at(h->names, i)->tag))
			h->at[h->count++] = i;
}

static void ask_run(void *arg)
{
	struct question *q = arg;
	struct asking a = { .question = q };
	if (search_words_parse(&a.words, q->words)) {
		if (a.words.match.len)
			catalog_find(q->cache->catalog, a.words.match.data, SEARCH_MAX, join, &a);
		else
			only_tags(&a);
	}
	search_words_free(&a.words);
}

static void ask_done(void *arg)
{
	end(arg, 0, NULL);
}

static void ask(struct question *q)
{
	q->hits = xcalloc(1, sizeof(*q->hits));
	q->hits->refs = 1;
	q->hits->names = names_get(q->names);
	cache_job(q->cache, ask_run, ask_done, q);
}

static void named(void *arg, int err, const struct why *why, struct names *names)
{
	struct question *q = arg;
	struct search *s = q->cache->search;
	q->names = names;
	if (err)
		end(q, err, why);
	else if (s->names != names || (s->next >= s->count && s->count && !s->under_way &&
					      clock_mono_ns() - s->tried_at > RETRY_NS))
		update(q);
	else
		wait_or_ask(q);
}

void cache_search(struct cache *c, const char *words, cache_search_fn *done, void *arg)
{
	struct question *q = xcalloc(1, sizeof(*q));
	if (!c->search)
		c->search = xcalloc(1, sizeof(*c->search));
	*q = (struct question){ .cache = c, .words = xstrdup(words), .done = done, .arg = arg };
	c->refs++;
	cache_names(c, named, q);
}

void search_free(struct cache *c)
{
	if (!c->search)
		return;
	names_put(c->search->names);
	free(c->search->unknown);
	free(c->search);
}

/* --- hits ------------------------------------------------------------------------------------- */

struct hits *hits_get(struct hits *h)
{
	h->refs++;
	return h;
}

void hits_put(struct hits *h)
{
	if (!h || --h->refs > 0)
		return;
	names_put(h->names);
	free(h);
}

uint32_t hits_count(const struct hits *h)
{
	return h->count;
}

const struct name *hits_at(const struct hits *h, uint32_t i)
{
	return names_at(h->names, h->at[i]);
}

const struct names *hits_names(const struct hits *h)
{
	return h->names;
}
