/* SPDX-License-Identifier: MIT */
/*
 * files.h: between files.c (opening, reading, writing) and names.c (looking up, listing, making, removing) of
 * class RUN.
 *
 * Nodes    a = the instance's serial, 0 for run/ itself
 *          b = file | generation << 8      enum run_file
 *            = RUN_SCRATCH_BIT | id        an editor's scratch file
 *
 * The generation changes while a write through the present inode has no answer yet: the kernel holds that
 * inode's lock for as long, so whoever opens the same file meanwhile would hang where no signal reaches him.
 * Another inode has another lock. Nothing is remembered of names (time to live 0), so a lookup comes before
 * each open.
 */
#ifndef FS_FILES_H
#define FS_FILES_H

#include "fs/instance.h"

#define RUN_SCRATCH_BIT 0x80000000u

struct fuse_file_info;

struct run_node {	     /* what a node number means now */
	struct instance *in; /* NULL: run/ itself */
	enum run_file file;
	struct scratch *scratch; /* RUN_SCRATCH only */
};
/* 0, or -ENOENT if there is no such thing (any more). */
int run_node_of(struct fs *fs, struct node n, struct run_node *out);
struct handle *run_handle(struct fuse_file_info *fi);
/* At the end: frees what was open when the connection ended, and will not be released any more. */
void run_drop_handles(struct run *r);

extern const char *const run_file_names[RUN_FILES];

void run_attr(struct fs *fs, const struct run_node *n, struct attr *a);
/* What open and create have in common: on success fi->fh and flags are set. */
int run_open_node(struct fs *fs, const struct run_node *n, bool truncate, struct fuse_file_info *fi);

/* names.c */
void run_lookup(struct fs *fs, fuse_req_t req, struct node dir, const char *name);
void run_readdir(struct fs *fs, fuse_req_t req, struct node n, uint64_t off, struct listing *l,
	struct fuse_file_info *fi);
void run_mkdir(struct fs *fs, fuse_req_t req, struct node dir, const char *name, mode_t mode);
void run_rmdir(struct fs *fs, fuse_req_t req, struct node dir, const char *name);
void run_unlink(struct fs *fs, fuse_req_t req, struct node dir, const char *name);
void run_rename(struct fs *fs, fuse_req_t req, struct node dir, const char *name, struct node newdir,
	const char *newname, unsigned flags);
void run_create(struct fs *fs, fuse_req_t req, struct node dir, const char *name, mode_t mode,
	struct fuse_file_info *fi);

#endif
