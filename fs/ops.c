/* SPDX-License-Identifier: MIT */
/*
 * ops.c: libfuse's operation table. A request is decoded, and the class of its node is called, which sees to it that there
 * is a reply (reply.c), exactly one.
 *
 * What is missing in the table is missing on purpose: the kernel remembers ENOSYS and never asks again.
 * getxattr, as any other answer costs two round trips a file in `ls -l` (PITFALLS 9); access, as
 * default_permissions does it; lseek, copy_file_range, locks, as the kernel does those well by itself.
 */
#include "fs/ops_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define BACKGROUND_MAX 4096
#define LISTING_MAX    (128u << 10)

/* Where a request points. */
struct at {
	struct fs *fs;
	struct node n;
	const struct node_ops *c;
};

static const struct node_ops no_ops;
static const struct node_ops *const classes[NODE_CLASSES] = {
	[NODE_FIXED] = &fixed_ops,
	[NODE_NAMES] = &names_ops,
	[NODE_VIEW] = &view_ops,
	[NODE_RUN] = &run_ops,
	[NODE_SRC] = &src_ops,
	[NODE_CACHE] = &cache_ops,
	[NODE_SEARCH] = &search_ops,
};

const struct node_ops *ops_class(struct node n)
{
	return (unsigned)n.class < NODE_CLASSES ? classes[n.class] : &no_ops;
}

static struct at at(fuse_req_t req, fuse_ino_t ino)
{
	struct node n = node_of(ino);
	return (struct at){ .fs = fuse_req_userdata(req), .n = n, .c = ops_class(n) };
}

/* The errno for what a class does not do to its nodes. */
static int refusal(struct node n)
{
	switch (n.class) {
	case NODE_FIXED:
	case NODE_NAMES:
	case NODE_VIEW:
	case NODE_CACHE:
	case NODE_SEARCH:
		return -EROFS;
	case NODE_RUN:
	case NODE_SRC:
		return -EPERM;
	default:
		return -ESTALE;
	}
}

static bool name_too_long(fuse_req_t req, const char *name)
{
	if (strnlen(name, NAME_MAX + 1) <= NAME_MAX)
		return false;
	reply_err(req, -ENAMETOOLONG);
	return true;
}

/* --- the table --------------------------------------------------------------------------------- */

static void do_init(void *arg, struct fuse_conn_info *conn)
{
	(void)arg;
	/* splice was slower, and takes pages away from the cache below (PERF.md D); control files treat O_TRUNC as
	 * a no-op, so open must see it */
	conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE | FUSE_CAP_SPLICE_READ |
				  FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_WRITEBACK_CACHE);
	conn->want |=
		conn->capable & (FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_READDIRPLUS |
					FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_PARALLEL_DIROPS);
	/* What the kernel reads ahead counts as background work, of which so much may be under way. So many parked reads
	 * must not block their neighbours (PITFALLS 1); and with ASYNC_READ, who waits for one can be killed. */
	conn->max_background = BACKGROUND_MAX;
	conn->congestion_threshold = BACKGROUND_MAX / 4 * 3;
}

static void do_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct at p = at(req, parent);
	if (name_too_long(req, name))
		return;
	if (p.c->lookup)
		p.c->lookup(p.fs, req, p.n, name);
	else
		reply_err(req, p.c == &no_ops ? -ESTALE : -ENOTDIR);
}

static void do_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	struct at p = at(req, ino);
	if (p.c->forget)
		p.c->forget(p.fs, p.n, nlookup);
	reply_none(req);
}

static void do_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++) {
		struct at p = at(req, forgets[i].ino);
		if (p.c->forget)
			p.c->forget(p.fs, p.n, forgets[i].nlookup);
	}
	reply_none(req);
}

static void do_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct at p = at(req, ino);
	if (p.c->getattr)
		p.c->getattr(p.fs, req, p.n, fi);
	else
		reply_err(req, -ESTALE);
}

static void do_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set, struct fuse_file_info *fi)
{
	struct at p = at(req, ino);
	if (p.c->setattr)
		p.c->setattr(p.fs, req, p.n, st, to_set, fi);
	else
		reply_err(req, refusal(p.n));
}

static void do_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct at p = at(req, ino);
	if (p.c->readlink)
		p.c->readlink(p.fs, req, p.n);
	else
		reply_err(req, -EINVAL);
}

static void do_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct at p = at(req, ino);
	if (p.c->open) {
		p.c->open(p.fs, req, p.n, fi);
	} else if (p.c == &no_ops || (fi->flags & O_ACCMODE) != O_RDONLY) {
		reply_err(req, refusal(p.n));
	} else {
		fi->keep_cache = 1;
		reply_open(req, p.n, fi);
	}
}

static void do_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct at p = at(req, ino);
	if (off < 0)
		reply_err(req, -EINVAL);
	else if (p.c->read)
		p.c->read(p.fs, req, p.n, size, (uint64_t)off, fi);
	else
		reply_err(req, -EISDIR);
}

static void do_write(
	fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct at p = at(req, ino);
	if (off < 0)
		reply_err(req, -EINVAL);
	else if (p.c->write)
		p.c->write(p.fs, req, p.n, data, size, (uint64_t)off, fi);
	else
		reply_err(req, refusal(p.n));
}

static void do_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct at p = at(req, ino);
	if (p.c->flush)
		p.c->flush(p.fs, req, p.n, fi);
	else
		reply_err(req, 0);
}

static void do_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct at p = at(req, ino);
	if (p.c->fsync)
		p.c->fsync(p.fs, req, p.n, datasync, fi);
	else
		reply_err(req, 0);
}

static void do_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct at p = at(req, ino);
	if (p.c->release)
		p.c->release(p.fs, p.n, fi);
	reply_err(req, 0);
}

static void do_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *ph)
{
	struct at p = at(req, ino);
	if (p.c->poll) {
		p.c->poll(p.fs, req, p.n, ph, fi);
		return;
	}
	if (ph)
		fuse_pollhandle_destroy(ph);
	reply_poll(req, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM);
}

static void do_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct at p = at(req, ino);
	if (p.c->opendir)
		p.c->opendir(p.fs, req, p.n, fi);
	else if (p.c->readdir)
		reply_opendir(req, p.n, fi);
	else
		reply_err(req, p.c == &no_ops ? -ESTALE : -ENOTDIR);
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi, bool plus)
{
	static char room[LISTING_MAX]; /* the loop's; listing_keep copies */
	struct at p = at(req, ino);
	struct listing l = {
		.req = req, .plus = plus, .size = size < sizeof room ? size : sizeof room, .data = room
	};
	if (off < 0)
		reply_err(req, -EINVAL);
	else if (p.c->readdir)
		p.c->readdir(p.fs, req, p.n, (uint64_t)off, &l, fi);
	else
		reply_err(req, -ENOTDIR);
}

static void do_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	list(req, ino, size, off, fi, false);
}

static void do_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	list(req, ino, size, off, fi, true);
}

static void do_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct at p = at(req, ino);
	if (p.c->releasedir)
		p.c->releasedir(p.fs, p.n, fi);
	reply_err(req, 0);
}

static void do_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino, (void)datasync, (void)fi;
	reply_err(req, 0);
}

static void do_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct at p = at(req, parent);
	if (name_too_long(req, name))
		return;
	if (p.c->mkdir)
		p.c->mkdir(p.fs, req, p.n, name, mode);
	else
		reply_err(req, refusal(p.n));
}

static void do_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct at p = at(req, parent);
	if (p.c->rmdir)
		p.c->rmdir(p.fs, req, p.n, name);
	else
		reply_err(req, refusal(p.n));
}

static void do_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct at p = at(req, parent);
	if (p.c->unlink)
		p.c->unlink(p.fs, req, p.n, name);
	else
		reply_err(req, refusal(p.n));
}

static void do_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	const char *newname, unsigned flags)
{
	struct at p = at(req, parent);
	struct node to = node_of(newparent);
	if (name_too_long(req, newname))
		return;
	if (to.class != p.n.class)
		reply_err(req, -EXDEV);
	else if (p.c->rename)
		p.c->rename(p.fs, req, p.n, name, to, newname, flags);
	else
		reply_err(req, refusal(p.n));
}

static void do_create(
	fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct at p = at(req, parent);
	if (name_too_long(req, name))
		return;
	if (p.c->create)
		p.c->create(p.fs, req, p.n, name, mode, fi);
	else
		reply_err(req, refusal(p.n));
}

static void do_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct at p = at(req, parent);
	if (name_too_long(req, name))
		return;
	if (p.c->symlink)
		p.c->symlink(p.fs, req, target, p.n, name);
	else
		reply_err(req, refusal(p.n));
}

static void do_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname)
{
	struct at p = at(req, newparent);
	struct node n = node_of(ino);
	if (name_too_long(req, newname))
		return;
	if (n.class != p.n.class)
		reply_err(req, -EXDEV);
	else if (p.c->link)
		p.c->link(p.fs, req, n, p.n, newname);
	else
		reply_err(req, refusal(p.n));
}

static void do_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct at p = at(req, parent);
	if (name_too_long(req, name))
		return;
	if (p.c->mknod)
		p.c->mknod(p.fs, req, p.n, name, mode, rdev);
	else
		reply_err(req, refusal(p.n));
}

/* df shows the room that src/ has. The pool asks: a state directory may lie on a slow disk. */
struct statfs_job {
	fuse_req_t req;
	int fd, err;
	struct statvfs st;
};

static void statfs_run(void *arg)
{
	struct statfs_job *j = arg;
	j->err = fstatvfs(j->fd, &j->st) ? -errno : 0;
}

static void statfs_done(void *arg)
{
	struct statfs_job *j = arg;
	j->st.f_namemax = NAME_MAX;
	if (j->err)
		reply_err(j->req, j->err);
	else
		reply_statfs(j->req, &j->st);
	free(j);
}

static void do_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct at p = at(req, ino);
	struct statfs_job *j = xcalloc(1, sizeof *j);
	j->req = req;
	j->fd = p.fs->state_fd;
	pool_submit(p.fs->pool, statfs_run, statfs_done, j);
}

const struct fuse_lowlevel_ops ops_table = {
	.init = do_init,
	.lookup = do_lookup,
	.forget = do_forget,
	.forget_multi = do_forget_multi,
	.getattr = do_getattr,
	.setattr = do_setattr,
	.readlink = do_readlink,
	.open = do_open,
	.read = do_read,
	.write = do_write,
	.flush = do_flush,
	.fsync = do_fsync,
	.release = do_release,
	.poll = do_poll,
	.opendir = do_opendir,
	.readdir = do_readdir,
	.readdirplus = do_readdirplus,
	.releasedir = do_releasedir,
	.fsyncdir = do_fsyncdir,
	.mkdir = do_mkdir,
	.rmdir = do_rmdir,
	.unlink = do_unlink,
	.rename = do_rename,
	.create = do_create,
	.symlink = do_symlink,
	.link = do_link,
	.mknod = do_mknod,
	.statfs = do_statfs,
};
