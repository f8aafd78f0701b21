/* SPDX-License-Identifier: MIT */
/*
 * work.c: the order of the steps. After each one work_next looks at all facts anew; so a config that changes
 * in the middle, a cancelled launch or a step that was done earlier need no roads of their own.
 */
#include "fs/work.h"

#include "cache/base/conf.h"
#include "cache/base/io.h"
#include "fs/fingerprint.h"
#include "fs/kernel_dir.h"
#include "fs/publish.h"
#include "fs/work_inner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LAUNCH_MS     600000 /* a deployer bounds its own steps; this is for one that hangs */
#define KILL_BUILD_MS 3000

static void work_next(struct instance *in);

/* --- the end ----------------------------------------------------------------------------------- */

static void deploy_over(struct instance *in, int err)
{
	struct chosen *k = in->work.deploying;

	if (!k)
		return;
	view_deployed(k->view, !err && !in->work.cancelled);
	chosen_put(k);
	in->work.deploying = NULL;
}

static bool same_content(const struct view *a, const struct view *b)
{
	return strcmp(view_digest(a), view_digest(b)) == 0 && view_is_brief(a) == view_is_brief(b);
}

/* The cache is told, so that it can fetch at once what the last deploy has read. To a deploy belongs all that is done with the
 * kernel until it is launched: images are fetched when config says which. */
static void deploy_begins(struct instance *in)
{
	const struct chosen *k = in->work.deploying;

	if (k && same_content(k->view, in->kernel->view))
		return;
	deploy_over(in, -ECANCELED);
	in->work.deploying = chosen_get(in->kernel);
	view_deploy(in->kernel->view);
}

static void work_end(struct instance *in, int err, const struct why *why)
{
	struct work *w = &in->work;
	bool cancelled = w->cancelled, launch = w->launch;

	timer_cancel(w->deadline);
	w->deadline = NULL;
	if (launch && !err)
		deploy_over(in, 0);
	chosen_put(w->ros);
	w->ros = NULL;
	w->active = w->launch = w->force = w->fill = w->again = w->cancelled = w->probed = false;
	workspace_thaw(in->src);
	w->step = WORK_IDLE;
	if (cancelled) {
		err = -EINTR;
		in->result = *w->built ? "built" : "configured";
		instance_error(in, err, "cancelled");
	} else if (err) {
		in->result = "failed";
		instance_error(in, err, why->text);
	} else if (!launch) {
		in->result = "built";
	}
	instance_changed(in);
	if (err)
		stream_launch_failed(in);
	else
		stream_wake_all(in);
	pending_answer(in, PENDING_BUILD, 0, err);
	pending_answer(in, PENDING_DEPLOY, 0, err);
	publish_work_ended(in, err);
	if (!instance_busy(in))
		pending_answer(in, PENDING_STOP, 0, 0);
}

void work_step_begin(struct instance *in, enum work_step step)
{
	in->work.step = step;
	in->work.begun_ns = clock_real_ns();
	instance_changed(in);
}

void work_step_done(struct instance *in, int err, const struct why *why, const char *mark)
{
	struct work *w = &in->work;

	w->step = WORK_IDLE;
	if (!w->active)
		return;
	if (mark && !err)
		instance_mark(in, mark, w->begun_ns, clock_real_ns());
	if (err && !w->again)
		work_end(in, err, why);
	else
		work_next(in);
}

/* --- jobs -------------------------------------------------------------------------------------- */

static void job_run(void *arg)
{
	struct work_job *j = arg;

	if (j->run)
		j->run(j);
}

static void job_done(void *arg)
{
	struct work_job *j = arg;
	struct instance *in = j->in;

	j->done(in, j);
	free(j->source);
	free(j->note);
	for (char **p = j->images; p && *p; p++)
		free(*p);
	free(j->images);
	view_put(j->view);
	if (j->base >= 0)
		close(j->base);
	free(j);
	instance_release(in);
}

struct work_job *work_job_new(struct instance *in)
{
	struct work_job *j = xcalloc(1, sizeof(*j));

	j->in = instance_hold(in);
	j->dirfd = in->dirfd;
	j->base = -1;
	return j;
}

void work_job_kernel(struct work_job *j)
{
	if (kernel_dir_source(j->in, &j->base, &j->root) == 0)
		j->view = view_get(j->in->kernel->view);
}

void work_job_submit(struct work_job *j, void (*run)(struct work_job *j),
	void (*done)(struct instance *in, struct work_job *j))
{
	j->run = run;
	j->done = done;
	pool_submit(j->in->fs->pool, job_run, job_done, j);
}

/* --- steps that belong here -------------------------------------------------------------------- */

static void kernel_found(void *arg, int err, const struct why *why, struct chosen *k)
{
	struct instance *in = arg;

	if (!err && (!in->kernel || view_is_brief(in->kernel->view)) && !in->work.again) {
		chosen_put(in->kernel);
		in->kernel = chosen_get(k);
	}
	chosen_put(k);
	work_step_done(in, err, why, NULL);
	instance_release(in);
}

/* After a restart: else config brought it along; or all of one of which there is only what a launch needs. The digest of
 * then, so that it is the same kernel. */
static void begin_kernel(struct instance *in)
{
	work_step_begin(in, WORK_KERNEL);
	chosen_find(in->fs->cache, in->cfg.kernel, *in->pin ? in->pin : in->cfg.reference, false, kernel_found,
		instance_hold(in));
}

static void probed(void *arg)
{
	struct instance *in = arg;

	if (in->work.active && in->work.step == WORK_PROBE) {
		in->work.probed = true;
		work_step_done(in, 0, NULL, NULL);
	}
	instance_release(in);
}

static void begin_probe(struct instance *in, int mode)
{
	work_step_begin(in, WORK_PROBE);
	modes_wait(in->run->modes, mode, probed, instance_hold(in));
}

static void launch_late(void *arg)
{
	struct instance *in = arg;
	struct why why;

	in->work.deadline = NULL;
	why_fail(&why, -ETIMEDOUT, "the deployer did not bring the machine to run within %d s",
		LAUNCH_MS / 1000);
	machine_stop(in, true);
	work_end(in, why.err, &why);
}

static void begin_launch(struct instance *in, const struct settings *s)
{
	struct why why = { 0 };
	const char *accel;
	int err = modes_accel(in->run->modes, s->mode, s->accel, &accel, &why);

	if (!err && strcmp(in->kernel->conf.arch, "x86_64") != 0)
		err = why_fail(&why, -ENOEXEC, "%s is for %s; this host can launch x86_64 kernels only",
			in->kernel->text, in->kernel->conf.arch);
	if (!err) {
		work_step_begin(in, WORK_LAUNCH);
		err = machine_launch(in, s, accel, &why);
	}
	if (err) {
		work_end(in, err, &why);
		return;
	}
	in->work.deadline = loop_after(in->fs->loop, LAUNCH_MS, launch_late, in);
	instance_changed(in);
}

void work_launched(struct instance *in, int err, const struct why *why)
{
	if (in->work.active && in->work.step == WORK_LAUNCH) {
		workspace_reset(in->out);
		work_end(in, err, why);
	}
}

void work_machine_gone(struct instance *in)
{
	if (in->work.active && in->work.step == WORK_CLEAR)
		work_step_done(in, 0, NULL, NULL);
}

/* --- the order --------------------------------------------------------------------------------- */

uint64_t work_changes(const struct instance *in)
{
	return workspace_changes(in->src) + (in->kernel_dir ? workspace_changes(in->kernel_dir) : 0);
}

static bool scan_due(const struct instance *in)
{
	const struct work *w = &in->work;
	uint64_t changes = work_changes(in);

	return in->anonymous && !changes ? false : !w->scanned || w->scanned_at != changes;
}

static bool pristine(const struct instance *in)
{
	const struct work *w = &in->work;

	return w->src_hash == w->template_hash && *w->template_from;
}

/* An empty src/ is filled; and one that is still as another kernel's template made it gives way to this
 * one's. */
static bool fill_due(const struct instance *in)
{
	const struct work *w = &in->work;

	if (in->anonymous || !w->fill || !*in->kernel->conf.template_dir || in->cfg.exec)
		return false;
	return w->src_empty || (pristine(in) && strcmp(w->template_from, view_digest(in->kernel->view)) != 0);
}

static void build_source(const struct instance *in, const struct settings *s, char out[WORK_SOURCE_MAX])
{
	const char *parts[] = { s->build, view_digest(in->kernel->view), NULL, NULL };
	char changes[32];

	snprintf(changes, sizeof(changes), "%llx", (unsigned long long)in->work.kernel_hash);
	if (in->work.kernel_hash)
		parts[2] = changes;
	snprintf(out, WORK_SOURCE_MAX, "build %016llx",
		(unsigned long long)fingerprint_strings(in->cfg.exec ? 0 : in->work.src_hash, parts));
}

/* 0: images/ is as it must be. 1: something began. Or an error in words. */
static int images_due(struct instance *in, const struct settings *s, struct why *why)
{
	struct work *w = &in->work;
	const char *digest = view_digest(in->kernel->view);
	bool own = !in->cfg.build && !w->kernel_hash &&
		   (in->cfg.exec || w->src_empty || (pristine(in) && strcmp(w->template_from, digest) == 0));
	char as_built[WORK_SOURCE_MAX], as_is[WORK_SOURCE_MAX];

	build_source(in, s, as_built);
	snprintf(as_is, sizeof(as_is), "kernel %s", digest);
	if (!w->force && (strcmp(w->built, as_built) == 0 || (own && strcmp(w->built, as_is) == 0)))
		return 0;
	if (own && !w->force) {
		begin_images(in);
		return 1;
	}
	if (view_is_brief(in->kernel->view)) {
		begin_kernel(in);
		return 1;
	}
	if (!*s->build)
		return why_fail(why, -EOPNOTSUPP,
			"%s cannot be built: its kernel.conf has no build line (give one in config: build = "
			"COMMAND)",
			in->kernel->text);
	begin_build(in, s, as_built);
	return 1;
}

static void next_after_images(struct instance *in, struct settings *s)
{
	struct work *w = &in->work;
	struct why why = { 0 };
	int err;

	if (!w->launch) {
		work_end(in, 0, NULL);
	} else if (!w->probed) {
		pending_answer(in, PENDING_BUILD, 0, 0);
		begin_probe(in, s->mode);
	} else if (s->mode != MODE_FULLVM && !w->ros) {
		begin_ros(in, s);
	} else if (s->mode != MODE_FULLVM && (err = ros_settle(in, s, &why)) < 0) {
		work_end(in, err, &why);
	} else if (in->machine.dep) { /* the last machine's, which waits for a reader of stdout */
		work_step_begin(in, WORK_CLEAR);
		machine_dismiss(in);
	} else {
		begin_launch(in, s);
	}
}

static void work_next(struct instance *in)
{
	struct work *w = &in->work;
	struct why why = { 0 };
	struct settings s;
	int r;

	if (!w->active || w->step != WORK_IDLE)
		return;
	w->again = false;
	if (in->gone || in->run->stopping)
		w->cancelled = true;
	if (w->cancelled) {
		work_end(in, -EINTR, &why);
		return;
	}
	if (!in->cfg.kernel) {
		why_fail(&why, -ENOENT,
			"no kernel is chosen: echo 'kernel = NAME' > config (ls kernels/ shows what there "
			"is)");
		work_end(in, -ENOENT, &why);
		return;
	}
	if (!in->kernel) {
		begin_kernel(in);
		return;
	}
	deploy_begins(in);
	r = config_settle(&in->cfg, &in->kernel->conf, w->mode, &s, &why);
	if (r) {
		work_end(in, r, &why);
	} else if (scan_due(in)) {
		begin_scan(in);
	} else if (fill_due(in)) {
		begin_fill(in);
	} else {
		workspace_thaw(in->src);
		if (in->anonymous && !w->scanned)
			w->src_empty = true;
		r = images_due(in, &s, &why);
		if (r < 0)
			work_end(in, r, &why);
		else if (r == 0 && w->publishing && view_is_brief(in->kernel->view))
			begin_kernel(in);
		else if (r == 0 && w->publishing)
			begin_publish(in, &s);
		else if (r == 0)
			next_after_images(in, &s);
	}
}

/* --- what begins it ---------------------------------------------------------------------------- */

static void work_start(struct instance *in)
{
	struct work *w = &in->work;

	if (w->active)
		return;
	w->active = true;
	w->step = WORK_IDLE;
	w->cancelled = w->probed = w->again = false;
	chosen_put(w->ros);
	w->ros = NULL;
	instance_marks_clear(in);
	work_next(in);
}

void work_config_closed(struct instance *in)
{
	struct work *w = &in->work;

	if (!in->cfg.kernel || in->gone)
		return;
	w->fill = true;
	workspace_freeze(in->src); /* what is done in src/ from now on is meant for the filled one */
	if (!w->active)
		w->mode = -1;
	if (in->cfg.mode >= 0 && !in->machine.up && !w->launch) {
		w->launch = true;
		w->mode = in->cfg.mode;
	}
	work_start(in);
}

static void kill_builder(struct instance *in)
{
	if (!in->work.builder)
		return;
	deployer_command(in->work.builder, "kill");
	deployer_kill_after(in->work.builder, KILL_BUILD_MS);
}

void work_config_changed(struct instance *in)
{
	struct work *w = &in->work;

	if (!w->active || w->step == WORK_LAUNCH)
		return;
	w->again = true;
	kill_builder(in);
}

static int deploy_mode(struct instance *in, const char *mode, int *out, struct why *why)
{
	int m = conf_word("deploy", mode, kernel_mode_names, why);

	if (m < 0)
		return m;
	*out = m;
	if (in->run->stopping || in->gone)
		return why_fail(why, -ESHUTDOWN, "diverfs is ending");
	if (in->machine.up)
		return why_fail(why, -EBUSY, "%s is %s already; echo stop > ctl ends it", in->name,
			in->machine.state);
	if (in->work.active && in->work.launch && in->work.mode != m)
		return why_fail(why, -EBUSY, "%s is being launched in another mode", in->name);
	if (!in->cfg.kernel)
		return why_fail(why, -ENOENT,
			"no kernel is chosen: echo 'kernel = NAME' > config (ls kernels/ shows what there "
			"is)");
	return 0;
}

void work_deploy(struct instance *in, const char *mode, fuse_req_t req, size_t size)
{
	struct why why = { 0 };
	int m = -1, err = deploy_mode(in, mode, &m, &why);

	if (err) {
		instance_error(in, err, why.text);
		reply_err(req, err);
		return;
	}
	instance_error_clear(in);
	in->work.launch = true;
	in->work.mode = m;
	pending_add(in, PENDING_DEPLOY, 0, req, size);
	if (pending_any(in, PENDING_DEPLOY))
		work_start(in);
	else if (!in->work.active) /* interrupted before it began */
		in->work.launch = false;
}

void work_build(struct instance *in, fuse_req_t req, size_t size)
{
	if (in->run->stopping || in->gone) {
		reply_err(req, -ESHUTDOWN);
		return;
	}
	if (in->work.step != WORK_BUILD) /* one that is under way will do */
		in->work.force = true;
	if (!in->work.active)
		in->work.mode = -1;
	instance_error_clear(in);
	pending_add(in, PENDING_BUILD, 0, req, size);
	if (pending_any(in, PENDING_BUILD))
		work_start(in);
}

void work_publish(struct instance *in)
{
	if (!in->work.active)
		in->work.mode = -1;
	work_start(in);
}

void work_cancel(struct instance *in)
{
	struct work *w = &in->work;

	if (!w->active)
		return;
	w->cancelled = true;
	if (w->step == WORK_BUILD)
		kill_builder(in);
	else if (w->step == WORK_PUBLISH)
		publish_stop(in);
	else if (w->step == WORK_LAUNCH)
		machine_stop(in, true);
	else if (w->step == WORK_PROBE)
		work_step_done(in, 0, NULL, NULL);
}

static void clean_run(struct work_job *j)
{
	static const char *const made[] = { "images", "images.new", "kernel", "kernel.new", "kernel.lower",
		"build", "ros", "ros.new", "out" };

	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]) && !j->err; i++)
		j->err = io_remove_tree(j->dirfd, made[i]);
}

static void clean_done(struct instance *in, struct work_job *j)
{
	if (j->err)
		instance_error(in, j->err, "clean: some files of the build could not be removed");
	workspace_reset(in->images);
	workspace_reset(in->out);
}

int work_clean(struct instance *in, struct why *why)
{
	struct work *w = &in->work;

	if (instance_busy(in))
		return why_fail(why, -EBUSY, "clean: %s is %s; stop it first", in->name, instance_state(in));
	w->built[0] = w->sources_from[0] = w->ros_from[0] = '\0';
	in->streams.build_log.epoch++;
	in->streams.build_log.end = 0;
	in->gen[RUN_BUILD_LOG]++;
	in->result = in->cfg.kernel ? "configured" : "new";
	instance_save(in);
	work_job_submit(work_job_new(in), clean_run, clean_done);
	instance_changed(in);
	return 0;
}

void work_free(struct instance *in)
{
	deploy_over(in, -ECANCELED);
	chosen_put(in->work.ros);
	in->work.ros = NULL;
	timer_cancel(in->work.deadline);
	in->work.deadline = NULL;
}
