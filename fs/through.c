/* SPDX-License-Identifier: MIT */
/* through.c: what libfuse 3.14 does not know of the kernel's interface is here: <linux/fuse.h> of Linux 6.9 and later. */
#include "fs/through.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define IMAGE_MIN (1u << 20) /* below that a request or two cost less than to tell the kernel of the file */

/* Both messages begin with a header; their fields are 32 bits wide. */
#define IN_HEADER    40
#define OUT_HEADER   16
#define INIT_LEN     64
enum { INIT_FLAGS = 3, IN_FLAGS2 = 4, OUT_FLAGS2 = 8, OUT_DEPTH = 9 };
#define INIT_EXT     (1u << 30) /* there is a second word of flags */
#define INIT_THROUGH (1u << 5)	/* of that word: FUSE_PASSTHROUGH */

struct backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};
#define BACKING_OPEN  _IOW(229, 1, struct backing_map)
#define BACKING_CLOSE _IOW(229, 2, uint32_t)

struct through {
	struct through *next;
	struct node n;
	unsigned opens;
	int id; /* the kernel's, of the cache's file; 0: it is read by requests */
};

bool through_offer(const void *request, size_t request_len, void *answer, size_t len)
{
	uint32_t in[5], out[INIT_LEN / 4];
	if (request_len < IN_HEADER + sizeof in || len != OUT_HEADER + INIT_LEN)
		return false;
	memcpy(in, (const char *)request + IN_HEADER, sizeof in);
	memcpy(out, (const char *)answer + OUT_HEADER, sizeof out);
	if (!(in[INIT_FLAGS] & INIT_EXT) || !(in[IN_FLAGS2] & INIT_THROUGH))
		return false;
	out[INIT_FLAGS] |= INIT_EXT;
	out[OUT_FLAGS2] |= INIT_THROUGH;
	out[OUT_DEPTH] = 1; /* the cache is on no file system that is itself a layer above others */
	memcpy((char *)answer + OUT_HEADER, out, sizeof out);
	return true;
}

/* --- what is open ------------------------------------------------------------------------------ */

static struct through **find(struct fs *fs, struct node n)
{
	struct through **at = &fs->through;
	while (*at && ((*at)->n.a != n.a || (*at)->n.b != n.b))
		at = &(*at)->next;
	return at;
}

/* Takes (fd) over. The kernel's number for it, or 0: it does not want it (its reason does not matter, and may be that we
 * are not root). */
static int backing_open(struct fs *fs, int fd)
{
	struct backing_map map = { .fd = fd };
	int id = ioctl(fuse_session_fd(fs->session), BACKING_OPEN, &map);
	if (id < 0 && errno == EPERM)
		fs->reads_through = false;
	close(fd);
	return id > 0 ? id : 0;
}

static void answer(fuse_req_t req, struct through *t, struct fuse_file_info *fi)
{
	t->opens++;
	fi->keep_cache = !t->id;
	if (t->id)
		reply_open_through(req, t->n, fi, t->id);
	else
		reply_open(req, t->n, fi);
}

static void open_now(struct fs *fs, fuse_req_t req, struct node n, int fd, struct fuse_file_info *fi)
{
	struct through **at = find(fs, n), *t = *at;
	bool wanted = !t && fd >= 0 && !(fi->flags & O_DIRECT); /* which its file system may not have */
	if (fd >= 0 && !wanted)
		close(fd);
	if (!t) {
		t = *at = xmalloc(sizeof *t);
		*t = (struct through){ .n = n, .id = wanted ? backing_open(fs, fd) : 0 };
	}
	answer(req, t, fi);
}

/* An open that waits for the cache to open its file. */
struct opening {
	struct fs *fs;
	fuse_req_t req;
	struct node n;
	struct view *view;
	struct fuse_file_info fi;
};

static void ready(void *arg)
{
	struct opening *o = arg;
	if (o->fs->kernels)
		open_now(o->fs, o->req, o->n, view_whole(o->view, o->n.b), &o->fi);
	view_put(o->view);
	free(o);
}

bool through_open(struct fs *fs, fuse_req_t req, struct node n, struct view *v, struct fuse_file_info *fi)
{
	struct entry e;
	if ((!fs->reads_through && !fs->through) || view_entry(v, n.b, &e) || e.size < IMAGE_MIN)
		return false;
	int fd = *find(fs, n) ? -ENOENT : view_whole(v, n.b);
	if (fd != -EAGAIN) {
		open_now(fs, req, n, fd, fi);
		return true;
	}
	struct opening *o = xmalloc(sizeof *o);
	*o = (struct opening){ .fs = fs, .req = req, .n = n, .view = view_get(v), .fi = *fi };
	view_ready(v, n.b, ready, o);
	return true;
}

static void forget(struct fs *fs, struct through **at)
{
	struct through *t = *at;
	uint32_t id = (uint32_t)t->id;
	*at = t->next;
	if (id && fs->session)
		ioctl(fuse_session_fd(fs->session), BACKING_CLOSE, &id);
	free(t);
}

void through_release(struct fs *fs, struct node n, struct view *v)
{
	struct through **at = find(fs, n);
	if (!*at || --(*at)->opens)
		return;
	if (!(*at)->id)
		view_vouch(v, n.b);
	forget(fs, at);
}

void through_free(struct fs *fs)
{
	while (fs->through)
		forget(fs, &fs->through);
}
