/* SPDX-License-Identifier: MIT */
/*
 * instance.c: the instances of a mount: made, found again after a restart, told apart by their states, ended.
 */
#include "fs/instance.h"

#include "cache/base/conf.h"
#include "cache/base/io.h"
#include "fs/kernel_dir.h"

#include <ctype.h>
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
	workspace_free(in->out);
	delegate_free(in);
	kernel_dir_free(in);
	config_free(&in->cfg);
	chosen_put(in->kernel);
	buf_free(&in->text);
	buf_free(&in->error);
	free(in->published);
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

struct instance *instance_new(struct run *r, const char *name, int dirfd)
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
	in->out = workspace_new(r->fs, dirfd, "out", false);
	workspace_set_removable(in->src, true);
	workspace_set_removable(in->images, true);
	workspace_set_removable(in->out, true);
	list_add(r, in);
	return in;
}

int instance_open_dir(struct run *r, const char *name)
{
	int fd = openat(r->dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int make_dir(struct run *r, const char *name)
{
	int fd;

	if (mkdirat(r->dirfd, name, 0700) < 0)
		return -errno;
	fd = instance_open_dir(r, name);
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
	instance_save(in);
	*out = in;
	return 0;
}

/* --- the end ----------------------------------------------------------------------------------- */

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
	run_ended_one(r);
}

/* So that the name is free at once, although a deployer may still be on its way out; and a daemon that dies in the
 * middle knows. */
static void set_aside(struct instance *in)
{
	snprintf(in->aside, sizeof(in->aside), ".gone-%x", in->serial);
	if (renameat(in->run->dirfd, in->name, in->run->dirfd, in->aside) < 0)
		snprintf(in->aside, sizeof(in->aside), "%s", in->name);
}

static void remove_when_idle(struct instance *in)
{
	struct removal *x;

	if (in->removing || in->machine.dep || in->work.builder || in->work.active)
		return;
	in->removing = true;
	x = xcalloc(1, sizeof(*x));
	x->in = in;
	snprintf(x->name, sizeof(x->name), "%s", in->aside);
	pool_submit(in->fs->pool, remove_run, remove_done, x);
}

void instance_end(struct instance *in)
{
	struct run *r = in->run;

	if (in->gone)
		return;
	in->gone = true;
	set_aside(in);
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
	if (in->work.active && in->work.step == WORK_PUBLISH)
		return "publishing";
	if (in->work.active)
		return in->work.step == WORK_LAUNCH || in->work.step == WORK_PROBE ||
				       in->work.step == WORK_ROS || in->work.step == WORK_CLEAR
			       ? "launching"
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
	workspace_set_removable(in->out, idle);
	if (in->kernel_dir)
		workspace_set_removable(in->kernel_dir, idle);
	if (strcmp(in->told, state) != 0) {
		in->told = state;
		in->changed_ns = clock_real_ns();
		instance_event(in, "%s", state);
		if (idle)
			stream_wake_all(in);
	}
	if (in->gone)
		remove_when_idle(in);
	run_ended_one(in->run);
}

void instance_configure(
	struct instance *in, const struct buf *text, struct config *cfg, struct chosen *kernel)
{
	buf_clear(&in->text);
	buf_append(&in->text, text->data ? text->data : "", text->len);
	config_free(&in->cfg);
	in->cfg = *cfg;
	*cfg = (struct config){ .mode = -1 };
	chosen_put(in->kernel);
	in->kernel = kernel;
	snprintf(in->pin, sizeof(in->pin), "%s", kernel ? view_digest(kernel->view) : "");
	kernel_dir_set(in);
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
	conf_put(&b, "ros_from", w->ros_from);
	conf_put(&b, "template_from", w->template_from);
	if (in->published)
		conf_put(&b, "published", in->published);
	conf_putf(&b, "template_hash", "%llu", (unsigned long long)w->template_hash);
	conf_putf(&b, "made", "%llu", (unsigned long long)in->made_ns);
	err = io_write_file(in->dirfd, "meta", b.data, b.len, 0600, false);
	if (err)
		log_error("%s: cannot write its state in %s: %s", in->name, in->dir, err_text(err));
}
