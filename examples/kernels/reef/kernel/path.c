/* SPDX-License-Identifier: MIT */
/* path.c: from a path to what it names in the tree in memory. */
#include "memfs.h"

#define LINKS_MOST 40

void place_put(struct place *p)
{
	if (p->dir)
		inode_put(p->dir);
	if (p->inode)
		inode_put(p->inode);
	p->dir = p->inode = NULL;
}

static void move_to(struct place *p, struct inode *dir)
{
	if (dir)
		dir->users++;
	if (p->dir)
		inode_put(p->dir);
	p->dir = dir;
}

/* The next name of the path into (p); false: there is none. */
static bool next_name(const char **path, struct place *p, long *err)
{
	const char *s = *path, *end;

	while (*s == '/')
		s++;
	for (end = s; *end && *end != '/'; end++)
		;
	p->len = (size_t)(end - s);
	if (p->len > NAME_MOST)
		*err = -ENAMETOOLONG;
	else
		memcpy(p->name, s, p->len);
	p->name[p->len > NAME_MOST ? 0 : p->len] = '\0';
	*path = end;
	return p->len && !*err;
}

/* What the name in (p) means in its directory. */
static struct inode *look(struct place *p)
{
	struct entry *e;

	if (!strcmp(p->name, "."))
		return p->dir;
	if (!strcmp(p->name, ".."))
		return p->dir->parent;
	e = dir_find(p->dir, p->name, p->len);
	return e ? e->inode : NULL;
}

static long step(struct place *p, const char *path, bool follow, unsigned depth);

static long follow_link(struct place *p, struct inode *link, unsigned depth)
{
	char *target;
	long err;

	if (depth == LINKS_MOST)
		return -ELOOP;
	target = malloc(link->size + 1);
	if (!target)
		return -ENOMEM;
	memcpy(target, link->data, link->size);
	target[link->size] = '\0';
	err = step(p, target, true, depth + 1);
	free(target);
	return err;
}

static long step(struct place *p, const char *path, bool follow, unsigned depth)
{
	long err = 0;

	if (*path == '/')
		move_to(p, memfs_root);
	if (p->inode)
		inode_put(p->inode);
	p->inode = NULL;
	while (next_name(&path, p, &err)) {
		const char *rest = path;
		struct inode *i;

		while (*rest == '/')
			rest++;
		if (!inode_is(p->dir, S_IFDIR))
			return -ENOTDIR;
		i = look(p);
		if (inode_is(i, S_IFLNK) && (*path || follow)) {
			err = follow_link(p, i, depth);
			i = p->inode;
		}
		if (err)
			return err;
		if (!*rest) { /* the last */
			if (i != p->inode) {
				i->users++;
				p->inode = i;
			}
			return *path && i && !inode_is(i, S_IFDIR) ? -ENOTDIR : 0;
		}
		if (!i)
			return -ENOENT;
		move_to(p, i);
		if (p->inode)
			inode_put(p->inode);
		p->inode = NULL;
	}
	if (!err && !p->inode) { /* / alone */
		p->dir->users++;
		p->inode = p->dir;
	}
	return err;
}

long place_find(struct inode *start, const char *path, bool follow, struct place *p)
{
	long err;

	*p = (struct place){ 0 };
	if (!*path)
		return -ENOENT;
	move_to(p, start);
	err = step(p, path, follow, 0);
	if (err)
		place_put(p);
	return err;
}
