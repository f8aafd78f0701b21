/* SPDX-License-Identifier: MIT */
/*
 * workspace_inode.c: the table between node numbers and files below.
 *
 * An inode holds an O_PATH descriptor, so that its file keeps its identity whatever it is renamed to, and so
 * that the number below cannot be given to another file while we know it: (dev, ino) finds hard links of one
 * file.
 */
#include "cache/base/buf.h"
#include "cache/base/io.h"
#include "fs/workspace_inner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
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

struct ws_inode *ws_inode_new(struct workspace *w, uint32_t b, int fd)
{
	struct ws_inode *in = xcalloc(1, sizeof(*in));

	in->w = w;
	in->b = b;
	in->fd = fd;
	in->fd_name = -1;
	in->lower = LOWER_NONE;
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

static void age_remove(struct ws_inode *in)
{
	struct workspaces *all = in->w->fs->workspaces;

	if (!in->name) /* in the list from when it is first seen somewhere */
		return;
	if (in->older)
		in->older->newer = in->newer;
	else
		all->oldest = in->newer;
	if (in->newer)
		in->newer->older = in->older;
	else
		all->newest = in->older;
	in->older = in->newer = NULL;
}

static void age_add(struct ws_inode *in)
{
	struct workspaces *all = in->w->fs->workspaces;

	in->older = all->newest;
	if (in->older)
		in->older->newer = in;
	else
		all->oldest = in;
	all->newest = in;
}

static void seen(struct ws_inode *in, const struct ws_inode *dir, const char *name)
{
	age_remove(in);
	if (!in->name || strcmp(in->name, name)) {
		free(in->name);
		in->name = xstrdup(name);
	}
	in->parent = dir->b;
	age_add(in);
}

void ws_inode_shed(struct fs *fs, uint32_t count)
{
	struct ws_inode *in = fs->workspaces->oldest, *last = fs->workspaces->newest;

	/* not directories: somebody may stand in one, and would find it unlinked */
	while (in && count) {
		struct ws_inode *next = in == last ? NULL : in->newer;

		if (!in->refs && !S_ISDIR(in->type)) {
			ops_forget_entry(fs, (struct node){ NODE_SRC, in->w->a, in->parent }, in->name);
			count--;
		}
		age_remove(in);
		age_add(in);
		in = next;
	}
}

/* Takes the descriptors of what was found. */
static int inode_of(struct workspace *w, struct ws_found *f, struct ws_inode **out)
{
	const struct stat *st = &f->st;
	struct ws_inode *in;

	if (w->table.last_b >= INODE_UNKNOWN - 1 || ws_fd_take(w->fs))
		return -ENFILE;
	if (f->fd_name >= 0 && ws_fd_take(w->fs)) {
		ws_fd_drop(w->fs);
		return -ENFILE;
	}
	grow(&w->table);
	in = ws_inode_new(w, ++w->table.last_b, io_steal(&f->fd));
	in->fd_name = io_steal(&f->fd_name);
	in->lower = f->lower;
	in->dev = st->st_dev;
	in->ino = st->st_ino;
	in->type = st->st_mode & S_IFMT;
	chain(&w->table, in);
	w->table.count++;
	*out = in;
	return 0;
}

/* It was written to since it was found, or by another daemon's hand: its copy is what counts. */
static int own_copy(struct ws_inode *in, struct ws_found *f)
{
	if (in->fd_name >= 0 || f->fd_name < 0)
		return 0;
	if (ws_fd_take(in->w->fs))
		return -ENFILE;
	in->fd_name = in->fd;
	in->fd = io_steal(&f->fd);
	return 0;
}

int ws_intern(struct ws_inode *dir, const char *name, struct ws_found *f, struct ws_inode **out)
{
	struct workspace *w = dir->w;
	struct ws_inode *in = ws_inode_by_id(w, f->st.st_dev, f->st.st_ino);
	int err = in ? own_copy(in, f) : inode_of(w, f, &in);

	ws_found_close(f);
	if (err)
		return err;
	seen(in, dir, name);
	*out = in;
	return 0;
}

/* Out of everybody's sight; what still uses it may go on. */
static void retire(struct ws_inode *in)
{
	age_remove(in);
	free(in->name);
	in->name = NULL;
	in->stale = true;
}

static void inode_end(struct ws_inode *in)
{
	struct workspace *w = in->w;

	if (in->refs || (in->nlookup && !in->stale))
		return;
	if (!in->stale) {
		unchain(&w->table, in);
		retire(in);
	}
	if (in->b != INODE_ROOT)
		ws_fd_drop(w->fs);
	if (in->fd_name >= 0) {
		ws_fd_drop(w->fs);
		close(in->fd_name);
	}
	if (in->fd >= 0)
		close(in->fd);
	free(in);
}

void ws_inode_put(struct ws_inode *in)
{
	in->refs--;
	inode_end(in);
}

void ws_inode_forget(struct ws_inode *in, uint64_t nlookup)
{
	in->nlookup -= nlookup < in->nlookup ? nlookup : in->nlookup;
	inode_end(in);
}

void ws_table_clear(struct workspace *w)
{
	struct ws_table *t = &w->table;

	for (uint32_t i = 0; i < t->buckets; i++) {
		struct ws_inode *in, *next;

		for (in = t->by_b[i]; in; in = next) {
			next = in->next_b;
			retire(in);
			inode_end(in);
		}
	}
	free(t->by_b);
	free(t->by_id);
	*t = (struct ws_table){ .last_b = t->last_b };
}
