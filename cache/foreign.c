/* SPDX-License-Identifier: MIT */
/*
 * foreign.c: an archive is read from end to end; each piece is known by its digest, so that nothing depends on names or
 * order, and what does not belong to the tree is passed over.
 */
#include "cache/foreign.h"

#include "cache/base/io.h"
#include "cache/layer.h"
#include "cache/layer_archive.h"
#include "cache/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define READ_STEP (1u << 20)

/* --- whole blobs of local registries ------------------------------------------------------------ */

static int map_file(struct cache *c, uint64_t size, char **map)
{
	autoclose int fd = openat(c->dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int err = fd < 0 ? -errno : -posix_fallocate(fd, 0, (off_t)size);
	if (err == -ENOSPC && room_make(c->room, size) == 0)
		err = -posix_fallocate(fd, 0, (off_t)size);
	void *at = err ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (!err && at == MAP_FAILED)
		err = -errno;
	*map = err ? NULL : at;
	return err;
}

static int read_all(struct registry *r, const char *repository, struct whole *w, struct why *why)
{
	struct hasher *h = hasher_new();
	struct digest is;
	int err = 0;
	for (uint64_t at = 0; at < w->size && !err; at += READ_STEP) {
		size_t n = w->size - at < READ_STEP ? (size_t)(w->size - at) : READ_STEP;
		err = r->ops->blob(r, repository, &w->digest, w->size, at, w->map + at, n, why);
		hasher_add(h, w->map + at, err ? 0 : n);
	}
	hasher_end(h, &is);
	hasher_free(h);
	if (!err && !digest_equal(&is, &w->digest))
		err = why_fail(why, -EILSEQ,
			"registry %s: a blob does not match its digest; the registry is damaged or dishonest",
			r->where);
	return err;
}

int whole_read(struct cache *c, struct registry *r, const char *repository, const struct digest *d,
	uint64_t size, struct whole **out, struct why *why)
{
	struct whole *w = xcalloc(1, sizeof(*w));
	w->digest = *d;
	w->size = size;
	int err = size == 0 || size > MAX_LAYER_RAW ? why_fail(why, -EFBIG, "a layer of an impossible size")
						    : 0;
	if (!err) {
		err = map_file(c, size, &w->map);
		if (err)
			why_fail_errno(why, err, "no room for a whole layer (%llu bytes) in the cache",
				(unsigned long long)size);
	}
	if (!err)
		err = read_all(r, repository, w, why);
	if (err) {
		whole_free(w);
		return err;
	}
	c->fetched += size;
	*out = w;
	return 0;
}

const char *whole_bytes(const struct whole *w)
{
	return w->map ? w->map : spool_bytes(w->spool);
}

void whole_free(struct whole *w)
{
	if (w->map)
		munmap(w->map, w->size);
	free(w);
}

/* --- unpacking ---------------------------------------------------------------------------------- */

struct unpacking {
	const struct tree_chunk *chunks; /* of the layer */
	uint32_t *by_digest;		 /* their numbers, sorted */
	uint32_t count;
	struct pack *pack;
	uint32_t want;
	void *buf;
	bool found;
};

static int by_digest(const void *a, const void *b, void *arg)
{
	const struct tree_chunk *c = arg;
	return memcmp(
		&c[*(const uint32_t *)a].digest, &c[*(const uint32_t *)b].digest, sizeof(struct digest));
}

/* The first of those with this digest; count if there is none. */
static uint32_t find_chunk(const struct unpacking *u, const struct digest *d)
{
	uint32_t lo = 0, hi = u->count;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (memcmp(&u->chunks[u->by_digest[mid]].digest, d, sizeof(*d)) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int pass_entry(void *arg, const char *path, const struct tree_item *item, struct why *why)
{
	(void)arg, (void)path, (void)item, (void)why;
	return 0;
}

static int take_piece(void *arg, const void *data, size_t len, struct why *why)
{
	struct unpacking *u = arg;
	struct digest d;
	(void)why;
	digest_of(data, len, &d);
	for (uint32_t i = find_chunk(u, &d); i < u->count; i++) {
		uint32_t n = u->by_digest[i];
		const struct tree_chunk *c = &u->chunks[n];
		if (!digest_equal(&c->digest, &d) || c->raw != len)
			break;
		pack_put(u->pack, n, c, data);
		if (u->buf && n == u->want) {
			memcpy(u->buf, data, len);
			u->found = true;
		}
	}
	return 0;
}

int foreign_unpack(struct cache *c, const struct tree *t, uint32_t layer, struct pack *p, const void *bytes,
	uint32_t want, void *buf, struct why *why)
{
	const struct tree_layer *l = &t->layers[layer];
	struct unpacking u = { .chunks = t->chunks + l->first_chunk,
		.count = l->chunk_count,
		.pack = p,
		.want = want,
		.buf = buf };
	u.by_digest = xcalloc(u.count + 1, sizeof(*u.by_digest));
	for (uint32_t i = 0; i < u.count; i++)
		u.by_digest[i] = i;
	qsort_r(u.by_digest, u.count, sizeof(*u.by_digest), by_digest, (void *)(uintptr_t)u.chunks);
	int err = layer_archive_read(c->unpacker, bytes, l->blob_size,
		&(struct archive_reader){ pass_entry, take_piece, &u }, &c->closing, why);
	free(u.by_digest);
	if (!err && buf && !u.found)
		err = why_fail(why, -EILSEQ,
			"an archive does not hold any more what it held when it was read first");
	return err;
}

/* --- chunks that are missing -------------------------------------------------------------------- */

/* (bytes) NULL: of a local registry, to be read. */
static int unpack_for(const struct view *v, uint32_t i, const void *bytes, struct pack *p, uint32_t number,
	void *buf, struct why *why)
{
	const struct tree *t = v->content->tree;
	const struct tree_layer *l = &t->layers[t->chunks[i].layer];
	struct whole *w = NULL;
	int err = bytes ? 0 : whole_read(v->cache, v->registry, v->name, &l->blob, l->blob_size, &w, why);
	if (!err)
		err = foreign_unpack(
			v->cache, t, t->chunks[i].layer, p, bytes ? bytes : w->map, number, buf, why);
	if (w)
		whole_free(w);
	return err;
}

/* One at a time: who comes second finds what he wants in the pack. */
static int obtain_from(const struct view *v, uint32_t i, const void *bytes, void *buf, struct why *why)
{
	uint32_t number = 0;
	struct pack *p = content_pack(v->content, i, &number)->pack;
	pthread_mutex_lock(&v->cache->unpacking);
	int err = 0;
	if (pack_get(p, number, &v->content->tree->chunks[i], buf, false) != 0)
		err = unpack_for(v, i, bytes, p, number, buf, why);
	pthread_mutex_unlock(&v->cache->unpacking);
	return err;
}

int foreign_obtain(const struct view *v, uint32_t i, void *buf, struct why *why)
{
	return obtain_from(v, i, NULL, buf, why);
}

static void fetch_run(void *arg)
{
	struct chunk_fetch *f = arg;
	f->owned = xmalloc(f->view->content->tree->chunks[f->chunk].raw);
	f->data = f->owned;
	why_clear(&f->why);
	f->err = obtain_from(f->view, f->chunk, spool_bytes(f->spool), f->owned, &f->why);
}

static void fetch_done(void *arg)
{
	struct chunk_fetch *f = arg;
	spool_put(f->spool);
	f->spool = NULL;
	chunk_fetch_done(f);
}

static void spooled(void *arg, int err, const struct why *why, struct spool *s)
{
	struct chunk_fetch *f = arg;
	if (err) {
		f->err = why_fail(&f->why, err, "%s", why->text);
		chunk_fetch_done(f);
		return;
	}
	f->spool = s;
	cache_job(f->view->cache, fetch_run, fetch_done, f);
}

void foreign_fetch(struct chunk_fetch *f)
{
	const struct tree *t = f->view->content->tree;
	const struct tree_layer *l = &t->layers[t->chunks[f->chunk].layer];
	spool_get(f->view->cache, f->view->registry, f->view->name, &l->blob, l->blob_size, spooled, f);
}

/* --- after a load ------------------------------------------------------------------------------- */

void foreign_keep(struct load *l)
{
	for (uint32_t i = 0; l->wholes && i < l->tree->head->layer_count; i++) {
		const struct tree_layer *layer = &l->tree->layers[i];
		struct why why = { 0 };
		const struct whole *w = l->wholes;
		while (w && !digest_equal(&w->digest, &layer->blob))
			w = w->next;
		if (w && layer->chunk_count &&
			foreign_unpack(l->cache, l->tree, i, l->packs[i], whole_bytes(w), 0, NULL, &why))
			log_warn("cache: %s: a layer is not kept: %s", l->repository, why.text);
	}
}
