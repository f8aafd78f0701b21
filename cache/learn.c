/* SPDX-License-Identifier: MIT */
/*
 * learn.c: what a deploy reads of a kernel, it reads again the next time. Which chunks that were is remembered under the
 * digest, and when they are not here at the next deploy they are asked for all at once, before anybody waits for them.
 *
 * Shape    learned/<64 hex digits>: "DIVLEAR2", then for each layer of which something was read its blob's digest, the
 *          number of its chunks (32 bits), and a bit for each. So it does not matter which other layers a view shows.
 */
#include "cache/base/io.h"
#include "cache/impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC	  "DIVLEAR2"
#define MAGIC_LEN 8u
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
	uint8_t *bits; /* a bit a chunk; NULL: nothing was learned */
	uint32_t next;
	unsigned under_way;
};

struct record { /* of the file; bits follow */
	struct digest blob;
	uint32_t count;
};

static uint32_t bits_len(uint32_t count)
{
	return count / 8 + 1;
}

static uint32_t chunks_of(const struct recall *r)
{
	return r->view->content->tree->head->chunk_count;
}

static void take_layer(struct recall *r, const struct record *record, const uint8_t *bits)
{
	const struct tree *t = r->view->content->tree;
	for (uint32_t i = 0; i < t->head->layer_count; i++) {
		const struct tree_layer *l = &t->layers[i];
		if (!digest_equal(&l->blob, &record->blob) || l->chunk_count != record->count)
			continue;
		for (uint32_t k = 0; k < record->count; k++) {
			uint32_t at = l->first_chunk + k;
			r->bits[at / 8] |= (uint8_t)((bits[k / 8] >> (k % 8) & 1) << (at % 8));
		}
	}
}

static void recall_run(void *arg)
{
	struct recall *r = arg;
	const struct tree *t = r->view->content->tree;
	char name[DIGEST_HEX_LEN + 1];
	autobuf struct buf file = { 0 };
	struct record record;
	size_t most = MAGIC_LEN + t->head->layer_count * (sizeof(record) + 1) + chunks_of(r) / 8;
	digest_hex(&r->view->content->digest, name);
	autoclose int dir = learned_dir(r->view->cache);
	if (dir < 0 || io_read_file(dir, name, most, &file) < 0 || file.len < MAGIC_LEN ||
		memcmp(file.data, MAGIC, MAGIC_LEN) != 0)
		return;
	r->bits = xcalloc(1, bits_len(chunks_of(r)));
	for (size_t at = MAGIC_LEN; file.len - at >= sizeof(record);
		at += sizeof(record) + bits_len(record.count)) {
		memcpy(&record, file.data + at, sizeof(record));
		if (file.len - at - sizeof(record) < bits_len(record.count))
			break;
		take_layer(r, &record, (const uint8_t *)file.data + at + sizeof(record));
	}
	for (uint32_t i = 0; i < t->head->layer_count; i++)
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
	for (; r->bits && r->next < chunks_of(r) && r->under_way < AT_A_TIME; r->next++) {
		uint32_t number = 0;
		struct pack *p = content_pack(k, r->next, &number)->pack;
		bool learned = r->bits[r->next / 8] >> (r->next % 8) & 1;
		if (r->view->cache->closing || !learned || pack_has(p, number))
			continue;
		r->under_way++;
		chunk_ask(r->view, r->next, recalled, r);
	}
	if (r->under_way > 0)
		return;
	view_put(r->view);
	free(r->bits);
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
	if (!k->learn) {
		struct learn *l = xcalloc(1, sizeof(*l) + bits_len(count));
		l->count = count;
		k->learn = l;
	}
	for (uint32_t i = 0; k->learn->deploys == 0 && i < bits_len(count); i++)
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

/* What was read of a layer by now, if anything was. */
static void put_layer(struct learn *learn, const struct tree_layer *l, struct buf *out)
{
	struct record record = { l->blob, l->chunk_count };
	autofree uint8_t *bits = xcalloc(1, bits_len(l->chunk_count));
	bool any = false;
	for (uint32_t k = 0; k < l->chunk_count; k++) {
		uint32_t at = l->first_chunk + k;
		uint8_t byte = atomic_load_explicit(&learn->bits[at / 8], memory_order_relaxed);
		bool is = byte >> (at % 8) & 1;
		bits[k / 8] |= (uint8_t)(is << (k % 8));
		any |= is;
	}
	if (!any)
		return;
	buf_append(out, &record, sizeof(record));
	buf_append(out, bits, bits_len(l->chunk_count));
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
	const struct tree *t = v->content->tree;
	buf_append(&p->file, MAGIC, MAGIC_LEN);
	for (uint32_t i = 0; i < t->head->layer_count; i++)
		put_layer(l, &t->layers[i], &p->file);
	if (p->file.len == MAGIC_LEN) {
		buf_free(&p->file);
		free(p);
		return;
	}
	p->view = view_get(v);
	cache_job(v->cache, keep_run, kept, p);
}
