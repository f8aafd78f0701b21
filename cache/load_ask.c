/* SPDX-License-Identifier: MIT */
/*
 * load_ask.c: loads of what a remote registry has. load.c runs in the pool as if everything were here; where
 * something is not, it says what; that is fetched, all of it at the same time, and it runs again. A manifest
 * leads to its parts, an index to a manifest: a few rounds, and what came stays for the next.
 */
#include "cache/foreign.h"
#include "cache/impl.h"
#include "cache/limits.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_ROUNDS 8u

static void again(struct load *l);

static void load_run(void *arg)
{
	struct load *l = arg;
	why_clear(&l->why);
	l->lacks = NULL;
	l->brief = false;
	l->err = l->run ? l->run(l, &l->why) : load_tree(l, &l->tree, &l->why);
	if (l->err || l->run)
		return;
	l->packs = packs_open(l->cache, l->tree);
	foreign_keep(l);
}

static void one_came(struct lack *n, int err, const struct why *why)
{
	struct load *l = n->load;
	n->there = !err;
	if (err && !l->err)
		l->err = why_fail(&l->why, err, "%s", why->text);
	if (--l->pending > 0)
		return;
	if (l->err)
		l->done(l);
	else
		again(l);
}

static void spooled(void *arg, int err, const struct why *why, struct spool *s)
{
	struct lack *n = arg;
	n->spool = s;
	one_came(n, err, why);
}

static void part_came(void *arg, int err, const struct why *why)
{
	struct lack *n = arg;
	struct load *l = n->load;
	if (err == -EOPNOTSUPP) {
		spool_get(l->cache, l->registry, l->repository, &n->part.digest, n->part.size, spooled, n);
		return;
	}
	if (!err && !n->part.manifest)
		n->bytes.len = n->part.len;
	one_came(n, err, why);
}

static void ask_all(struct load *l)
{
	l->err = 0;
	l->pending = 1; /* so that nothing ends before all were asked */
	for (struct lack *n = l->needs; n; n = n->next) {
		if (n->there)
			continue;
		if (n->part.manifest)
			n->part.manifest = &n->bytes;
		else if (!n->whole)
			n->part.to = buf_reserve(&n->bytes, n->part.len);
		n->part.repository = l->repository;
		l->pending++;
		if (n->whole) {
			spool_get(l->cache, l->registry, l->repository, &n->part.digest, n->part.size,
				spooled, n);
			continue;
		}
		l->registry->ops->ask(l->registry, &n->part, part_came, n);
	}
	l->pending--;
}

static bool lacks_something(const struct load *l)
{
	for (const struct lack *n = l->needs; n; n = n->next)
		if (!n->there)
			return true;
	return false;
}

static void load_ran(void *arg)
{
	struct load *l = arg;
	if (l->err == -EAGAIN && l->cache->closing)
		l->err = why_fail(&l->why, -ECANCELED, "the cache is closing");
	else if (l->err == -EAGAIN && (++l->rounds > MAX_ROUNDS || !lacks_something(l)))
		l->err = why_fail(&l->why, -EBADMSG, "the kernel needs ever more of the registry");
	if (l->err == -EAGAIN)
		ask_all(l);
	else
		l->done(l);
}

static void again(struct load *l)
{
	l->err = why_fail(&l->why, -ECANCELED, "the cache is closing");
	cache_job(l->cache, load_run, load_ran, l);
}

void load_start(struct load *l)
{
	again(l);
}

void load_give_manifest(struct load *l, struct buf *bytes)
{
	struct lack *n = xcalloc(1, sizeof(*n));
	n->part = (struct registry_part){ .digest = l->digest, .manifest = &n->bytes };
	n->bytes = *bytes;
	n->there = true;
	n->load = l;
	n->next = l->needs;
	l->needs = n;
	*bytes = (struct buf){ 0 };
}
