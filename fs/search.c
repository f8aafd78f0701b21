/* SPDX-License-Identifier: MIT */
/*
 * search.c: search/<words>/: any name without a leading dot is a directory, in which are symbolic links to the kernels
 * that match, best first. A link is called NAME:TAG, as in a config, with %2F for '/'.
 *
 * To look a directory up searches nothing; to open it, or to look up a name in it, does. The words of the last RING
 * directories are remembered, whatever the kernel remembers: an older one is ESTALE, upon which the kernel looks the
 * name up anew. Links are numbered by what they are called, and there are no more of them than there are tags.
 */
#include "cache/search.h"
#include "cache/base/io.h"
#include "fs/content.h"
#include "fs/kernels.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RING	    1024u
#define FRESH_NS    UINT64_C(1000000000)
#define DEADLINE_MS 5000
#define SEARCH_TTL  1.0

struct query {
	uint32_t serial; /* 0: free */
	char *words;
};

/* What a search found, as links; shared by those who have it open. */
struct found {
	unsigned refs;
	uint32_t count;
	uint32_t *link; /* numbers */
};

struct searches {
	struct query ring[RING]; /* by serial % RING */
	uint32_t last;
	struct intern links; /* names of links -> number */
	char **targets;	     /* by number */
	uint32_t target_cap;
	/* the last answer, so that `ls -l` asks once */
	uint32_t recent;
	uint64_t recent_at;
	struct found *found;
};

static struct query *query_of(struct fs *fs, struct node n)
{
	struct query *q = &fs->searches->ring[n.a % RING];
	return n.a && q->serial == n.a ? q : NULL;
}

static uint32_t serial_for(struct searches *s, const char *words)
{
	for (uint32_t i = 0; i < RING; i++)
		if (s->ring[i].serial && !strcmp(s->ring[i].words, words))
			return s->ring[i].serial;
	s->last = s->last % NODE_A_MAX + 1;
	struct query *q = &s->ring[s->last % RING];
	free(q->words);
	*q = (struct query){ .serial = s->last, .words = xstrdup(words) };
	return s->last;
}

static void dir_attr(struct fs *fs, uint32_t serial, struct attr *a)
{
	*a = (struct attr){
		.node = { NODE_SEARCH, serial, 0 },
		.mode = S_IFDIR | 0555,
		.nlink = 2,
		.mtime.tv_sec = fs->mounted_at,
		.entry_ttl = serial ? SEARCH_TTL : TTL_EVER,
		.attr_ttl = TTL_EVER,
	};
}

void search_attr(struct fs *fs, struct attr *a)
{
	dir_attr(fs, 0, a);
}

static void link_attr(struct fs *fs, uint32_t serial, uint32_t link, struct attr *a)
{
	*a = (struct attr){
		.node = { NODE_SEARCH, serial, link + 1 },
		.mode = S_IFLNK | 0777,
		.nlink = 1,
		.size = strlen(fs->searches->targets[link]),
		.mtime.tv_sec = fs->mounted_at,
		.entry_ttl = SEARCH_TTL,
		.attr_ttl = SEARCH_TTL,
	};
}

/* --- what was found ----------------------------------------------------------------------------- */

static void found_put(struct found *f)
{
	if (!f || --f->refs)
		return;
	free(f->link);
	free(f);
}

static char *link_name(const struct name *n)
{
	struct buf b = { 0 };
	for (const char *s = n->name; *s; s++)
		buf_append(&b, *s == '/' ? "%2F" : s, *s == '/' ? 3 : 1);
	buf_printf(&b, ":%s", n->tag);
	return buf_steal(&b);
}

/* The number of a link, or -1 for a kernel that has no path or too long a name. */
static int64_t link_for(struct searches *s, const struct names *names, const struct name *n)
{
	autofree char *name = link_name(n), *path = kernels_path(names, n->name);
	if (!path || strlen(name) > NAME_MAX)
		return -1;
	int64_t id = intern_id(&s->links, name, true);
	if ((uint64_t)id >= s->target_cap) {
		uint32_t cap = s->target_cap ? 2 * s->target_cap : 64;
		s->targets = xrealloc(s->targets, cap * sizeof *s->targets);
		memset(s->targets + s->target_cap, 0, (cap - s->target_cap) * sizeof *s->targets);
		s->target_cap = cap;
	}
	free(s->targets[id]);
	s->targets[id] = xasprintf("../../kernels/%s/%s", path, n->tag);
	return id;
}

static struct found *found_new(struct searches *s, const struct hits *h)
{
	struct found *f = xcalloc(1, sizeof *f);
	f->refs = 1;
	f->link = xcalloc(hits_count(h) + 1, sizeof *f->link);
	for (uint32_t i = 0; i < hits_count(h); i++) {
		int64_t link = link_for(s, hits_names(h), hits_at(h, i));
		if (link >= 0)
			f->link[f->count++] = (uint32_t)link;
	}
	return f;
}

/* --- asking ------------------------------------------------------------------------------------- */

/* A lookup or opendir that waits for the answer. */
struct ask {
	struct fs *fs;
	fuse_req_t req; /* NULL: the deadline has answered */
	void (*then)(struct fs *fs, struct ask *a, struct found *f);
	struct timer *deadline;
	struct node dir;
	struct fuse_file_info fi;
	char name[NAME_MAX + 1];
};

static void ask_late(void *arg)
{
	struct ask *a = arg;
	a->deadline = NULL;
	log_error("search: no answer within %d s", DEADLINE_MS / 1000);
	reply_err(a->req, -ETIMEDOUT);
	a->req = NULL;
}

static void remember(struct searches *s, uint32_t serial, struct found *f)
{
	found_put(s->found);
	s->found = f;
	s->recent = serial;
	s->recent_at = clock_mono_ns();
}

static void ask_done(void *arg, int err, const struct why *why, struct hits *hits)
{
	struct ask *a = arg;
	struct searches *s = a->fs->searches;
	if (!s) { /* the end has come meanwhile, and with it everyone's answer */
		hits_put(hits);
		free(a);
		return;
	}
	timer_cancel(a->deadline);
	if (err) {
		log_error("search: %s", why && why->text[0] ? why->text : err_text(err));
		if (a->req)
			reply_err(a->req, err == -ENOENT ? -EIO : cache_errno(err));
	} else {
		remember(s, a->dir.a, found_new(s, hits));
		if (a->req)
			a->then(a->fs, a, s->found);
	}
	hits_put(hits);
	free(a);
}

static void ask(struct fs *fs, const struct ask *what)
{
	struct searches *s = fs->searches;
	const struct query *q = query_of(fs, what->dir);
	if (!q) {
		reply_err(what->req, -ESTALE);
		return;
	}
	struct ask *a = xmalloc(sizeof *a);
	*a = *what;
	a->fs = fs;
	if (s->found && s->recent == a->dir.a && clock_mono_ns() - s->recent_at < FRESH_NS) {
		a->then(fs, a, s->found);
		free(a);
		return;
	}
	a->deadline = loop_after(fs->loop, DEADLINE_MS, ask_late, a);
	cache_search(fs->cache, q->words, ask_done, a);
}

/* --- the class ---------------------------------------------------------------------------------- */

static void link_known(struct fs *fs, struct ask *a, struct found *f)
{
	int64_t link = intern_id(&fs->searches->links, a->name, false);
	for (uint32_t i = 0; link >= 0 && i < f->count; i++) {
		if (f->link[i] == (uint32_t)link) {
			struct attr attr;
			link_attr(fs, a->dir.a, f->link[i], &attr);
			reply_entry(a->req, &attr);
			return;
		}
	}
	reply_absent(a->req, SEARCH_TTL);
}

static void search_lookup(struct fs *fs, fuse_req_t req, struct node dir, const char *name)
{
	struct ask a = { .req = req, .dir = dir, .then = link_known };
	struct attr attr;
	if (dir.b) {
		reply_err(req, -ENOTDIR);
	} else if (dir.a) {
		snprintf(a.name, sizeof a.name, "%s", name);
		ask(fs, &a);
	} else if (name[0] == '.') { /* .git, .Trash: asked for by programs, not by people */
		reply_absent(req, TTL_EVER);
	} else {
		dir_attr(fs, serial_for(fs->searches, name), &attr);
		reply_entry(req, &attr);
	}
}

static bool is_link(struct fs *fs, struct node n)
{
	return n.b && n.b - 1 < fs->searches->links.count;
}

static void search_getattr(struct fs *fs, fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	(void)fi;
	struct attr a;
	if (is_link(fs, n)) {
		link_attr(fs, n.a, n.b - 1, &a);
	} else if (!n.b) {
		dir_attr(fs, n.a, &a);
	} else {
		reply_err(req, -ESTALE);
		return;
	}
	reply_attr(req, &a);
}

static void search_readlink(struct fs *fs, fuse_req_t req, struct node n)
{
	if (is_link(fs, n))
		reply_link(req, fs->searches->targets[n.b - 1]);
	else
		reply_err(req, -EINVAL);
}

static void opendir_known(struct fs *fs, struct ask *a, struct found *f)
{
	(void)fs;
	f->refs++;
	a->fi.fh = (uintptr_t)f;
	reply_opendir(a->req, a->dir, &a->fi);
}

static void search_opendir(struct fs *fs, fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	if (n.b) {
		reply_err(req, -ENOTDIR);
	} else if (n.a) {
		ask(fs, &(struct ask){ .req = req, .dir = n, .then = opendir_known, .fi = *fi });
	} else {
		fi->fh = 0;
		reply_opendir(req, n, fi);
	}
}

static void search_readdir(struct fs *fs, fuse_req_t req, struct node n, uint64_t off, struct listing *l,
	struct fuse_file_info *fi)
{
	const struct found *f = (const struct found *)(uintptr_t)fi->fh;
	uint64_t end = 2 + (f ? f->count : 0);
	for (; off < end; off++) {
		struct attr a;
		const char *name = off ? ".." : ".";
		dir_attr(fs, n.a, &a);
		if (off >= 2) {
			link_attr(fs, n.a, f->link[off - 2], &a);
			name = intern_key(&fs->searches->links, f->link[off - 2]);
		}
		if (!listing_add(l, name, &a, off + 1, NULL))
			break;
	}
	reply_listing(req, l);
}

static void search_releasedir(struct fs *fs, struct node n, struct fuse_file_info *fi)
{
	(void)fs, (void)n;
	found_put((struct found *)(uintptr_t)fi->fh);
}

const struct node_ops search_ops = {
	.lookup = search_lookup,
	.getattr = search_getattr,
	.readlink = search_readlink,
	.opendir = search_opendir,
	.readdir = search_readdir,
	.releasedir = search_releasedir,
};

void searches_init(struct fs *fs)
{
	fs->searches = xcalloc(1, sizeof *fs->searches);
}

void searches_free(struct fs *fs)
{
	struct searches *s = fs->searches;
	if (!s)
		return;
	for (uint32_t i = 0; i < RING; i++)
		free(s->ring[i].words);
	for (uint32_t i = 0; i < s->links.count; i++)
		free(s->targets[i]);
	free(s->targets);
	intern_free(&s->links);
	found_put(s->found);
	free(s);
	fs->searches = NULL;
}
