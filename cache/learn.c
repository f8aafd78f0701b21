/* SPDX-License-Identifier: MIT */
/*
 * learn.c: what a deploy reads of a kernel, it reads again the next time. Which chunks that were is remembered under the
 * digest, and when they are not here at the next deploy they are asked for all at once, before anybody waits for them.
 *
 * Shape    learned/<64 hex digits>: "DIVLEARN", the number of chunks (32 bits), a bit for each
 */
#include "cache/base/io.h"
#include "cache/impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC	  "DIVLEARN"
#define HEAD	  12u
#define AT_A_TIME 8u

struct learn {		  /* of a content, while somebody deploys it */
	unsigned deploys; /* the loop's */
	uint32_t count;
	_Atomic uint8_t bits[]; /* workers set them at any time */
};

void learn_note(const struct content *k, uint32_t chunk)
{
	struct learn *l = k->learn;
	if (l && chunk < l->count)
		atomic_fetch_or(&l->bits[chunk / 8], (uint8_t)(1u << (chunk % 8)));
}

void learn_free(struct content *k)
{
	free(k->learn);
	k->learn = NULL;
}

static int learned_dir(struct cache *c)
{
	int err = io_mkdirs(c->dirfd, "learned", 0755);
	int fd = err < 0 ? err : openat(c->dirfd, "learned", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 && !err ? -errno : fd;
}

/* --- fetching what was learned ------------------------------------------------------------------ */

struct recall {
	struct view *view;
	struct buf file; /* as it was written; empty: nothing was learned */
	uint32_t next;
	unsigned under_way;
};

static uint32_t chunks_of(const struct recall *r)
{
	return r->view->content->tree->head->chunk_count;
}

static void recall_run(void *arg)
{
	struct recall *r = arg;
	char name[DIGEST_HEX_LEN + 1];
	uint32_t count = 0;
	digest_hex(&r->view->content->digest, name);
	autoclose int dir = learned_dir(r->view->cache);
	if (dir < 0 || io_read_file(dir, name, HEAD + chunks_of(r) / 8 + 1, &r->file) < 0)
		return;
	if (r->file.len >= HEAD)
		memcpy(&count, r->file.data + 8, sizeof(count));
	if (r->file.len != HEAD + chunks_of(r) / 8 + 1 || memcmp(r->file.data, MAGIC, 8) != 0 ||
		count != chunks_of(r))
		buf_clear(&r->file);
	for (uint32_t i = 0; r->file.len && i < r->view->content->tree->head->layer_count; i++)
		pack_attach(r->view->content->packs[i]->pack);
}

static void recall_more(void *arg);

/* An error is told to who reads the chunk. */
static void recalled(void *arg, int err, const struct why *why, const void *data, size_t len)
{
	struct recall *r = arg;
	(void)err, (void)why, (void)data, (void)len;
	r->under_way--;
	recall_more(r);
}

static void recall_more(void *arg)
{
	struct recall *r = arg;
	const struct content *k = r->view->content;
	for (; r->file.len && r->next < chunks_of(r) && r->under_way < AT_A_TIME; r->next++) {
		uint32_t number = 0;
		struct pack *p = content_pack(k, r->next, &number)->pack;
		bool learned = (uint8_t)r->file.data[HEAD + r->next / 8] >> (r->next % 8) & 1;
		if (r->view->cache->closing || !learned || pack_has(p, number))
			continue;
		r->under_way++;
		chunk_ask(r->view, r->next, recalled, r);
	}
	if (r->under_way > 0)
		return;
	view_put(r->view);
	buf_free(&r->file);
	free(r);
}

static void recall(struct view *v)
{
	struct recall *r = xcalloc(1, sizeof(*r));
	r->view = view_get(v);
	cache_job(v->cache, recall_run, recall_more, r);
}

/* --- learning ----------------------------------------------------------------------------------- */

void view_deploy(struct view *v)
{
	struct content *k = v->content;
	uint32_t count = k->tree->head->chunk_count;
	if (view_is_brief(v)) /* its chunks have other numbers */
		return;
	if (!k->learn) {
		struct learn *l = xcalloc(1, sizeof(*l) + count / 8 + 1);
		l->count = count;
		k->learn = l;
	}
	for (uint32_t i = 0; k->learn->deploys == 0 && i < count / 8 + 1; i++)
		atomic_store_explicit(&k->learn->bits[i], 0, memory_order_relaxed);
	k->learn->deploys++;
	recall(v);
}

struct keeping {
	struct view *view;
	struct buf file;
};

static void keep_run(void *arg)
{
	struct keeping *p = arg;
	struct cache *c = p->view->cache;
	char name[DIGEST_HEX_LEN + 1];
	digest_hex(&p->view->content->digest, name);
	autoclose int dir = learned_dir(c);
	int err = dir < 0 ? dir : room_take(c->room, p->file.len);
	if (!err)
		err = io_write_file(dir, name, p->file.data, p->file.len, 0644, false);
	if (err < 0)
		log_warn("cache: what a deploy of %s reads is not remembered: %s", p->view->name,
			err_text(err));
}

static void kept(void *arg)
{
	struct keeping *p = arg;
	view_put(p->view);
	buf_free(&p->file);
	free(p);
}

/* As they are now; false if none is set. */
static bool put_bits(struct learn *l, struct buf *out)
{
	bool any = false;
	for (uint32_t i = 0; i < l->count / 8 + 1; i++) {
		uint8_t bits = atomic_load_explicit(&l->bits[i], memory_order_relaxed);
		buf_append(out, &bits, 1);
		any |= bits != 0;
	}
	return any;
}

void view_deployed(struct view *v, bool ran)
{
	struct learn *l = v->content->learn;
	if (!l || l->deploys == 0)
		return;
	l->deploys--;
	if (!ran)
		return;
	struct keeping *p = xcalloc(1, sizeof(*p));
	buf_append(&p->file, MAGIC, 8);
	buf_append(&p->file, &l->count, sizeof(l->count));
	if (!put_bits(l, &p->file)) {
		buf_free(&p->file);
		free(p);
		return;
	}
	p->view = view_get(v);
	cache_job(v->cache, keep_run, kept, p);
}
