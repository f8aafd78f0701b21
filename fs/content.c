/* SPDX-License-Identifier: MIT */
/*
 * content.c: reads of files of artifacts. What is here is answered at once; what must be fetched is parked,
 * and ends by deadline, as the caller may not be interruptible.
 */
#include "fs/content.h"

#include "cache/base/io.h"
#include "fs/kernels.h"

#include <errno.h>
#include <stdlib.h>

#define READ_MAX      (1u << 20)
#define PUSH_MAX      (32u << 10)
#define FAIL_AFTER_NS 5000000000u /* how long a view whose content did not come fails at once */

int cache_errno(int err)
{
	return err == -EILSEQ || err == -EBADMSG ? -EIO : err;
}

void content_text(fuse_req_t req, const char *text, size_t len, size_t size, uint64_t off)
{
	size_t left = off < len ? len - (size_t)off : 0;
	reply_data(req, left ? text + off : "", size < left ? size : left);
}

/* The path of an entry, for the log. */
static void put_path(const struct view *v, uint32_t index, struct buf *out)
{
	struct entry e;
	if (!index || out->len > 4096 || view_entry(v, index, &e))
		return;
	put_path(v, e.parent, out);
	buf_printf(out, "/%s", e.name);
}

static void log_read_error(const struct view *v, uint32_t index, const char *what)
{
	autobuf struct buf path = { 0 };
	put_path(v, index, &path);
	log_error("kernels/%s/%s%s: %s", view_name(v), view_tag(v), path.len ? path.data : "", what);
}

/* A read that waits for content. */
struct reading {
	struct fs *fs;
	fuse_req_t req; /* NULL: the deadline has answered */
	struct timer *deadline;
	struct view *view;
	uint32_t index;
	struct node n;
	content_stalled_fn *stalled;
	uint64_t came; /* how much had come when the deadline was set */
};

/* Late only if nothing at all came meanwhile. */
static void reading_late(void *arg)
{
	struct reading *r = arg;
	uint64_t came = view_progress(r->view);
	r->deadline = NULL;
	if (came != r->came) {
		r->came = came;
		r->deadline = loop_after(r->fs->loop, LOOKUP_DEADLINE_MS, reading_late, r);
		return;
	}
	r->stalled(r->fs, r->n, clock_mono_ns() + FAIL_AFTER_NS);
	log_read_error(r->view, r->index, "no content came within 5 s");
	reply_err(r->req, -ETIMEDOUT);
	r->req = NULL;
}

static void reading_done(void *arg, int err, const struct why *why, const void *data, size_t len)
{
	struct reading *r = arg;
	if (r->fs->kernels) {
		timer_cancel(r->deadline);
		if (err && r->req)
			log_read_error(r->view, r->index, why && why->text[0] ? why->text : err_text(err));
		if (err && r->req)
			reply_err(r->req, cache_errno(err));
		else if (r->req)
			reply_data(r->req, data, len);
	}
	view_put(r->view);
	free(r);
}

static char room[READ_MAX]; /* the loop's; every answer is copied */

void content_push(struct fs *fs, struct node n, struct view *v, uint32_t index)
{
	struct entry e;
	if (view_entry(v, index, &e) || e.type != ENTRY_FILE || !e.size || e.size > PUSH_MAX)
		return;
	if (view_read_now(v, index, 0, room, (size_t)e.size) == (ssize_t)e.size)
		ops_store(fs, n, room, (size_t)e.size);
}

void content_read(struct fs *fs, fuse_req_t req, struct node n, struct view *v, uint32_t index, size_t size,
	uint64_t off, uint64_t stalled_until_ns, content_stalled_fn *stalled)
{
	size = size < READ_MAX ? size : READ_MAX;
	ssize_t got = view_read_now(v, index, off, room, size);
	if (got >= 0) {
		reply_data(req, room, (size_t)got);
		return;
	}
	if (got != -EAGAIN) {
		log_read_error(v, index, err_text((int)got));
		reply_err(req, cache_errno((int)got));
		return;
	}
	if (stalled_until_ns && clock_mono_ns() < stalled_until_ns) {
		reply_err(req, -ETIMEDOUT);
		return;
	}
	struct reading *r = xmalloc(sizeof *r);
	*r = (struct reading){
		.fs = fs, .req = req, .view = view_get(v), .index = index, .n = n, .stalled = stalled
	};
	r->came = view_progress(r->view);
	r->deadline = loop_after(fs->loop, LOOKUP_DEADLINE_MS, reading_late, r);
	view_read(r->view, index, off, size, reading_done, r);
}
