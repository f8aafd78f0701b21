/* SPDX-License-Identifier: MIT */
/*
 * root.c: the top directory: README, modes, status, log, and the way to the directories.
 *
 * The texts are made when they are asked for: for stat, so that sizes are true, and again by open, so that
 * one reader sees one text from beginning to end.
 */
#include "cache/base/io.h"
#include "fs/content.h"
#include "fs/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define READ_MAX (1u << 20)

struct file {
	struct buf text;
	int fd; /* of the log, else -1 */
};

static void readme(struct fs *fs, struct buf *out)
{
	static const char text[] = /* @ is where it is mounted */
		"diverfs: specialised operating-system kernels as files.\n"
		"\n"
		"kernels/NAME/TAG/ is a kernel: README.md, src/, images/, and run, which launches it as a "
		"filter:\n"
		"standard input and output, the console on standard error, and the exit status are the "
		"kernel's.\n"
		"run/ANY/ is an instance of your own: mkdir makes it; config, src/, kernel/, deploy, "
		"console, wait and\n"
		"others are its files; rm -r ends it. modes: what can be launched here. status: what is "
		"there and "
		"runs.\n"
		"search/WORDS/ has a link to each kernel that matches, as search/sort+mode:fullVM.\n"
		"`echo NAME:TAG > run/ANY/publish' makes a kernel of it, in a registry that can be written "
		"to.\n"
		"cache/ tells what is kept here; `echo pin NAME:TAG > cache/ctl' keeps a kernel.\n"
		"\n"
		"Five lines to start with:\n"
		"\n"
		"    ls @/kernels\n"
		"    printf 'b\\na\\n' | @/kernels/sort/1.0/run\n"
		"    mkdir @/run/h && echo 'kernel = hello' > @/run/h/config\n"
		"    echo fullVM > @/run/h/deploy && cat @/run/h/console\n"
		"    rm -r @/run/h\n"
		"\n"
		"What went wrong is in run/ANY/error and, for all of the mount, in log. Manual: "
		"diverfs(8).\n";
	for (const char *s = text; *s; s++) {
		if (*s == '@')
			buf_put_word(out, fs->opt.mountpoint);
		else
			buf_append(out, s, 1);
	}
}

static void status(struct fs *fs, struct buf *out)
{
	char since[64] = "";
	time_t t = fs->mounted_at;
	struct tm tm;
	if (localtime_r(&t, &tm))
		strftime(since, sizeof since, "%Y-%m-%d %H:%M:%S %z", &tm);
	buf_printf(out, "diverfs %s  pid %d  mounted %s%s\n", DIVERFS_VERSION, (int)getpid(), since,
		fs->stopping ? "  stopping" : "");
	cache_status(fs->cache, out);
	run_status(fs, out);
}

static void foreground_log(struct fs *fs, struct buf *out)
{
	if (fs->opt.foreground)
		buf_puts(out, "diverfs runs in the foreground (-f): its log is on the terminal where it was "
			      "started.\n");
}

static const struct fixed {
	const char *name;
	uint32_t b;
	void (*text)(struct fs *fs, struct buf *out);
} files[] = {
	{ "README", FIXED_README, readme },
	{ "modes", FIXED_MODES, run_modes },
	{ "status", FIXED_STATUS, status },
	{ "log", FIXED_LOG, foreground_log },
};
#define FILES (sizeof files / sizeof *files)

static const struct fixed *file_of(uint32_t b)
{
	for (size_t i = 0; i < FILES; i++)
		if (files[i].b == b)
			return &files[i];
	return NULL;
}

static void dir_attr(const struct fs *fs, struct node n, uint32_t perm, double attr_ttl, struct attr *a)
{
	*a = (struct attr){
		.node = n,
		.mode = S_IFDIR | perm,
		.nlink = 2,
		.mtime.tv_sec = fs->mounted_at,
		.entry_ttl = TTL_EVER,
		.attr_ttl = attr_ttl,
	};
}

static void file_attr(struct fs *fs, const struct fixed *f, struct attr *a)
{
	struct buf text = { 0 };
	struct stat st;
	bool constant = f->b == FIXED_README;
	f->text(fs, &text);
	*a = (struct attr){
		.node = { NODE_FIXED, 0, f->b },
		.mode = S_IFREG |
			(f->b == FIXED_LOG ? 0400 : 0444), /* the log may name what only the owner may see */
		.nlink = 1,
		.size = text.len,
		.mtime.tv_sec = constant ? fs->mounted_at : time(NULL),
		.entry_ttl = TTL_EVER,
		.attr_ttl = constant ? TTL_EVER : 0,
	};
	if (f->b == FIXED_LOG && !fs->opt.foreground && !fstatat(fs->state_fd, "log", &st, 0)) {
		a->size = (uint64_t)st.st_size;
		a->mtime = st.st_mtim;
	}
	buf_free(&text);
}

/* The directories are of other classes, which answer for them once they are known. */
static bool subdir_attr(struct fs *fs, const char *name, struct attr *a)
{
	if (!strcmp(name, "kernels"))
		dir_attr(fs, (struct node){ NODE_NAMES, 0, 0 }, 0555, 1, a);
	else if (!strcmp(name, "run"))
		dir_attr(fs, (struct node){ NODE_RUN, 0, 0 }, 0700, 1, a);
	else if (!strcmp(name, "search"))
		search_attr(fs, a);
	else if (!strcmp(name, "cache"))
		cachedir_attr(fs, a);
	else
		return false;
	return true;
}

static void fixed_lookup(struct fs *fs, fuse_req_t req, struct node dir, const char *name)
{
	struct attr a;
	if (dir.b != FIXED_ROOT) {
		reply_err(req, -ENOTDIR);
		return;
	}
	for (size_t i = 0; i < FILES; i++) {
		if (!strcmp(name, files[i].name)) {
			file_attr(fs, &files[i], &a);
			reply_entry(req, &a);
			return;
		}
	}
	if (subdir_attr(fs, name, &a))
		reply_entry(req, &a);
	else
		reply_absent(req, TTL_EVER);
}

static void fixed_getattr(struct fs *fs, fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	(void)fi;
	struct attr a;
	const struct fixed *f = file_of(n.b);
	if (f) {
		file_attr(fs, f, &a);
	} else if (n.b == FIXED_ROOT) {
		dir_attr(fs, n, 0555, TTL_EVER, &a);
		a.nlink = 6;
	} else {
		reply_err(req, -ESTALE);
		return;
	}
	reply_attr(req, &a);
}

/* An open of modes is answered when it is known what works: a first look must not show a guess. */
struct modes_open {
	struct fs *fs;
	fuse_req_t req;
	struct node n;
	struct fuse_file_info fi;
};

static void modes_known(void *arg)
{
	struct modes_open *o = arg;
	run_modes(o->fs, &((struct file *)(uintptr_t)o->fi.fh)->text);
	reply_open(o->req, o->n, &o->fi);
	free(o);
}

static void modes_open(struct fs *fs, fuse_req_t req, struct node n, const struct fuse_file_info *fi)
{
	struct modes_open *o = xmalloc(sizeof *o);
	*o = (struct modes_open){ .fs = fs, .req = req, .n = n, .fi = *fi };
	run_modes_wait(fs, modes_known, o);
}

static void fixed_open(struct fs *fs, fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	const struct fixed *f = file_of(n.b);
	if (!f || (fi->flags & O_ACCMODE) != O_RDONLY) {
		reply_err(req, f ? -EACCES : -ESTALE);
		return;
	}
	struct file *h = xcalloc(1, sizeof *h);
	h->fd = -1;
	if (n.b != FIXED_MODES)
		f->text(fs, &h->text);
	if (n.b == FIXED_LOG && !fs->opt.foreground)
		h->fd = openat(fs->state_fd, "log", O_RDONLY | O_CLOEXEC);
	if (n.b == FIXED_README)
		fi->keep_cache = 1;
	else
		fi->direct_io = 1;
	fi->fh = (uintptr_t)h;
	if (n.b == FIXED_MODES)
		modes_open(fs, req, n, fi);
	else
		reply_open(req, n, fi);
}

/* A log that is no longer in memory is read by the pool. */
struct log_read {
	fuse_req_t req;
	int fd;
	size_t size;
	uint64_t off;
	ssize_t got;
	char *data;
};

static void log_read_run(void *arg)
{
	struct log_read *r = arg;
	r->got = io_pread_full(r->fd, r->data, r->size, r->off);
}

static void log_read_done(void *arg)
{
	struct log_read *r = arg;
	if (r->got < 0)
		reply_err(r->req, (int)r->got);
	else
		reply_data(r->req, r->data, (size_t)r->got);
	close(r->fd);
	free(r->data);
	free(r);
}

static void log_read(struct fs *fs, fuse_req_t req, int fd, size_t size, uint64_t off)
{
	static char now[64u << 10];
	struct iovec v = { now, size < sizeof now ? size : sizeof now };
	ssize_t n = preadv2(fd, &v, 1, (off_t)off, RWF_NOWAIT);
	if (n >= 0) {
		reply_data(req, now, (size_t)n);
		return;
	}
	struct log_read *r = xmalloc(sizeof *r);
	*r = (struct log_read){ .req = req, .size = size < READ_MAX ? size : READ_MAX, .off = off };
	r->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* the reader may close meanwhile */
	r->data = xmalloc(r->size);
	pool_submit(fs->pool, log_read_run, log_read_done, r);
}

static void fixed_read(
	struct fs *fs, fuse_req_t req, struct node n, size_t size, uint64_t off, struct fuse_file_info *fi)
{
	(void)n;
	struct file *h = (struct file *)(uintptr_t)fi->fh;
	if (h->fd >= 0) {
		log_read(fs, req, h->fd, size, off);
		return;
	}
	content_text(req, h->text.data, h->text.len, size, off);
}

static void fixed_release(struct fs *fs, struct node n, struct fuse_file_info *fi)
{
	(void)fs, (void)n;
	struct file *h = (struct file *)(uintptr_t)fi->fh;
	if (h->fd >= 0)
		close(h->fd);
	buf_free(&h->text);
	free(h);
}

static void fixed_opendir(struct fs *fs, fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	(void)fs;
	if (n.b != FIXED_ROOT) {
		reply_err(req, -ENOTDIR);
		return;
	}
	fi->keep_cache = fi->cache_readdir = 1;
	reply_opendir(req, n, fi);
}

static void fixed_readdir(struct fs *fs, fuse_req_t req, struct node n, uint64_t off, struct listing *l,
	struct fuse_file_info *fi)
{
	(void)fi;
	static const char *const dirs[] = { ".", "..", "kernels", "run", "search", "cache" };
	struct attr a = { .node = n,
		.mode = S_IFDIR }; /* nlink 0: names only, sizes when they are asked for */
#define DIRS (sizeof dirs / sizeof *dirs)
	for (; off < DIRS + FILES; off++) {
		const char *name;
		if (off < DIRS) {
			name = dirs[off];
			if (subdir_attr(fs, name, &a))
				a.nlink = 0;
		} else {
			name = files[off - DIRS].name;
			a = (struct attr){ .node = { NODE_FIXED, 0, files[off - DIRS].b }, .mode = S_IFREG };
		}
		if (!listing_add(l, name, &a, off + 1, NULL))
			break;
	}
	reply_listing(req, l);
}

const struct node_ops fixed_ops = {
	.lookup = fixed_lookup,
	.getattr = fixed_getattr,
	.open = fixed_open,
	.read = fixed_read,
	.release = fixed_release,
	.opendir = fixed_opendir,
	.readdir = fixed_readdir,
};
