/* SPDX-License-Identifier: MIT */
/*
 * build.c: a build of an instance: the kernel's sources are checked out once, then diverfs-build runs the
 * command in its sandbox, and what it left in $OUT becomes images/. It has a directory of its own, build/,
 * because a machine may run beside it.
 */
#include "cache/base/conf.h"
#include "cache/base/io.h"
#include "deployers/deploy.h"
#include "fs/difference.h"
#include "fs/work_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUILD_TIMEOUT_S 600u
#define BUILD_MEMORY	(4ull << 30)
#define BUILD_DISK	(2ull << 30)
#define BUILD_PROCS	512u

struct building {
	struct instance *in;
	struct chosen *kernel;
	char *command, *source;
	char sources[WORK_SOURCE_MAX]; /* what sources_from becomes */
	bool changed;		       /* in kernel/ */
	char **images;		       /* that must be there afterwards */
};

static char **copy_list(const char *const *from)
{
	size_t n = 0;
	char **to;

	while (from[n])
		n++;
	to = xcalloc(n + 1, sizeof(*to));
	for (size_t i = 0; i < n; i++)
		to[i] = xstrdup(from[i]);
	return to;
}

static void building_free(struct building *b)
{
	for (char **p = b->images; p && *p; p++)
		free(*p);
	free(b->images);
	free(b->command);
	free(b->source);
	chosen_put(b->kernel);
	instance_release(b->in);
	free(b);
}

static void building_end(struct building *b, int err, const struct why *why)
{
	struct instance *in = instance_hold(b->in);

	in->work.building = NULL;
	building_free(b);
	work_step_done(in, err, why, "build");
	instance_release(in);
}

/* --- what it made ------------------------------------------------------------------------------ */

static void take_run(struct work_job *j)
{
	for (char **p = j->images; *p; p++) {
		autofree char *made = xasprintf("build/out/%s", strncmp(*p, "images/", 7) ? *p : *p + 7);
		struct stat st;

		if (fstatat(j->dirfd, made, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			continue;
		j->err = why_fail(&j->why, -EIO,
			"the build ended well but did not make %s: its command must put it into $OUT", *p);
		return;
	}
	j->err = images_replace(j->dirfd, "build/out", "images", &j->why);
}

static void take_done(struct instance *in, struct work_job *j)
{
	workspace_reset(in->images);
	if (!j->err) {
		snprintf(in->work.built, sizeof(in->work.built), "%s", j->source);
		in->work.force = false;
		instance_save(in);
		instance_event(in, "built");
	}
	building_end(in->work.building, j->err, &j->why);
}

static void take_result(struct instance *in)
{
	struct building *b = in->work.building;
	struct work_job *j = work_job_new(in);

	j->source = xstrdup(b->source);
	j->images = copy_list((const char *const *)b->images);
	in->work.built[0] = '\0';
	instance_save(in);
	work_job_submit(j, take_run, take_done);
}

/* --- the sandbox ------------------------------------------------------------------------------- */

static void on_exit_frame(struct instance *in, const void *text, size_t len)
{
	struct work *w = &in->work;
	struct ending e = { 0 };

	w->build_ended = true;
	ending_parse(&e, text, len);
	w->build_ok = !e.failed && e.status == 0;
	if (!w->build_ok)
		why_fail(&w->build_why, e.err ? e.err : -EIO, "%s",
			e.error ? e.error : "the build failed (see build.log)");
	ending_clear(&e);
	deployer_send(w->builder, FRAME_BYE, 0, 0, NULL, 0);
	deployer_spare(w->builder);
	deployer_kill_after(w->builder, 3000);
}

static void on_frame(struct instance *in, const struct frame *f, const void *payload)
{
	struct deploy_hello h;

	switch (f->type) {
	case FRAME_HELLO:
		memcpy(&h, payload, sizeof(h));
		stream_build_log(in, h.console_end);
		break;
	case FRAME_CONSOLE:
		stream_build_log(in, f->offset);
		break;
	case FRAME_EXIT:
		on_exit_frame(in, payload, f->size);
		break;
	default:
		break;
	}
}

static void on_gone(struct instance *in, bool clean, const char *how)
{
	struct work *w = &in->work;

	(void)clean;
	w->builder = NULL;
	if (!w->build_ended)
		why_fail(&w->build_why, -EIO, "the build was lost: %s (see deployer.log in %s/build)", how,
			in->dir);
	if (w->build_ended && w->build_ok)
		take_result(in);
	else
		building_end(w->building, w->build_why.err, &w->build_why);
}

static const struct deployer_events build_events = { on_frame, on_gone };

static void put_tools(struct buf *plan, const char *tools)
{
	for (const char *p = tools; *(p += strspn(p, " \t"));) {
		size_t n = strcspn(p, " \t");

		conf_putf(plan, PLAN_TOOL, "%.*s", (int)n, p);
		p += n;
	}
}

static void make_plan(const struct building *b, struct buf *plan)
{
	const struct instance *in = b->in;

	conf_put(plan, PLAN_NAME, in->name);
	conf_put(plan, PLAN_BUILD, b->command);
	conf_putf(plan, PLAN_KERNEL, "%s/kernel", in->dir);
	/* With exec the application is a Linux program, src/ its files, and the kernel is built with its template. */
	if (in->cfg.exec)
		conf_putf(plan, PLAN_APP, "%s/kernel/%s", in->dir, b->kernel->conf.template_dir);
	else
		conf_putf(plan, PLAN_APP, "%s/src", in->dir);
	conf_putf(plan, PLAN_OUT, "%s/build/out", in->dir);
	put_tools(plan, b->kernel->conf.tools);
	conf_put(plan, PLAN_BWRAP, in->fs->opt.bwrap);
	conf_putf(plan, PLAN_TIMEOUT, "%u", BUILD_TIMEOUT_S);
	conf_putf(plan, PLAN_LIMIT_MEMORY, "%llu", BUILD_MEMORY);
	conf_putf(plan, PLAN_LIMIT_DISK, "%llu", BUILD_DISK);
	conf_putf(plan, PLAN_LIMIT_PROCS, "%u", BUILD_PROCS);
}

static void prepare_run(struct work_job *j)
{
	j->err = io_remove_tree(j->dirfd, "build");
	if (!j->err)
		j->err = io_mkdirs(j->dirfd, "build/out", 0700);
	if (!j->err)
		j->err = io_mkdirs(j->dirfd, "src", 0755);
	if (!j->err) /* in note: the plan */
		j->err = io_write_file(j->dirfd, "build/plan", j->note, strlen(j->note), 0600, false);
	if (j->err)
		why_fail_errno(&j->why, j->err, "cannot make the directory build/");
}

static void prepared(struct instance *in, struct work_job *j)
{
	struct work *w = &in->work;
	autofree char *dir = xasprintf("%s/build", in->dir);

	in->streams.build_log.epoch++;
	in->streams.build_log.end = 0;
	in->gen[RUN_BUILD_LOG]++;
	stream_wake(in, RUN_BUILD_LOG);
	w->build_ended = w->build_ok = false;
	why_clear(&w->build_why);
	if (!j->err && !w->cancelled && !w->again && !in->gone)
		j->err = deployer_start(in, "diverfs-build", dir, &build_events, &w->builder, &j->why);
	if (!w->builder)
		building_end(w->building, j->err, &j->why);
}

static void start_sandbox(struct instance *in)
{
	struct work_job *j = work_job_new(in);
	autobuf struct buf plan = { 0 };

	make_plan(in->work.building, &plan);
	j->note = buf_steal(&plan);
	work_job_submit(j, prepare_run, prepared);
}

/* --- the kernel's sources ---------------------------------------------------------------------- */

static void sources_placed(struct instance *in, struct work_job *j)
{
	if (j->err) {
		building_end(in->work.building, j->err, &j->why);
		return;
	}
	snprintf(in->work.sources_from, sizeof(in->work.sources_from), "%s", in->work.building->sources);
	instance_save(in);
	start_sandbox(in);
}

/* The checkout is of the registry's sources: what was changed is another tree, made of it. */
static int take_changes(struct work_job *j)
{
	int err = difference_apply(j->base, j->view, j->root, j->dirfd, "kernel.lower", "kernel.new");

	if (err)
		return why_fail_errno(
			&j->why, err, "cannot put what was changed in kernel/ into the sources");
	return io_remove_tree(j->dirfd, "kernel.lower");
}

static void place_sources(struct work_job *j)
{
	if (j->view)
		j->err = take_changes(j);
	if (!j->err && renameat(j->dirfd, "kernel.new", j->dirfd, "kernel") < 0)
		j->err = why_fail_errno(&j->why, -errno, "cannot put the kernel's sources in place");
}

static void sources_here(void *arg, int err, const struct why *why)
{
	struct building *b = arg;
	struct work_job *j;
	struct why other;

	if (err) {
		building_end(b, err, why);
		return;
	}
	if (b->changed && strcmp(b->in->kernel_dir_of, view_digest(b->kernel->view)) != 0) {
		why_fail(&other, -ESTALE, "another kernel was chosen meanwhile");
		building_end(b, other.err, &other);
		return;
	}
	j = work_job_new(b->in);
	if (b->changed)
		work_job_kernel(j);
	work_job_submit(j, place_sources, sources_placed);
}

static void sources_cleared(struct instance *in, struct work_job *j)
{
	struct building *b = in->work.building;
	struct entry e;

	if (!j->err)
		j->err = view_path(b->kernel->view, "src", &e);
	if (j->err) {
		why_fail_errno(&j->why, j->err, "cannot check out the sources of %s", b->kernel->text);
		building_end(b, j->err, &j->why);
		return;
	}
	view_checkout(b->kernel->view, e.index, in->dirfd, b->changed ? "kernel.lower" : "kernel.new",
		sources_here, b);
}

static void clear_sources(struct work_job *j)
{
	static const char *const old[] = { "kernel.lower", "kernel.new", "kernel" };

	for (size_t i = 0; i < sizeof(old) / sizeof(old[0]) && !j->err; i++)
		j->err = io_remove_tree(j->dirfd, old[i]);
}

void begin_build(struct instance *in, const struct settings *s, const char *source)
{
	struct building *b = xcalloc(1, sizeof(*b));
	const char *images[IMAGES_MAX + 1];

	b->in = instance_hold(in);
	b->kernel = chosen_get(in->kernel);
	b->command = xstrdup(s->build);
	b->source = xstrdup(source);
	images_wanted(&b->kernel->conf, images);
	b->images = copy_list(images);
	b->changed = in->work.kernel_hash;
	snprintf(b->sources, sizeof(b->sources), b->changed ? "%s %llx" : "%s", view_digest(b->kernel->view),
		(unsigned long long)in->work.kernel_hash);
	in->work.building = b;
	work_step_begin(in, WORK_BUILD);
	if (strcmp(in->work.sources_from, b->sources) == 0) {
		start_sandbox(in);
		return;
	}
	in->work.sources_from[0] = '\0';
	work_job_submit(work_job_new(in), clear_sources, sources_cleared);
}
