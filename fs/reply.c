/* SPDX-License-Identifier: MIT */
/*
 * reply.c: what classes say goes back to the kernel, and nothing else in fs/ replies. Where the kernel does not take an
 * answer that made it hold something (the caller was interrupted), the class hears that it is given back.
 */
#include "fs/ops_inner.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdlib.h>
#include <string.h>

#define OPEN_NOFLUSH (1u << 5) /* <linux/fuse.h> of Linux 6.9 */
#define OPEN_THROUGH (1u << 7)

static void fill_stat(const struct fs *fs, const struct attr *a, struct stat *st)
{
	*st = (struct stat){
		.st_ino = node_ino(a->node),
		.st_mode = a->mode,
		.st_nlink = a->nlink ? a->nlink : 1,
		.st_uid = fs->uid,
		.st_gid = fs->gid,
		.st_size = (off_t)a->size,
		.st_blocks = (blkcnt_t)(a->blocks ? a->blocks : (a->size + 511) / 512),
		.st_blksize = a->blksize ? a->blksize : 4096,
		.st_mtim = a->mtime,
		.st_ctim = a->ctime.tv_sec ? a->ctime : a->mtime,
		.st_atim = a->atime.tv_sec ? a->atime : a->mtime,
	};
}

static void fill_entry(const struct fs *fs, const struct attr *a, struct fuse_entry_param *e)
{
	*e = (struct fuse_entry_param){
		.ino = node_ino(a->node),
		.attr_timeout = a->attr_ttl,
		.entry_timeout = a->entry_ttl,
	};
	fill_stat(fs, a, &e->attr);
}

/* The kernel did not take the answer that told it of (n): it will not forget it either. */
static void unlooked(struct fs *fs, struct node n)
{
	const struct node_ops *c = ops_class(n);
	if (c->forget)
		c->forget(fs, n, 1);
}

void reply_err(fuse_req_t req, int err)
{
	fuse_reply_err(req, -err);
}

void reply_entry(fuse_req_t req, const struct attr *a)
{
	struct fs *fs = fuse_req_userdata(req);
	struct node n = a->node;
	struct fuse_entry_param e;
	fill_entry(fs, a, &e);
	if (fuse_reply_entry(req, &e) == -ENOENT)
		unlooked(fs, n);
}

void reply_absent(fuse_req_t req, double ttl)
{
	struct fuse_entry_param e = { .ino = 0, .entry_timeout = ttl };
	if (ttl > 0)
		fuse_reply_entry(req, &e);
	else
		fuse_reply_err(req, ENOENT);
}

void reply_attr(fuse_req_t req, const struct attr *a)
{
	struct stat st;
	fill_stat(fuse_req_userdata(req), a, &st);
	fuse_reply_attr(req, &st, a->attr_ttl);
}

void reply_open(fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	const struct node_ops *c = ops_class(n);
	fi->noflush = !c->flush; /* saves the round trip of every close */
	if (fuse_reply_open(req, fi) == -ENOENT && c->release)
		c->release(fs, n, fi);
}

void reply_open_through(fuse_req_t req, struct node n, struct fuse_file_info *fi, int id)
{
	struct { /* fuse_open_out; libfuse 3.14 has no field for the last one */
		uint64_t fh;
		uint32_t flags;
		int32_t id;
	} out = { fi->fh, OPEN_THROUGH | OPEN_NOFLUSH, id };
	struct fs *fs = fuse_req_userdata(req);
	if (fuse_reply_buf(req, (const char *)&out, sizeof out) == -ENOENT)
		ops_class(n)->release(fs, n, fi);
}

void reply_opendir(fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	const struct node_ops *c = ops_class(n);
	if (fuse_reply_open(req, fi) == -ENOENT && c->releasedir)
		c->releasedir(fs, n, fi);
}

void reply_create(fuse_req_t req, const struct attr *a, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct node n = a->node;
	const struct node_ops *c = ops_class(n);
	struct fuse_entry_param e;
	fill_entry(fs, a, &e);
	fi->noflush = !c->flush;
	if (fuse_reply_create(req, &e, fi) != -ENOENT)
		return;
	if (c->release)
		c->release(fs, n, fi);
	unlooked(fs, n);
}

void reply_data(fuse_req_t req, const void *data, size_t size)
{
	fuse_reply_buf(req, data, size);
}

void reply_written(fuse_req_t req, size_t size)
{
	fuse_reply_write(req, size);
}

void reply_none(fuse_req_t req)
{
	fuse_reply_none(req);
}

void reply_statfs(fuse_req_t req, const struct statvfs *st)
{
	fuse_reply_statfs(req, st);
}

void reply_link(fuse_req_t req, const char *target)
{
	fuse_reply_readlink(req, target);
}

void reply_poll(fuse_req_t req, unsigned revents)
{
	fuse_reply_poll(req, revents);
}

/* --- listings ---------------------------------------------------------------------------------- */

bool listing_add(struct listing *l, const char *name, const struct attr *a, uint64_t next, bool *plus)
{
	struct fs *fs = fuse_req_userdata(l->req);
	size_t room = l->size - l->used, need;
	bool dots = name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
	bool tell = l->plus && a->nlink && !dots; /* "." and ".." are never looked up, so never forgotten */
	if (l->plus) {
		struct fuse_entry_param e;
		if (tell)
			fill_entry(fs, a, &e);
		else
			e = (struct fuse_entry_param){ .attr.st_ino = node_ino(a->node), .attr.st_mode = a->mode };
		need = fuse_add_direntry_plus(l->req, l->data + l->used, room, name, &e, (off_t)next);
	} else {
		struct stat st = { .st_ino = node_ino(a->node), .st_mode = a->mode };
		need = fuse_add_direntry(l->req, l->data + l->used, room, name, &st, (off_t)next);
	}
	if (plus)
		*plus = false;
	if (need > room)
		return false;
	l->used += need;
	if (plus)
		*plus = tell;
	return true;
}

size_t listing_room(const struct listing *l, bool *plus)
{
	if (plus)
		*plus = l->plus;
	return l->size - l->used;
}

void reply_listing(fuse_req_t req, struct listing *l)
{
	fuse_reply_buf(req, l->data, l->used);
	listing_free(l);
}

struct listing *listing_keep(struct listing *l)
{
	struct listing *k = xmalloc(sizeof *k);
	if (l->kept)
		abort(); /* kept twice: a bug here, and two owners of one answer */
	*k = *l;
	k->kept = true;
	k->data = xmalloc(l->size);
	memcpy(k->data, l->data, l->used);
	return k;
}

void listing_free(struct listing *l)
{
	if (!l->kept)
		return;
	free(l->data);
	free(l);
}
