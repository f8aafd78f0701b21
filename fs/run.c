/* SPDX-License-Identifier: MIT */
/*
 * run.c: all instances together: found again when a daemon begins, stopped or let go when it ends.
 */
#include "fs/instance.h"

#include "cache/base/conf.h"
#include "cache/base/io.h"
#include "cache/base/seglog.h"
#include "deployers/deploy.h"
#include "fs/files.h"
#include "fs/kernel_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- after a restart --------------------------------------------------------------------------- */

static int take_meta(void *arg, unsigned line, const char *key, const char *value, struct why *why)
{
	struct instance *in = arg;
	struct work *w = &in->work;

	(void)line;
	(void)why;
	if (strcmp(key, "anonymous") == 0)
		in->anonymous = strcmp(value, "yes") == 0;
	else if (strcmp(key, "pin") == 0)
		snprintf(in->pin, sizeof(in->pin), "%s", value);
	else if (strcmp(key, "built") == 0)
		snprintf(w->built, sizeof(w->built), "%s", value);
	else if (strcmp(key, "sources_from") == 0)
		snprintf(w->sources_from, sizeof(w->sources_from), "%s", value);
	else if (strcmp(key, "ros_from") == 0)
		snprintf(w->ros_from, sizeof(w->ros_from), "%s", value);
	else if (strcmp(key, "template_from") == 0)
		snprintf(w->template_from, sizeof(w->template_from), "%s", value);
	else if (strcmp(key, "template_hash") == 0)
		conf_number(key, value, 0, UINT64_MAX, &w->template_hash, NULL);
	else if (strcmp(key, "published") == 0 && !in->published)
		in->published = xstrdup(value);
	else if (strcmp(key, "made") == 0)
		conf_number(key, value, 0, UINT64_MAX, &in->made_ns, NULL);
	return 0;
}

static void load_config(struct instance *in)
{
	struct why why = { 0 };
	int err = io_read_file(in->dirfd, "config", CONFIG_TEXT_MAX, &in->text);

	config_free(&in->cfg);
	if (err && err != -ENOENT)
		why_fail_errno(&why, err, "config cannot be read back");
	if (!why.err && config_parse(&in->cfg, in->text.data ? in->text.data : "", in->text.len, &why) == 0)
		return;
	instance_error(in, why.err, why.text);
	config_parse(&in->cfg, "", 0, NULL);
}

static void ignore_frame(void *arg, const struct frame *f, const void *payload)
{
	(void)arg;
	(void)f;
	(void)payload;
}

static void ignore_closed(void *arg, int err)
{
	(void)arg;
	(void)err;
}

/* A build of a daemon that is no more: nobody waits for it. */
static void end_old_build(struct instance *in)
{
	static const char kill_word[] = "kill";
	autoclose int dir = openat(in->dirfd, "build", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct deploy_hello hello = { .rev = DEPLOY_REV, .pid = (uint32_t)getpid() };
	struct seglog *log;
	struct chan *c;
	int sock;

	if (dir < 0)
		return;
	if (seglog_open(dir, "build.log", &log) == 0) {
		in->streams.build_log.end = seglog_end(log);
		seglog_close(log);
	}
	sock = io_unix_connect(dir, "sock");
	if (sock < 0)
		return;
	c = chan_new(in->fs->loop, sock, ignore_frame, ignore_closed, NULL);
	chan_send(c, FRAME_HELLO, 0, 0, &hello, sizeof(hello));
	chan_send(c, FRAME_COMMAND, 0, 1, kill_word, strlen(kill_word));
	chan_send(c, FRAME_BYE, 0, 0, NULL, 0);
	chan_flush(c);
	chan_free(c);
}

/* Of a daemon that died while it published. */
static void remove_published(void *arg)
{
	struct instance *in = arg;

	io_remove_tree(in->dirfd, "publish.old");
}

static void removed_published(void *arg)
{
	instance_release(arg);
}

static void load(struct run *r, const char *name)
{
	autobuf struct buf meta = { 0 };
	int fd = instance_open_dir(r, name);
	struct instance *in;

	if (fd < 0) {
		log_error("%s/%s: %s", r->dir, name, err_text(fd));
		return;
	}
	in = instance_new(r, name, fd);
	if (io_read_file(fd, "meta", 65536, &meta) == 0)
		conf_parse(meta.data, meta.len, take_meta, in, NULL);
	load_config(in);
	kernel_dir_set(in);
	in->result = in->cfg.kernel ? *in->work.built ? "built" : "configured" : "new";
	end_old_build(in);
	if (renameat(fd, "publish", fd, "publish.old") == 0)
		pool_submit(r->fs->pool, remove_published, removed_published, instance_hold(in));
	delegate_load(in);
	machine_find(in);
	instance_changed(in);
	if (in->anonymous) /* who held run/new open has lost it with the mount */
		instance_end(in);
}

static void load_all(struct run *r)
{
	int fd = openat(r->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		if (strncmp(e->d_name, ".gone-", 6) == 0)
			io_remove_tree(r->dirfd, e->d_name);
		else if (instance_name_ok(e->d_name))
			load(r, e->d_name);
	}
	if (d)
		closedir(d);
}

int run_init(struct fs *fs, struct why *why)
{
	struct run *r = xcalloc(1, sizeof(*r));
	char fd_path[64];
	int err = io_mkdirs(fs->state_fd, "instances", 0700);

	fs->run = r;
	r->fs = fs;
	r->dirfd = -1;
	r->next_serial = 1;
	if (!err)
		r->dirfd = openat(fs->state_fd, "instances", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (err || r->dirfd < 0)
		return why_fail_errno(why, err ? err : -errno,
			"cannot make instances/ in the state directory %s", fs->opt.state_dir);
	snprintf(fd_path, sizeof(fd_path), "/proc/self/fd/%d", r->dirfd);
	r->dir = realpath(fd_path, NULL);
	if (!r->dir)
		return why_fail_errno(why, -errno, "cannot find the state directory %s", fs->opt.state_dir);
	r->modes = modes_new(fs);
	load_all(r);
	return 0;
}

/* --- the end of the mount ---------------------------------------------------------------------- */

static bool anything_left(const struct run *r)
{
	if (r->ending)
		return true;
	for (const struct instance *in = r->first; in; in = in->next)
		if (in->machine.dep || in->work.builder || in->work.active)
			return true;
	return false;
}

static void tell_stopped(void *arg)
{
	struct run *r = arg;
	void (*done)(void *) = r->stopped;

	if (!done || anything_left(r))
		return;
	r->stopped = NULL;
	done(r->stopped_arg);
}

void run_ended_one(struct run *r)
{
	if (r->stopping && r->stopped)
		loop_defer(r->fs->loop, tell_stopped, r);
}

static void stop_one(struct instance *in, bool keep)
{
	work_cancel(in);
	if (keep && in->machine.up && !in->anonymous) {
		struct deployer *d = in->machine.dep;

		in->machine.dep = NULL;
		in->machine.up = false;
		deployer_let_go(d);
		stream_machine_ended(in); /* for the readers here it is over */
	} else if (in->machine.up) {
		machine_stop(in, in->anonymous);
	} else {
		machine_dismiss(in);
	}
}

void run_stop(struct fs *fs, void (*done)(void *arg), void *arg)
{
	struct run *r = fs->run;
	struct instance *next;

	r->stopping = true;
	r->stopped = done;
	r->stopped_arg = arg;
	for (struct instance *in = r->first; in; in = next) {
		next = in->next;
		stop_one(in, fs->opt.keep);
		if (in->anonymous)
			instance_end(in);
	}
	run_ended_one(r);
}

void run_free(struct fs *fs)
{
	struct run *r = fs->run;
	struct instance *next;

	if (!r)
		return;
	for (struct instance *in = r->first; in; in = next) {
		next = in->next;
		stream_fail_all(in, -EIO);
		pending_fail_all(in, -EIO);
		instance_release(in);
	}
	run_drop_handles(r);
	modes_free(r->modes);
	fs->run = NULL;
	if (r->ending) /* given up after a deadline: what still comes back from the pool needs it */
		return;
	if (r->dirfd >= 0)
		close(r->dirfd);
	free(r->dir);
	free(r);
}

struct modes_waiter {
	struct fs *fs;
	int mode; /* that is waited for */
	void (*known)(void *arg);
	void *arg;
};

static void mode_known(void *arg)
{
	struct modes_waiter *w = arg;

	if (++w->mode < MODE_COUNT) {
		modes_wait(w->fs->run->modes, w->mode, mode_known, w);
		return;
	}
	modes_look(w->fs->run->modes, w->known, w->arg);
	free(w);
}

void run_modes_wait(struct fs *fs, void (*known)(void *arg), void *arg)
{
	struct modes_waiter *w = xmalloc(sizeof(*w));

	*w = (struct modes_waiter){ .fs = fs, .known = known, .arg = arg };
	modes_wait(fs->run->modes, w->mode, mode_known, w);
}

void run_modes(struct fs *fs, struct buf *out)
{
	modes_text(fs->run->modes, out);
}

void run_status(struct fs *fs, struct buf *out)
{
	const struct fs_options *o = &fs->opt;
	unsigned all = 0, up;
	uint64_t memory;

	run_totals(fs->run, &memory, &up);
	for (const struct instance *in = fs->run->first; in; in = in->next)
		all++;
	buf_printf(out, "instances %u, running %u of %u\n", all, up, o->instances_max);
	buf_puts(out, "memory used ");
	conf_put_size(out, memory);
	buf_puts(out, " of ");
	conf_put_size(out, o->memory_max);
	buf_puts(out, ", free ");
	conf_put_size(out, o->memory_max > memory ? o->memory_max - memory : 0);
	buf_puts(out, "\n");
}
