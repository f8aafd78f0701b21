/* SPDX-License-Identifier: MIT */
/*
 * beside.c: one machine, two boots of the kernel in it. In the first it is typed to, left alone, fed, and asked to stop; the
 * second only shows that a Linux that had such a kernel can have another.
 */
#include "deployers/conform/beside.h"

#include "cache/base/conf.h"
#include "cache/base/io.h"
#include "deployers/conform/conform.h"
#include "deployers/deploy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define MIB	      (UINT64_C(1) << 20)
#define MEMORY_LEAST  (128 * MIB) /* of the kernel */
#define MEMORY_OF_ROS (256 * MIB)
#define FOOD	      "the quick brown fox\n"

/* What the agent tells */

static void on_ready(void *arg, const char *text)
{
	struct beside *b = arg;

	(void)text;
	b->ready = true;
	trial_heard(&b->t);
}

static void on_alive(void *arg)
{
	struct beside *b = arg;

	b->alive = true;
	b->again = ++b->boots > 1;
	trial_heard(&b->t);
}

static void on_hello(void *arg, uint32_t level)
{
	struct beside *b = arg;

	if (b->boots == 1 && !b->t.hellos++)
		b->t.level = level;
	trial_heard(&b->t);
}

/* They count from the boot on. */
static void on_counts(void *arg, const struct agent_count *counts, size_t count)
{
	struct beside *b = arg;

	if (b->boots != 1)
		return;
	counts_take(&b->split.counts, counts, count);
	b->delegated = 0;
	for (size_t i = 0; i < GUEST_CALLS; i++)
		b->delegated += b->split.counts.call[i].delegated;
}

static void on_archive(void *arg, const void *data, size_t len)
{
	(void)arg, (void)data, (void)len;
}

static void on_ended(void *arg, const struct agent_end *e, const char *words)
{
	struct beside *b = arg;

	if (!b->ends++) {
		b->how = e->how;
		b->stray = e->stray;
		b->t.exit_told = e->how == AGENT_EXITED;
		b->t.exit_value = e->status;
		b->t.restart = e->how == AGENT_RESTART;
		snprintf(b->words, sizeof(b->words), "%s", words);
	}
	trial_heard(&b->t);
}

static void on_refused(void *arg, const char *words)
{
	struct beside *b = arg;

	b->refused = b->refused || b->talk.state == TALK_BOOTING;
	if (b->refused && !b->ends)
		snprintf(b->words, sizeof(b->words), "%s", words);
	trial_heard(&b->t);
}

static void on_log(void *arg, const char *line)
{
	(void)arg, (void)line;
}

static void on_broken(void *arg, const char *words)
{
	struct beside *b = arg;

	b->refused = true;
	if (!b->ends)
		snprintf(b->words, sizeof(b->words), "%s", words);
	trial_heard(&b->t);
}

static const struct talk_events events = {
	.ready = on_ready,
	.alive = on_alive,
	.hello = on_hello,
	.counts = on_counts,
	.out = on_archive,
	.ended = on_ended,
	.refused = on_refused,
	.log = on_log,
	.broken = on_broken,
};

/* The other two consoles: that of Linux, and the port at which Nautilus prints. */

static void on_debug(void *arg, uint32_t what)
{
	struct beside *b = arg;
	size_t n = trial_take(&b->debug, &b->t.printed);

	(void)what;
	b->t.console_bytes += n;
	if (n)
		trial_heard(&b->t);
}

static void on_ros(void *arg, uint32_t what)
{
	struct beside *b = arg;

	(void)what;
	trial_take(&b->ros, &b->ros_said);
}

static void watch(struct beside *b, struct port *p, int fd, watch_fn *fn)
{
	io_set_nonblock(fd, true);
	p->fd = fd;
	p->watch = loop_watch(b->t.loop, fd, EPOLLIN, fn, b);
}

/* The machine */

static int read_plan(struct beside *b, const struct subject *s, struct why *why)
{
	uint64_t memory = s->memory_bytes > MEMORY_LEAST ? s->memory_bytes & ~(2 * MIB - 1) : MEMORY_LEAST;
	autobuf struct buf plan = { 0 };

	conf_put(&plan, PLAN_IMAGE, s->image);
	conf_put(&plan, PLAN_ROS_IMAGE, s->ros_image);
	if (s->ros_initrd)
		conf_put(&plan, PLAN_ROS_INITRD, s->ros_initrd);
	if (s->ros_cmdline)
		conf_put(&plan, PLAN_ROS_CMDLINE, s->ros_cmdline);
	if (s->cmdline)
		conf_put(&plan, PLAN_CMDLINE, s->cmdline);
	if (s->qemu)
		conf_put(&plan, PLAN_QEMU, s->qemu);
	conf_putf(&plan, PLAN_MEMORY, "%" PRIu64, memory);
	conf_putf(&plan, PLAN_ROS_MEMORY, "%" PRIu64, (uint64_t)MEMORY_OF_ROS);
	conf_put(&plan, PLAN_ROS_CPUS, "1");
	if (s->cpus)
		conf_putf(&plan, PLAN_CPUS, "%" PRIu64, s->cpus);
	conf_put(&plan, PLAN_ACCEL, s->accel ? s->accel : "tcg");
	for (char **a = s->args; a && *a; a++)
		conf_put(&plan, PLAN_ARG, *a);
	return plan_parse(plan.data, plan.len, &b->split.plan, why);
}

static int start(struct beside *b, const struct subject *s, struct why *why)
{
	struct split_wires w;
	int err = read_plan(b, s, why);

	if (!err)
		err = split_prepare(&b->split, &w, why);
	pid_t pid = err < 0 ? err : split_exec(&b->split, &w, why);
	if (pid < 0)
		return (int)pid;
	const struct wires own = {
		.qmp = { w.qmp[0], -1 },
		.serial = { w.console[0], -1 },
		.in = { w.in[0], -1 },
		.out = { w.out[0], -1 },
		.control = { -1, -1 },
		.words = { w.words[0], -1 },
	};
	trial_adopt(&b->t, pid, &own);
	watch(b, &b->debug, w.debug[0], on_debug);
	watch(b, &b->ros, w.ros[0], on_ros);
	talk_open(&b->talk, b->t.loop, w.agent[0], &events, b);
	return 0;
}

/* What is waited for: the trial is the beside's first member. */

static const struct beside *of(const struct trial *t)
{
	return (const struct beside *)t;
}

static bool over(const struct trial *t)
{
	return of(t)->ends || of(t)->refused || t->gone || *t->shutdown;
}

static bool linux_up(const struct trial *t)
{
	return of(t)->ready || of(t)->refused || t->gone || *t->shutdown;
}

static bool entered(const struct trial *t)
{
	return of(t)->alive || over(t);
}

static bool greeted(const struct trial *t)
{
	return t->hellos || over(t);
}

static bool answered(const struct trial *t)
{
	return over(t) || trial_answered(t, of(t)->typed_from);
}

static bool fed(const struct trial *t)
{
	return over(t) || trial_fed(t);
}

static bool entered_again(const struct trial *t)
{
	const struct beside *b = of(t);

	return b->again || b->refused || t->gone || *t->shutdown;
}

static bool over_again(const struct trial *t)
{
	return of(t)->ends > 1 || of(t)->refused || t->gone || *t->shutdown;
}

static int boot(struct beside *b, struct why *why)
{
	autobuf struct buf config = { 0 };

	if (!trial_wait(&b->t, SPLIT_READY_MS, linux_up) || !b->ready)
		return why_fail(why, -ECHILD, "the Linux beside the kernel did not come up: %s",
			*b->words	? b->words
			: b->t.said.len ? b->t.said.data
			: b->ros_said.len
				? "its console had something to say, but its agent nothing (is it a ROS?)"
				: "it gave no sign");
	int err = split_config(&b->split, &config, why);
	if (err < 0)
		return err;
	talk_load(&b->talk, config.data, b->split.image_fd);
	talk_boot(&b->talk);
	trial_wait(&b->t, SPLIT_ALIVE_MS, entered);
	if (!b->alive && !*b->words)
		snprintf(b->words, sizeof(b->words), "it was started and gave no sign");
	return 0;
}

static void type_to(struct beside *b)
{
	struct trial *t = &b->t;

	b->typed_from = t->printed.len;
	trial_type(t, TYPED "\r");
	trial_wait_served(t, TYPED_MS, answered);
}

static void first_boot(struct beside *b, uint64_t patience_ms)
{
	struct trial *t = &b->t;

	trial_settle(t, SILENT_MS, patience_ms, greeted);
	trial_settle(t, QUIET_MS, patience_ms, over);
	if (!over(t))
		type_to(b);
	if (!over(t))
		b->waited = trial_idle(t, over, &b->idle_part);
	trial_feed(t, FOOD, sizeof(FOOD) - 1);
	trial_settle(t, QUIET_MS, patience_ms, fed);
	trial_close_input(t);
	trial_wait_served(t, QUIET_MS, over);
	b->ended_early = over(t);
	if (b->ended_early)
		return;
	b->asked = true;
	talk_send(&b->talk, AGENT_STOP, NULL, 0);
	if (trial_wait_served(t, DEPLOY_STOP_MS, over))
		return;
	talk_send(&b->talk, AGENT_KILL, NULL, 0);
	trial_wait(t, patience_ms, over);
}

static void second_boot(struct beside *b)
{
	if (b->talk.state != TALK_ENDED)
		return;
	talk_boot(&b->talk);
	if (!trial_wait(&b->t, SPLIT_ALIVE_MS, entered_again) || !b->again)
		return;
	talk_send(&b->talk, AGENT_KILL, NULL, 0);
	trial_wait(&b->t, DEPLOY_STOP_MS, over_again);
}

int beside_run(struct beside *b, const struct subject *s, struct why *why)
{
	trial_init(&b->t);
	b->talk.fd = b->talk.image = b->debug.fd = b->ros.fd = -1;
	b->split.ros_fd = b->split.initrd_fd = b->split.image_fd = b->split.root_fd = -1;
	int err = start(b, s, why);
	if (!err)
		err = boot(b, why);
	if (!err && b->alive) {
		first_boot(b, s->patience_ms);
		second_boot(b);
	}
	b->lost = b->alive && !b->ends && over(&b->t);
	talk_close(&b->talk);
	port_close(&b->debug);
	port_close(&b->ros);
	trial_end(&b->t);
	return err;
}

void beside_free(struct beside *b)
{
	const int fds[] = { b->split.ros_fd, b->split.initrd_fd, b->split.image_fd };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	plan_free(&b->split.plan);
	buf_free(&b->ros_said);
	trial_free(&b->t);
}
