/* SPDX-License-Identifier: MIT */
/* calls_path.c: system calls about names, on the tree in memory. Every user is root, so permissions stop nobody. */
#include "elf.h"
#include "memfs.h"

#define AT_REMOVEDIR	  0x200u
#define AT_SYMLINK_FOLLOW 0x400u
#define RENAME_NOREPLACE  1u

static struct inode *cwd; /* under memfs_lock; a user */
static uint32_t umask = 022;

static struct inode *here(void)
{
	return cwd ? cwd : memfs_root;
}

struct inode *inode_of(struct file *f)
{
	return f->ops == &memfs_ops ? f->own : NULL;
}

long user_place(int dirfd, const char *user, bool follow, struct place *p)
{
	struct file *base = dirfd == AT_FDCWD ? NULL : fd_get((uint64_t)dirfd);
	char *path = malloc(PATH_ROOM);
	long err = path ? string_in(path, user, PATH_ROOM) : -ENOMEM;

	if (err >= 0)
		proc_refresh(path);
	mutex_lock(&memfs_lock);
	if (err >= 0) {
		bool relative = *path != '/' && dirfd != AT_FDCWD;

		if (relative && !base)
			err = -EBADF;
		else if (relative && !inode_of(base))
			err = -ENOTDIR;
		else
			err = place_find(relative ? inode_of(base) : here(), path, follow, p);
	}
	if (err)
		mutex_unlock(&memfs_lock);
	if (base)
		file_put(base);
	free(path);
	return err;
}

long user_place_done(struct place *p, long result)
{
	place_put(p);
	mutex_unlock(&memfs_lock);
	return result;
}

/* Locked: a new inode at (p), where there is none. */
static long make(struct place *p, uint32_t mode, struct inode **made)
{
	struct inode *i = inode_new(mode);
	long err = i ? dir_add(p->dir, p->name, p->len, i) : -ENOSPC;

	if (err && i)
		inode_put(i);
	*made = err ? NULL : i;
	return err;
}

/* Locked. */
static long open_place(struct place *p, unsigned flags, uint32_t mode, struct file **file)
{
	struct inode *i = p->inode;
	bool writes = (flags & O_ACCESS) != O_RDONLY;
	long err = 0;

	if (!i) {
		if (!(flags & O_CREAT))
			return -ENOENT;
		err = make(p, S_IFREG | (mode & 07777 & ~umask), &i);
		if (err)
			return err;
	} else {
		if (flags & O_CREAT && flags & O_EXCL)
			return -EEXIST;
		if (inode_is(i, S_IFLNK))
			return -ELOOP;
		if (flags & O_DIRECTORY && !inode_is(i, S_IFDIR))
			return -ENOTDIR;
		if (inode_is(i, S_IFDIR) && (writes || flags & O_CREAT))
			return -EISDIR;
		if (flags & O_TRUNC && writes && inode_is(i, S_IFREG))
			err = inode_resize(i, 0);
		i->users++;
	}
	*file = err ? NULL : memfs_file(i, flags);
	if (!*file) {
		inode_put(i);
		return err ? err : -ENOMEM;
	}
	return 0;
}

long memfs_open(const char *path, unsigned flags, struct file **file)
{
	struct place p;
	long err;

	mutex_lock(&memfs_lock);
	err = place_find(here(), path, true, &p);
	if (!err) {
		err = open_place(&p, flags, 0644, file);
		place_put(&p);
	}
	mutex_unlock(&memfs_lock);
	return err;
}

static long put(const char *path, const struct inode *as)
{
	struct inode *i = NULL;
	struct place p;
	long err;

	mutex_lock(&memfs_lock);
	err = place_find(memfs_root, path, false, &p);
	if (err) {
		mutex_unlock(&memfs_lock);
		return err;
	}
	if (inode_is(p.inode, S_IFDIR) || (p.inode && inode_is(as, S_IFDIR)))
		return user_place_done(&p, (p.inode->mode & S_IFMT) == (as->mode & S_IFMT) ? 0 : -EEXIST);
	if (p.inode)
		dir_remove(p.dir, p.name, p.len);
	err = make(&p, as->mode, &i);
	if (!err) {
		i->data = as->data;
		i->size = i->room = as->size;
		i->borrowed = as->borrowed;
		i->device = as->device;
		inode_put(i);
	}
	return user_place_done(&p, err);
}

long memfs_put(const char *path, uint32_t mode, char *data, uint64_t len, const struct file_ops *device)
{
	return put(
		path, &(struct inode){
			      .mode = mode, .data = data, .size = len, .borrowed = true, .device = device });
}

long memfs_give(const char *path, uint32_t mode, char *data, uint64_t len)
{
	return put(path, &(struct inode){ .mode = mode, .data = data, .size = len });
}

static long open_at(int dirfd, const char *path, unsigned flags, uint32_t mode)
{
	struct file *file = NULL;
	struct place p;
	long err = user_place(dirfd, path, !(flags & O_NOFOLLOW) && !(flags & O_CREAT && flags & O_EXCL), &p);

	if (!err)
		err = user_place_done(&p, open_place(&p, flags, mode, &file));
	return err ? err : fd_add(file, flags);
}

CALL(open)
{
	return open_at(AT_FDCWD, (void *)ARG1, (unsigned)ARG2, (uint32_t)ARG3);
}

CALL(openat)
{
	return open_at((int)ARG1, (void *)ARG2, (unsigned)ARG3, (uint32_t)ARG4);
}

CALL(creat)
{
	return open_at(AT_FDCWD, (void *)ARG1, O_CREAT | O_WRONLY | O_TRUNC, (uint32_t)ARG2);
}

static long readlink_at(int dirfd, const char *path, char *buf, size_t len)
{
	struct place p;
	long err = user_place(dirfd, path, false, &p);

	if (err)
		return err;
	if (!p.inode || !inode_is(p.inode, S_IFLNK))
		return user_place_done(&p, p.inode ? -EINVAL : -ENOENT);
	len = len < p.inode->size ? len : p.inode->size;
	return user_place_done(&p, copy_out(buf, p.inode->data, len) ? -EFAULT : (long)len);
}

CALL(readlink)
{
	return readlink_at(AT_FDCWD, (void *)ARG1, (void *)ARG2, ARG3);
}

CALL(readlinkat)
{
	return readlink_at((int)ARG1, (void *)ARG2, (void *)ARG3, ARG4);
}

static long mkdir_at(int dirfd, const char *path, uint32_t mode)
{
	struct inode *i;
	struct place p;
	long err = user_place(dirfd, path, false, &p);

	if (err)
		return err;
	err = p.inode ? -EEXIST : make(&p, S_IFDIR | (mode & 07777 & ~umask), &i);
	if (!err)
		inode_put(i);
	return user_place_done(&p, err);
}

CALL(mkdir)
{
	return mkdir_at(AT_FDCWD, (void *)ARG1, (uint32_t)ARG2);
}

CALL(mkdirat)
{
	return mkdir_at((int)ARG1, (void *)ARG2, (uint32_t)ARG3);
}

static long unlink_at(int dirfd, const char *path, bool directory)
{
	struct place p;
	long err = user_place(dirfd, path, false, &p);

	if (err)
		return err;
	if (!p.inode)
		err = -ENOENT;
	else if (directory != inode_is(p.inode, S_IFDIR))
		err = directory ? -ENOTDIR : -EISDIR;
	else if (directory && p.inode->entries)
		err = -ENOTEMPTY;
	else if (p.inode == memfs_root || !strcmp(p.name, ".") || !strcmp(p.name, ".."))
		err = -EBUSY;
	return user_place_done(&p, err ? err : dir_remove(p.dir, p.name, p.len));
}

CALL(unlink)
{
	return unlink_at(AT_FDCWD, (void *)ARG1, false);
}

CALL(rmdir)
{
	return unlink_at(AT_FDCWD, (void *)ARG1, true);
}

CALL(unlinkat)
{
	return unlink_at((int)ARG1, (void *)ARG2, ARG3 & AT_REMOVEDIR);
}

/* Whether (dir) is (i) or below it. */
static bool below(const struct inode *dir, const struct inode *i)
{
	for (; dir != i; dir = dir->parent)
		if (dir == memfs_root)
			return false;
	return true;
}

/* Locked, both. */
static long rename(struct place *from, struct place *to, unsigned flags)
{
	long err;

	if (!from->inode)
		return -ENOENT;
	if (to->inode && flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (from->inode == to->inode)
		return 0;
	if (inode_is(from->inode, S_IFDIR) && below(to->dir, from->inode))
		return -EINVAL;
	if (to->inode && inode_is(to->inode, S_IFDIR) != inode_is(from->inode, S_IFDIR))
		return inode_is(to->inode, S_IFDIR) ? -EISDIR : -ENOTDIR;
	if (to->inode && to->inode->entries)
		return -ENOTEMPTY;
	if (to->inode)
		dir_remove(to->dir, to->name, to->len);
	err = dir_add(to->dir, to->name, to->len, from->inode);
	return err ? err : dir_remove(from->dir, from->name, from->len);
}

static long rename_at(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	struct place a, b;
	long err = user_place(from_fd, from, false, &a);

	if (err)
		return err;
	mutex_unlock(&memfs_lock); /* what (a) holds stays; find takes the lock again */
	err = flags & ~RENAME_NOREPLACE ? -EINVAL : user_place(to_fd, to, false, &b);
	if (err) {
		mutex_lock(&memfs_lock);
		return user_place_done(&a, err);
	}
	err = rename(&a, &b, flags);
	place_put(&a);
	return user_place_done(&b, err);
}

CALL(rename)
{
	return rename_at(AT_FDCWD, (void *)ARG1, AT_FDCWD, (void *)ARG2, 0);
}

CALL(renameat)
{
	return rename_at((int)ARG1, (void *)ARG2, (int)ARG3, (void *)ARG4, 0);
}

CALL(renameat2)
{
	return rename_at((int)ARG1, (void *)ARG2, (int)ARG3, (void *)ARG4, (unsigned)ARG5);
}

static long link_at(int from_fd, const char *from, int to_fd, const char *to, bool follow)
{
	struct place a, b;
	long err = user_place(from_fd, from, follow, &a);

	if (err)
		return err;
	mutex_unlock(&memfs_lock);
	err = user_place(to_fd, to, false, &b);
	if (err) {
		mutex_lock(&memfs_lock);
		return user_place_done(&a, err);
	}
	err = !a.inode			   ? -ENOENT
	      : b.inode			   ? -EEXIST
	      : inode_is(a.inode, S_IFDIR) ? -EPERM
					   : dir_add(b.dir, b.name, b.len, a.inode);
	place_put(&a);
	return user_place_done(&b, err);
}

CALL(link)
{
	return link_at(AT_FDCWD, (void *)ARG1, AT_FDCWD, (void *)ARG2, false);
}

CALL(linkat)
{
	return link_at((int)ARG1, (void *)ARG2, (int)ARG3, (void *)ARG4, ARG5 & AT_SYMLINK_FOLLOW);
}

static long symlink_at(const char *user_target, int dirfd, const char *path)
{
	char *target = malloc(PATH_ROOM);
	long len = target ? string_in(target, user_target, PATH_ROOM) : -ENOMEM, err = len < 0 ? len : 0;
	struct inode *i = NULL;
	struct place p;

	if (!err)
		err = user_place(dirfd, path, false, &p);
	if (err) {
		free(target);
		return err;
	}
	err = p.inode ? -EEXIST : make(&p, S_IFLNK | 0777, &i);
	if (err) {
		free(target);
		return user_place_done(&p, err);
	}
	i->data = target;
	i->size = i->room = (uint64_t)len;
	inode_put(i);
	return user_place_done(&p, 0);
}

CALL(symlink)
{
	return symlink_at((void *)ARG1, AT_FDCWD, (void *)ARG2);
}

CALL(symlinkat)
{
	return symlink_at((void *)ARG1, (int)ARG2, (void *)ARG3);
}

/* Locked; takes over a user. */
static void change_cwd(struct inode *dir)
{
	if (cwd)
		inode_put(cwd);
	cwd = dir;
}

CALL(chdir)
{
	struct place p;
	long err = user_place(AT_FDCWD, (void *)ARG1, true, &p);

	if (err)
		return err;
	if (!p.inode || !inode_is(p.inode, S_IFDIR))
		return user_place_done(&p, p.inode ? -ENOTDIR : -ENOENT);
	p.inode->users++;
	change_cwd(p.inode);
	return user_place_done(&p, 0);
}

CALL(fchdir)
{
	struct file *file = fd_get(ARG1);
	struct inode *i = file ? inode_of(file) : NULL;
	long err = !file ? -EBADF : !i || !inode_is(i, S_IFDIR) ? -ENOTDIR : 0;

	if (!err) {
		mutex_lock(&memfs_lock);
		i->users++;
		change_cwd(i);
		mutex_unlock(&memfs_lock);
	}
	if (file)
		file_put(file);
	return err;
}

/* Writes the path to (i) before (end); returns where it begins, NULL if it does not fit. */
static char *path_to(const struct inode *i, const char *start, char *end)
{
	*--end = '\0';
	if (i == memfs_root)
		*--end = '/';
	for (; i != memfs_root; i = i->parent) {
		const struct entry *e = i->parent->entries;
		size_t len;

		while (e && e->inode != i)
			e = e->next;
		len = e ? strlen(e->name) : 0;
		if (!e || (size_t)(end - start) < len + 1)
			return NULL;
		end -= len;
		memcpy(end, e->name, len);
		*--end = '/';
	}
	return end;
}

CALL(getcwd)
{
	char *room = malloc(PATH_ROOM), *path;
	size_t len;
	long result;

	if (!room)
		return -ENOMEM;
	mutex_lock(&memfs_lock);
	path = path_to(here(), room, room + PATH_ROOM);
	mutex_unlock(&memfs_lock);
	len = path ? strlen(path) + 1 : 0;
	result = !path				     ? -ENOENT
		 : len > ARG2			     ? -ERANGE
		 : copy_out((void *)ARG1, path, len) ? -EFAULT
						     : (long)len;
	free(room);
	return result;
}

CALL(umask)
{
	uint32_t old = umask;

	umask = (uint32_t)ARG1 & 0777;
	return old;
}
