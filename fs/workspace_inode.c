/* SPDX-License-Identifier: MIT */
/*
 * workspace_inode.c: the table between node numbers and files below.
 *
 * An inode holds an O_PATH descriptor, so that its file keeps its identity whatever it is renamed to, and so
 * that the number below cannot be given to another file while we know it: (dev, ino) finds hard links of one
 * file.
 */
#include "cache/base/buf.h"
#include "fs/workspace_inner.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static uint32_t hash_b(const struct ws_table *t, uint32_t b)
{
	return b & (t->buckets - 1);
}

static uint32_t hash_id(const struct ws_table *t, dev_t dev, ino_t ino)
{
	return (uint32_t)((ino ^ dev) * 0x9e3779b97f4a7c15u >> 32) & (t->buckets - 1);
}

static void chain(struct ws_table *t, struct ws_inode *in)
{
	struct ws_inode **b = &t->by_b[hash_b(t, in->b)], **id = &t->by_id[hash_id(t, in->dev, in->ino)];

	in->next_b = *b;
	*b = in;
	in->next_id = *id;
	*id = in;
}

static void unchain(struct ws_table *t, struct ws_inode *in)
{
	struct ws_inode **p;

	for (p = &t->by_b[hash_b(t, in->b)]; *p != in; p = &(*p)->next_b)
		;
	*p = in->next_b;
	for (p = &t->by_id[hash_id(t, in->dev, in->ino)]; *p != in; p = &(*p)->next_id)
		;
	*p = in->next_id;
	t->count--;
}

static void grow(struct ws_table *t)
{
	struct ws_inode **old = t->by_b;
	uint32_t n = t->buckets;

	if (t->count < n)
		return;
	free(t->by_id);
	t->buckets = n ? n * 2 : 16;
	t->by_b = xcalloc(t->buckets, sizeof(struct ws_inode *));
	t->by_id = xcalloc(t->buckets, sizeof(struct ws_inode *));
	for (uint32_t i = 0; i < n; i++) {
		struct ws_inode *in, *next;

		for (in = old[i]; in; in = next) {
			next = in->next_b;
			chain(t, in);
		}
	}
	free(old);
}

struct ws_inode *ws_inode_new(uint32_t b, int fd)
{
	struct ws_inode *in = xcalloc(1, sizeof(*in));

	in->b = b;
	in->fd = fd;
	in->type = S_IFDIR;
	in->refs = b == INODE_ROOT; /* a root belongs to its workspace */
	return in;
}

void ws_root_adopt(struct ws_inode *root, int fd)
{
	struct stat st;

	root->fd = fd;
	if (fstat(fd, &st) == 0) {
		root->dev = st.st_dev;
		root->ino = st.st_ino;
	}
}

struct ws_inode *ws_inode_get(struct workspace *w, uint32_t b)
{
	struct ws_inode *in = NULL;

	if (w->table.buckets)
		for (in = w->table.by_b[hash_b(&w->table, b)]; in && in->b != b; in = in->next_b)
			;
	return in;
}

struct ws_inode *ws_inode_by_id(struct workspace *w, dev_t dev, ino_t ino)
{
	struct ws_inode *in = NULL;

	if (w->table.buckets)
		for (in = w->table.by_id[hash_id(&w->table, dev, ino)]; in; in = in->next_id)
			if (in->ino == ino && in->dev == dev)
				break;
	return in;
}

int ws_intern(struct workspace *w, int fd, const struct stat *st, struct ws_inode **out)
{
	struct ws_inode *in = ws_inode_by_id(w, st->st_dev, st->st_ino);
	int err = 0;

	*out = in;
	if (!in) {
		err = w->table.last_b >= INODE_UNKNOWN - 1 ? -ENFILE : ws_fd_take(w->fs);
		if (!err) {
			grow(&w->table);
			*out = in = ws_inode_new(++w->table.last_b, fd);
			in->dev = st->st_dev;
			in->ino = st->st_ino;
			in->type = st->st_mode & S_IFMT;
			chain(&w->table, in);
			w->table.count++;
			return 0;
		}
	}
	close(fd);
	return err;
}

static void inode_end(struct workspace *w, struct ws_inode *in)
{
	if (in->refs || (in->nlookup && !in->stale))
		return;
	if (!in->stale)
		unchain(&w->table, in);
	if (in->b != INODE_ROOT)
		ws_fd_drop(w->fs);
	if (in->fd >= 0)
		close(in->fd);
	free(in);
}

void ws_inode_put(struct workspace *w, struct ws_inode *in)
{
	in->refs--;
	inode_end(w, in);
}

void ws_inode_forget(struct workspace *w, struct ws_inode *in, uint64_t nlookup)
{
	in->nlookup -= nlookup < in->nlookup ? nlookup : in->nlookup;
	inode_end(w, in);
}

void ws_table_clear(struct workspace *w)
{
	struct ws_table *t = &w->table;

	for (uint32_t i = 0; i < t->buckets; i++) {
		struct ws_inode *in, *next;

		for (in = t->by_b[i]; in; in = next) {
			next = in->next_b;
			in->stale = true;
			inode_end(w, in);
		}
	}
	free(t->by_b);
	free(t->by_id);
	*t = (struct ws_table){ .last_b = t->last_b };
}
