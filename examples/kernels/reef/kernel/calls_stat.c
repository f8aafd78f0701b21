/* SPDX-License-Identifier: MIT */
/*
 * calls_stat.c: system calls that ask what a name in the tree in memory stands for, and change what is known of it. Every user
 * is root, so permissions stop nobody.
 */
#include "memfs.h"

#define AT_SYMLINK_NOFOLLOW 0x100u
#define AT_EMPTY_PATH	    0x1000u
#define UTIME_OMIT	    0x3ffffffe

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
	err = user_place(dirfd, path, !(flags & AT_SYMLINK_NOFOLLOW), &p);
	if (err)
		return err;
	if (p.inode)
		inode_stat(p.inode, st);
	return user_place_done(&p, p.inode ? 0 : -ENOENT);
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

static long chmod_at(int dirfd, const char *path, uint32_t mode)
{
	struct place p;
	long err = user_place(dirfd, path, true, &p);

	if (err)
		return err;
	if (p.inode)
		p.inode->mode = (p.inode->mode & S_IFMT) | (mode & 07777);
	return user_place_done(&p, p.inode ? 0 : -ENOENT);
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
	long err = user_place(AT_FDCWD, (void *)ARG1, true, &p);

	if (err)
		return err;
	return user_place_done(&p, !p.inode			 ? -ENOENT
				   : !inode_is(p.inode, S_IFREG) ? -EISDIR
								 : inode_resize(p.inode, ARG2));
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
		err = user_place((int)ARG1, (void *)ARG2, !(ARG4 & AT_SYMLINK_NOFOLLOW), &p);
	if (err)
		return err;
	if (p.inode && times[1].nanoseconds != UTIME_OMIT)
		p.inode->modified = ARG3 && times[1].nanoseconds < 1000000000
					    ? times[1]
					    : (struct timespec){ (int64_t)(now / 1000000000),
						      (int64_t)(now % 1000000000) };
	return user_place_done(&p, p.inode ? 0 : -ENOENT);
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
