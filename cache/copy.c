/* SPDX-License-Identifier: MIT */
/* copy.c: bytes out of a view into a file. */
#include "cache/copy.h"

#include "cache/base/io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int write_out(const struct copying *k, const void *data, size_t len, uint64_t off, struct why *why)
{
	int err = k->fd < 0 ? 0 : io_pwrite_full(k->fd, data, len, off);
	return err < 0 ? why_fail_errno(why, err, "cannot write the copy") : 0;
}

struct copy_gift {
	struct copying *copying;
	char *data; /* NULL: it did not come */
};

/* The chunk's bytes: its gift, or what is here. */
static int obtain(struct copying *k, uint32_t i, uint32_t raw, struct why *why)
{
	if (i >= k->gift_first && i - k->gift_first < k->gift_count && k->gifts[i - k->gift_first].data) {
		memcpy(k->buf, k->gifts[i - k->gift_first].data, raw);
		return 0;
	}
	return chunk_obtain(k->view, i, k->buf, why);
}

static int copy_chunk(struct copying *k, struct why *why)
{
	const struct tree *t = k->view->content->tree;
	uint32_t i = k->file->first + k->next;
	const struct tree_chunk *c = &t->chunks[i];
	if (c->raw > k->cap) {
		free(k->buf);
		k->cap = c->raw;
		k->buf = xmalloc(k->cap);
	}
	learn_note(k->view->content, i);
	int err = obtain(k, i, c->raw, why);
	if (!err)
		err = write_out(k, k->buf, c->raw, c->pack_off - t->chunks[k->file->first].pack_off, why);
	return err;
}

int copy_step(struct copying *k, int64_t *budget, struct why *why)
{
	const struct tree *t = k->view->content->tree;
	if (k->file->flags & TREE_INLINE)
		return write_out(k, t->strings + k->file->first, k->file->size, 0, why);
	while (k->next < k->file->count) {
		if (k->view->cache->closing)
			return why_fail(why, -ECANCELED, "the cache is closing");
		if (*budget <= 0)
			return 1;
		*budget -= t->chunks[k->file->first + k->next].raw;
		int err = copy_chunk(k, why);
		k->wanted = err == -EAGAIN;
		if (err)
			return k->wanted ? 1 : err;
		k->next++;
	}
	return 0;
}

static void drop_gifts(struct copying *k)
{
	for (uint32_t i = 0; i < k->gift_count; i++)
		free(k->gifts[i].data);
	free(k->gifts);
	k->gifts = NULL;
	k->gift_count = 0;
}

static void gift_came(void *arg, int err, const struct why *why, const void *data, size_t len)
{
	struct copy_gift *g = arg;
	struct copying *k = g->copying;
	if (err && !k->err)
		k->err = why_fail(&k->why, err, "%s", why->text);
	if (!err) {
		g->data = xmalloc(len + 1);
		memcpy(g->data, data, len);
	}
	if (--k->pending == 0)
		k->fetched(k->arg);
}

void copy_fetch(struct copying *k, void (*done)(void *arg), void *arg)
{
	const struct tree *t = k->view->content->tree;
	uint64_t sum = 0;
	uint32_t n = 0, left = k->file->count - k->next;
	drop_gifts(k);
	k->wanted = false;
	k->err = 0;
	k->fetched = done;
	k->arg = arg;
	k->gift_first = k->file->first + k->next;
	while (n < left && n < COPY_GIFTS && (n == 0 || sum < COPY_STEP / 2))
		sum += t->chunks[k->gift_first + n++].raw;
	k->gifts = xcalloc(n, sizeof(*k->gifts));
	k->gift_count = k->pending = n;
	for (uint32_t i = 0; i < n; i++) {
		k->gifts[i].copying = k;
		chunk_ask((struct view *)k->view, k->gift_first + i, gift_came, &k->gifts[i]);
	}
}

void copy_end(struct copying *k)
{
	drop_gifts(k);
	free(k->buf);
	k->buf = NULL;
	k->cap = 0;
}
