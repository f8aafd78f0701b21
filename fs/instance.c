/* SPDX-License-Identifier: MIT */
/*
 * instance.c: the instances of a mount: made, found again after a restart, told apart by their states, ended.
 */
#include "fs/instance.h"

#include "cache/base/conf.h"
#include "cache/base/io.h"
#include "cache/base/seglog.h"
#include "deployers/deploy.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* --- names and lists --------------------------------------------------------------------------- */

bool instance_name_ok(const char *name)
{
	size_t n = strlen(name);

	if (!n || n > INSTANCE_NAME_MAX || strcmp(name, "new") == 0)
		return false;
	if (!isalnum((unsigned char)*name) && *name != '_')
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("_.-", *name))
			return false;
	return true;
}

struct instance *instance_find(struct run *r, const char *name)
{
	struct instance *in;

	for (in = r->first; in && strcmp(in->name, name) != 0; in = in->next)
		;
	return in;
}

struct instance *instance_by_serial(struct run *r, uint32_t serial)
{
	struct instance *in;

	for (in = r->first; in && in->serial != serial; in = in->next)
		;
	return in;
}

static void list_add(struct run *r, struct instance *in)
{
	in->next = NULL;
	if (r->last)
		r->last->next = in;
	else
		r->first = in;
	r->last = in;
}

static void list_remove(struct run *r, struct instance *in)
{
	struct instance **q = &r->first, *before = NULL;

	for (; *q != in; q = &(*q)->next)
		before = *q;
	*q = in->next;
	if (r->last == in)
		r->last = before;
}

/* --- life -------------------------------------------------------------------------------------- */

struct instance *instance_hold(struct instance *in)
{
	in->holds++;
	return in;
}

static void free_instance(struct instance *in)
{
	work_free(in);
	machine_free(in);
	edit_free(in);
	stream_free(in);
	workspace_free(in->src);
	workspace_free(in->images);
	config_free(&in->cfg);
	chosen_put(in->kernel);
	buf_free(&in->text);
	buf_free(&in->error);
	close(in->dirfd);
	free(in->dir);
	free(in);
}

/* A hold of one is the tree's, or that of what ends it. */
void instance_release(struct instance *in)
{
	if (--in->holds == 0)
		free_instance(in);
}

static struct instance *instance_new(struct run *r, const char *name, int dirfd)
{
	struct instance *in = xcalloc(1, sizeof(*in));

	in->run = r;
	in->fs = r->fs;
	in->holds = 1;
	snprintf(in->name, sizeof(in->name), "%s", name);
	in->serial = r->next_serial++;
	in->dirfd = dirfd;
	in->dir = xasprintf("%s/%s", r->dir, name);
	in->made_ns = in->changed_ns = in->config_ns = clock_real_ns();
	in->result = in->told = "new";
	in->machine.mode = -1;
	in->work.mode = -1;
	config_parse(&in->cfg, "", 0, NULL);
	in->src = workspace_new(r->fs, dirfd, "src", true);
	in->images = workspace_new(r->fs, dirfd, "images", false);
	workspace_set_removable(in->src, true);
	workspace_set_removable(in->images, true);
	return in;
}

static int open_dir(struct run *r, const char *name)
{
	int fd = openat(r->dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int make_dir(struct run *r, const char *name)
{
	int fd;

	if (mkdirat(r->dirfd, name, 0700) < 0)
		return -errno;
	fd = open_dir(r, name);
	if (fd >= 0 && mkdirat(fd, "src", 0755) < 0) {
		int err = -errno;

		close(fd);
		fd = err;
	}
	if (fd < 0)
		io_remove_tree(r->dirfd, name);
	return fd;
}

int instance_make(struct run *r, const char *name, struct instance **out)
{
	char made[INSTANCE_NAME_MAX + 1];
	struct instance *in;
	int fd;

	if (r->stopping)
		return -ESHUTDOWN;
	if (name && !instance_name_ok(name))
		return -EINVAL;
	if (name && instance_find(r, name))
		return -EEXIST;
	if (r->next_serial > NODE_A_MAX)
		return -ENOSPC;
	do {
		if (!name)
			snprintf(made, sizeof(made), "new-%x", ++r->next_anonymous);
		fd = make_dir(r, name ? name : made);
	} while (!name && fd == -EEXIST);
	if (fd < 0)
		return fd;
	in = instance_new(r, name ? name : made, fd);
	in->anonymous = !name;
	list_add(r, in);
	instance_save(in);
	*out = in;
	return 0;
}

/* --- the end ----------------------------------------------------------------------------------- */

static void all_ended(struct run *r);

struct removal {
	struct instance *in;
	char name[INSTANCE_NAME_MAX + 16];
	int err;
};

static void remove_run(void *arg)
{
	struct removal *x = arg;

	x->err = io_remove_tree(x->in->run->dirfd, x->name);
}

static void remove_done(void *arg)
{
	struct removal *x = arg;
	struct run *r = x->in->run;
	struct instance **q = &r->ending;

	if (x->err)
		log_error("%s/%s: cannot be removed: %s", r->dir, x->name, err_text(x->err));
	while (*q != x->in)
		q = &(*q)->next;
	*q = x->in->next;
	instance_release(x->in);
	free(x);
	all_ended(r);
}

/* The directory is renamed first, so that the name is free at once and a daemon that dies in the middle knows. */
static void remove_when_idle(struct instance *in)
{
	struct removal *x;

	if (in->removing || in->machine.dep || in->work.builder || in->work.active)
		return;
	in->removing = true;
	x = xcalloc(1, sizeof(*x));
	x->in = in;
	snprintf(x->name, sizeof(x->name), ".gone-%x", in->serial);
	if (renameat(in->run->dirfd, in->name, in->run->dirfd, x->name) < 0)
		snprintf(x->name, sizeof(x->name), "%s", in->name);
	pool_submit(in->fs->pool, remove_run, remove_done, x);
}

void instance_end(struct instance *in)
{
	struct run *r = in->run;

	if (in->gone)
		return;
	in->gone = true;
	list_remove(r, in);
	in->next = r->ending;
	r->ending = in;
	work_cancel(in);
	if (in->machine.up)
		machine_stop(in, true);
	else
		machine_dismiss(in);
	pending_fail_all(in, -ENODEV);
	stream_wake_all(in);
	remove_when_idle(in);
}

/* --- states ------------------------------------------------------------------------------------ */

const char *instance_state(const struct instance *in)
{
	if (in->machine.up)
		return in->machine.state;
	if (in->work.active)
		return in->work.step == WORK_LAUNCH || in->work.step == WORK_PROBE || in->work.step == WORK_CLEAR ? "launching"
														  : "building";
	return in->result;
}

bool instance_busy(const struct instance *in)
{
	return in->machine.up || in->work.active;
}

void instance_changed(struct instance *in)
{
	const char *state = instance_state(in);
	bool idle = !instance_busy(in);

	workspace_set_removable(in->src, idle);
	workspace_set_removable(in->images, idle);
	if (strcmp(in->told, state) != 0) {
		in->told = state;
		in->changed_ns = clock_real_ns();
		instance_event(in, "%s", state);
		if (idle)
			stream_wake_all(in);
	}
	if (in->gone)
		remove_when_idle(in);
	all_ended(in->run);
}

void instance_configure(struct instance *in, const struct buf *text, struct config *cfg, struct chosen *kernel)
{
	buf_clear(&in->text);
	buf_append(&in->text, text->data ? text->data : "", text->len);
	config_free(&in->cfg);
	in->cfg = *cfg;
	*cfg = (struct config){ .mode = -1 };
	chosen_put(in->kernel);
	in->kernel = kernel;
	snprintf(in->pin, sizeof(in->pin), "%s", kernel ? view_digest(kernel->view) : "");
	in->config_ns = clock_real_ns();
	in->result = !kernel ? "new" : "configured";
	if (!in->anonymous && io_write_file(in->dirfd, "config", in->text.data, in->text.len, 0600, false))
		log_error("%s: config cannot be kept in %s", in->name, in->dir);
	instance_save(in);
	work_config_changed(in);
	instance_changed(in);
}

/* --- what it tells ----------------------------------------------------------------------------- */

void instance_event(struct instance *in, const char *fmt, ...)
{
	autobuf struct buf line = { 0 };
	uint64_t now = clock_real_ns();
	time_t s = (time_t)(now / 1000000000);
	struct tm tm;
	char when[32];
	va_list ap;

	gmtime_r(&s, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	buf_printf(&line, "%s.%03uZ ", when, (unsigned)(now / 1000000 % 1000));
	va_start(ap, fmt);
	buf_vprintf(&line, fmt, ap);
	va_end(ap);
	for (size_t i = 0; i < line.len; i++)
		if (line.data[i] == '\n')
			line.data[i] = ' ';
	stream_event(in, line.data, line.len);
}

int instance_error(struct instance *in, int err, const char *words)
{
	buf_clear(&in->error);
	buf_printf(&in->error, "%s\n", words);
	log_warn("%s: %s", in->name, words);
	instance_event(in, "error %s", words);
	return err;
}

void instance_error_clear(struct instance *in)
{
	buf_clear(&in->error);
}

void instance_mark(struct instance *in, const char *name, uint64_t begin_ns, uint64_t end_ns)
{
	struct mark *m;

	if (in->nmarks == INSTANCE_MARKS)
		return;
	m = &in->marks[in->nmarks++];
	snprintf(m->name, sizeof(m->name), "%s", name);
	m->begin_ns = begin_ns;
	m->end_ns = end_ns;
}

void instance_marks_clear(struct instance *in)
{
	in->nmarks = 0;
}

void run_totals(const struct run *r, uint64_t *memory, unsigned *count)
{
	*memory = 0;
	*count = 0;
	for (int ending = 0; ending < 2; ending++)
		for (const struct instance *in = ending ? r->ending : r->first; in; in = in->next) {
			if (!in->machine.up)
				continue;
			*memory += in->machine.memory;
			++*count;
		}
}

/* --- on disk ----------------------------------------------------------------------------------- */

void instance_save(struct instance *in)
{
	const struct work *w = &in->work;
	autobuf struct buf b = { 0 };
	int err;

	if (in->removing)
		return;
	conf_put(&b, "anonymous", in->anonymous ? "yes" : "no");
	conf_put(&b, "pin", in->pin);
	conf_put(&b, "built", w->built);
	conf_put(&b, "sources_from", w->sources_from);
	conf_put(&b, "template_from", w->template_from);
	conf_putf(&b, "template_hash", "%llu", (unsigned long long)w->template_hash);
	conf_putf(&b, "made", "%llu", (unsigned long long)in->made_ns);
	err = io_write_file(in->dirfd, "meta", b.data, b.len, 0600, false);
	if (err)
		log_error("%s: cannot write its state in %s: %s", in->name, in->dir, err_text(err));
}

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
	else if (strcmp(key, "template_from") == 0)
		snprintf(w->template_from, sizeof(w->template_from), "%s", value);
	else if (strcmp(key, "template_hash") == 0)
		conf_number(key, value, 0, UINT64_MAX, &w->template_hash, NULL);
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

static void load(struct run *r, const char *name)
{
	autobuf struct buf meta = { 0 };
	int fd = open_dir(r, name);
	struct instance *in;

	if (fd < 0) {
		log_error("%s/%s: %s", r->dir, name, err_text(fd));
		return;
	}
	in = instance_new(r, name, fd);
	if (io_read_file(fd, "meta", 65536, &meta) == 0)
		conf_parse(meta.data, meta.len, take_meta, in, NULL);
	list_add(r, in);
	load_config(in);
	in->result = in->cfg.kernel ? *in->work.built ? "built" : "configured" : "new";
	end_old_build(in);
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
		return why_fail_errno(why, err ? err : -errno, "cannot make instances/ in the state directory %s",
			fs->opt.state_dir);
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

static void all_ended(struct run *r)
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
	all_ended(r);
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
	modes_free(r->modes);
	fs->run = NULL;
	if (r->ending) /* given up after a deadline: what still comes back from the pool needs it */
		return;
	if (r->dirfd >= 0)
		close(r->dirfd);
	free(r->dir);
	free(r);
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
