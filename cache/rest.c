/* SPDX-License-Identifier: MIT */
/*
 * rest.c: what brief views lack (cache.h). A launch needs neither README.md nor the table of the sources, and a server is
 * slower to answer four questions than two; but what was looked at once stays, also when its registry goes. So they come
 * when the launch is over its worst.
 */
#include "cache/impl.h"

#include <stdlib.h>
#include <string.h>

#define REST_MS 500

struct rest {
	struct rest *next;
	struct cache *cache;
	struct timer *timer;
	char *name;
	char digest[DIGEST_TEXT_LEN + 1];
};

static void rest_free(struct rest *r)
{
	struct rest **at = &r->cache->rests;
	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	timer_cancel(r->timer);
	free(r->name);
	free(r);
}

/* An error is told to who wants it: it is asked for again then. */
static void rest_came(void *arg, int err, const struct why *why, struct view *view)
{
	(void)arg, (void)err, (void)why;
	view_put(view);
}

static void rest_due(void *arg)
{
	struct rest *r = arg;
	r->timer = NULL;
	cache_look(r->cache, r->name, r->digest, rest_came, NULL);
	rest_free(r);
}

void rest_later(struct cache *c, const char *name, const struct digest *d)
{
	struct rest *r = xcalloc(1, sizeof(*r));
	r->cache = c;
	r->name = xstrdup(name);
	digest_text(d, r->digest);
	r->next = c->rests;
	c->rests = r;
	r->timer = loop_after(c->loop, REST_MS, rest_due, r);
}

void rest_stop(struct cache *c)
{
	while (c->rests)
		rest_free(c->rests);
}
