/* SPDX-License-Identifier: MIT */
/*
 * workspace.c: real directories shown in the mount. Here: how a workspace comes and goes, and its root.
 *
 * The root is the one node that is there before its directory is, and that stays when the directory is
 * replaced: it has a fixed number and an inode of its own, opened when it is first needed.
 */
#include "fs/workspace.h"

#include "cache/base/buf.h"
#include "cache/base/io.h"
#include "fs/workspace_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Inodes and open files may use this share of the descriptors; the rest is for launches, builds and objects.
 */
#define FREEZE_MS	5000
#define FDS_LIMIT	(1u << 20) /* an inode costs the kernel (Linux) about 1 KiB */
#define FDS_MAX(limit)	((limit) / 4 * 3)
#define FDS_MANY(limit) ((limit) / 2)
#define FDS_SHED(many)	((many) / 4)

int workspaces_init(struct fs *fs, struct why *why)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
		return why_fail_errno(why, -errno, "cannot read the limit of open files");
	if (lim.rlim_cur != lim.rlim_max) {
		rlim_t before = lim.rlim_cur;

		lim.rlim_cur = lim.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &lim) < 0)
			lim.rlim_cur = before; /* then fewer files can be known at a time */
	}
	fs->workspaces = xcalloc(1, sizeof(*fs->workspaces));
	if (lim.rlim_cur > FDS_LIMIT)
		lim.rlim_cur = FDS_LIMIT;
	fs->workspaces->fds_max = FDS_MAX(lim.rlim_cur);
	fs->workspaces->fds_many = FDS_MANY(lim.rlim_cur);
	return 0;
}

void workspaces_free(struct fs *fs)
{
	struct workspaces *all = fs->workspaces;

	if (!all)
		return;
	while (all->handles)
		ws_handle_close(all->handles);
	for (unsigned i = 0; i < WS_BUCKETS; i++)
		while (all->by_a[i])
			workspace_free(all->by_a[i]);
	fs->workspaces = NULL;
	free(all);
}

int ws_fd_take(struct fs *fs)
{
	struct workspaces *all = fs->workspaces;

	if (!all || all->fds >= all->fds_max)
		return -ENFILE;
	all->fds++;
	if (all->fds > all->fds_many && all->fds_calm-- == 0) {
		uint32_t count = FDS_SHED(all->fds_many);

		ws_inode_shed(fs, count);
		all->fds_calm = count / 2;
	}
	return 0;
}

void ws_fd_drop(struct fs *fs)
{
	if (fs->workspaces)
		fs->workspaces->fds--;
}

struct workspace *ws_find(struct fs *fs, uint32_t a)
{
	struct workspace *w;

	if (!fs->workspaces)
		return NULL;
	for (w = fs->workspaces->by_a[a % WS_BUCKETS]; w && w->a != a; w = w->next)
		;
	return w;
}

struct workspace *workspace_new(struct fs *fs, int dirfd, const char *name, bool writable)
{
	struct workspaces *all = fs->workspaces;
	struct workspace *w;

	w = xcalloc(1, sizeof(*w));
	w->fs = fs;
	w->a = ++all->last_a &
	       NODE_A_MAX; /* 268 million instances in one mount: then old numbers come again */
	w->dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);
	if (w->dirfd < 0)
		log_error("workspace %s: cannot keep its directory open: %s", name, err_text(errno));
	w->name = xstrdup(name);
	w->writable = writable;
	w->refs = 1;
	pthread_mutex_init(&w->lock, NULL);
	w->root = ws_inode_new(w, INODE_ROOT, -1);
	w->table.last_b = INODE_ROOT;
	w->next = all->by_a[w->a % WS_BUCKETS];
	all->by_a[w->a % WS_BUCKETS] = w;
	return w;
}

void ws_put(struct workspace *w)
{
	if (--w->refs)
		return;
	if (w->dirfd >= 0)
		close(w->dirfd);
	view_put(w->lower);
	pthread_mutex_destroy(&w->lock);
	free(w->name);
	free(w);
}

static void root_drop(struct workspace *w)
{
	w->root->stale = true;
	ws_inode_put(w->root);
	w->root = NULL;
}

void workspace_free(struct workspace *w)
{
	struct workspace **p;

	if (!w)
		return;
	for (p = &w->fs->workspaces->by_a[w->a % WS_BUCKETS]; *p != w; p = &(*p)->next)
		;
	*p = w->next;
	w->dead = true;
	w->changed = NULL;
	ws_table_clear(w);
	root_drop(w);
	workspace_thaw(w);
	ws_put(w);
}

void workspace_reset(struct workspace *w)
{
	ws_table_clear(w);
	root_drop(w);
	w->root = ws_inode_new(w, INODE_ROOT, -1);
	ops_forget_attr(w->fs, workspace_root(w));
}

static void freeze_over(void *arg)
{
	struct workspace *w = arg;

	w->thaw = NULL;
	log_warn("%s: what replaces it takes its time; requests go on without it", w->name);
	workspace_thaw(w);
}

void workspace_freeze(struct workspace *w)
{
	if (w->frozen)
		return;
	w->frozen = true;
	w->thaw = loop_after(w->fs->loop, FREEZE_MS, freeze_over, w);
}

void workspace_thaw(struct workspace *w)
{
	if (!w->frozen)
		return;
	w->frozen = false;
	timer_cancel(w->thaw);
	w->thaw = NULL;
	ws_jobs_thaw(w);
}

struct node workspace_root(const struct workspace *w)
{
	return (struct node){ NODE_SRC, w->a, INODE_ROOT };
}

/* In the loop: one directory that the daemon itself made, and only when it is first seen. */
static int root_stat(struct workspace *w, struct stat *st)
{
	int fd;

	if (w->root->fd >= 0 && fstat(w->root->fd, st) == 0 && st->st_nlink > 0)
		return 0;
	fd = openat(w->dirfd, w->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, st) < 0) {
		close(fd);
		return -EIO;
	}
	if (w->root->fd >= 0) /* the directory was removed below and another made */
		workspace_reset(w);
	ws_root_adopt(w->root, fd);
	return 0;
}

void workspace_root_attr(struct workspace *w, struct attr *out)
{
	struct stat st;

	if (root_stat(w, &st) < 0 && w->over)
		lower_root_attr(w, out);
	else if (root_stat(w, &st) < 0)
		ws_attr_empty(w, out);
	else
		ws_attr(w, INODE_ROOT, &st, out);
}

void ws_attr(const struct workspace *w, uint32_t b, const struct stat *st, struct attr *out)
{
	*out = (struct attr){
		.node = { NODE_SRC, w->a, b },
		.mode = st->st_mode,
		/* placeholders are not counted: 1 is what says that nobody can tell */
		.nlink = w->over && S_ISDIR(st->st_mode) ? 1 : st->st_nlink,
		.size = st->st_size,
		.mtime = st->st_mtim,
		.ctime = st->st_ctim,
		.atime = st->st_atim,
		.blocks = st->st_blocks ? st->st_blocks : st->st_size > 0, /* 0 would mean: from the size */
		.entry_ttl = WS_TTL,
		.attr_ttl = WS_TTL,
	};
}

void ws_attr_empty(const struct workspace *w, struct attr *out)
{
	*out = (struct attr){
		.node = workspace_root(w),
		.mode = S_IFDIR | 0755,
		.nlink = 2,
		.mtime = { .tv_sec = w->fs->mounted_at },
	};
}

struct ws_inode *ws_node(struct fs *fs, fuse_req_t req, struct node n, struct workspace **out)
{
	struct workspace *w = ws_find(fs, n.a);
	struct ws_inode *in = NULL;

	if (w)
		in = n.b == INODE_ROOT ? w->root : ws_inode_get(w, n.b);
	if (!in)
		reply_err(req, -ESTALE);
	*out = w;
	return in;
}

void workspace_set_removable(struct workspace *w, bool removable)
{
	w->removable = removable;
}

int workspace_rmdir_root(struct workspace *w)
{
	if (!w->removable)
		return -EBUSY;
	if (unlinkat(w->dirfd, w->name, AT_REMOVEDIR) < 0) {
		if (errno == ENOENT)
			return 0;
		return errno == EEXIST ? -ENOTEMPTY : -errno;
	}
	workspace_reset(w);
	ws_changed(w);
	return 0;
}

uint64_t workspace_changes(const struct workspace *w)
{
	return w->changes;
}

void workspace_on_change(struct workspace *w, void (*fn)(void *arg), void *arg)
{
	w->changed = fn;
	w->changed_arg = arg;
}

void ws_changed(struct workspace *w)
{
	w->changes++;
	if (w->changed)
		w->changed(w->changed_arg);
}

static void ws_forget(struct fs *fs, struct node n, uint64_t nlookup)
{
	struct workspace *w = ws_find(fs, n.a);
	struct ws_inode *in = w && n.b != INODE_ROOT ? ws_inode_get(w, n.b) : NULL;

	if (in)
		ws_inode_forget(in, nlookup);
}

const struct node_ops src_ops = {
	.lookup = ws_lookup,
	.getattr = ws_getattr,
	.setattr = ws_setattr,
	.readlink = ws_readlink,
	.open = ws_open,
	.read = ws_read,
	.write = ws_write,
	.flush = ws_flush,
	.fsync = ws_fsync,
	.release = ws_release,
	.opendir = ws_opendir,
	.readdir = ws_readdir,
	.releasedir = ws_releasedir,
	.mkdir = ws_mkdir,
	.rmdir = ws_rmdir,
	.unlink = ws_unlink,
	.rename = ws_rename,
	.create = ws_create,
	.symlink = ws_symlink,
	.link = ws_link,
	.mknod = ws_mknod,
	.forget = ws_forget,
};
