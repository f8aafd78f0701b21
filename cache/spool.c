/* SPDX-License-Identifier: MIT */
/*
 * spool.c: whole blobs, for servers that do not serve parts of files. The file has no name, so that its space
 * comes back when nobody needs it any more; it is kept some seconds longer, because where a part of a blob was
 * wanted another will be.
 */
#include "cache/base/io.h"
#include "cache/impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LINGER_MS 20000

struct spool_wait {
	struct spool_wait *next;
	spool_fn *done;
	void *arg;
};

struct spool {
	struct spool *next; /* in cache->spools */
	struct cache *cache;
	struct registry *registry;
	char *repository;
	struct digest digest;
	uint64_t size;
	char *map; /* NULL: not made yet */
	uint64_t came;
	unsigned refs;
	bool ready;
	struct spool_wait *waiting;
	struct timer *linger;
	int err;
	struct why why;
};

static void unlist(struct spool *s)
{
	struct spool **at = &s->cache->spools;
	while (*at && *at != s)
		at = &(*at)->next;
	if (*at)
		*at = s->next;
}

static void spool_free(struct spool *s)
{
	unlist(s);
	timer_cancel(s->linger);
	if (s->map)
		munmap(s->map, s->size);
	free(s->repository);
	free(s);
}

static void linger_over(void *arg)
{
	struct spool *s = arg;
	struct cache *c = s->cache;
	s->linger = NULL;
	spool_free(s);
	cache_unref(c);
}

struct spool *spool_ref(struct spool *s)
{
	if (s->refs++ == 0) {
		timer_cancel(s->linger);
		s->linger = NULL;
	}
	return s;
}

void spool_put(struct spool *s)
{
	struct cache *c = s->cache;
	if (--s->refs > 0)
		return;
	if (!s->ready || c->closing) {
		spool_free(s);
		cache_unref(c);
		return;
	}
	s->linger = loop_after(c->loop, LINGER_MS, linger_over, s);
}

void spool_stop(struct cache *c)
{
	for (struct spool *s = c->spools, *next; s; s = next) {
		next = s->next;
		if (s->refs == 0)
			linger_over(s);
	}
}

const char *spool_bytes(const struct spool *s)
{
	return s->map;
}

static void answer(struct spool *s)
{
	struct spool_wait *w = s->waiting;
	s->waiting = NULL;
	s->ready = !s->err;
	if (s->err) /* whoever asks from now on begins anew */
		unlist(s);
	while (w) {
		struct spool_wait *next = w->next;
		w->done(w->arg, s->err, &s->why, s->err ? NULL : spool_ref(s));
		free(w);
		w = next;
	}
	spool_put(s); /* the one of whoever made it */
}

static void verify_run(void *arg)
{
	struct spool *s = arg;
	struct digest is;
	s->err = 0;
	why_clear(&s->why);
	digest_of(s->map, s->size, &is);
	if (!digest_equal(&is, &s->digest))
		s->err = why_fail(&s->why, -EILSEQ,
			"registry %s: a blob does not match its digest; the registry is damaged or dishonest",
			s->registry->where);
}

static void verify_done(void *arg)
{
	answer(arg);
}

static void some_came(void *arg, size_t have)
{
	struct spool *s = arg;
	s->came = have;
}

static void blob_came(void *arg, int err, const struct why *why)
{
	struct spool *s = arg;
	if (err) {
		s->err = why_fail(&s->why, err, "%s", why->text);
		answer(s);
		return;
	}
	s->err = why_fail(&s->why, -ECANCELED, "the cache is closing");
	cache_job(s->cache, verify_run, verify_done, s);
}

/* The blocks are there before anything is written through the mapping: a full disk is an error, not a signal. */
static void make_run(void *arg)
{
	struct spool *s = arg;
	s->err = 0;
	why_clear(&s->why);
	autoclose int fd = openat(s->cache->dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int err = fd < 0 ? -errno : -posix_fallocate(fd, 0, (off_t)s->size);
	void *map = err ? MAP_FAILED : mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (!err && map == MAP_FAILED)
		err = -errno;
	if (err)
		s->err = why_fail_errno(&s->why, err,
			"registry %s serves no parts of files, and there is no room for the whole of one "
			"(%llu "
			"bytes) in the cache",
			s->registry->where, (unsigned long long)s->size);
	else
		s->map = map;
}

static void make_done(void *arg)
{
	struct spool *s = arg;
	if (!s->err && s->cache->closing)
		s->err = why_fail(&s->why, -ECANCELED, "the cache is closing");
	if (s->err) {
		answer(s);
		return;
	}
	s->registry->ops->ask(s->registry,
		&(struct registry_part){ .repository = s->repository,
			.digest = s->digest,
			.size = s->size,
			.len = s->size,
			.to = s->map,
			.some = some_came },
		blob_came, s);
}

struct spool_now {
	struct spool *spool;
	spool_fn *done;
	void *arg;
};

static void answer_now(void *arg)
{
	struct spool_now *n = arg;
	n->done(n->arg, 0, NULL, n->spool);
	free(n);
}

void spool_get(struct cache *c, struct registry *r, const char *repository, const struct digest *d,
	uint64_t size, spool_fn *done, void *arg)
{
	struct spool *s = c->spools;
	while (s && (!digest_equal(&s->digest, d) || s->size != size))
		s = s->next;
	if (s && s->ready) {
		struct spool_now *n = xmalloc(sizeof(*n));
		*n = (struct spool_now){ spool_ref(s), done, arg };
		loop_defer(c->loop, answer_now, n);
		return;
	}
	struct spool_wait *w = xmalloc(sizeof(*w));
	*w = (struct spool_wait){ s ? s->waiting : NULL, done, arg };
	if (s) {
		s->waiting = w;
		return;
	}
	s = xcalloc(1, sizeof(*s));
	s->cache = c;
	s->registry = r;
	s->repository = xstrdup(repository);
	s->digest = *d;
	s->size = size;
	s->refs = 1;
	s->waiting = w;
	s->next = c->spools;
	c->spools = s;
	c->refs++;
	s->err = why_fail(&s->why, -ECANCELED, "the cache is closing");
	cache_job(c, make_run, make_done, s);
}

uint64_t spool_came(const struct cache *c, const struct digest *d)
{
	for (const struct spool *s = c->spools; s; s = s->next)
		if (digest_equal(&s->digest, d) && !s->ready)
			return s->came;
	return 0;
}
