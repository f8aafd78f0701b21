/* SPDX-License-Identifier: MIT */
/* copy.c: bytes out of a view into a file. */
#include "cache/copy.h"

#include "cache/base/io.h"

#include <errno.h>
#include <stdlib.h>

static int write_out(const struct copying *k, const void *data, size_t len, uint64_t off, struct why *why)
{
	int err = k->fd < 0 ? 0 : io_pwrite_full(k->fd, data, len, off);
	return err < 0 ? why_fail_errno(why, err, "cannot write the copy") : 0;
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
	int err = chunk_obtain(k->view, i, k->buf, why);
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
		if (err)
			return err;
		k->next++;
	}
	return 0;
}

void copy_end(struct copying *k)
{
	free(k->buf);
	k->buf = NULL;
	k->cap = 0;
}
