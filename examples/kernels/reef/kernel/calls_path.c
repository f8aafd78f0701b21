/* SPDX-License-Identifier: MIT */
/* calls_path.c: system calls about names, on the tree in memory. Every user is root, so permissions stop nobody. */
#include "elf.h"
#include "memfs.h"

#define AT_FDCWD	    -100
#define AT_SYMLINK_NOFOLLOW 0x100u
#define AT_REMOVEDIR	    0x200u
#define AT_SYMLINK_FOLLOW   0x400u
#define AT_EMPTY_PATH	    0x1000u
#define UTIME_OMIT	    0x3ffffffe
#define RENAME_NOREPLACE    1u

static struct inode *cwd; /* under memfs_lock; a user */
static uint32_t umask = 022;

static struct inode *here(void)
{
	return cwd ? cwd : memfs_root;
}

static bool is(const struct inode *i, uint32_t type)
{
	return (i->mode & S_IFMT) == type;
}

/* Locked; the inode of an open file of the tree, or NULL. */
static struct inode *inode_of(struct file *f)
{
	return f->ops == &memfs_ops ? f->own : NULL;
}

/* Brings the path from the program and finds it; on 0 the lock is held, and done() drops it and what (p) holds. */
static long find(int dirfd, const char *user, bool follow, struct place *p)
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

static long done(struct place *p, long result)
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
		if (is(i, S_IFLNK))
			return -ELOOP;
		if (flags & O_DIRECTORY && !is(i, S_IFDIR))
			return -ENOTDIR;
		if (is(i, S_IFDIR) && (writes || flags & O_CREAT))
			return -EISDIR;
		if (flags & O_TRUNC && writes && is(i, S_IFREG))
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

long memfs_put(const char *path, uint32_t mode, char *data, uint64_t len, const struct file_ops *device)
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
	if (p.inode && (is(p.inode, S_IFDIR) || (mode & S_IFMT) == S_IFDIR))
		return done(&p, (p.inode->mode & S_IFMT) == (mode & S_IFMT) ? 0 : -EEXIST);
	if (p.inode)
		dir_remove(p.dir, p.name, p.len);
	err = make(&p, mode, &i);
	if (!err) {
		i->data = data;
		i->size = i->room = len;
		i->borrowed = true;
		i->device = device;
		inode_put(i);
	}
	return done(&p, err);
}

long memfs_give(const char *path, uint32_t mode, char *data, uint64_t len)
{
	struct place p;
	long err = memfs_put(path, mode, data, len, NULL);

	if (err)
		return err;
	mutex_lock(&memfs_lock);
	err = place_find(memfs_root, path, false, &p);
	if (err) {
		mutex_unlock(&memfs_lock);
		return err;
	}
	if (p.inode && p.inode->data == data)
		p.inode->borrowed = false;
	return done(&p, 0);
}

static long open_at(int dirfd, const char *path, unsigned flags, uint32_t mode)
{
	struct file *file = NULL;
	struct place p;
	long err = find(dirfd, path, !(flags & O_NOFOLLOW) && !(flags & O_CREAT && flags & O_EXCL), &p);

	if (!err)
		err = done(&p, open_place(&p, flags, mode, &file));
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

/* Of a name, or with AT_EMPTY_PATH and an empty one of the open file. */
static long stat_at(int dirfd, const char *path, unsigned flags, struct stat *st)
{
	struct place p;
	char first;
	long err;

	if (flags & AT_EMPTY_PATH && (!path || (!copy_in(&first, path, 1) && !first)) && dirfd != AT_FDCWD) {
		struct file *file = fd_get((uint64_t)dirfd);

		if (!file)
			return -EBADF;
		err = file_stat(file, st);
		file_put(file);
		return err;
	}
	err = find(dirfd, path, !(flags & AT_SYMLINK_NOFOLLOW), &p);
	if (err)
		return err;
	if (p.inode)
		inode_stat(p.inode, st);
	return done(&p, p.inode ? 0 : -ENOENT);
}

static long stat_out(int dirfd, const char *path, unsigned flags, void *user)
{
	struct stat st;
	long err = stat_at(dirfd, path, flags, &st);

	return err ? err : copy_out(user, &st, sizeof(st));
}

CALL(stat)
{
	return stat_out(AT_FDCWD, (void *)ARG1, 0, (void *)ARG2);
}

CALL(lstat)
{
	return stat_out(AT_FDCWD, (void *)ARG1, AT_SYMLINK_NOFOLLOW, (void *)ARG2);
}

CALL(newfstatat)
{
	return stat_out((int)ARG1, (void *)ARG2, (unsigned)ARG4, (void *)ARG3);
}

struct statx_time {
	int64_t seconds;
	uint32_t nanoseconds, pad;
};
struct statx {
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, pad;
	uint64_t ino, size, blocks, attributes_mask;
	struct statx_time accessed, born, changed, modified;
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t spare[14];
};
_Static_assert(sizeof(struct statx) == 256, "Linux's layout");

static struct statx_time wide(struct timespec t)
{
	return (struct statx_time){ t.seconds, (uint32_t)t.nanoseconds, 0 };
}

CALL(statx)
{
	struct stat st;
	long err = stat_at((int)ARG1, (void *)ARG2, (unsigned)ARG3, &st);
	struct statx x;

	if (err)
		return err;
	x = (struct statx){ .mask = 0x7ff,
		.blksize = (uint32_t)st.blksize,
		.nlink = (uint32_t)st.nlink,
		.mode = (uint16_t)st.mode,
		.ino = st.ino,
		.size = (uint64_t)st.size,
		.blocks = (uint64_t)st.blocks,
		.accessed = wide(st.accessed),
		.changed = wide(st.changed),
		.modified = wide(st.modified),
		.rdev_major = (uint32_t)(st.rdev >> 8),
		.rdev_minor = st.rdev & 0xff,
		.dev_minor = 1 };
	return copy_out((void *)ARG5, &x, sizeof(x));
}

static long access_at(int dirfd, const char *path, unsigned flags)
{
	struct stat st;

	return stat_at(dirfd, path, flags, &st);
}

CALL(access)
{
	return access_at(AT_FDCWD, (void *)ARG1, 0);
}

CALL(faccessat)
{
	return access_at((int)ARG1, (void *)ARG2, 0);
}

CALL(faccessat2)
{
	return access_at((int)ARG1, (void *)ARG2, (unsigned)ARG4);
}

static long readlink_at(int dirfd, const char *path, char *buf, size_t len)
{
	struct place p;
	long err = find(dirfd, path, false, &p);

	if (err)
		return err;
	if (!p.inode || !is(p.inode, S_IFLNK))
		return done(&p, p.inode ? -EINVAL : -ENOENT);
	len = len < p.inode->size ? len : p.inode->size;
	return done(&p, copy_out(buf, p.inode->data, len) ? -EFAULT : (long)len);
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
	long err = find(dirfd, path, false, &p);

	if (err)
		return err;
	err = p.inode ? -EEXIST : make(&p, S_IFDIR | (mode & 07777 & ~umask), &i);
	if (!err)
		inode_put(i);
	return done(&p, err);
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
	long err = find(dirfd, path, false, &p);

	if (err)
		return err;
	if (!p.inode)
		err = -ENOENT;
	else if (directory != is(p.inode, S_IFDIR))
		err = directory ? -ENOTDIR : -EISDIR;
	else if (directory && p.inode->entries)
		err = -ENOTEMPTY;
	else if (p.inode == memfs_root || !strcmp(p.name, ".") || !strcmp(p.name, ".."))
		err = -EBUSY;
	return done(&p, err ? err : dir_remove(p.dir, p.name, p.len));
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
	if (is(from->inode, S_IFDIR) && below(to->dir, from->inode))
		return -EINVAL;
	if (to->inode && is(to->inode, S_IFDIR) != is(from->inode, S_IFDIR))
		return is(to->inode, S_IFDIR) ? -EISDIR : -ENOTDIR;
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
	long err = find(from_fd, from, false, &a);

	if (err)
		return err;
	mutex_unlock(&memfs_lock); /* what (a) holds stays; find takes the lock again */
	err = flags & ~RENAME_NOREPLACE ? -EINVAL : find(to_fd, to, false, &b);
	if (err) {
		mutex_lock(&memfs_lock);
		return done(&a, err);
	}
	err = rename(&a, &b, flags);
	place_put(&a);
	return done(&b, err);
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
	long err = find(from_fd, from, follow, &a);

	if (err)
		return err;
	mutex_unlock(&memfs_lock);
	err = find(to_fd, to, false, &b);
	if (err) {
		mutex_lock(&memfs_lock);
		return done(&a, err);
	}
	err = !a.inode		     ? -ENOENT
	      : b.inode		     ? -EEXIST
	      : is(a.inode, S_IFDIR) ? -EPERM
				     : dir_add(b.dir, b.name, b.len, a.inode);
	place_put(&a);
	return done(&b, err);
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
		err = find(dirfd, path, false, &p);
	if (err) {
		free(target);
		return err;
	}
	err = p.inode ? -EEXIST : make(&p, S_IFLNK | 0777, &i);
	if (err) {
		free(target);
		return done(&p, err);
	}
	i->data = target;
	i->size = i->room = (uint64_t)len;
	inode_put(i);
	return done(&p, 0);
}

CALL(symlink)
{
	return symlink_at((void *)ARG1, AT_FDCWD, (void *)ARG2);
}

CALL(symlinkat)
{
	return symlink_at((void *)ARG1, (int)ARG2, (void *)ARG3);
}

static long chmod_at(int dirfd, const char *path, uint32_t mode)
{
	struct place p;
	long err = find(dirfd, path, true, &p);

	if (err)
		return err;
	if (p.inode)
		p.inode->mode = (p.inode->mode & S_IFMT) | (mode & 07777);
	return done(&p, p.inode ? 0 : -ENOENT);
}

CALL(chmod)
{
	return chmod_at(AT_FDCWD, (void *)ARG1, (uint32_t)ARG2);
}

CALL(fchmodat)
{
	return chmod_at((int)ARG1, (void *)ARG2, (uint32_t)ARG3);
}

CALL(fchmod)
{
	struct file *file = fd_get(ARG1);
	struct inode *i = file ? inode_of(file) : NULL;

	if (i)
		i->mode = (i->mode & S_IFMT) | (ARG2 & 07777);
	if (file)
		file_put(file);
	return file ? 0 : -EBADF;
}

/* Everything is root's and stays so; the name must be there. */
CALL(chown)
{
	return access_at(AT_FDCWD, (void *)ARG1, 0);
}

CALL(lchown)
{
	return access_at(AT_FDCWD, (void *)ARG1, AT_SYMLINK_NOFOLLOW);
}

CALL(fchownat)
{
	return access_at((int)ARG1, (void *)ARG2, (unsigned)ARG5);
}

CALL(fchown)
{
	struct file *file = fd_get(ARG1);

	if (file)
		file_put(file);
	return file ? 0 : -EBADF;
}

CALL(truncate)
{
	struct place p;
	long err = find(AT_FDCWD, (void *)ARG1, true, &p);

	if (err)
		return err;
	return done(&p, !p.inode ? -ENOENT : !is(p.inode, S_IFREG) ? -EISDIR : inode_resize(p.inode, ARG2));
}

/* The second time is that of the last change of the bytes; the first, of reading, is not kept. */
CALL(utimensat)
{
	struct timespec times[2] = { 0 };
	uint64_t now = clock_wall();
	struct place p;
	long err = ARG3 ? copy_in(times, (void *)ARG3, sizeof(times)) : 0;

	if (!err && !ARG2)
		return access_at((int)ARG1, NULL, AT_EMPTY_PATH);
	if (!err)
		err = find((int)ARG1, (void *)ARG2, !(ARG4 & AT_SYMLINK_NOFOLLOW), &p);
	if (err)
		return err;
	if (p.inode && times[1].nanoseconds != UTIME_OMIT)
		p.inode->modified = ARG3 && times[1].nanoseconds < 1000000000
					    ? times[1]
					    : (struct timespec){ (int64_t)(now / 1000000000),
						      (int64_t)(now % 1000000000) };
	return done(&p, p.inode ? 0 : -ENOENT);
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
	long err = find(AT_FDCWD, (void *)ARG1, true, &p);

	if (err)
		return err;
	if (!p.inode || !is(p.inode, S_IFDIR))
		return done(&p, p.inode ? -ENOTDIR : -ENOENT);
	p.inode->users++;
	change_cwd(p.inode);
	return done(&p, 0);
}

CALL(fchdir)
{
	struct file *file = fd_get(ARG1);
	struct inode *i = file ? inode_of(file) : NULL;
	long err = !file ? -EBADF : !i || !is(i, S_IFDIR) ? -ENOTDIR : 0;

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

struct statfs {
	int64_t type, block;
	uint64_t blocks, free, available, files, files_free;
	int32_t id[2];
	int64_t name_most, fragment, flags, spare[4];
};

static long statfs_out(void *user)
{
	struct statfs s = { .type = 0x858458f6 /* RAMFS_MAGIC */,
		.block = PAGE,
		.blocks = page_total() / PAGE,
		.free = page_left() / PAGE,
		.available = page_left() / PAGE,
		.name_most = NAME_MOST,
		.fragment = PAGE };

	return copy_out(user, &s, sizeof(s));
}

CALL(statfs)
{
	long err = access_at(AT_FDCWD, (void *)ARG1, 0);

	return err ? err : statfs_out((void *)ARG2);
}

CALL(fstatfs)
{
	return statfs_out((void *)ARG2);
}
