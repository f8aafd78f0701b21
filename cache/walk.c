/* SPDX-License-Identifier: MIT */
/*
 * walk.c: reading ahead, for views. Who walks through all kernels (find, ls -lR, a search that fills its index) asks for one
 * view after the other, in the order of names, and waits for each as long as its server takes to answer twice. From the
 * second step on the next ones are asked for, too, with each step twice as many, up to MAX_WINDOW; they are held until the
 * walk has passed them or is over. That is metadata only, and no more of it than he asks for himself.
 */
#include "cache/base/io.h"
#include "cache/impl.h"
#include "cache/names.h"

#include <stdlib.h>
#include <string.h>

#define MAX_WINDOW 8u
#define HELD	   (2 * MAX_WINDOW)
#define NEAR	   16u /* names that may be left out, or come late: not everybody sorts as we do */
#define OVER_NS	   UINT64_C(2000000000)

struct walk {
	struct cache *cache;
	struct names *names;  /* it goes through these; NULL: nobody walks */
	uint32_t last, until; /* places in names: looked up last; asked for, all below */
	uint32_t window, under_way;
	uint64_t stepped_ns;
	struct timer *timer;	 /* of its end */
	struct view *held[HELD]; /* that of place i is at i % HELD; or NULL */
	uint32_t place_of[HELD];
};

struct ahead_view { /* one that is asked for */
	struct cache *cache;
	struct names *names;
	uint32_t at;
};

static void let_go(struct walk *w, uint32_t below)
{
	for (unsigned i = 0; i < HELD; i++) {
		if (w->held[i] && w->place_of[i] < below) {
			view_put(w->held[i]);
			w->held[i] = NULL;
		}
	}
}

static void end(struct walk *w)
{
	let_go(w, UINT32_MAX);
	names_put(w->names);
	w->names = NULL;
}

void walk_stop(struct cache *c)
{
	struct walk *w = c->walk;
	if (!w)
		return;
	c->walk = NULL;
	timer_cancel(w->timer);
	end(w);
	free(w);
}

static void maybe_over(void *arg)
{
	struct walk *w = arg;
	uint64_t idle = clock_mono_ns() - w->stepped_ns;
	w->timer = NULL;
	if (idle >= OVER_NS)
		end(w);
	else
		w->timer = loop_after(w->cache->loop, (OVER_NS - idle) / 1000000 + 1, maybe_over, w);
}

/* An error is told to who comes there and asks again; no more are asked for until he has made two steps. */
static void came(void *arg, int err, const struct why *why, struct view *view)
{
	struct ahead_view *a = arg;
	struct walk *w = a->cache->walk;
	bool goes_on = w && w->names == a->names && a->at >= w->last;
	unsigned i = a->at % HELD;
	(void)why;
	if (w)
		w->under_way--;
	if (goes_on && err)
		w->window = 0;
	if (goes_on && view) {
		view_put(w->held[i]);
		w->held[i] = view;
		w->place_of[i] = a->at;
	} else {
		view_put(view);
	}
	names_put(a->names);
	free(a);
}

static bool is_remote(const struct cache *c, const struct name *n)
{
	for (uint32_t i = 0; i < c->place_count; i++)
		if (strcmp(c->places[i].registry->where, n->registry) == 0)
			return registry_is_remote(c->places[i].registry);
	return false;
}

static void begin(struct walk *w, struct names *names, uint32_t at)
{
	end(w);
	w->names = names_get(names);
	w->last = at;
	w->until = at + 1;
	w->window = 0;
}

static void ask_next(struct walk *w, enum extent extent)
{
	uint32_t to = w->last + 1 + w->window, count = names_count(w->names);
	w->until = w->until > w->last ? w->until : w->last + 1;
	for (; w->until < to && w->until < count && w->under_way < MAX_WINDOW; w->until++) {
		const struct name *n = names_at(w->names, w->until);
		if (!is_remote(w->cache, n))
			continue;
		struct ahead_view *a = xmalloc(sizeof(*a));
		*a = (struct ahead_view){ w->cache, names_get(w->names), w->until };
		w->under_way++;
		query_ahead(w->cache, n->name, n->tag, extent, came, a);
	}
}

void walk_step(struct cache *c, const char *name, const char *reference, enum extent extent)
{
	const struct name *n =
		c->names && !c->offline && !c->closing ? names_find(c->names, name, reference) : NULL;
	struct walk *w = c->walk;
	if (!n || !is_remote(c, n))
		return;
	uint32_t at = (uint32_t)(n - names_at(c->names, 0));
	if (!w) {
		w = c->walk = xcalloc(1, sizeof(*w));
		w->cache = c;
	}
	w->stepped_ns = clock_mono_ns();
	if (!w->timer)
		w->timer = loop_after(c->loop, OVER_NS / 1000000, maybe_over, w);
	if (w->names != c->names || at + NEAR < w->last || at > w->until + NEAR) {
		begin(w, c->names, at);
	} else if (at != w->last) {
		w->last = at > w->last ? at : w->last;
		w->window = !w->window ? 2 : w->window < MAX_WINDOW ? 2 * w->window : MAX_WINDOW;
		let_go(w, w->last);
		ask_next(w, extent);
	}
}
