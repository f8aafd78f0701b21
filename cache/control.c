/* SPDX-License-Identifier: MIT */
/* control.c: a command is a chain of jobs and answers; at each link it may find that it was cancelled. */
#include "cache/control.h"

#include "cache/impl.h"
#include "cache/pins.h"
#include "cache/prefetch.h"
#include "cache/scrub.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char cache_command_words[] = "prefetch pin unpin gc verify\n";

enum verb { PREFETCH, PIN, UNPIN, GC, VERIFY, VERBS };
static const char *const verbs[VERBS] = { "prefetch", "pin", "unpin", "gc", "verify" };

struct cache_command {
	struct cache *cache;
	enum verb verb;
	char *name, *reference; /* "sort", "1.0" or "sha256:..." */
	char *whole;		/* "sort:1.0", "sort@sha256:..." */
	bool full, cancelled;
	struct view *view;
	struct prefetch *prefetch;
	struct scrub *scrub;
	bool more;
	cache_done_fn *done;
	void *arg;
	int err;
	struct why why;
};

static void end(void *arg)
{
	struct cache_command *k = arg;
	if (k->prefetch)
		prefetch_free(k->prefetch);
	if (k->scrub)
		scrub_free(k->scrub);
	view_put(k->view);
	k->done(k->arg, k->err, k->err ? &k->why : NULL);
	cache_unref(k->cache);
	free(k->name);
	free(k->reference);
	free(k->whole);
	free(k);
}

static void cancelled(struct cache_command *k)
{
	if (k->cancelled && !k->err)
		k->err = why_fail(&k->why, -ECANCELED, "%s: given up", verbs[k->verb]);
}

/* --- prefetch, pin, unpin ----------------------------------------------------------------------- */

static void unpin_run(void *arg)
{
	struct cache_command *k = arg;
	why_clear(&k->why);
	k->err = pins_remove(k->cache->dirfd, k->whole, &k->why);
}

/* A pin that could not be filled is none. */
static void unpin_failed_run(void *arg)
{
	struct cache_command *k = arg;
	pins_remove(k->cache->dirfd, k->whole, NULL);
}

static void fetched(void *arg, int err, const struct why *why)
{
	struct cache_command *k = arg;
	k->err = err;
	if (err)
		k->why = *why;
	cancelled(k);
	if (k->err && k->verb == PIN)
		cache_job(k->cache, unpin_failed_run, end, k);
	else
		end(k);
}

static void fetch(struct cache_command *k)
{
	k->prefetch = prefetch_new(k->view, NULL, fetched, k);
}

static void pin_run(void *arg)
{
	struct cache_command *k = arg;
	why_clear(&k->why);
	k->err = pins_add(k->cache->dirfd, k->whole, k->view->content->tree, &k->why);
}

static void pinned(void *arg)
{
	struct cache_command *k = arg;
	cancelled(k);
	if (k->err)
		end(k);
	else
		fetch(k);
}

static void viewed(void *arg, int err, const struct why *why, struct view *view)
{
	struct cache_command *k = arg;
	k->view = view;
	k->err = err;
	if (err)
		k->why = *why;
	cancelled(k);
	if (k->err) {
		end(k);
		return;
	}
	if (k->verb == PIN) { /* first, so that nothing of it goes while the rest comes */
		k->err = why_fail(&k->why, -ECANCELED, "the cache is closing");
		cache_job(k->cache, pin_run, pinned, k);
		return;
	}
	fetch(k);
}

/* --- gc, verify --------------------------------------------------------------------------------- */

static void scrub_run(void *arg)
{
	struct cache_command *k = arg;
	k->more = scrub_step(k->scrub);
}

static void scrubbed(void *arg)
{
	struct cache_command *k = arg;
	autobuf struct buf said = { 0 };
	cancelled(k);
	if (!k->err && !k->cache->closing && k->more) {
		cache_job(k->cache, scrub_run, scrubbed, k);
		return;
	}
	if (!k->err) {
		scrub_tell(k->scrub, &said);
		log_info("cache: %s", said.data);
	}
	end(k);
}

/* --- the line ----------------------------------------------------------------------------------- */

static int no_reference(enum verb verb, struct why *why)
{
	return why_fail(why, -EINVAL, "cache/ctl: %s what? write: %s NAME:TAG", verbs[verb], verbs[verb]);
}

static int parse_reference(struct cache_command *k, const char *word, struct why *why)
{
	const char *at = strstr(word, "@sha256:"), *slash = strrchr(word, '/');
	const char *cut = at ? at : strrchr(word, ':');
	if (!cut || cut == word || (slash && cut < slash) || !cut[1])
		return no_reference(k->verb, why);
	k->whole = xstrdup(word);
	k->name = xstrndup(word, (size_t)(cut - word));
	k->reference = xstrdup(cut + 1);
	return 0;
}

static int parse(struct cache_command *k, const char *line, struct why *why)
{
	autofree char *copy = xstrdup(line);
	char *save = NULL, *verb = strtok_r(copy, " \t\n", &save), *word = strtok_r(NULL, " \t\n", &save),
	     *more = strtok_r(NULL, " \t\n", &save);
	for (k->verb = 0; k->verb < VERBS; k->verb++)
		if (verb && strcmp(verb, verbs[k->verb]) == 0)
			break;
	if (k->verb == VERBS)
		return why_fail(why, -EINVAL, "cache/ctl: \"%.40s\" is not one of: %s", verb ? verb : "",
			"prefetch pin unpin gc verify");
	if (more)
		return why_fail(why, -EINVAL, "cache/ctl: \"%.40s\" is too much after %s", more, verb);
	if (k->verb <= UNPIN)
		return word ? parse_reference(k, word, why) : no_reference(k->verb, why);
	k->full = word && strcmp(word, "full") == 0 && k->verb == VERIFY;
	if (word && !k->full)
		return why_fail(why, -EINVAL, "cache/ctl: \"%.40s\" is not known after %s", word, verb);
	return 0;
}

static void begin(struct cache_command *k)
{
	if (k->verb == UNPIN) {
		k->err = why_fail(&k->why, -ECANCELED, "the cache is closing");
		cache_job(k->cache, unpin_run, end, k);
	} else if (k->verb < UNPIN) {
		cache_view(k->cache, k->name, k->reference, viewed, k);
	} else {
		k->scrub = scrub_new(k->cache, k->verb == GC ? SCRUB_GC : k->full ? SCRUB_FULL : SCRUB_QUICK);
		cache_job(k->cache, scrub_run, scrubbed, k);
	}
}

struct cache_command *cache_command(
	struct cache *c, const char *line, cache_done_fn *done, void *arg, struct why *why)
{
	struct cache_command *k = xcalloc(1, sizeof(*k));
	k->cache = c;
	k->done = done;
	k->arg = arg;
	if (parse(k, line, why)) {
		free(k);
		return NULL;
	}
	c->refs++;
	begin(k);
	return k;
}

void cache_command_cancel(struct cache_command *k)
{
	k->cancelled = true;
	if (k->prefetch)
		prefetch_stop(k->prefetch);
}
