/* SPDX-License-Identifier: MIT */
/*
 * memfs.h: the files of a program that has no delegate: a tree in memory, filled from an archive that the loader brought (cpio.c).
 *
 * One mutex guards all of it (memfs_lock); what says "locked" wants it held. An inode lives as long as it has names
 * (links) or users, who are open files and the working directory.
 */
#ifndef MEMFS_H
#define MEMFS_H

#include "file.h"

#define PATH_ROOM 4096u
#define NAME_MOST 255u

struct entry {
	struct entry *next;
	struct inode *inode;
	uint64_t order; /* of its making, from 3 on: a position in the directory that stays */
	char name[];
};
struct inode {
	uint64_t number, size, room;
	uint32_t mode;
	unsigned links, users;
	char *data;		       /* a file's bytes, a symbolic link's target */
	bool borrowed;		       /* the data are the archive's */
	struct entry *entries;	       /* a directory's, in the order of their making */
	struct inode *parent;	       /* a directory's */
	const struct file_ops *device; /* of a character device */
	struct timespec modified;
};

static inline bool inode_is(const struct inode *i, uint32_t type) /* NULL is nothing */
{
	return i && (i->mode & S_IFMT) == type;
}

extern struct mutex memfs_lock;
extern struct inode *memfs_root;
extern const struct file_ops memfs_ops;
long memfs_init(void);
struct inode *inode_new(uint32_t mode); /* no names, one user; NULL */
void inode_put(struct inode *i);	/* locked; one user less */
struct entry *dir_find(struct inode *dir, const char *name, size_t len);
long dir_add(struct inode *dir, const char *name, size_t len, struct inode *i);
long dir_remove(struct inode *dir, const char *name, size_t len);
long inode_resize(struct inode *i, uint64_t size); /* locked */
void inode_stat(const struct inode *i, struct stat *st);
struct file *memfs_file(struct inode *i, unsigned flags); /* takes over a user; NULL */

/* path.c, locked: from a path to what it names. (start) is the directory that relative paths begin in. */
struct place {
	struct inode *dir; /* where the last name is; a user, which place_put gives back */
	char name[NAME_MOST + 1];
	size_t len;
	struct inode *inode; /* likewise; NULL: there is none of that name */
};
/* -ENOENT only if a directory on the way is missing. */
long place_find(struct inode *start, const char *path, bool follow, struct place *p);
void place_put(struct place *p);

/* devfile.c: what is in /dev */
long devfile_init(void);
/* cpio.c: 0; -EINVAL: it is none, in words on the console */
long cpio_unpack(const char *archive, uint64_t len);
/* calls_path.c: a path that a program gave, from directory (dirfd) on. On 0 the tree is locked, and user_place_done, which
 * returns (result), gives back what (p) holds and unlocks. */
#define AT_FDCWD -100
long user_place(int dirfd, const char *user, bool follow, struct place *p);
long user_place_done(struct place *p, long result);
struct inode *inode_of(struct file *f); /* locked; of an open file of the tree, or NULL */
/* As open(2), for the kernel. */
long memfs_open(const char *path, unsigned flags, struct file **file);
/* Makes a file, directory or device in place of what was there; borrows (data). */
long memfs_put(const char *path, uint32_t mode, char *data, uint64_t len, const struct file_ops *device);
/* A file; free()s (data) at the end, if it returns 0. */
long memfs_give(const char *path, uint32_t mode, char *data, uint64_t len);

#endif
