/* SPDX-License-Identifier: MIT */
/*
 * ros.c: the regular OS of split modes is a kernel like any other: found by name, pinned by its digest for one
 * launch, its image and initrd brought to ros/.
 */
#include "cache/base/conf.h"
#include "cache/base/io.h"
#include "fs/work_inner.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MEMORY_STEP (2ull << 20) /* the kernel's memory begins behind the ROS's, at a large page */

static const struct kernel_launch *launch_of(const struct chosen *ros)
{
	return &ros->conf.launch[MODE_FULLVM];
}

static void wanted(const struct kernel_conf *k, const char *out[])
{
	const struct kernel_launch *l = &k->launch[MODE_FULLVM];
	unsigned n = 0;

	out[n++] = l->image;
	if (*l->initrd && strcmp(l->initrd, l->image))
		out[n++] = l->initrd;
	out[n] = NULL;
}

static void take_place(struct work_job *j)
{
	j->err = images_replace(j->dirfd, "ros.new", "ros", &j->why);
}

static void in_place(struct instance *in, struct work_job *j)
{
	if (!j->err) {
		snprintf(in->work.ros_from, sizeof(in->work.ros_from), "%s", j->source);
		instance_save(in);
	}
	work_step_done(in, j->err, &j->why, "ros_fetch");
}

static void exported(struct instance *in, struct chosen *ros, int err, const struct why *why)
{
	struct work_job *j;

	if (err) {
		work_step_done(in, err, why, NULL);
		return;
	}
	j = work_job_new(in);
	j->source = xstrdup(view_digest(ros->view));
	work_job_submit(j, take_place, in_place);
}

static void make_room(struct work_job *j)
{
	export_clear(j, "ros.new");
}

static void room_made(struct instance *in, struct work_job *j)
{
	if (j->err || in->gone || !in->work.ros)
		work_step_done(in, j->err, &j->why, NULL);
	else
		export_begin(in, in->work.ros, "ros.new", wanted, exported);
}

/* Whether it can be a ROS at all, as far as its kernel.conf tells. */
static int suits(const struct chosen *ros, struct why *why)
{
	const struct kernel_launch *l = launch_of(ros);

	if (strcmp(ros->conf.arch, "x86_64"))
		return why_fail(why, -ENOEXEC, "ros: %s is for %s, not x86_64", ros->text, ros->conf.arch);
	if (!l->supported || strncmp(l->image, "images/", 7) ||
		(*l->initrd && strncmp(l->initrd, "images/", 7)))
		return why_fail(why, -ENOEXEC, "ros: %s has no image for fullVM that could be the regular OS",
			ros->text);
	return 0;
}

static void found(void *arg, int err, const struct why *why, struct chosen *ros)
{
	struct instance *in = arg;
	struct work *w = &in->work;
	struct why mine = { 0 };

	if (err)
		why_fail(&mine, err, "the regular OS (ros): %s", why->text);
	else
		err = suits(ros, &mine);
	if (!err && !w->ros && w->active && w->step == WORK_ROS) {
		w->ros = ros;
		ros = NULL;
	}
	chosen_put(ros);
	if (err || !w->ros || !strcmp(w->ros_from, view_digest(w->ros->view))) {
		work_step_done(in, err, &mine, NULL);
	} else {
		w->ros_from[0] = '\0'; /* a daemon that dies in the middle must not believe what ros/ was */
		instance_save(in);
		work_job_submit(work_job_new(in), make_room, room_made);
	}
	instance_release(in);
}

void begin_ros(struct instance *in, const struct settings *s)
{
	work_step_begin(in, WORK_ROS);
	chosen_find(in->fs->cache, s->ros, s->ros_reference, true, found, instance_hold(in));
}

int ros_settle(const struct instance *in, struct settings *s, struct why *why)
{
	const struct chosen *ros = in->work.ros;
	const struct kernel_launch *l = launch_of(ros);
	autobuf struct buf min = { 0 };

	s->ros_cpus = s->ros_cpus ? s->ros_cpus : 1;
	s->ros_memory = s->ros_memory ? s->ros_memory : l->memory ? l->memory : 128ull << 20;
	conf_put_size(&min, l->memory_min);
	if (s->ros_memory < l->memory_min)
		return why_fail(why, -EINVAL, "ros_memory: %s needs at least %s", ros->text, min.data);
	if (s->ros_memory % MEMORY_STEP || s->memory % MEMORY_STEP)
		return why_fail(why, -EINVAL, "memory and ros_memory must be multiples of 2M in %s",
			kernel_mode_names[s->mode]);
	return 0;
}
