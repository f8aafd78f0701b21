/* SPDX-License-Identifier: MIT */
/*
 * views.c: what is below kernels/<name>/<tag>/: the entries of an artifact, and two files that are not in it:
 * run and cached. All of it but cached never changes, so the kernel may keep it for ever; an entry's node
 * number is the view's number and the entry's index, and of an entry nothing is kept but whether it was opened.
 *
 * A listing may tell what files are like, too. For whoever looks at them next that saves a question each; for find(1),
 * which does not, the kernel makes inodes in vain, which doubles its time (and each is 1 KiB of the kernel's memory).
 * So each question for a file earns some listings that tell it; without questions they are used up.
 *
 * Whoever looks a tag up may want nothing but to execute run, so a view is brief at first (cache_brief); the rest is fetched
 * when anything else of it is asked for. Where that has just happened, somebody may be walking through all kernels, for whom
 * two questions one after the other are slower than one: then the next views are whole.
 */
#include "cache/base/io.h"
#include "cache/kernel.h"
#include "fs/content.h"
#include "fs/kernels.h"
#include "fs/through.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TELL	 8 /* listings that tell what files are like, for each question for a file */
#define TELL_MAX 4096

#define OPEN_EXEC    0x20	 /* the kernel's __FMODE_EXEC: opened by execve */
#define EXPECTED_MAX (1u << 20) /* bytes of an image that are fetched before they are asked for */
#define WALK_NS	     UINT64_C(2000000000)

enum { EXTRA_RUN = VIEW_EXTRA, EXTRA_CACHED, EXTRA_END };
static const char *const extra_names[] = { "run", "cached" };

struct slot {
	struct view *view; /* NULL: nobody is in it */
	uint64_t lookups;  /* that the kernel has not taken back, all entries together */
	uint64_t stalled_until_ns;
	unsigned tell;	 /* so many more listings tell what files are like */
	uint8_t *opened; /* a bit an entry, as far as one was opened: */
	uint32_t opened_len;
};

static struct slot *slot_of(struct fs *fs, struct node n)
{
	struct kernels *k = fs->kernels;
	return n.a < k->keys.count && k->slots[n.a].view ? &k->slots[n.a] : NULL;
}

/* --- attributes -------------------------------------------------------------------------------- */

static void entry_attr(struct node n, const struct entry *e, struct attr *a)
{
	static const uint32_t types[] = {
		[ENTRY_DIR] = S_IFDIR, [ENTRY_FILE] = S_IFREG, [ENTRY_LINK] = S_IFLNK
	};
	*a = (struct attr){
		.node = { NODE_VIEW, n.a, e->index },
		.mode = types[e->type] | (e->mode & 0555),
		.nlink = e->nlink ? e->nlink : 1,
		.size = e->size,
		.mtime.tv_sec = e->mtime,
		.entry_ttl = TTL_EVER,
		.attr_ttl = TTL_EVER,
	};
	if (e->type == ENTRY_LINK)
		a->mode |= 0777;
}

static void view_attr(const struct slot *s, struct node n, const struct entry *e, struct attr *a)
{
	entry_attr(n, e, a);
	if (view_lacks(s->view, e->index))
		a->nlink = 1; /* how many directories it holds is not known */
}

static int cached_text(const struct view *v, char *out, size_t size)
{
	uint64_t here, total;
	view_cached(v, &here, &total);
	return snprintf(out, size, "here %" PRIu64 "\ntotal %" PRIu64 "\n", here, total);
}

static void extra_attr(struct fs *fs, struct node n, const struct view *v, struct attr *a)
{
	struct entry root;
	char text[64];
	view_entry(v, 0, &root);
	*a = (struct attr){
		.node = n,
		.mode = S_IFREG | (n.b == EXTRA_RUN ? 0555 : 0444),
		.nlink = 1,
		.size = n.b == EXTRA_RUN ? fs->kernels->run_len : (uint64_t)cached_text(v, text, sizeof text),
		.mtime.tv_sec = root.mtime,
		.entry_ttl = TTL_EVER,
		.attr_ttl = n.b == EXTRA_RUN ? TTL_EVER : 0,
	};
}

/* 0 or -errno */
static int attr_of(struct fs *fs, struct node n, struct attr *a)
{
	struct slot *s = slot_of(fs, n);
	struct entry e;
	if (!s)
		return -ESTALE;
	if (n.b >= VIEW_EXTRA && n.b < EXTRA_END) {
		extra_attr(fs, n, s->view, a);
		return 0;
	}
	if (view_entry(s->view, n.b, &e))
		return -ESTALE;
	view_attr(s, n, &e, a);
	return 0;
}

/* --- views come and go ------------------------------------------------------------------------- */

static char *key_of(const char *name, const char *reference, const char *digest)
{
	return xasprintf("%s %s %s", name, reference, digest);
}

bool views_node(struct fs *fs, const char *name, const char *reference, const char *listed, struct node *out)
{
	autofree char *key = key_of(name, reference, listed);
	int64_t id = intern_id(&fs->kernels->keys, key, false);
	if (id < 0 || !fs->kernels->slots[id].view)
		return false;
	*out = (struct node){ NODE_VIEW, (uint32_t)id, 0 };
	return true;
}

/* Takes (v) over. Its number, or -1: there are no more numbers. */
static int64_t number_for(struct kernels *k, const char *name, const char *reference, struct view *v)
{
	autofree char *key = key_of(name, reference, view_digest(v));
	int64_t id = intern_id(&k->keys, key, k->keys.count <= NODE_A_MAX);
	if (id < 0) {
		view_put(v);
		return -1;
	}
	if (id >= k->slot_cap) {
		uint32_t cap = k->slot_cap ? 2 * k->slot_cap : 64;
		k->slots = xrealloc(k->slots, cap * sizeof *k->slots);
		memset(k->slots + k->slot_cap, 0, (cap - k->slot_cap) * sizeof *k->slots);
		k->slot_cap = cap;
	}
	if (k->slots[id].view)
		view_put(v);
	else
		k->slots[id] = (struct slot){ .view = v, .tell = TELL };
	return id;
}

static void reply_root(struct fs *fs, fuse_req_t req, struct node n)
{
	struct attr a;
	int err = attr_of(fs, n, &a);
	if (err) {
		reply_err(req, err);
		return;
	}
	a.entry_ttl = NAMES_TTL; /* the tag may move; what it was stays as it is */
	fs->kernels->slots[n.a].lookups++;
	reply_entry(req, &a);
}

/* A lookup that waits for a view; or a lookup in a directory that a view lacks, or the opening of one. A brief
 * view is such a directory, too. */
struct opening {
	struct fs *fs;
	fuse_req_t req; /* NULL: the deadline has answered */
	struct timer *deadline;
	uint64_t came; /* when the deadline was set */
	char *name, *reference;
	bool enters; /* that directory: */
	struct node dir;
	char *child; /* NULL: it is opened, with */
	struct fuse_file_info fi;
};

static void entered(struct opening *o, struct view *whole);

static void opening_late(void *arg)
{
	struct opening *o = arg;
	o->deadline = NULL;
	if (cache_progress(o->fs->cache) != o->came) {
		o->came = cache_progress(o->fs->cache);
		o->deadline = loop_after(o->fs->loop, LOOKUP_DEADLINE_MS, opening_late, o);
		return;
	}
	log_error("kernels/%s/%s: the registry did not answer within %d s", o->name, o->reference,
		LOOKUP_DEADLINE_MS / 1000);
	reply_err(o->req, -ETIMEDOUT);
	o->req = NULL;
}

static void opening_failed(struct opening *o, int err, const struct why *why)
{
	if (!o->req)
		return;
	if (err == -ENOENT && !o->enters) { /* gone between the names and now, or a digest that nobody has */
		reply_absent(o->req, NAMES_TTL);
		return;
	}
	log_error(
		"kernels/%s/%s: %s", o->name, o->reference, why && why->text[0] ? why->text : err_text(err));
	reply_err(o->req, cache_errno(err == -ENOENT ? -EIO : err));
}

static void opening_done(void *arg, int err, const struct why *why, struct view *view)
{
	struct opening *o = arg;
	struct kernels *k = o->fs->kernels;
	if (k)
		timer_cancel(o->deadline);
	if (err) {
		if (k)
			opening_failed(o, err, why);
	} else if (!k || !o->req) {
		view_put(view);
	} else if (o->enters) {
		entered(o, view);
	} else {
		int64_t id = number_for(k, o->name, o->reference, view);
		if (id < 0)
			reply_err(o->req, -ENFILE);
		else
			reply_root(o->fs, o->req, (struct node){ NODE_VIEW, (uint32_t)id, 0 });
	}
	free(o->name);
	free(o->reference);
	free(o->child);
	free(o);
}

typedef void ask_fn(struct cache *c, const char *name, const char *reference, cache_view_fn *done, void *arg);

static void opening_start(const struct opening *what, ask_fn *ask)
{
	struct opening *o = xmalloc(sizeof *o);
	*o = *what;
	o->came = cache_progress(o->fs->cache);
	o->deadline = loop_after(o->fs->loop, LOOKUP_DEADLINE_MS, opening_late, o);
	ask(o->fs->cache, o->name, o->reference, opening_done, o);
}

void views_lookup_tag(
	struct fs *fs, fuse_req_t req, const char *name, const char *reference, const char *listed)
{
	struct node n;
	if (views_node(fs, name, reference, listed, &n)) {
		reply_root(fs, req, n);
		return;
	}
	opening_start(
		&(struct opening){ .fs = fs, .req = req, .name = xstrdup(name), .reference = xstrdup(reference) },
		clock_mono_ns() < fs->kernels->walk_until_ns ? cache_look : cache_brief);
}

/* Fetches what the view lacks; then goes on with the request. */
static void enter(struct fs *fs, fuse_req_t req, const struct slot *s, struct node dir, const char *child,
	const struct fuse_file_info *fi)
{
	bool brief = view_is_brief(s->view);
	if (brief)
		fs->kernels->walk_until_ns = clock_mono_ns() + WALK_NS;
	opening_start(&(struct opening){ .fs = fs,
			      .req = req,
			      .name = xstrdup(view_name(s->view)),
			      .reference = xstrdup(view_digest(s->view)),
			      .enters = true,
			      .dir = dir,
			      .child = child ? xstrdup(child) : NULL,
			      .fi = fi ? *fi : (struct fuse_file_info){ 0 } },
		brief ? cache_look : cache_view);
}

/* What is the same in a brief view as in others. */
static bool is_in_brief(const char *name)
{
	return !strcmp(name, "run") || !strcmp(name, "kernel.conf") || !strcmp(name, "digest") ||
	       !strcmp(name, "manifest");
}

/* Must more be fetched before (dir) can tell of (name), or with NULL, of all that is in it? */
static bool lacks(const struct slot *s, struct node dir, const char *name)
{
	if (view_is_brief(s->view))
		return dir.b || !name || !is_in_brief(name);
	return view_lacks(s->view, dir.b);
}

static void slot_free(struct slot *s)
{
	view_put(s->view);
	free(s->opened);
	*s = (struct slot){ 0 };
}

static void views_forget(struct fs *fs, struct node n, uint64_t nlookup)
{
	struct slot *s = fs->kernels ? slot_of(fs, n) : NULL;
	if (!s)
		return;
	s->lookups -= nlookup < s->lookups ? nlookup : s->lookups;
	if (s->lookups)
		return;
	slot_free(s);
}

/* --- the class --------------------------------------------------------------------------------- */

static bool extra_named(const char *name, uint32_t *b)
{
	for (uint32_t i = 0; i < EXTRA_END - VIEW_EXTRA; i++) {
		if (!strcmp(name, extra_names[i])) {
			*b = VIEW_EXTRA + i;
			return true;
		}
	}
	return false;
}

static void views_lookup(struct fs *fs, fuse_req_t req, struct node dir, const char *name)
{
	struct slot *s = slot_of(fs, dir);
	struct node n = { NODE_VIEW, dir.a, 0 };
	struct entry e;
	struct attr a;
	int err = -ESTALE;
	if (s && lacks(s, dir, name)) {
		enter(fs, req, s, dir, name, NULL);
		return;
	}
	if (s && dir.b == 0 && extra_named(name, &n.b)) {
		extra_attr(fs, n, s->view, &a);
		err = 0;
	} else if (s) {
		err = view_lookup(s->view, dir.b, name, &e);
		if (!err)
			view_attr(s, dir, &e, &a);
		if (!err && e.type != ENTRY_DIR)
			s->tell += s->tell < TELL_MAX ? TELL : 0;
	}
	if (err == -ENOENT) {
		reply_absent(req, TTL_EVER);
	} else if (err) {
		reply_err(req, err);
	} else {
		s->lookups++;
		reply_entry(req, &a);
	}
}

static void views_getattr(struct fs *fs, fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	(void)fi;
	struct attr a;
	int err = attr_of(fs, n, &a);
	if (err)
		reply_err(req, err);
	else
		reply_attr(req, &a);
}

static void views_readlink(struct fs *fs, fuse_req_t req, struct node n)
{
	struct slot *s = slot_of(fs, n);
	struct entry e;
	if (!s || view_entry(s->view, n.b, &e))
		reply_err(req, -ESTALE);
	else if (e.type != ENTRY_LINK || !e.target)
		reply_err(req, -EINVAL);
	else
		reply_link(req, e.target);
}

/* Is it opened for the first time since the kernel knows the view? */
static bool first_open(struct slot *s, uint32_t index)
{
	uint8_t bit = (uint8_t)(1u << index % 8);
	if (index >= view_count(s->view))
		return false;
	if (index / 8 >= s->opened_len) {
		uint32_t len = view_count(s->view) / 8 + 1;
		s->opened = xrealloc(s->opened, len);
		memset(s->opened + s->opened_len, 0, len - s->opened_len);
		s->opened_len = len;
	}
	bool first = !(s->opened[index / 8] & bit);
	s->opened[index / 8] |= bit;
	return first;
}

static void image_came(void *arg, int err, const struct why *why, const void *data, size_t len)
{
	(void)arg, (void)err, (void)why, (void)data, (void)len; /* an error is told to who launches it */
}

/* Somebody executes run: its image will be wanted in a moment, unless he asks for another mode. */
static void expect_launch(struct view *v)
{
	struct kernel_conf conf = { 0 };
	struct entry e;
	char text[16384];
	ssize_t n = view_path(v, "kernel.conf", &e) ? -ENOENT : view_read_now(v, e.index, 0, text, sizeof text);
	bool good = n >= 0 && kernel_conf_parse(&conf, text, (size_t)n, false, NULL) == 0;
	if (good && view_path(v, conf.launch[MODE_FULLVM].image, &e) == 0 && e.type == ENTRY_FILE && e.size &&
		e.size <= EXPECTED_MAX)
		view_read(v, e.index, 0, e.size, image_came, NULL);
	kernel_conf_free(&conf);
}

static void views_open(struct fs *fs, fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	struct slot *s = slot_of(fs, n);
	if (!s || (fi->flags & O_ACCMODE) != O_RDONLY) {
		reply_err(req, s ? -EROFS : -ESTALE);
		return;
	}
	if (n.b == EXTRA_CACHED) {
		char text[64];
		cached_text(s->view, text, sizeof text);
		fi->fh = (uintptr_t)xstrdup(text);
		fi->direct_io = 1;
	} else {
		fi->keep_cache = 1;
		if (n.b == EXTRA_RUN && fi->flags & OPEN_EXEC)
			expect_launch(s->view);
		if (n.b < VIEW_EXTRA) {
			view_hold(s->view, n.b);
			if (through_open(fs, req, n, s->view, fi))
				return;
			if (first_open(s, n.b))
				content_push(fs, n, s->view, n.b);
		}
	}
	reply_open(req, n, fi);
}

static void views_release(struct fs *fs, struct node n, struct fuse_file_info *fi)
{
	struct slot *s = slot_of(fs, n);
	if (n.b == EXTRA_CACHED) {
		free((char *)(uintptr_t)fi->fh);
	} else if (s && n.b < VIEW_EXTRA) {
		through_release(fs, n, s->view);
		view_let(s->view, n.b);
	}
}

static void views_stalled(struct fs *fs, struct node n, uint64_t until_ns)
{
	struct slot *s = slot_of(fs, n);
	if (s)
		s->stalled_until_ns = until_ns;
}

static void views_read(
	struct fs *fs, fuse_req_t req, struct node n, size_t size, uint64_t off, struct fuse_file_info *fi)
{
	struct slot *s = slot_of(fs, n);
	if (!s) {
		reply_err(req, -ESTALE);
	} else if (n.b == EXTRA_RUN) {
		content_text(req, fs->kernels->run_text, fs->kernels->run_len, size, off);
	} else if (n.b == EXTRA_CACHED) {
		const char *text = (const char *)(uintptr_t)fi->fh;
		content_text(req, text, strlen(text), size, off);
	} else {
		content_read(fs, req, n, s->view, n.b, size, off, s->stalled_until_ns, views_stalled);
	}
}

static void views_opendir(struct fs *fs, fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	struct slot *s = slot_of(fs, n);
	if (!s) {
		reply_err(req, -ESTALE);
		return;
	}
	if (lacks(s, n, NULL)) {
		enter(fs, req, s, n, NULL, fi);
		return;
	}
	fi->keep_cache = fi->cache_readdir = 1;
	reply_opendir(req, n, fi);
}

static void entered(struct opening *o, struct view *whole)
{
	struct slot *s = slot_of(o->fs, o->dir);
	if (s && lacks(s, o->dir, o->child)) {
		view_put(s->view);
		s->view = whole;
	} else {
		view_put(whole);
	}
	if (o->child)
		views_lookup(o->fs, o->req, o->dir, o->child);
	else
		views_opendir(o->fs, o->req, o->dir, &o->fi);
}

/* Where the kernel asks in the middle of a directory, it does so because somebody looked at what came before. */
static bool tells_files(struct slot *s, uint64_t off)
{
	if (off)
		return true;
	if (!s->tell)
		return false;
	s->tell--;
	return true;
}

/* Position 0 is ".", 1 "..", then the children by index, then, in the root, run and cached. */
static void views_readdir(struct fs *fs, fuse_req_t req, struct node n, uint64_t off, struct listing *l,
	struct fuse_file_info *fi)
{
	(void)fi;
	struct slot *s = slot_of(fs, n);
	struct entry dir, e;
	bool told, more = true;
	if (!s || view_entry(s->view, n.b, &dir) || dir.type != ENTRY_DIR) {
		reply_err(req, s ? -ENOTDIR : -ESTALE);
		return;
	}
	bool files = tells_files(s, off);
	uint64_t children = 2 + (uint64_t)dir.child_count,
		 end = children + (n.b ? 0 : EXTRA_END - VIEW_EXTRA);
	for (; more && off < end; off++) {
		struct attr a;
		const char *name = off == 0 ? "." : "..";
		if (off < 2) {
			view_attr(s, n, &dir, &a);
		} else if (off < children) {
			if (view_entry(s->view, dir.first_child + (uint32_t)(off - 2), &e))
				break;
			view_attr(s, n, &e, &a);
			if (e.type != ENTRY_DIR && !files)
				a.nlink = 0;
			name = e.name;
		} else {
			extra_attr(fs,
				(struct node){ NODE_VIEW, n.a, VIEW_EXTRA + (uint32_t)(off - children) },
				s->view, &a);
			name = extra_names[off - children];
		}
		more = listing_add(l, name, &a, off + 1, &told);
		s->lookups += told;
	}
	reply_listing(req, l);
}

const struct node_ops view_ops = {
	.lookup = views_lookup,
	.getattr = views_getattr,
	.readlink = views_readlink,
	.open = views_open,
	.read = views_read,
	.release = views_release,
	.opendir = views_opendir,
	.readdir = views_readdir,
	.forget = views_forget,
};

/* --- run --------------------------------------------------------------------------------------- */

/* "#!" takes a path without blanks, and not a long one (PITFALLS 13): else a shell passes the words on. */
static void make_run_text(struct fs *fs, struct buf *out)
{
	autofree char *program = xasprintf("%s/diverfs-run", fs->opt.libexec_dir);
	if (strlen(program) <= 120 && !program[strcspn(program, " \t\n\r\v\f")]) {
		buf_printf(out, "#!%s\n", program);
		return;
	}
	buf_puts(out, "#!/bin/sh\nexec ");
	buf_put_word(out, program);
	buf_puts(out, " \"$0\" \"$@\"\n");
}

void views_init(struct fs *fs)
{
	struct buf text = { 0 };
	make_run_text(fs, &text);
	fs->kernels->run_len = text.len;
	fs->kernels->run_text = buf_steal(&text);
}

void views_free(struct fs *fs)
{
	struct kernels *k = fs->kernels;
	through_free(fs);
	for (uint32_t i = 0; i < k->keys.count; i++)
		if (k->slots[i].view)
			slot_free(&k->slots[i]);
	free(k->slots);
	free(k->run_text);
	intern_free(&k->keys);
}
