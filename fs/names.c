/* SPDX-License-Identifier: MIT */
/*
 * names.c: the names of run/ and of an instance's directory. Control files cannot be removed, but `rm -r`
 * must not stumble over them on its way to rmdir, nor `mv` and vi, which unlink or rename config before they
 * make it anew: so unlink says yes, and who unlinked config finds it absent until it is made again. All
 * others see it as before.
 *
 * While something runs, unlink says EBUSY. rm goes on with the next name after an error, and would empty src/
 * of an instance that it cannot remove: so who was told EBUSY does not get into src/ or images/ for some
 * seconds either.
 */
#include "fs/files.h"

#include "cache/base/io.h"
#include "fs/kernel_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <string.h>

#define REFUSED_NS 10000000000ull

#define POS_FIRST   3u /* after "." and ".." */
#define POS_SRC	    0x100u
#define POS_KERNEL  0x101u
#define POS_IMAGES  0x102u
#define POS_OUT	    0x103u
#define POS_SCRATCH 0x10000u /* + id */
#define POS_SERIAL  0x10000u /* in run/: + serial */

static int file_by_name(const char *name)
{
	for (int f = RUN_DIR + 1; f < RUN_FILES; f++)
		if (strcmp(run_file_names[f], name) == 0)
			return f;
	return -1;
}

/* The instance whose directory (dir) is, or NULL: it is run/, or (*err) says why not. */
static struct instance *dir_of(struct fs *fs, struct node dir, int *err)
{
	struct run_node n;

	*err = run_node_of(fs, dir, &n);
	if (!*err && n.file != RUN_DIR)
		*err = -ENOTDIR;
	return *err ? NULL : n.in;
}

/* --- looking up -------------------------------------------------------------------------------- */

static bool write_under_way(const struct instance *in, enum run_file f)
{
	switch (f) {
	case RUN_DEPLOY:
	case RUN_CTL:
	case RUN_PUBLISH:
		return in->parked_writes > 0;
	case RUN_STDIN:
		return in->streams.writing[RUN_STDIN] > 0;
	case RUN_CONFIG:
		return in->edit.draft.checking;
	default:
		return false;
	}
}

static void reply_node(struct fs *fs, fuse_req_t req, const struct run_node *n)
{
	struct attr a;

	run_attr(fs, n, &a);
	reply_entry(req, &a);
}

static void lookup_in_run(struct fs *fs, fuse_req_t req, const char *name)
{
	struct run_node n = { .file = RUN_NEW };

	if (strcmp(name, "new") != 0) {
		n.in = instance_find(fs->run, name);
		n.file = RUN_DIR;
	}
	if (n.file == RUN_DIR && !n.in)
		reply_absent(req, 0);
	else
		reply_node(fs, req, &n);
}

static void lookup_file(struct fs *fs, fuse_req_t req, struct instance *in, int f)
{
	struct run_node n = { .in = in, .file = f };

	if (f == RUN_CONFIG && in->edit.hidden_from && in->edit.hidden_from == req_pid(req)) {
		reply_absent(req, 0);
		return;
	}
	if (in->written[f] && write_under_way(in, f)) {
		in->gen[f]++;
		in->written[f] = false;
	}
	reply_node(fs, req, &n);
}

static bool was_refused(const struct instance *in, fuse_req_t req)
{
	return in->refused && in->refused == req_pid(req) && instance_busy(in) &&
	       clock_mono_ns() - in->refused_ns < REFUSED_NS;
}

/* The directory that an instance has under this name, or NULL. */
static struct workspace *tree_by_name(struct instance *in, const char *name)
{
	if (strcmp(name, "src") == 0)
		return in->src;
	if (strcmp(name, "images") == 0)
		return in->images;
	if (strcmp(name, "out") == 0)
		return in->out;
	return strcmp(name, "kernel") == 0 ? kernel_dir_get(in) : NULL;
}

static void lookup_tree(fuse_req_t req, struct instance *in, struct workspace *w)
{
	struct attr a = { 0 };

	if (was_refused(in, req)) {
		reply_err(req, -EBUSY);
		return;
	}
	workspace_root_attr(w, &a);
	a.entry_ttl = a.attr_ttl = 0;
	reply_entry(req, &a);
}

void run_lookup(struct fs *fs, fuse_req_t req, struct node dir, const char *name)
{
	int err, f = file_by_name(name);
	struct instance *in = dir_of(fs, dir, &err);
	struct run_node n = { .in = in, .file = RUN_SCRATCH };

	if (err) {
		reply_err(req, err);
	} else if (!in) {
		lookup_in_run(fs, req, name);
	} else if (f >= 0) {
		lookup_file(fs, req, in, f);
	} else if (tree_by_name(in, name)) {
		lookup_tree(req, in, tree_by_name(in, name));
	} else {
		n.scratch = scratch_find(in, name);
		if (n.scratch)
			reply_node(fs, req, &n);
		else
			reply_absent(req, 0);
	}
}

/* --- listing ----------------------------------------------------------------------------------- */

static bool list_node(
	struct fs *fs, struct listing *l, const char *name, const struct run_node *n, uint64_t next)
{
	struct attr a;

	run_attr(fs, n, &a);
	return listing_add(l, name, &a, next, NULL);
}

static bool list_tree(struct listing *l, const char *name, struct workspace *w, uint64_t next)
{
	struct attr a = { 0 };

	workspace_root_attr(w, &a);
	a.nlink = 0; /* the workspace counts its lookups itself: let the kernel ask */
	return listing_add(l, name, &a, next, NULL);
}

static bool list_parent(struct listing *l, const struct instance *in)
{
	struct attr a = { .mode = S_IFDIR | 0700 };

	a.node = in ? (struct node){ NODE_RUN, 0, RUN_DIR } : (struct node){ NODE_FIXED, 0, FIXED_ROOT };
	return listing_add(l, "..", &a, 2, NULL);
}

static void list_run(struct fs *fs, struct listing *l, uint64_t off)
{
	struct run_node n = { .file = RUN_NEW };

	if (off < POS_FIRST && !list_node(fs, l, "new", &n, POS_FIRST))
		return;
	n.file = RUN_DIR;
	for (n.in = fs->run->first; n.in; n.in = n.in->next) {
		uint64_t pos = POS_SERIAL + n.in->serial;

		if (pos > off && !list_node(fs, l, n.in->name, &n, pos))
			return;
	}
}

static void list_instance(struct fs *fs, struct listing *l, struct instance *in, uint64_t off)
{
	struct run_node n = { .in = in };

	for (unsigned f = RUN_DIR + 1; f < RUN_FILES; f++) {
		n.file = f;
		if (POS_FIRST + f > off && !list_node(fs, l, run_file_names[f], &n, POS_FIRST + f))
			return;
	}
	if (off < POS_SRC && !list_tree(l, "src", in->src, POS_SRC))
		return;
	if (off < POS_KERNEL && in->kernel_dir && !list_tree(l, "kernel", in->kernel_dir, POS_KERNEL))
		return;
	if (off < POS_IMAGES && !list_tree(l, "images", in->images, POS_IMAGES))
		return;
	if (off < POS_OUT && !list_tree(l, "out", in->out, POS_OUT))
		return;
	n.file = RUN_SCRATCH;
	for (n.scratch = in->edit.scratch; n.scratch; n.scratch = n.scratch->next) {
		uint64_t pos = POS_SCRATCH + n.scratch->id;

		if (n.scratch->name && pos > off && !list_node(fs, l, n.scratch->name, &n, pos))
			return;
	}
}

void run_readdir(struct fs *fs, fuse_req_t req, struct node node, uint64_t off, struct listing *l,
	struct fuse_file_info *fi)
{
	struct run_node n = { 0 };
	int err;

	(void)fi;
	n.in = dir_of(fs, node, &err);
	if (err) {
		reply_err(req, err);
		return;
	}
	n.file = RUN_DIR;
	if ((off < 1 && !list_node(fs, l, ".", &n, 1)) || (off < 2 && !list_parent(l, n.in))) {
		reply_listing(req, l);
		return;
	}
	if (n.in)
		list_instance(fs, l, n.in, off);
	else
		list_run(fs, l, off);
	reply_listing(req, l);
}

/* --- making and removing ----------------------------------------------------------------------- */

void run_mkdir(struct fs *fs, fuse_req_t req, struct node dir, const char *name, mode_t mode)
{
	struct run_node n = { .file = RUN_DIR };
	int err;
	struct instance *in = dir_of(fs, dir, &err);

	(void)mode;
	if (!err && in)
		err = -EPERM; /* directories of one's own go into src/ */
	if (!err)
		err = instance_make(fs->run, name, &n.in);
	if (err == -EINVAL)
		log_warn("run: '%s' cannot be an instance's name: letters, digits and _ . -, at most %d, not "
			 "'new'",
			name, INSTANCE_NAME_MAX);
	if (err)
		reply_err(req, err);
	else
		reply_node(fs, req, &n);
}

static int remove_instance(struct fs *fs, const char *name)
{
	struct instance *in = instance_find(fs->run, name);

	if (!in)
		return strcmp(name, "new") ? -ENOENT : -ENOTDIR;
	if (instance_busy(in))
		return instance_error(
			in, -EBUSY, "it runs or is being built: echo stop > ctl, then remove it");
	instance_end(in);
	return 0;
}

void run_rmdir(struct fs *fs, fuse_req_t req, struct node dir, const char *name)
{
	int err;
	struct instance *in = dir_of(fs, dir, &err);

	if (!err && !in)
		err = remove_instance(fs, name);
	else if (!err && tree_by_name(in, name))
		err = workspace_rmdir_root(tree_by_name(in, name));
	else if (!err)
		err = file_by_name(name) >= 0 || scratch_find(in, name) ? -ENOTDIR : -ENOENT;
	reply_err(req, err);
}

static int refuse_removal(struct instance *in, pid_t who)
{
	in->refused = who;
	in->refused_ns = clock_mono_ns();
	return -EBUSY;
}

void run_unlink(struct fs *fs, fuse_req_t req, struct node dir, const char *name)
{
	int err, f = file_by_name(name);
	struct instance *in = dir_of(fs, dir, &err);
	struct scratch *s = in ? scratch_find(in, name) : NULL;

	if (!err && !in)
		err = strcmp(name, "new") ? -EISDIR : -EPERM;
	else if (!err && s)
		scratch_unlink(in, s);
	else if (!err && f < 0)
		err = -EISDIR;
	else if (!err && instance_busy(in))
		err = refuse_removal(in, req_pid(req));
	else if (!err && f == RUN_CONFIG)
		in->edit.hidden_from = req_pid(req);
	reply_err(req, err);
}

/* --- renaming ---------------------------------------------------------------------------------- */

static int rename_scratch(struct instance *in, struct scratch *s, const char *newname)
{
	struct scratch *old = scratch_find(in, newname);
	char *name = xstrdup(newname);

	if (old == s) {
		cleanup_free(&name);
		return 0;
	}
	if (old)
		scratch_unlink(in, old);
	cleanup_free(&s->name);
	s->name = name;
	return 0;
}

/* vi keeps the old config aside under another name, then makes config anew. */
static int set_config_aside(struct instance *in, const char *newname, pid_t who)
{
	struct scratch *s = scratch_find(in, newname);
	const struct buf *text = edit_text(in);
	int err = s ? scratch_truncate(s, 0) : scratch_create(in, newname, 0600, &s);

	if (!err && text->len)
		err = scratch_write(s, text->data, text->len, 0);
	if (!err)
		in->edit.hidden_from = who;
	return err;
}

static bool name_free(struct instance *in, const char *name)
{
	return file_by_name(name) < 0 && !tree_by_name(in, name) && !scratch_find(in, name);
}

void run_rename(struct fs *fs, fuse_req_t req, struct node dir, const char *name, struct node newdir,
	const char *newname, unsigned flags)
{
	int err, to = file_by_name(newname);
	struct instance *in = dir_of(fs, dir, &err);
	struct scratch *s = in ? scratch_find(in, name) : NULL;

	if (!err && (!in || dir.a != newdir.a))
		err = in ? -EXDEV : -EPERM;
	else if (!err && (flags & ~(unsigned)RENAME_NOREPLACE))
		err = -EINVAL;
	else if (!err && flags && !name_free(in, newname))
		err = -EEXIST;
	else if (!err && s && to == RUN_CONFIG) {
		in->edit.hidden_from = 0;
		edit_replace(in, req, s);
		return;
	} else if (!err && (to >= 0 || tree_by_name(in, newname)))
		err = -EPERM;
	else if (!err && s)
		err = rename_scratch(in, s, newname);
	else if (!err && file_by_name(name) == RUN_CONFIG)
		err = set_config_aside(in, newname, req_pid(req));
	else if (!err)
		err = -EPERM;
	reply_err(req, err);
}

void run_create(struct fs *fs, fuse_req_t req, struct node dir, const char *name, mode_t mode,
	struct fuse_file_info *fi)
{
	struct run_node n = { .file = RUN_CONFIG };
	struct attr a;
	int err, f = file_by_name(name);

	n.in = dir_of(fs, dir, &err);
	if (!err && !n.in)
		err = -EPERM; /* run/ holds instances, made with mkdir */
	else if (!err && f >= 0 && f != RUN_CONFIG)
		err = -EEXIST;
	else if (!err && f == RUN_CONFIG)
		n.in->edit.hidden_from = 0;
	else if (!err) {
		n.file = RUN_SCRATCH;
		n.scratch = scratch_find(n.in, name);
		err = n.scratch ? 0 : scratch_create(n.in, name, mode & 0777, &n.scratch);
	}
	if (!err)
		err = run_open_node(fs, &n, n.file == RUN_CONFIG || (fi->flags & O_TRUNC), fi);
	if (err) {
		reply_err(req, err);
		return;
	}
	run_attr(fs, &n, &a);
	reply_create(req, &a, fi);
}
