/* SPDX-License-Identifier: MIT */
/* tree.c: reads the file that tree_build.c writes. */
#include "cache/tree.h"

#include "cache/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define CHECKED_FROM offsetof(struct tree_header, manifest)

static bool section_fits(const struct tree_header *h, uint64_t at, uint64_t count, uint64_t each)
{
	return at <= h->size && at % 8 == 0 && count <= (h->size - at) / each;
}

static bool sound(const struct tree_header *h, size_t size, const struct digest *manifest)
{
	if (size < sizeof(*h) || memcmp(h->magic, TREE_MAGIC, sizeof(h->magic)) != 0)
		return false;
	if (h->version != TREE_VERSION || h->size != size || h->entry_count == 0)
		return false;
	if (!digest_equal(&h->manifest, manifest))
		return false;
	if (XXH3_64bits((const char *)h + CHECKED_FROM, size - CHECKED_FROM) != h->check)
		return false;
	return section_fits(h, h->entries_at, h->entry_count, sizeof(struct tree_entry)) &&
	       section_fits(h, h->chunks_at, h->chunk_count, sizeof(struct tree_chunk)) &&
	       section_fits(h, h->layers_at, h->layer_count, sizeof(struct tree_layer)) &&
	       section_fits(h, h->strings_at, h->strings_len, 1);
}

static struct tree *tree_new(const void *map, char *heap)
{
	struct tree *t = xcalloc(1, sizeof(*t));
	const char *base = map;
	t->refs = 1;
	t->heap = heap;
	t->head = map;
	t->entries = (const void *)(base + t->head->entries_at);
	t->chunks = (const void *)(base + t->head->chunks_at);
	t->layers = (const void *)(base + t->head->layers_at);
	t->strings = base + t->head->strings_at;
	return t;
}

int tree_open(int dirfd, const char *path, const struct digest *manifest, struct tree **out)
{
	autoclose int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (size_t)st.st_size < sizeof(struct tree_header))
		return -EILSEQ;
	size_t size = (size_t)st.st_size;
	void *map = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	if (!sound(map, size, manifest)) {
		munmap(map, size);
		return -EILSEQ;
	}
	*out = tree_new(map, NULL);
	return 0;
}

int tree_open_heap(struct buf *bytes, const struct digest *manifest, struct tree **out)
{
	if (!sound((const void *)bytes->data, bytes->len, manifest))
		return -EILSEQ;
	char *heap = buf_steal(bytes);
	*out = tree_new(heap, heap);
	return 0;
}

struct tree *tree_ref(struct tree *t)
{
	t->refs++;
	return t;
}

void tree_unref(struct tree *t)
{
	if (!t || --t->refs > 0)
		return;
	if (t->heap)
		free(t->heap);
	else
		munmap((void *)t->head, t->head->size);
	free(t);
}

int tree_get(const struct tree *t, uint32_t index, struct entry *out)
{
	if (index >= t->head->entry_count)
		return -ENOENT;
	const struct tree_entry *own = &t->entries[index], *e = own;
	memset(out, 0, sizeof(*out));
	out->index = index;
	if (own->flags & TREE_HARD) {
		out->index = own->first;
		e = &t->entries[own->first];
	}
	out->type = e->type;
	out->parent = own->parent;
	out->name = t->strings + own->name;
	out->mode = e->mode;
	out->nlink = e->nlink;
	out->size = e->size;
	out->mtime = e->mtime;
	if (e->type == ENTRY_DIR) {
		out->first_child = e->first;
		out->child_count = e->count;
	} else if (e->type == ENTRY_LINK) {
		out->target = t->strings + e->first;
	}
	return 0;
}

int tree_lookup(const struct tree *t, uint32_t dir, const char *name, struct entry *out)
{
	if (dir >= t->head->entry_count)
		return -ENOENT;
	const struct tree_entry *d = &t->entries[dir];
	if (d->type != ENTRY_DIR)
		return -ENOTDIR;
	uint32_t lo = d->first, hi = d->first + d->count;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = strcmp(name, t->strings + t->entries[mid].name);
		if (c == 0)
			return tree_get(t, mid, out);
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return -ENOENT;
}

int tree_path(const struct tree *t, const char *path, struct entry *out)
{
	int err = tree_get(t, 0, out);
	while (!err) {
		path += strspn(path, "/");
		size_t n = strcspn(path, "/");
		if (n == 0)
			break;
		char name[256];
		if (n >= sizeof(name))
			return -ENAMETOOLONG;
		memcpy(name, path, n);
		name[n] = 0;
		path += n;
		err = tree_lookup(t, out->index, name, out);
	}
	return err;
}

const struct tree_entry *tree_file(const struct tree *t, uint32_t index)
{
	if (index >= t->head->entry_count)
		return NULL;
	const struct tree_entry *e = &t->entries[index];
	if (e->flags & TREE_HARD)
		e = &t->entries[e->first];
	return e->type == ENTRY_FILE ? e : NULL;
}

uint32_t tree_chunk_at(const struct tree *t, const struct tree_entry *f, uint64_t off)
{
	uint64_t at = t->chunks[f->first].pack_off + off;
	uint32_t lo = f->first, hi = f->first + f->count;
	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (t->chunks[mid].pack_off <= at)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}
