/* SPDX-License-Identifier: MIT */
/*
 * files.c: the files of run/ as they are opened, read and written. A control file acts in write(2): one
 * command a write, and its errno is the answer, because shells do not look at close(2).
 */
#include "fs/files.h"

#include "cache/base/io.h"

#include "fs/kernel_dir.h"
#include "fs/logs.h"
#include "fs/publish.h"
#include "fs/texts.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMMAND_MAX    4096u
#define STREAM_BLKSIZE (1u << 20)

const char *const run_file_names[RUN_FILES] = {
	[RUN_DIR] = ".",
	[RUN_CONFIG] = "config",
	[RUN_DEPLOY] = "deploy",
	[RUN_CTL] = "ctl",
	[RUN_STATE] = "state",
	[RUN_WAIT] = "wait",
	[RUN_EVENTS] = "events",
	[RUN_STATUS] = "status",
	[RUN_ERROR] = "error",
	[RUN_CONSOLE] = "console",
	[RUN_STDIN] = "stdin",
	[RUN_STDOUT] = "stdout",
	[RUN_BUILD_LOG] = "build.log",
	[RUN_TIMELINE] = "timeline",
	[RUN_ROS_CONSOLE] = "ros.console",
	[RUN_SYSCALLS] = "syscalls",
	[RUN_SYSCALLS_SVG] = "syscalls.svg",
	[RUN_DELEGATE] = "delegate",
	[RUN_PUBLISH] = "publish",
};

static bool is_writable(enum run_file f)
{
	return f == RUN_CONFIG || f == RUN_DEPLOY || f == RUN_CTL || f == RUN_CONSOLE || f == RUN_STDIN ||
	       f == RUN_DELEGATE || f == RUN_PUBLISH || f == RUN_SCRATCH;
}

static bool is_stream(enum run_file f)
{
	return f == RUN_WAIT || f == RUN_EVENTS || f == RUN_CONSOLE || f == RUN_STDIN || f == RUN_STDOUT ||
	       f == RUN_BUILD_LOG || f == RUN_ROS_CONSOLE;
}

/* --- nodes ------------------------------------------------------------------------------------- */

int run_node_of(struct fs *fs, struct node n, struct run_node *out)
{
	*out = (struct run_node){ 0 };
	if (!fs->run)
		return -ENOENT;
	if (n.a == 0) {
		out->file = n.b;
		return n.b == RUN_DIR || n.b == RUN_NEW ? 0 : -ENOENT;
	}
	out->in = instance_by_serial(fs->run, n.a);
	if (!out->in)
		return -ENOENT;
	if (n.b & RUN_SCRATCH_BIT) {
		out->file = RUN_SCRATCH;
		out->scratch = scratch_by_id(out->in, n.b & ~RUN_SCRATCH_BIT);
		return out->scratch ? 0 : -ENOENT;
	}
	out->file = n.b & 0xff;
	return out->file < RUN_FILES ? 0 : -ENOENT;
}

struct handle *run_handle(struct fuse_file_info *fi)
{
	return fi ? (struct handle *)(uintptr_t)fi->fh : NULL;
}

static struct timespec time_of(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000) };
}

static uint64_t size_of(struct instance *in, const struct run_node *n)
{
	autobuf struct buf text = { 0 };

	if (n->file == RUN_SCRATCH)
		return n->scratch->data.len;
	if (n->file == RUN_CONFIG)
		return edit_text(in)->len;
	if (n->file == RUN_DELEGATE)
		return in->delegate.text.len;
	if (is_stream(n->file))
		return stream_size(in, n->file);
	text_of(in, n->file, &text);
	return text.len;
}

static void dir_attr(struct fs *fs, const struct instance *in, struct attr *a)
{
	unsigned dirs = 2;

	if (!in)
		for (const struct instance *i = fs->run->first; i; i = i->next)
			dirs++;
	a->node = (struct node){ NODE_RUN, in ? in->serial : 0, RUN_DIR };
	a->mode = S_IFDIR | 0700;
	a->nlink = in ? 5 : dirs;
	a->mtime = in ? time_of(in->made_ns) : (struct timespec){ .tv_sec = fs->mounted_at };
}

void run_attr(struct fs *fs, const struct run_node *n, struct attr *a)
{
	struct instance *in = n->in;

	*a = (struct attr){ .nlink = 1 };
	if (n->file == RUN_DIR) {
		dir_attr(fs, in, a);
	} else if (n->file == RUN_NEW) {
		a->node = (struct node){ NODE_RUN, 0, RUN_NEW };
		a->mode = S_IFREG | 0600;
		a->mtime.tv_sec = fs->mounted_at;
	} else if (n->file == RUN_SCRATCH) {
		a->node = (struct node){ NODE_RUN, in->serial, RUN_SCRATCH_BIT | n->scratch->id };
		a->mode = S_IFREG | (n->scratch->mode & 0777);
		a->mtime = time_of(n->scratch->mtime_ns);
		a->size = n->scratch->data.len;
	} else {
		a->node = (struct node){ NODE_RUN, in->serial, n->file | (in->gen[n->file] & 0x7fffff) << 8 };
		a->mode = S_IFREG | (is_writable(n->file) ? 0600 : 0400);
		a->mtime = time_of(n->file == RUN_CONFIG ? in->config_ns : in->changed_ns);
		a->size = size_of(in, n);
		a->blksize = is_stream(n->file) ? STREAM_BLKSIZE : 0;
	}
}

static void run_getattr(struct fs *fs, fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	struct run_node r;
	struct attr a;
	int err = run_node_of(fs, n, &r);

	(void)fi;
	if (err) {
		reply_err(req, err);
		return;
	}
	run_attr(fs, &r, &a);
	a.node = n; /* of an older generation, perhaps: it stays what it was */
	reply_attr(req, &a);
}

static int set_size(struct instance *in, const struct run_node *r, uint64_t size)
{
	if (r->file == RUN_CONFIG)
		return edit_truncate(in, size);
	if (r->file == RUN_SCRATCH)
		return scratch_truncate(r->scratch, size);
	if (r->file == RUN_DELEGATE)
		return delegate_truncate(in, size);
	if (r->file == RUN_DIR || !is_writable(r->file))
		return -EACCES;
	return 0; /* `>` truncates first; there is nothing to truncate */
}

static void run_setattr(struct fs *fs, fuse_req_t req, struct node n, const struct stat *st, int to_set,
	struct fuse_file_info *fi)
{
	const int perms = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID;
	struct run_node r;
	struct attr a;
	int err = run_node_of(fs, n, &r);

	(void)fi;
	/* Editors put mode and owner of the old file on the new one: that must not fail, and need not do
	 * anything. */
	if (!err && (to_set & perms) && r.file != RUN_CONFIG && r.file != RUN_SCRATCH)
		err = -EPERM;
	if (!err && (to_set & FUSE_SET_ATTR_MODE) && r.file == RUN_SCRATCH)
		r.scratch->mode = st->st_mode & 0777;
	if (!err && (to_set & FUSE_SET_ATTR_SIZE))
		err = set_size(r.in, &r, (uint64_t)st->st_size);
	if (err) {
		reply_err(req, err);
		return;
	}
	run_attr(fs, &r, &a);
	a.node = n;
	reply_attr(req, &a);
}

/* --- open and release -------------------------------------------------------------------------- */

static int open_file(struct instance *in, struct handle *h, bool truncate)
{
	int err = 0;

	if (h->writes && !is_writable(h->file))
		return -EACCES;
	if (is_stream(h->file))
		return stream_open(in, h, truncate);
	if (h->file == RUN_CONFIG && h->writes)
		err = edit_open(in, truncate);
	if (h->file == RUN_DELEGATE && h->writes)
		delegate_open(in, truncate);
	if (h->file == RUN_SCRATCH) {
		h->scratch->opens++;
		if (truncate)
			scratch_truncate(h->scratch, 0);
	}
	return err;
}

static void handle_list(struct run *r, struct handle *h)
{
	h->next = r->open;
	h->place = &r->open;
	if (h->next)
		h->next->place = &h->next;
	r->open = h;
}

static void handle_free(struct handle *h)
{
	*h->place = h->next;
	if (h->next)
		h->next->place = h->place;
	buf_free(&h->text);
	free(h);
}

void run_drop_handles(struct run *r)
{
	for (struct handle *h = r->open, *next; h; h = next) {
		struct instance *in = h->in;

		next = h->next;
		in->streams.handles = NULL;
		if (h->ph)
			ops_poll_destroy(h->ph);
		if (h->reading) /* what still comes back from the pool needs it */
			continue;
		log_detach(h);
		handle_free(h);
		instance_release(in);
	}
}

int run_open_node(struct fs *fs, const struct run_node *n, bool truncate, struct fuse_file_info *fi)
{
	int access = fi->flags & O_ACCMODE, err = 0;
	struct instance *in = n->in;
	struct handle *h;

	if (n->file == RUN_NEW)
		err = instance_make(fs->run, NULL, &in);
	if (err)
		return err;
	h = xcalloc(1, sizeof(*h));
	h->in = instance_hold(in);
	h->file = n->file;
	h->scratch = n->scratch;
	h->reads = access != O_WRONLY;
	h->writes = access != O_RDONLY;
	if (n->file != RUN_NEW)
		err = open_file(in, h, truncate);
	if (err) {
		instance_release(in);
		free(h);
		return err;
	}
	handle_list(fs->run, h);
	fi->fh = (uint64_t)(uintptr_t)h;
	fi->direct_io = 1;
	fi->nonseekable = n->file == RUN_STDIN || n->file == RUN_STDOUT;
	return 0;
}

static void run_open(struct fs *fs, fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	struct run_node r;
	int err = run_node_of(fs, n, &r);

	if (!err && r.file == RUN_DIR)
		err = -EISDIR;
	if (!err)
		err = run_open_node(fs, &r, fi->flags & O_TRUNC, fi);
	if (err)
		reply_err(req, err);
	else
		reply_open(req, n, fi);
}

static void run_release(struct fs *fs, struct node n, struct fuse_file_info *fi)
{
	struct handle *h = run_handle(fi);
	struct instance *in = h->in;

	(void)fs;
	(void)n;
	if (is_stream(h->file))
		stream_release(in, h);
	else if (h->file == RUN_NEW)
		instance_end(in);
	else if (h->file == RUN_CONFIG && h->writes)
		edit_close(in);
	else if (h->file == RUN_DELEGATE && h->writes)
		delegate_close(in);
	else if (h->file == RUN_SCRATCH)
		scratch_close(in, h->scratch);
	handle_free(h);
	instance_release(in);
}

/* --- read -------------------------------------------------------------------------------------- */

static void reply_part(fuse_req_t req, const struct buf *b, size_t size, uint64_t off)
{
	size_t n = off < b->len ? b->len - (size_t)off : 0;

	reply_data(req, n ? b->data + off : NULL, n < size ? n : size);
}

static void run_read(
	struct fs *fs, fuse_req_t req, struct node n, size_t size, uint64_t off, struct fuse_file_info *fi)
{
	struct handle *h = run_handle(fi);

	(void)fs;
	(void)n;
	if (is_stream(h->file)) {
		stream_read(h->in, h, req, size, off, fi->flags);
		return;
	}
	if (h->file == RUN_SCRATCH) {
		reply_part(req, &h->scratch->data, size, off);
		return;
	}
	if (!h->shot || off == 0) {
		buf_clear(&h->text);
		if (h->file == RUN_NEW)
			buf_printf(&h->text, "%s\n", h->in->name);
		else
			text_of(h->in, h->file, &h->text);
		h->shot = true;
	}
	reply_part(req, &h->text, size, off);
}

/* --- write ------------------------------------------------------------------------------------- */

static void refuse(struct instance *in, fuse_req_t req, int err, const struct why *why)
{
	reply_err(req, instance_error(in, err, why->text));
}

static void stop(struct instance *in, fuse_req_t req, size_t size, bool at_once)
{
	struct why why = { 0 };

	if (!instance_busy(in)) {
		why_fail(&why, -ESRCH, "%s: nothing runs", at_once ? "kill" : "stop");
		refuse(in, req, -ESRCH, &why);
		return;
	}
	pending_add(in, PENDING_STOP, 0, req, size);
	work_cancel(in);
	machine_stop(in, at_once);
}

static void run_ctl(struct instance *in, const char *words, fuse_req_t req, size_t size)
{
	struct why why = { 0 };
	int err;

	if (strcmp(words, "build") == 0) {
		work_build(in, req, size);
		return;
	}
	if (strcmp(words, "stop") == 0 || strcmp(words, "kill") == 0) {
		stop(in, req, size, words[0] == 'k');
		return;
	}
	if (strcmp(words, "clean") == 0) {
		err = work_clean(in, &why);
		if (!err)
			reply_written(req, size);
	} else if (strcmp(words, "pristine") == 0) {
		err = kernel_dir_pristine(in, &why);
		if (!err)
			reply_written(req, size);
	} else if (strcmp(words, "reset") == 0 || strcmp(words, "pause") == 0 ||
		   strcmp(words, "resume") == 0 || strcmp(words, "reset-hrt") == 0 ||
		   strncmp(words, "resize ", 7) == 0) {
		err = machine_command(in, words, req, size, &why);
	} else {
		err = why_fail(&why, -EINVAL,
			"ctl: there is no word '%s'; the words are build, stop, kill, reset, reset-hrt, "
			"pause, "
			"resume, resize COLUMNS ROWS, clean, pristine",
			words);
	}
	if (err)
		refuse(in, req, err, &why);
}

/* One command: a line, its newline and blanks around it left away. */
static void command(struct instance *in, enum run_file file, fuse_req_t req, const char *data, size_t size)
{
	autofree char *words = NULL;
	size_t begin = 0, end = size;
	struct why why = { 0 };

	while (end && strchr(" \t\r\n", data[end - 1]) && data[end - 1])
		end--;
	while (begin < end && (data[begin] == ' ' || data[begin] == '\t'))
		begin++;
	if (size > COMMAND_MAX || memchr(data + begin, '\n', end - begin) ||
		memchr(data + begin, '\0', end - begin)) {
		why_fail(&why, -EINVAL, "%s takes one command a write", run_file_names[file]);
		refuse(in, req, -EINVAL, &why);
		return;
	}
	words = xstrndup(data + begin, end - begin);
	if (file == RUN_CTL)
		run_ctl(in, words, req, size);
	else if (file == RUN_PUBLISH)
		publish_write(in, words, req, size);
	else
		work_deploy(in, words, req, size);
}

static void write_scratch(
	struct handle *h, fuse_req_t req, const char *data, size_t size, uint64_t off, bool append)
{
	int err = scratch_write(h->scratch, data, size, append ? h->scratch->data.len : off);

	if (err)
		reply_err(req, err);
	else
		reply_written(req, size);
}

static void write_delegate(struct instance *in, fuse_req_t req, const char *data, size_t size, uint64_t off)
{
	struct why why = { 0 };
	int err = delegate_write(in, data, size, off, &why);

	if (err)
		refuse(in, req, err, &why);
	else
		reply_written(req, size);
}

static void run_write(struct fs *fs, fuse_req_t req, struct node n, const char *data, size_t size,
	uint64_t off, struct fuse_file_info *fi)
{
	struct handle *h = run_handle(fi);
	struct instance *in = h->in;
	bool append = fi->flags & O_APPEND;

	(void)fs;
	(void)n;
	if (in->gone) {
		reply_err(req, h->file == RUN_STDIN ? -EPIPE : -ENODEV);
		return;
	}
	if (h->file < RUN_FILES)
		in->written[h->file] = true;
	if (is_stream(h->file))
		stream_write(in, h, req, data, size, fi->flags);
	else if (h->file == RUN_CONFIG)
		edit_write(in, req, data, size, append ? edit_text(in)->len : off);
	else if (h->file == RUN_DELEGATE)
		write_delegate(in, req, data, size, append ? in->delegate.text.len : off);
	else if (h->file == RUN_SCRATCH)
		write_scratch(h, req, data, size, off, append);
	else if (h->file == RUN_DEPLOY || h->file == RUN_CTL || h->file == RUN_PUBLISH)
		command(in, h->file, req, data, size);
	else
		reply_err(req, -EACCES);
}

/* config is kept by a rename, which outlives any kill; who calls fsync wants it to outlive a power cut, too. */
struct config_sync {
	struct instance *in;
	fuse_req_t req;
	int err;
};

static void config_sync_run(void *arg)
{
	struct config_sync *c = arg;
	static const char *const kept[] = { "config", "meta", "." };

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]) && !c->err; i++) {
		autoclose int fd = openat(c->in->dirfd, kept[i], O_RDONLY | O_CLOEXEC);

		if (fd < 0 ? errno != ENOENT : fsync(fd) < 0)
			c->err = -errno;
	}
}

static void config_sync_done(void *arg)
{
	struct config_sync *c = arg;

	reply_err(c->req, c->err);
	instance_release(c->in);
	free(c);
}

static void run_fsync(struct fs *fs, fuse_req_t req, struct node n, int datasync, struct fuse_file_info *fi)
{
	struct handle *h = fi ? (struct handle *)(uintptr_t)fi->fh : NULL;
	struct config_sync *c;

	(void)n;
	(void)datasync;
	if (!h || h->file != RUN_CONFIG) {
		reply_err(req, 0);
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->in = instance_hold(h->in);
	c->req = req;
	pool_submit(fs->pool, config_sync_run, config_sync_done, c);
}

static void run_poll(
	struct fs *fs, fuse_req_t req, struct node n, struct fuse_pollhandle *ph, struct fuse_file_info *fi)
{
	struct handle *h = run_handle(fi);

	(void)fs;
	(void)n;
	if (ph) { /* one per open file is enough: the kernel wakes all who poll it */
		if (h->ph)
			ops_poll_destroy(h->ph);
		h->ph = ph;
	}
	reply_poll(req, stream_poll(h->in, h));
}

const struct node_ops run_ops = {
	.lookup = run_lookup,
	.getattr = run_getattr,
	.setattr = run_setattr,
	.open = run_open,
	.read = run_read,
	.write = run_write,
	.fsync = run_fsync,
	.release = run_release,
	.poll = run_poll,
	.readdir = run_readdir,
	.mkdir = run_mkdir,
	.rmdir = run_rmdir,
	.unlink = run_unlink,
	.rename = run_rename,
	.create = run_create,
};
