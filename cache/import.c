/* SPDX-License-Identifier: MIT */
/* import.c: all chunks of a layer out of a whole blob into its pack, so that the blob is fetched only once. */
#include "cache/impl.h"

#include <stdlib.h>

#define STEP (16u << 20) /* bytes between which a worker is given back to readers */

struct import {
	struct view *view;
	struct spool *spool;
	uint32_t next, end; /* chunks of the tree */
	bool more;
};

static void import_run(void *arg)
{
	struct import *m = arg;
	const struct tree *t = m->view->content->tree;
	uint64_t done = 0;
	for (; m->next < m->end && done < STEP; m->next++) {
		const struct tree_chunk *c = &t->chunks[m->next];
		struct chunk_fetch f = { .view = m->view, .chunk = m->next };
		uint32_t number = 0;
		struct pack *p = content_pack(m->view->content, m->next, &number)
					 ->pack; /* sets number: not in one call */
		if (pack_has(p, number) || !chunk_has_extent(c->kind))
			continue;
		f.packed = spool_bytes(m->spool) + c->blob_off;
		chunk_verify(&f); /* what is wrong with it is said to who reads it */
		if (!f.err)
			chunk_keep(&f);
		free(f.owned);
		done += c->raw;
	}
	m->more = m->next < m->end;
}

static void import_done(void *arg)
{
	struct import *m = arg;
	if (m->more && !m->view->cache->closing) {
		m->more = false;
		cache_job(m->view->cache, import_run, import_done, m);
		return;
	}
	spool_put(m->spool);
	view_put(m->view);
	free(m);
}

void import_layer(struct view *v, uint32_t chunk, struct spool *s)
{
	const struct tree *t = v->content->tree;
	const struct tree_layer *l = &t->layers[t->chunks[chunk].layer];
	struct import *m = xcalloc(1, sizeof(*m));
	m->view = view_get(v);
	m->spool = spool_ref(s);
	m->next = l->first_chunk;
	m->end = l->first_chunk + l->chunk_count;
	cache_job(v->cache, import_run, import_done, m);
}
