/* SPDX-License-Identifier: MIT */
/*
 * same.c: whether a file on disk has the content of a view's file. The tree knows the digest of each chunk, so
 * the content itself need not be here.
 */
#include "cache/base/io.h"
#include "cache/impl.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static int same_piece(int fd, const struct tree_chunk *c, uint64_t off, char **buf, size_t *cap)
{
	struct digest is;
	ssize_t n;

	if (c->raw > *cap) {
		*cap = c->raw;
		*buf = xrealloc(*buf, *cap);
	}
	n = io_pread_full(fd, *buf, c->raw, off);
	if (n < 0)
		return (int)n;
	if ((size_t)n != c->raw)
		return 0;
	digest_of(*buf, c->raw, &is);
	return digest_equal(&is, &c->digest);
}

static int same_inline(const struct tree *t, const struct tree_entry *f, int fd)
{
	autofree char *buf = xmalloc((size_t)f->size + 1);
	ssize_t n = io_pread_full(fd, buf, (size_t)f->size, 0);

	if (n < 0)
		return (int)n;
	return (uint64_t)n == f->size && memcmp(buf, t->strings + f->first, (size_t)f->size) == 0;
}

int view_same(const struct view *v, uint32_t index, int fd)
{
	const struct tree *t = v->content->tree;
	const struct tree_entry *f = index < t->head->entry_count ? tree_file(t, index) : NULL;
	autofree char *buf = NULL;
	size_t cap = 0;
	struct stat st;
	int same = 1;

	if (!f)
		return -ENOENT;
	if (fstat(fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size != f->size)
		return 0;
	if (f->flags & TREE_INLINE)
		return same_inline(t, f, fd);
	for (uint32_t i = 0; i < f->count && same > 0; i++) {
		const struct tree_chunk *c = &t->chunks[f->first + i];

		same = same_piece(fd, c, c->pack_off - t->chunks[f->first].pack_off, &buf, &cap);
	}
	return same;
}
