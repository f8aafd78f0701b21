/* SPDX-License-Identifier: MIT */
/*
 * trust_names.c: signatures of what remote registries list, a few at a time, so that a list shows what is signed and
 * nothing else, if it can be known soon.
 */
#include "cache/cosign.h"
#include "cache/trust.h"

#include <stdlib.h>
#include <string.h>

#define AT_A_TIME   8u
#define PATIENCE_MS 3000

struct round {
	struct cache *cache;
	struct names **lists; /* held */
	uint32_t count, list, next;
	unsigned under_way;
	struct timer *patience;
	void (*done)(void *arg); /* NULL: it was told */
	void *arg;
};

/* One that is shown now, and of which that may be wrong. */
static bool is_open(const struct round *r, const struct name *n)
{
	char tag[COSIGN_TAG_LEN + 1];
	struct digest d;
	const struct names *list = r->lists[r->list];
	if (cosign_is_tag(n->tag))
		return false;
	if (digest_parse(n->digest, &d) < 0)
		return trust_has_signatures(
			list, n->name); /* what it is now is known to the place, or asked for */
	cosign_tag(&d, tag);
	const struct name *sig = names_find(list, n->name, tag);
	return sig && trust_verdict(r->cache->trust, n->name, &d, sig->digest, NULL) < 0;
}

static const struct name *next_open(struct round *r)
{
	for (; r->list < r->count; r->list++, r->next = 0) {
		const struct names *list = r->lists[r->list];
		if (!list || !registry_is_remote(r->cache->places[r->list].registry))
			continue;
		while (r->next < names_count(list)) {
			const struct name *n = names_at(list, r->next++);
			if (is_open(r, n))
				return n;
		}
	}
	return NULL;
}

static void tell(struct round *r)
{
	void (*done)(void *) = r->done;
	timer_cancel(r->patience);
	r->patience = NULL;
	r->done = NULL;
	if (done)
		done(r->arg);
}

static void round_free(struct round *r)
{
	struct cache *c = r->cache;
	for (uint32_t i = 0; i < r->count; i++)
		names_put(r->lists[i]);
	free(r->lists);
	free(r);
	cache_unref(c);
}

static void pump(struct round *r);

static void one_known(void *arg, int err, const struct why *why, struct view *view)
{
	struct round *r = arg;
	(void)err, (void)why;
	view_put(view);
	r->under_way--;
	pump(r);
}

static void pump(struct round *r)
{
	const struct name *n;
	while (!r->cache->closing && r->under_way < AT_A_TIME && (n = next_open(r))) {
		r->under_way++;
		query_check(r->cache, n->name, n->tag, one_known, r);
	}
	if (r->under_way > 0)
		return;
	tell(r);
	round_free(r);
}

static void out_of_patience(void *arg)
{
	struct round *r = arg;
	r->patience = NULL;
	tell(r);
}

bool trust_check_names(
	struct cache *c, struct names *const *lists, uint32_t count, void (*done)(void *arg), void *arg)
{
	struct round *r = xcalloc(1, sizeof(*r));
	*r = (struct round){ .cache = c, .count = count, .done = done, .arg = arg };
	r->lists = xcalloc(count + 1, sizeof(*r->lists));
	for (uint32_t i = 0; i < count; i++)
		r->lists[i] = lists[i] ? names_get(lists[i]) : NULL;
	c->refs++;
	bool open = next_open(r) != NULL;
	r->list = r->next = 0;
	if (!open) {
		round_free(r);
		return false;
	}
	r->patience = loop_after(c->loop, PATIENCE_MS, out_of_patience, r);
	pump(r);
	return true;
}
