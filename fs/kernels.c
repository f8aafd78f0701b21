/* SPDX-License-Identifier: MIT */
/*
 * kernels.c: kernels/, as far as it is names: nested directories for the slashes of a repository's name, and
 * its tags. What they show is one snapshot of cache_names; a new snapshot rebuilds the lists.
 *
 * A tag and a repository may claim one path: k:art and k/art:1. The tag has kernels/k/art then, the
 * repository is kernels/k%2Fart/1. '%' is in no name, so that the path gives the repository's name back.
 */
#include "fs/kernels.h"
#include "cache/base/io.h"
#include "fs/content.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FRESH_NS 200000000u /* a listing asks for the names once, not once an entry */

struct child {
	const char *name;
	const struct name *tag; /* of the snapshot; NULL: a directory, */
	uint32_t dir;		/* this one */
};

/* What a directory shows; whoever has it open keeps it as it was. */
struct list {
	unsigned refs;
	struct names *snapshot; /* the tags' names live there */
	uint32_t count;
	struct child *child; /* sorted by name */
};

struct dir {
	const char *path; /* below kernels/, "" for itself */
	uint32_t parent;
	uint32_t round; /* of the snapshot that showed it last */
	int64_t changed;
	struct list *list;   /* NULL: gone */
	struct child *found; /* while a snapshot is taken over */
	uint32_t found_count, found_cap;
};

/* --- the lists --------------------------------------------------------------------------------- */

static void list_put(struct list *l)
{
	if (!l || --l->refs)
		return;
	names_put(l->snapshot);
	free(l->child);
	free(l);
}

static struct dir *dir_of(struct kernels *k, uint32_t id)
{
	return id < k->paths.count ? &k->dirs[id] : NULL;
}

static uint32_t dir_id(struct kernels *k, const char *path, int64_t now)
{
	uint32_t id = (uint32_t)intern_id(&k->paths, path, true);
	if (id >= k->dir_cap) {
		uint32_t cap = k->dir_cap ? 2 * k->dir_cap : 64;
		k->dirs = xrealloc(k->dirs, cap * sizeof *k->dirs);
		memset(k->dirs + k->dir_cap, 0, (cap - k->dir_cap) * sizeof *k->dirs);
		k->dir_cap = cap;
	}
	struct dir *d = &k->dirs[id];
	if (!d->path) {
		d->path = intern_key(&k->paths, id);
		d->changed = now;
	}
	return id;
}

static void add_child(struct kernels *k, uint32_t id, struct child c)
{
	struct dir *d = &k->dirs[id];
	if (d->found_count == d->found_cap) {
		d->found_cap = d->found_cap ? 2 * d->found_cap : 8;
		d->found = xrealloc(d->found, d->found_cap * sizeof *d->found);
	}
	d->found[d->found_count++] = c;
}

static bool has_tag(const struct names *names, const char *name, const char *tag)
{
	uint32_t low = 0, high = names_count(names);
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		const struct name *n = names_at(names, mid);
		int order = strcmp(n->name, name);
		if (!order)
			order = strcmp(n->tag, tag);
		if (!order)
			return true;
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}

static bool good_component(const char *s, size_t len)
{
	return len && len <= NAME_MAX && !(len == 1 && s[0] == '.') && !(len == 2 && !memcmp(s, "..", 2)) &&
	       !memchr(s, '%', len) && !memchr(s, '/', len);
}

char *kernels_path(const struct names *names, const char *name)
{
	struct buf path = { 0 };
	const char *s = name;
	size_t shown = 0; /* length of the last component of path */
	for (;;) {
		size_t len = strcspn(s, "/");
		if (!good_component(s, len) || shown + len > NAME_MAX)
			goto bad;
		buf_append(&path, s, len);
		shown += len;
		s += len;
		if (!*s)
			return buf_steal(&path);
		s++;
		autofree char *above = xstrndup(name, (size_t)(s - 1 - name));
		autofree char *below = xstrndup(s, strcspn(s, "/"));
		bool taken = has_tag(names, above, below);
		buf_puts(&path, taken ? "%2F" : "/");
		shown = taken ? shown + 3 : 0;
	}
bad:
	log_warn("kernels: %s: not shown: no file can have this name", name);
	buf_free(&path);
	return NULL;
}

/* The number of the directory (path), which its parents list. */
static uint32_t show_path(struct kernels *k, char *path, int64_t now)
{
	uint32_t id = dir_id(k, path, now);
	if (k->dirs[id].round == k->round)
		return id;
	k->dirs[id].round = k->round;
	char *slash = strrchr(path, '/');
	if (slash)
		*slash = '\0';
	uint32_t parent = id ? show_path(k, slash ? path : (char[]){ "" }, now) : 0;
	const char *whole = k->dirs[id].path, *last = strrchr(whole, '/');
	k->dirs[id].parent = parent;
	if (id)
		add_child(k, parent, (struct child){ .name = last ? last + 1 : whole, .dir = id });
	return id;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct child *)a)->name, ((const struct child *)b)->name);
}

static bool same_names(const struct list *l, const struct child *c, uint32_t count)
{
	if (!l || l->count != count)
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (strcmp(l->child[i].name, c[i].name))
			return false;
	return true;
}

/* What was found becomes what is shown. */
static void settle(struct kernels *k, struct dir *d, struct names *names, int64_t now)
{
	struct list *l = NULL;
	if (d->found_count)
		qsort(d->found, d->found_count, sizeof *d->found, by_name);
	if (!same_names(d->list, d->found, d->found_count))
		d->changed = now;
	if (d->round == k->round) {
		l = xmalloc(sizeof *l);
		*l = (struct list){
			.refs = 1, .snapshot = names_get(names), .count = d->found_count, .child = d->found
		};
	}
	list_put(d->list);
	d->list = l;
	d->found = NULL;
	d->found_count = d->found_cap = 0;
}

static void take_over(struct fs *fs, struct names *names)
{
	struct kernels *k = fs->kernels;
	int64_t now = time(NULL);
	uint32_t id = 0;
	k->round++;
	show_path(k, (char[]){ "" }, now);
	for (uint32_t i = 0; i < names_count(names); i++) {
		const struct name *n = names_at(names, i);
		if (!i || strcmp(n->name, names_at(names, i - 1)->name)) {
			autofree char *path = kernels_path(names, n->name);
			id = path ? show_path(k, path, now) : 0;
		}
		if (id && good_component(n->tag, strlen(n->tag)))
			add_child(k, id, (struct child){ .name = n->tag, .tag = n });
	}
	for (uint32_t i = 0; i < k->paths.count; i++)
		settle(k, &k->dirs[i], names, now);
	names_put(k->snapshot);
	k->snapshot = names_get(names);
}

/* --- asking for the names ---------------------------------------------------------------------- */

/* A lookup or opendir that waits for the names. */
struct ask {
	struct fs *fs;
	fuse_req_t req; /* NULL: the deadline has answered */
	void (*then)(struct fs *fs, struct ask *a);
	struct timer *deadline;
	uint64_t came; /* when the deadline was set */
	struct node dir;
	struct fuse_file_info fi;
	char name[NAME_MAX + 1];
};

static void ask_late(void *arg)
{
	struct ask *a = arg;
	a->deadline = NULL;
	if (cache_progress(a->fs->cache) != a->came) { /* a long list on its way */
		a->came = cache_progress(a->fs->cache);
		a->deadline = loop_after(a->fs->loop, LOOKUP_DEADLINE_MS, ask_late, a);
		return;
	}
	log_error("kernels: the registries did not tell their names within %d s", LOOKUP_DEADLINE_MS / 1000);
	reply_err(a->req, -ETIMEDOUT);
	a->req = NULL;
}

static void names_failed(struct kernels *k, int err, const struct why *why)
{
	const char *text = why && why->text[0] ? why->text : err_text(err);
	if (strcmp(k->last_error, text))
		log_error("kernels: %s", text);
	snprintf(k->last_error, sizeof k->last_error, "%s", text);
}

static void ask_done(void *arg, int err, const struct why *why, struct names *names)
{
	struct ask *a = arg;
	struct kernels *k = a->fs->kernels;
	if (!k) { /* the end has come meanwhile, and with it everyone's answer */
		names_put(names);
		free(a);
		return;
	}
	timer_cancel(a->deadline);
	if (err) {
		names_failed(k, err, why);
		if (a->req) /* a registry that is not there does not make its kernels absent */
			reply_err(a->req, err == -ENOENT ? -EIO : cache_errno(err));
		free(a);
		return;
	}
	k->last_error[0] = '\0';
	if (names != k->snapshot)
		take_over(a->fs, names);
	names_put(names);
	k->fresh_ns = clock_mono_ns();
	if (a->req)
		a->then(a->fs, a);
	free(a);
}

/* Calls (then) with names that are as good as new, or answers with the error. */
static void ask_names(struct fs *fs, const struct ask *what)
{
	struct kernels *k = fs->kernels;
	struct ask *a = xmalloc(sizeof *a);
	*a = *what;
	a->fs = fs;
	if (k->snapshot && clock_mono_ns() - k->fresh_ns < FRESH_NS) {
		a->then(fs, a);
		free(a);
		return;
	}
	a->came = cache_progress(fs->cache);
	a->deadline = loop_after(fs->loop, LOOKUP_DEADLINE_MS, ask_late, a);
	cache_names(fs->cache, ask_done, a);
}

/* --- the class --------------------------------------------------------------------------------- */

static void dir_attr(struct fs *fs, uint32_t id, struct attr *a)
{
	struct dir *d = dir_of(fs->kernels, id);
	*a = (struct attr){
		.node = { NODE_NAMES, 0, id },
		.mode = S_IFDIR | 0555,
		.nlink = 2,
		.mtime.tv_sec = d->changed,
		.entry_ttl = NAMES_TTL,
		.attr_ttl = NAMES_TTL,
	};
}

static bool is_digest(const char *s)
{
	return strlen(s) == DIGEST_TEXT_LEN && !strncmp(s, "sha256:", 7) &&
	       strspn(s + 7, "0123456789abcdef") == 64;
}

/* The repository that a path shows. */
static char *repository_of(const char *path)
{
	char *name = xstrdup(path), *to = name;
	for (const char *s = path; *s;) {
		bool escaped = !strncmp(s, "%2F", 3);
		*to++ = escaped ? '/' : *s;
		s += escaped ? 3 : 1;
	}
	*to = '\0';
	return name;
}

static const struct child *find_child(const struct dir *d, const char *name)
{
	struct child key = { .name = name };
	return d->list && d->list->count ? bsearch(&key, d->list->child, d->list->count, sizeof key, by_name)
					 : NULL;
}

static bool has_tags(const struct dir *d)
{
	for (uint32_t i = 0; d->list && i < d->list->count; i++)
		if (d->list->child[i].tag)
			return true;
	return false;
}

static void lookup_known(struct fs *fs, struct ask *ask)
{
	struct dir *d = dir_of(fs->kernels, ask->dir.b);
	const struct child *c = find_child(d, ask->name);
	if (c && c->tag) {
		views_lookup_tag(fs, ask->req, c->tag->name, c->tag->tag, c->tag->digest);
	} else if (c) {
		struct attr a;
		dir_attr(fs, c->dir, &a);
		reply_entry(ask->req, &a);
	} else if (is_digest(ask->name) && has_tags(d)) {
		autofree char *repository = repository_of(d->path);
		views_lookup_tag(fs, ask->req, repository, ask->name, ask->name);
	} else if (names_missing(fs->kernels->snapshot)) { /* it may be where nobody could look */
		log_error("kernels: %s: not found, but not all registries could be asked: %s", ask->name,
			names_missing(fs->kernels->snapshot));
		reply_err(ask->req, -EHOSTUNREACH);
	} else {
		reply_absent(ask->req, NAMES_TTL);
	}
}

static void names_lookup(struct fs *fs, fuse_req_t req, struct node dir, const char *name)
{
	if (!dir_of(fs->kernels, dir.b)) {
		reply_err(req, -ESTALE);
		return;
	}
	struct ask a = { .req = req, .dir = dir, .then = lookup_known };
	snprintf(a.name, sizeof a.name, "%s", name);
	ask_names(fs, &a);
}

static void names_getattr(struct fs *fs, fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	(void)fi;
	struct attr a;
	if (!dir_of(fs->kernels, n.b)) {
		reply_err(req, -ESTALE);
		return;
	}
	dir_attr(fs, n.b, &a);
	reply_attr(req, &a);
}

static void opendir_known(struct fs *fs, struct ask *ask)
{
	struct dir *d = dir_of(fs->kernels, ask->dir.b);
	if (d->list)
		d->list->refs++;
	ask->fi.fh = (uintptr_t)d->list;
	reply_opendir(ask->req, ask->dir, &ask->fi);
}

static void names_opendir(struct fs *fs, fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	if (!dir_of(fs->kernels, n.b)) {
		reply_err(req, -ESTALE);
		return;
	}
	ask_names(fs, &(struct ask){ .req = req, .dir = n, .then = opendir_known, .fi = *fi });
}

/* Of a tag the name only: what it shows is asked for by whoever looks it up. */
static void child_attr(struct fs *fs, const struct child *c, struct attr *a)
{
	if (!c->tag) {
		dir_attr(fs, c->dir, a);
		return;
	}
	*a = (struct attr){ .mode = S_IFDIR };
	if (!views_node(fs, c->tag->name, c->tag->tag, c->tag->digest, &a->node))
		a->node = (struct node){ NODE_NAMES, NODE_A_MAX,
			1 }; /* a number must be there; none is known yet */
}

static void names_readdir(struct fs *fs, fuse_req_t req, struct node n, uint64_t off, struct listing *l,
	struct fuse_file_info *fi)
{
	const struct list *list = (const struct list *)(uintptr_t)fi->fh;
	uint64_t end = 2 + (list ? list->count : 0);
	for (; off < end; off++) {
		struct attr a = { .node = n, .mode = S_IFDIR };
		if (off >= 2)
			child_attr(fs, &list->child[off - 2], &a);
		const char *name = off == 0 ? "." : off == 1 ? ".." : list->child[off - 2].name;
		if (!listing_add(l, name, &a, off + 1, NULL))
			break;
	}
	reply_listing(req, l);
}

static void names_releasedir(struct fs *fs, struct node n, struct fuse_file_info *fi)
{
	(void)fs, (void)n;
	list_put((struct list *)(uintptr_t)fi->fh);
}

const struct node_ops names_ops = {
	.lookup = names_lookup,
	.getattr = names_getattr,
	.opendir = names_opendir,
	.readdir = names_readdir,
	.releasedir = names_releasedir,
};

int kernels_init(struct fs *fs, struct why *why)
{
	(void)why;
	fs->kernels = xcalloc(1, sizeof *fs->kernels);
	dir_id(fs->kernels, "", fs->mounted_at);
	views_init(fs);
	return 0;
}

void kernels_free(struct fs *fs)
{
	struct kernels *k = fs->kernels;
	if (!k)
		return;
	views_free(fs);
	for (uint32_t i = 0; i < k->paths.count; i++)
		list_put(k->dirs[i].list);
	if (k->snapshot)
		names_put(k->snapshot);
	free(k->dirs);
	intern_free(&k->paths);
	free(k);
	fs->kernels = NULL;
}
