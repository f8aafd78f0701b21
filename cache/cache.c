/* SPDX-License-Identifier: MIT */
/* cache.c: opening, closing, jobs and status: the public face. Names and views are query.c's, bytes read.c's.
 */
#include "cache/base/conf.h"
#include "cache/base/io.h"
#include "cache/cosign.h"
#include "cache/fetch.h"
#include "cache/impl.h"
#include "cache/search.h"
#include "cache/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FRESH_S 30u

/* --- jobs ------------------------------------------------------------------------------------- */

struct job {
	struct cache *cache;
	job_fn *run, *done;
	void *arg;
};

static void job_run(void *arg)
{
	struct job *j = arg;
	struct cache *c = j->cache;
	pthread_mutex_lock(&c->lock);
	bool go = !c->closing;
	c->running += go;
	pthread_mutex_unlock(&c->lock);
	if (!go)
		return;
	j->run(j->arg);
	pthread_mutex_lock(&c->lock);
	if (--c->running == 0)
		pthread_cond_broadcast(&c->idle);
	pthread_mutex_unlock(&c->lock);
}

static void job_done(void *arg)
{
	struct job *j = arg;
	struct cache *c = j->cache;
	j->done(j->arg);
	free(j);
	cache_unref(c);
}

void cache_job(struct cache *c, job_fn *run, job_fn *done, void *arg)
{
	struct job *j = xmalloc(sizeof(*j));
	*j = (struct job){ c, run, done, arg };
	c->refs++;
	pool_submit(c->pool, job_run, job_done, j);
}

/* --- open and close --------------------------------------------------------------------------- */

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void cache_unref(struct cache *c)
{
	if (--c->refs > 0)
		return;
	for (uint32_t i = 0; i < c->place_count; i++)
		place_free(&c->places[i]);
	fetcher_free(c->fetcher);
	query_free(c);
	names_put(c->names);
	search_free(c);
	trust_free(c->trust);
	read_remote_rest(c);
	free(c->ca_file);
	free(c->auth_file);
	catalog_close(c->catalog);
	room_close(c->room);
	close_fd(c->dirfd);
	close_fd(c->trees_fd);
	close_fd(c->packs_fd);
	close_fd(c->objects_fd);
	free(c->unpacker);
	pthread_mutex_destroy(&c->unpacking);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->idle);
	free(c->dir);
	free(c->scratch);
	free(c);
}

static int open_part(struct cache *c, const char *name, int *fd, struct why *why)
{
	int err = io_mkdirs(c->dirfd, name, 0755);
	if (err < 0)
		return why_fail_errno(why, err, "cannot make %s/%s", c->dir, name);
	*fd = openat(c->dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *fd < 0 ? why_fail_errno(why, -errno, "%s/%s", c->dir, name) : 0;
}

static int open_dirs(struct cache *c, struct why *why)
{
	int err = io_mkdirs(AT_FDCWD, c->dir, 0700);
	if (err < 0)
		return why_fail_errno(why, err, "cannot make the cache directory %s", c->dir);
	c->dirfd = open(c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->dirfd < 0)
		return why_fail_errno(why, -errno, "the cache directory %s", c->dir);
	err = open_part(c, "trees", &c->trees_fd, why);
	if (!err)
		err = open_part(c, "packs", &c->packs_fd, why);
	if (!err)
		err = open_part(c, "objects", &c->objects_fd, why);
	return err;
}

/* --- housekeeping ----------------------------------------------------------------------------- */

#define HOUSE_MS 5000

static void keep_house(struct cache *c);

static void house_run(void *arg)
{
	struct cache *c = arg;
	room_sync(c->room);
	room_rest(c->room);
	room_sweep(c->room);
}

static void house_due(void *arg);

static void house_done(void *arg)
{
	struct cache *c = arg;
	read_remote_rest(c);
	if (!c->closing)
		c->tick = loop_after(c->loop, HOUSE_MS, house_due, c);
}

static void house_due(void *arg)
{
	keep_house(arg);
}

static void keep_house(struct cache *c)
{
	c->tick = NULL;
	cache_job(c, house_run, house_done, c);
}

int cache_open(const struct cache_options *options, struct cache **out, struct why *why)
{
	struct cache *c = xcalloc(1, sizeof(*c));
	c->loop = options->loop;
	c->pool = options->pool;
	c->dir = xstrdup(options->dir);
	c->dirfd = c->trees_fd = c->packs_fd = c->objects_fd = -1;
	c->refs = 1;
	c->ca_file = options->ca_file ? xstrdup(options->ca_file) : NULL;
	c->auth_file = options->auth_file ? xstrdup(options->auth_file) : NULL;
	c->insecure = options->insecure;
	c->offline = options->offline;
	c->fresh_ns = (options->fresh_s ? options->fresh_s : FRESH_S) * UINT64_C(1000000000);
	c->scratch = xmalloc(SCRATCH);
	c->unpacker = options->unpacker ? xstrdup(options->unpacker) : NULL;
	pthread_mutex_init(&c->unpacking, NULL);
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->idle, NULL);
	int err = open_dirs(c, why);
	if (!err) {
		autofree char *path = xasprintf("%s/catalog.sqlite", c->dir);
		err = catalog_open(path, &c->catalog, why);
	}
	if (!err && options->verify_keys && options->verify_keys[0]) {
		struct cosign_keys *keys = NULL;
		err = cosign_keys_load(options->verify_keys, &keys, why);
		c->trust = err ? NULL : trust_new(keys);
	}
	if (err) {
		cache_unref(c);
		return err;
	}
	c->room = room_open(c->dirfd, options->quota);
	keep_house(c);
	*out = c;
	return 0;
}

void cache_close(struct cache *c)
{
	pthread_mutex_lock(&c->lock);
	c->closing = true;
	timer_cancel(c->tick);
	while (c->running > 0)
		pthread_cond_wait(&c->idle, &c->lock);
	pthread_mutex_unlock(&c->lock);
	rest_stop(c);
	walk_stop(c);
	for (uint32_t i = 0; i < c->place_count; i++)
		if (registry_is_remote(c->places[i].registry))
			c->places[i].registry->ops->stop(c->places[i].registry);
	spool_stop(c);
	read_remote_stop(c);
	cache_unref(c);
}

static int open_remote(
	struct cache *c, const struct cache_registry *r, struct registry **out, struct why *why)
{
	if (!c->fetcher)
		c->fetcher = fetcher_new(c->loop);
	struct registry_options o = { .loop = c->loop,
		.pool = c->pool,
		.fetcher = c->fetcher,
		.ca_file = r->ca_file ? r->ca_file : c->ca_file,
		.auth_file = c->auth_file,
		.names = r->names,
		.insecure = c->insecure || r->insecure,
		.offline = c->offline };
	return registry_remote_open(r->where, &o, out, why);
}

static void first_list(void *arg, int err, const struct why *why, struct names *names)
{
	(void)arg, (void)err, (void)why; /* place.c has told it */
	names_put(names);
}

int cache_add(struct cache *c, const struct cache_registry *r, struct why *why)
{
	uint32_t n = c->place_count;
	struct registry *reg;
	const char *path = strncmp(r->where, "file://", 7) ? r->where : r->where + 7;
	if (!*path)
		return why_fail(why, -EINVAL, "a registry without a name");
	if (n == MAX_REGISTRIES)
		return why_fail(why, -E2BIG, "registry %s: there are %u already", r->where, MAX_REGISTRIES);
	int err = registry_is_address(r->where) ? open_remote(c, r, &reg, why)
						: registry_layout_open(path, &reg, why);
	if (err)
		return err;
	place_init(c, &c->places[n], reg);
	c->place_count = n + 1;
	c->names_at = 0;
	if (registry_is_remote(reg)) /* when the first one asks, the answer is on its way */
		place_ask(&c->places[n], first_list, NULL);
	return 0;
}

int cache_add_registry(struct cache *c, const char *where, struct why *why)
{
	return cache_add(c, &(struct cache_registry){ .where = where }, why);
}

uint64_t cache_progress(const struct cache *c)
{
	return c->fetched + (c->fetcher ? fetcher_bytes(c->fetcher) : 0);
}

/* --- publishing ------------------------------------------------------------------------------- */

bool cache_can_take(const struct cache *c, uint32_t n)
{
	if (n >= c->place_count)
		return false;
	const struct registry *r = c->places[n].registry;
	return !registry_is_remote(r) || (!c->offline && !r->ops->served_files);
}

void cache_published(struct cache *c, const char *name, const char *tag)
{
	c->names_at = 0;
	for (uint32_t i = 0; i < c->place_count; i++)
		if (registry_is_remote(c->places[i].registry))
			place_forget(&c->places[i], name, tag);
}

/* --- status ----------------------------------------------------------------------------------- */

static void put_place(struct place *p, struct buf *out)
{
	char when[32] = "never";
	struct tm tm;
	pthread_mutex_lock(&p->lock);
	time_t t = (time_t)p->as_of;
	if (p->as_of && localtime_r(&t, &tm))
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S%z", &tm);
	buf_printf(out, "registry %s: %s, %s, as of %s, %u names\n", p->registry->where,
		p->registry->ops->kind,
		p->reachable  ? "reachable"
		: *p->trouble ? "unreachable"
			      : "not asked yet",
		when, p->listed ? names_shown(p->listed) : 0);
	if (*p->trouble)
		buf_printf(out, "  %s\n", p->trouble);
	pthread_mutex_unlock(&p->lock);
}

void cache_status(struct cache *c, struct buf *out)
{
	for (uint32_t i = 0; i < c->place_count; i++)
		put_place(&c->places[i], out);
	struct cache_usage u;
	cache_usage(c, &u);
	if (c->trust)
		trust_status(c->trust, out);
	buf_printf(out, "cache %s: ", c->dir);
	conf_put_size(out, u.used);
	buf_puts(out, " used of ");
	conf_put_size(out, u.quota);
	buf_printf(out, ", %llu objects, ", (unsigned long long)u.objects);
	conf_put_size(out, u.fetched);
	buf_puts(out, " fetched\n");
}

void cache_usage(struct cache *c, struct cache_usage *out)
{
	struct room_usage u;
	room_usage(c->room, &u);
	*out = (struct cache_usage){ u.used, u.quota, u.files, cache_progress(c) };
}
