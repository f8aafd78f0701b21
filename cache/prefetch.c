/* SPDX-License-Identifier: MIT */
/*
 * prefetch.c: ordinary reads, whose bytes nobody looks at. A read is answered before its bytes are written, so whoever
 * wants to know that all is kept looks once more at what is just being written: reads of that are answered after it.
 */
#include "cache/prefetch.h"

#include "cache/impl.h"

#include <errno.h>
#include <stdlib.h>

#define STEP	  (1u << 20)
#define AT_A_TIME 8u
#define LOOK_MAX  4096u /* entries passed over before the loop has its turn again */

struct prefetch {
	struct view *view;
	prefetch_wanted_fn *wanted;
	cache_done_fn *done;
	void *arg;
	uint32_t index; /* the next piece to read */
	uint64_t off;
	unsigned under_way;
	bool stopped, again; /* again: only what is still being written */
	int err;
	struct why why;
};

static void pump(void *arg);

static const struct tree_entry *content_at(const struct prefetch *p, uint32_t index)
{
	const struct tree_entry *e = &p->view->content->tree->entries[index];
	return e->type == ENTRY_FILE && !e->flags && e->count && (!p->wanted || p->wanted(p->arg, index))
		       ? e
		       : NULL;
}

/* Has the piece at (off) a chunk to be read? */
static bool lacks(const struct prefetch *p, const struct tree_entry *f, uint64_t off, uint64_t len)
{
	const struct tree *t = p->view->content->tree;
	uint32_t last = tree_chunk_at(t, f, off + len - 1), number = 0;
	for (uint32_t i = tree_chunk_at(t, f, off); i <= last; i++) {
		const struct pack_ref *ref = content_pack(p->view->content, i, &number);
		if (!pack_has(ref->pack, number) && (!p->again || chunk_under_way(ref, number)))
			return true;
	}
	return false;
}

static void finish(struct prefetch *p)
{
	uint64_t here, total;
	view_cached(p->view, &here, &total);
	if (!p->err && p->stopped)
		p->err = why_fail(&p->why, -ECANCELED, "%s:%s: given up", p->view->name, p->view->tag);
	if (!p->err && !p->wanted && here < total)
		p->err = why_fail(&p->why, -ENOSPC,
			"%s:%s: %llu of %llu bytes could be kept: the quota or the disk is full of what is "
			"in use "
			"or pinned; mount with a larger quota=, or unpin something",
			p->view->name, p->view->tag, (unsigned long long)here, (unsigned long long)total);
	p->done(p->arg, p->err, p->err ? &p->why : NULL);
}

static void piece_done(void *arg, int err, const struct why *why, const void *data, size_t len)
{
	struct prefetch *p = arg;
	(void)data, (void)len;
	if (err && !p->err) {
		p->err = err;
		p->why = *why;
	}
	p->under_way--;
	pump(p);
}

/* The next piece to be read: true, and (p) is after it. */
static bool next_piece(struct prefetch *p, uint32_t *index, uint64_t *off, size_t *len, unsigned *looked)
{
	uint32_t count = p->view->content->tree->head->entry_count;
	for (; p->index < count && *looked < LOOK_MAX; ++*looked) {
		const struct tree_entry *f = content_at(p, p->index);
		if (!f || p->off >= f->size) {
			p->index++;
			p->off = 0;
			continue;
		}
		*index = p->index;
		*off = p->off;
		*len = f->size - p->off < STEP ? (size_t)(f->size - p->off) : STEP;
		p->off += *len;
		if (lacks(p, f, *off, *len))
			return true;
	}
	return false;
}

static bool ended(const struct prefetch *p)
{
	return p->err || p->stopped || p->index >= p->view->content->tree->head->entry_count;
}

static void look_again(struct prefetch *p)
{
	p->again = true;
	p->index = 0;
	p->off = 0;
}

static void pump(void *arg)
{
	struct prefetch *p = arg;
	unsigned looked = 0;
	uint32_t index;
	uint64_t off;
	size_t len;
	while (!ended(p) && p->under_way < AT_A_TIME && next_piece(p, &index, &off, &len, &looked)) {
		p->under_way++;
		view_read(p->view, index, off, len, piece_done, p);
	}
	if (p->under_way == 0 && ended(p) && !p->err && !p->stopped && !p->wanted && !p->again)
		look_again(p);
	if (p->under_way == 0 && ended(p))
		finish(p);
	else if (p->under_way == 0)
		loop_defer(p->view->cache->loop, pump, p);
}

static void attach_run(void *arg)
{
	struct prefetch *p = arg;
	for (uint32_t i = 0; i < p->view->content->tree->head->layer_count; i++)
		pack_attach(p->view->content->packs[i]->pack);
}

struct prefetch *prefetch_new(struct view *v, prefetch_wanted_fn *wanted, cache_done_fn *done, void *arg)
{
	struct prefetch *p = xcalloc(1, sizeof(*p));
	p->view = view_get(v);
	p->wanted = wanted;
	p->done = done;
	p->arg = arg;
	for (uint32_t i = 0; i < v->content->tree->head->layer_count; i++)
		pack_hold(v->content->packs[i]->pack);
	cache_job(v->cache, attach_run, pump, p);
	return p;
}

void prefetch_stop(struct prefetch *p)
{
	p->stopped = true;
}

void prefetch_free(struct prefetch *p)
{
	for (uint32_t i = 0; i < p->view->content->tree->head->layer_count; i++)
		pack_let(p->view->content->packs[i]->pack);
	view_put(p->view);
	free(p);
}
