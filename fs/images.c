/* SPDX-License-Identifier: MIT */
/*
 * images.c: what a kernel brings along: its images, used as they are while nothing was changed, and the
 * template of its applications, which fills src/. Both are made beside the old and take its place by a
 * rename.
 */
#include "cache/base/io.h"
#include "cache/base/seglog.h"
#include "fs/difference.h"
#include "fs/fingerprint.h"
#include "fs/work_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUILD_LOG_MAX (16u << 20)
#define IMAGES_PREFIX "images/"

/* --- src/ -------------------------------------------------------------------------------------- */

static void scan_run(struct work_job *j)
{
	j->err = fingerprint_tree(j->dirfd, "src", &j->hash, &j->empty);
	if (j->err)
		why_fail_errno(&j->why, j->err, "cannot read src/");
	if (!j->err && j->view) {
		j->err = difference_scan(j->base, j->view, j->root, &j->kernel_hash);
		if (j->err)
			why_fail_errno(&j->why, j->err, "cannot read kernel/");
	}
}

static void take_scan(struct work *w, const struct work_job *j)
{
	w->scanned = !j->err;
	if (j->err)
		return;
	w->scanned_at = j->changes;
	w->src_hash = j->hash;
	w->src_empty = j->empty;
	w->kernel_hash = j->kernel_hash;
}

static void scan_done(struct instance *in, struct work_job *j)
{
	take_scan(&in->work, j);
	work_step_done(in, j->err, &j->why, NULL);
}

void begin_scan(struct instance *in)
{
	struct work_job *j = work_job_new(in);

	j->changes = work_changes(in);
	work_job_kernel(j);
	work_step_begin(in, WORK_SCAN);
	work_job_submit(j, scan_run, scan_done);
}

/* (to) is there at every moment, if it was: what is in the way changes places with the new one first. */
static int rename_over(int dirfd, const char *from, const char *to, struct why *why)
{
	int err;

	if (renameat2(dirfd, from, dirfd, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EEXIST || renameat2(dirfd, from, dirfd, to, RENAME_EXCHANGE) < 0)
		return why_fail_errno(why, -errno, "cannot put %s/ in place", to);
	err = io_remove_tree(dirfd, from);
	return err ? why_fail_errno(why, err, "cannot remove the old %s/", to) : 0;
}

static void fill_run(struct work_job *j)
{
	j->err = rename_over(j->dirfd, "src.new", "src", &j->why);
	if (!j->err)
		scan_run(j);
}

static void fill_done(struct instance *in, struct work_job *j)
{
	struct work *w = &in->work;

	w->fill = false;
	workspace_reset(in->src);
	j->changes = work_changes(in);
	if (!j->err) {
		w->template_hash = j->hash;
		snprintf(w->template_from, sizeof(w->template_from), "%s", j->source);
		instance_save(in);
		instance_event(in, "src filled from the template of %s",
			in->kernel ? in->kernel->text : "the kernel");
	}
	take_scan(w, j);
	work_step_done(in, j->err, &j->why, "fetch");
}

static void fill_checked_out(void *arg, int err, const struct why *why)
{
	struct work_job *j = arg;

	if (!err) {
		work_job_kernel(j);
		work_job_submit(j, fill_run, fill_done);
		return;
	}
	j->err = err;
	if (why)
		j->why = *why;
	work_job_submit(j, NULL, fill_done);
}

static void fill_ready(struct instance *in, struct work_job *j)
{
	struct work_job *next;
	struct entry e;
	autofree char *path = NULL;

	if (j->err || in->gone || !in->kernel || in->work.again) {
		work_step_done(in, j->err, &j->why, NULL);
		return;
	}
	path = xasprintf("src/%s", in->kernel->conf.template_dir);
	j->err = view_path(in->kernel->view, path, &e);
	if (!j->err && e.type != ENTRY_DIR)
		j->err = -ENOTDIR;
	if (j->err) {
		why_fail_errno(&j->why, j->err, "%s: its template %s", in->kernel->text, path);
		work_step_done(in, j->err, &j->why, NULL);
		return;
	}
	next = work_job_new(in);
	next->source = xstrdup(view_digest(in->kernel->view));
	view_checkout(in->kernel->view, e.index, in->dirfd, "src.new", fill_checked_out, next);
}

static void remove_src_new(struct work_job *j)
{
	j->err = io_remove_tree(j->dirfd, "src.new");
	if (j->err)
		why_fail_errno(&j->why, j->err, "cannot remove src.new");
}

void begin_fill(struct instance *in)
{
	work_step_begin(in, WORK_FILL);
	work_job_submit(work_job_new(in), remove_src_new, fill_ready);
}

/* --- images/ ----------------------------------------------------------------------------------- */

static void add_once(const char *out[IMAGES_MAX + 1], const char *path)
{
	size_t n = 0;

	if (!path || !*path)
		return;
	for (; out[n]; n++)
		if (strcmp(out[n], path) == 0)
			return;
	out[n] = path;
	out[n + 1] = NULL;
}

void images_wanted(const struct kernel_conf *k, const char *out[IMAGES_MAX + 1])
{
	out[0] = NULL;
	for (int m = 0; m < MODE_COUNT; m++) {
		if (!k->launch[m].supported)
			continue;
		add_once(out, k->launch[m].image);
		add_once(out, k->launch[m].initrd);
	}
}

int images_replace(int dirfd, const char *from, const char *to, struct why *why)
{
	return rename_over(dirfd, from, to, why);
}

struct exporting {
	struct instance *in;
	struct chosen *kernel;
	const char *paths[IMAGES_MAX + 1]; /* into kernel's conf */
	unsigned next;
	const char *to;
	exported_fn *done;
};

static void exporting_end(struct exporting *x, int err, const struct why *why)
{
	struct instance *in = x->in;

	x->done(in, x->kernel, err, why);
	chosen_put(x->kernel);
	free(x);
	instance_release(in);
}

/* One line tells who looks into build.log why nothing was built. */
static void write_note(struct work_job *j)
{
	autoclose int dir = -1;
	struct seglog *log;

	if (!j->note || io_mkdirs(j->dirfd, "build", 0700))
		return;
	dir = openat(j->dirfd, "build", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return;
	seglog_remove(dir, "build.log");
	if (seglog_create(dir, "build.log", BUILD_LOG_MAX, &log))
		return;
	seglog_append(log, j->note, strlen(j->note));
	seglog_close(log);
}

static void export_rename(struct work_job *j)
{
	j->err = images_replace(j->dirfd, "images.new", "images", &j->why);
	if (!j->err)
		write_note(j);
}

static void export_renamed(struct instance *in, struct work_job *j)
{
	struct streams *s = &in->streams;

	workspace_reset(in->images);
	if (!j->err) {
		snprintf(in->work.built, sizeof(in->work.built), "%s", j->source);
		instance_save(in);
	}
	if (!j->err && j->note) {
		s->build_log.epoch++;
		s->build_log.end = strlen(j->note);
		in->gen[RUN_BUILD_LOG]++;
		stream_wake(in, RUN_BUILD_LOG);
	}
	work_step_done(in, j->err, &j->why, "fetch");
}

static void images_exported(struct instance *in, struct chosen *kernel, int err, const struct why *why)
{
	struct work_job *j;

	if (err) {
		work_step_done(in, err, why, "fetch");
		return;
	}
	j = work_job_new(in);
	j->source = xasprintf("kernel %s", view_digest(kernel->view));
	if (!in->anonymous)
		j->note = xasprintf(
			"nothing was changed: the images of %s are used as they are\n", kernel->text);
	in->work.built[0] = '\0'; /* a daemon that dies in the middle must not believe what images/ was */
	instance_save(in);
	work_job_submit(j, export_rename, export_renamed);
}

static void export_next(struct exporting *x);

static void exported(void *arg, int err, const struct why *why)
{
	struct exporting *x = arg;

	if (err) {
		exporting_end(x, err, why);
		return;
	}
	x->next++;
	export_next(x);
}

/* The directory of (to) in which (path), "images/a/b.elf", goes; made if need be. */
static int export_dir(struct instance *in, const char *to, const char *path, const char **name)
{
	const char *rest = path + strlen(IMAGES_PREFIX), *slash = strrchr(rest, '/');
	autofree char *dir = NULL;
	int err, fd;

	*name = slash ? slash + 1 : rest;
	dir = slash ? xasprintf("%s/%.*s", to, (int)(slash - rest), rest) : xstrdup(to);
	err = io_mkdirs(in->dirfd, dir, 0755);
	if (err)
		return err;
	fd = openat(in->dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static void export_next(struct exporting *x)
{
	const char *path = x->paths[x->next], *name;
	struct why why = { 0 };
	struct entry e;
	autoclose int dir = -1;
	int err;

	if (!path) {
		exporting_end(x, 0, NULL);
		return;
	}
	err = view_path(x->kernel->view, path, &e); /* also checks each component */
	if (!err && (e.type != ENTRY_FILE || strncmp(path, IMAGES_PREFIX, strlen(IMAGES_PREFIX))))
		err = -EBADMSG;
	if (err) {
		why_fail_errno(&why, err, "%s: its image %s", x->kernel->text, path);
		exporting_end(x, err, &why);
		return;
	}
	dir = export_dir(x->in, x->to, path, &name);
	if (dir < 0) {
		why_fail_errno(&why, dir, "cannot make %s in %s", x->to, x->in->dir);
		exporting_end(x, dir, &why);
		return;
	}
	view_export(x->kernel->view, e.index, dir, name, exported, x);
}

void export_begin(struct instance *in, struct chosen *kernel, const char *to,
	void (*wanted)(const struct kernel_conf *k, const char *out[]), exported_fn *done)
{
	struct exporting *x = xcalloc(1, sizeof(*x));

	x->in = instance_hold(in);
	x->kernel = chosen_get(kernel);
	x->to = to;
	x->done = done;
	wanted(&x->kernel->conf, x->paths);
	export_next(x);
}

static void images_cleared(struct instance *in, struct work_job *j)
{
	if (j->err || in->gone || !in->kernel || in->work.again)
		work_step_done(in, j->err, &j->why, NULL);
	else
		export_begin(in, in->kernel, "images.new", images_wanted, images_exported);
}

void export_clear(struct work_job *j, const char *to)
{
	j->err = io_remove_tree(j->dirfd, to);
	if (!j->err)
		j->err = io_mkdirs(j->dirfd, to, 0755);
	if (j->err)
		why_fail_errno(&j->why, j->err, "cannot make %s", to);
}

static void clear_images_new(struct work_job *j)
{
	export_clear(j, "images.new");
}

void begin_images(struct instance *in)
{
	work_step_begin(in, WORK_IMAGES);
	work_job_submit(work_job_new(in), clear_images_new, images_cleared);
}
