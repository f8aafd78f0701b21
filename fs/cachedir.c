/* SPDX-License-Identifier: MIT */
/*
 * cachedir.c: cache/: what the cache holds, in numbers, and ctl, by which its owner tells it what to do.
 *
 * A write to ctl is answered when what it asks for is done, which may take long, and for as long the kernel holds the
 * inode's lock. So ctl gets another number whenever a write waits, as the files of an instance do (files.h).
 *
 * Nodes    b = enum cache_file | generation << 8
 */
#include "cache/control.h"
#include "fs/content.h"
#include "fs/kernels.h"
#include "fs/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COMMAND_MAX   4096
#define COMMANDS_MAX  16
#define LOOK_AGAIN_MS 100

enum cache_file { CACHE_DIR, CACHE_USED, CACHE_QUOTA, CACHE_OBJECTS, CACHE_FETCHED, CACHE_CTL, CACHE_FILES };
static const char *const names[CACHE_FILES] = { "", "used", "quota", "objects", "fetched", "ctl" };

/* A write that waits. */
struct order {
	struct order *next;
	struct fs *fs;
	fuse_req_t req;
	size_t size;
	struct cache_command *command;
	struct timer *look;
	bool given_up;
};

struct cachedir {
	struct order *orders;
	unsigned count;
	uint32_t generation; /* 24 bits are used */
};

static enum cache_file file_of(struct node n)
{
	return n.b & 0xff;
}

static void text_of(struct fs *fs, enum cache_file file, struct buf *out)
{
	struct cache_usage u;
	cache_usage(fs->cache, &u);
	uint64_t value = file == CACHE_USED	 ? u.used
			 : file == CACHE_QUOTA	 ? u.quota
			 : file == CACHE_OBJECTS ? u.objects
						 : u.fetched;
	if (file == CACHE_CTL)
		buf_puts(out, cache_command_words);
	else
		buf_printf(out, "%" PRIu64 "\n", value);
}

static void attr_of(struct fs *fs, enum cache_file file, struct attr *a)
{
	autobuf struct buf text = { 0 };
	uint32_t generation = file == CACHE_CTL ? fs->cachedir->generation & 0xffffff : 0;
	*a = (struct attr){
		.node = { NODE_CACHE, 0, file | generation << 8 },
		.mode = file == CACHE_DIR   ? S_IFDIR | 0555
			: file == CACHE_CTL ? S_IFREG | 0644
					    : S_IFREG | 0444,
		.nlink = file == CACHE_DIR ? 2 : 1,
		.mtime.tv_sec = file == CACHE_DIR || file == CACHE_CTL ? fs->mounted_at : time(NULL),
		.entry_ttl = file == CACHE_CTL ? 0 : TTL_EVER,
	};
	if (file != CACHE_DIR) {
		text_of(fs, file, &text);
		a->size = text.len;
	}
}

void cachedir_attr(struct fs *fs, struct attr *a)
{
	attr_of(fs, CACHE_DIR, a);
}

static void cachedir_lookup(struct fs *fs, fuse_req_t req, struct node dir, const char *name)
{
	struct attr a;
	for (enum cache_file f = CACHE_USED; f < CACHE_FILES; f++) {
		if (file_of(dir) == CACHE_DIR && !strcmp(name, names[f])) {
			attr_of(fs, f, &a);
			reply_entry(req, &a);
			return;
		}
	}
	if (file_of(dir) == CACHE_DIR)
		reply_absent(req, TTL_EVER);
	else
		reply_err(req, -ENOTDIR);
}

static void cachedir_getattr(struct fs *fs, fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	(void)fi;
	struct attr a;
	if (file_of(n) >= CACHE_FILES) {
		reply_err(req, -ESTALE);
		return;
	}
	attr_of(fs, file_of(n), &a);
	a.node = n;
	reply_attr(req, &a);
}

/* Truncating is what `>` does, and means nothing here. */
static void cachedir_setattr(struct fs *fs, fuse_req_t req, struct node n, const struct stat *st, int to_set,
	struct fuse_file_info *fi)
{
	(void)st;
	if (file_of(n) == CACHE_CTL && !(to_set & ~(FUSE_SET_ATTR_SIZE | FUSE_SET_ATTR_MTIME |
							  FUSE_SET_ATTR_CTIME | FUSE_SET_ATTR_MTIME_NOW)))
		cachedir_getattr(fs, req, n, fi);
	else
		reply_err(req, -EPERM);
}

static void cachedir_open(struct fs *fs, fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	enum cache_file file = file_of(n);
	bool writes = (fi->flags & O_ACCMODE) != O_RDONLY;
	struct buf text = { 0 };
	if (file == CACHE_DIR || file >= CACHE_FILES) {
		reply_err(req, file == CACHE_DIR ? -EISDIR : -ESTALE);
		return;
	}
	if (writes && (file != CACHE_CTL || req_uid(req) != fs->uid)) {
		reply_err(req, -EACCES);
		return;
	}
	text_of(fs, file, &text);
	fi->fh = (uintptr_t)buf_steal(&text);
	fi->direct_io = 1;
	reply_open(req, n, fi);
}

static void cachedir_read(
	struct fs *fs, fuse_req_t req, struct node n, size_t size, uint64_t off, struct fuse_file_info *fi)
{
	(void)fs, (void)n;
	const char *text = (const char *)(uintptr_t)fi->fh;
	size_t len = strlen(text), left = off < len ? len - (size_t)off : 0;
	reply_data(req, left ? text + off : "", size < left ? size : left);
}

static void cachedir_release(struct fs *fs, struct node n, struct fuse_file_info *fi)
{
	(void)fs, (void)n;
	free((char *)(uintptr_t)fi->fh);
}

static void cachedir_readdir(struct fs *fs, fuse_req_t req, struct node n, uint64_t off, struct listing *l,
	struct fuse_file_info *fi)
{
	(void)fi;
	if (file_of(n) != CACHE_DIR) {
		reply_err(req, -ENOTDIR);
		return;
	}
	for (; off < CACHE_FILES + 1; off++) {
		struct attr a;
		attr_of(fs, off < 2 ? CACHE_DIR : (enum cache_file)(off - 1), &a);
		a.nlink = 0; /* names only: the numbers are looked up by who wants them */
		if (!listing_add(l, off == 0 ? "." : off == 1 ? ".." : names[off - 1], &a, off + 1, NULL))
			break;
	}
	reply_listing(req, l);
}

/* --- ctl -------------------------------------------------------------------------------------- */

static void unlink_order(struct order *o)
{
	struct order **at = &o->fs->cachedir->orders;
	while (*at != o)
		at = &(*at)->next;
	*at = o->next;
	o->fs->cachedir->count--;
}

static void order_done(void *arg, int err, const struct why *why)
{
	struct order *o = arg;
	if (!o->fs->cachedir) { /* the end has come meanwhile, and with it everyone's answer */
		free(o);
		return;
	}
	timer_cancel(o->look);
	unlink_order(o);
	if (err && err != -ECANCELED)
		log_error("cache/ctl: %s", why && why->text[0] ? why->text : err_text(err));
	if (!err)
		reply_written(o->req, o->size);
	else
		reply_err(o->req, err == -ECANCELED ? -EINTR : cache_errno(err));
	free(o);
}

static void look(void *arg)
{
	struct order *o = arg;
	o->look = NULL;
	if (o->given_up)
		return;
	if (!req_wants_cancel(o->req)) {
		o->look = loop_after(o->fs->loop, LOOK_AGAIN_MS, look, o);
		return;
	}
	o->given_up = true;
	cache_command_cancel(o->command);
}

static void interrupted(fuse_req_t req, void *arg)
{
	struct order *o = arg;
	(void)req;
	if (!o->look)
		look(o);
}

static void give_order(struct fs *fs, fuse_req_t req, const char *line, size_t size)
{
	struct cachedir *d = fs->cachedir;
	struct why why = { 0 };
	struct order *o = xcalloc(1, sizeof *o);
	*o = (struct order){ .next = d->orders, .fs = fs, .req = req, .size = size };
	o->command = cache_command(fs->cache, line, order_done, o, &why);
	if (!o->command) {
		log_error("%s", why.text);
		reply_err(req, why.err);
		free(o);
		return;
	}
	d->orders = o;
	d->count++;
	d->generation++;
	req_on_interrupt(req, interrupted, o); /* last: it may call back at once */
}

static void cachedir_write(struct fs *fs, fuse_req_t req, struct node n, const char *data, size_t size,
	uint64_t off, struct fuse_file_info *fi)
{
	(void)off, (void)fi;
	if (file_of(n) != CACHE_CTL || size >= COMMAND_MAX || memchr(data, '\0', size)) {
		log_error("cache/ctl takes one command a write, of %d bytes at most", COMMAND_MAX - 1);
		reply_err(req, -EINVAL);
	} else if (fs->stopping || fs->cachedir->count >= COMMANDS_MAX) {
		log_error("cache/ctl: %s",
			fs->stopping ? "diverfs is ending" : "too many commands are under way; try again");
		reply_err(req, fs->stopping ? -ENODEV : -EBUSY);
	} else {
		autofree char *line = xstrndup(data, size);
		give_order(fs, req, line, size);
	}
}

/* What is under way would keep the cache open. */
void cachedir_stop(struct fs *fs)
{
	for (struct order *o = fs->cachedir->orders; o; o = o->next) {
		if (!o->given_up)
			cache_command_cancel(o->command);
		o->given_up = true;
	}
}

const struct node_ops cache_ops = {
	.lookup = cachedir_lookup,
	.getattr = cachedir_getattr,
	.setattr = cachedir_setattr,
	.open = cachedir_open,
	.read = cachedir_read,
	.write = cachedir_write,
	.release = cachedir_release,
	.readdir = cachedir_readdir,
};

void cachedir_init(struct fs *fs)
{
	fs->cachedir = xcalloc(1, sizeof *fs->cachedir);
}

void cachedir_free(struct fs *fs)
{
	if (!fs->cachedir)
		return;
	for (struct order *o = fs->cachedir->orders; o; o = o->next)
		timer_cancel(o->look);
	free(fs->cachedir);
	fs->cachedir = NULL;
}
