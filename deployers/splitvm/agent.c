/* SPDX-License-Identifier: MIT */
/*
 * agent.c: what the agent tells, and what follows from it.
 */
#include "deployers/splitvm/split.h"

#include "cache/base/io.h"
#include "cache/base/policy.h"
#include "deployers/net.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What the daemon accepted in `delegate` the agent accepts too. */
_Static_assert(POLICY_CALL_MAX < GUEST_CALLS, "the agent refuses larger numbers");

static void set_timer(struct split *s, struct timer **t, uint64_t ms, timer_fn *fn)
{
	timer_cancel(*t);
	*t = ms ? loop_after(s->mon.loop, ms, fn, s) : NULL;
}

static void answer_reset(struct split *s, int err, const char *words)
{
	if (s->reset_number)
		monitor_answer(&s->mon, s->reset_number, err, words);
	s->reset_number = 0;
	s->resetting_hrt = false;
}

/* The machine is of no use any more, and why. */
static void lost(struct split *s, const char *words)
{
	if (s->ended)
		return;
	set_timer(s, &s->boot_timer, 0, NULL);
	answer_reset(s, -EIO, words);
	qemu_kill(&s->q, "lost", DEPLOY_EXIT_FAILED, words);
}

static void boot_late(void *arg)
{
	struct split *s = arg;
	char words[200];

	s->boot_timer = NULL;
	if (s->q.paused) { /* on_running begins anew */
		set_timer(s, &s->boot_timer, SPLIT_READY_MS, boot_late);
		return;
	}
	if (s->talk.state == TALK_NEW)
		snprintf(words, sizeof(words), "the ROS did not come up within %d seconds: see ros.console",
			SPLIT_READY_MS / 1000);
	else
		snprintf(words, sizeof(words),
			"the kernel was not entered within %d seconds: see ros.console",
			SPLIT_ALIVE_MS / 1000);
	lost(s, words);
}

/* A sign of life comes every 2 seconds (COUNTS). Time in which the virtual CPUs stand does not count. */
static void listen_for_life(void *arg)
{
	struct split *s = arg;
	bool heard = s->talk.frames != s->silent_since;

	s->silence_timer = NULL;
	s->silent_since = s->talk.frames;
	s->silent = heard || s->q.paused || !s->alive ? 0 : s->silent + 1;
	if (s->silent < 3)
		set_timer(s, &s->silence_timer, SPLIT_SILENCE_MS, listen_for_life);
	else
		lost(s, "the agent in the ROS has not been heard for a minute: the ROS hangs, or was "
			"overwritten "
			"by the kernel (ring 0 can): see ros.console");
}

/* From READY to ALIVE */

void split_policy(struct split *s)
{
	autobuf struct buf text = { 0 }, rules = { 0 };
	struct why why = { 0 };
	int err = io_read_file(s->mon.dirfd, "delegate", POLICY_TEXT_MAX, &text);

	if (err && err != -ENOENT)
		why_fail_errno(&why, err, "delegate");
	else if (text.len)
		policy_parse(text.data, text.len, &rules, &why);
	if (why.err) /* the daemon has checked it: refuse rather than allow what should not be */
		monitor_event(&s->mon, "%s: all delegated calls are refused", why.text);
	const char *sent = why.err ? "refuse all\n" : rules.data ? rules.data : "";
	talk_send(&s->talk, AGENT_POLICY, sent, strlen(sent));
}

void split_boot(struct split *s)
{
	s->alive = s->hello = false;
	memset(&s->counts, 0, sizeof(s->counts));
	set_timer(s, &s->boot_timer, SPLIT_ALIVE_MS, boot_late);
	talk_boot(&s->talk);
}

void split_reset_hrt(struct split *s, uint64_t number)
{
	if (!s->alive || s->ended || s->resetting_hrt || s->q.stop_timer) {
		monitor_answer(&s->mon, number, -EAGAIN, "reset-hrt: the kernel does not run at this moment");
		return;
	}
	s->resetting_hrt = true;
	s->reset_number = number;
	set_timer(s, &s->boot_timer, SPLIT_ALIVE_MS, boot_late);
	talk_send(&s->talk, AGENT_KILL, NULL, 0);
}

static void on_ready(void *arg, const char *text)
{
	struct split *s = arg;
	autobuf struct buf config = { 0 };
	struct why why = { 0 };

	monitor_mark(&s->mon, "ros");
	log_info("agent: %s", text);
	if (split_config(s, &config, &why) < 0) {
		lost(s, why.text);
		return;
	}
	talk_load(&s->talk, config.data, s->image_fd);
	split_policy(s);
	split_boot(s);
}

static void on_alive(void *arg)
{
	struct split *s = arg;

	set_timer(s, &s->boot_timer, 0, NULL);
	s->alive = true;
	answer_reset(s, 0, "");
	monitor_mark(&s->mon, "boot");
	if (!s->q.paused)
		monitor_state(&s->mon, "running");
	s->silent = 0;
	set_timer(s, &s->silence_timer, SPLIT_SILENCE_MS, listen_for_life);
}

static void on_hello(void *arg, uint32_t level)
{
	struct split *s = arg;

	(void)level;
	s->hello = true;
	if (s->size_value) {
		uint32_t size[2] = { s->size_value >> 16, s->size_value & 0xffff };
		talk_send(&s->talk, AGENT_RESIZE, size, sizeof(size));
	}
}

static void on_refused(void *arg, const char *words)
{
	struct split *s = arg;

	monitor_event(&s->mon, "agent: refused: %s", words);
	if (s->talk.state != TALK_BOOTING)
		return;
	char text[WHY_MAX];
	snprintf(text, sizeof(text), "the agent in the ROS refused to boot the kernel: %.900s", words);
	lost(s, text);
}

/* While it runs */

static void write_counts(struct split *s)
{
	autobuf struct buf text = { 0 };

	counts_put(&s->counts, &text);
	io_write_file(s->mon.dirfd, "syscalls", text.data, text.len, 0600, false);
}

static void on_counts(void *arg, const struct agent_count *counts, size_t count)
{
	struct split *s = arg;

	if (!count)
		return;
	counts_take(&s->counts, counts, count);
	write_counts(s);
}

static void on_out(void *arg, const void *data, size_t len)
{
	split_out(arg, data, len);
}

static void on_log(void *arg, const char *line)
{
	struct split *s = arg;

	monitor_event(&s->mon, "agent: %s", line);
}

/* The end */

static void ends(struct split *s, const char *how, unsigned status, bool failed, const char *words)
{
	s->ended = true;
	s->how = how;
	s->status = status;
	s->failed = failed;
	snprintf(s->words, sizeof(s->words), "%s", words);
	set_timer(s, &s->boot_timer, 0, NULL);
	set_timer(s, &s->silence_timer, 0, NULL);
	answer_reset(s, -ESRCH, "it has ended");
	qemu_end_when_taken(&s->q, status);
}

static void faulted(struct split *s, const char *words)
{
	char text[WHY_MAX];

	snprintf(text, sizeof(text), "the kernel failed, and the ROS lived on: %.900s",
		*words ? words : "it did not say why");
	ends(s, "panic", 134, true, text);
}

/* The kernel did nothing wrong, as far as anybody knows. */
static void unserved(struct split *s, const char *words)
{
	char text[WHY_MAX];

	snprintf(text, sizeof(text), "the ROS failed, and the kernel was stopped with it: %.900s",
		*words ? words : "it did not say why");
	ends(s, "ros-agent", 134, true, text);
}

static void on_ended(void *arg, const struct agent_end *e, const char *words)
{
	struct split *s = arg;

	split_out_end(s);
	if (e->stray)
		monitor_event(&s->mon, "the kernel counted %llu interrupts that nobody asked for",
			(unsigned long long)e->stray);
	s->alive = s->hello = false;
	if (s->ended)
		return;
	/* (A stop that comes while it begins anew is the end of it.) */
	if ((s->resetting_hrt || e->how == AGENT_RESTART) && !s->q.stop_timer) {
		monitor_event(&s->mon, "the kernel begins anew");
		split_boot(s);
	} else if (e->how == AGENT_FAULTED) {
		faulted(s, words);
	} else if (e->how == AGENT_LOST) {
		unserved(s, words);
	} else if (e->how == AGENT_EXITED) {
		ends(s, "guest", e->status & 255, false, "");
	} else {
		ends(s, "killed", 137, false, "");
	}
}

static void on_broken(void *arg, const char *words)
{
	lost(arg, words);
}

const struct talk_events split_talk = {
	.ready = on_ready,
	.alive = on_alive,
	.hello = on_hello,
	.counts = on_counts,
	.out = on_out,
	.ended = on_ended,
	.refused = on_refused,
	.log = on_log,
	.broken = on_broken,
};

/* What QEMU tells of the machine */

static void on_running(void *arg, bool first)
{
	struct split *s = arg;

	if (first || s->boot_timer) /* after a pause it has all its time again */
		set_timer(s, &s->boot_timer, s->talk.state == TALK_NEW ? SPLIT_READY_MS : SPLIT_ALIVE_MS,
			boot_late);
	monitor_state(&s->mon, s->alive ? "running" : "launching");
}

static void on_reset(void *arg)
{
	struct split *s = arg;

	s->alive = s->hello = false;
	split_out_end(s);
	talk_reset(&s->talk);
	set_timer(s, &s->silence_timer, 0, NULL);
	set_timer(s, &s->boot_timer, SPLIT_READY_MS, boot_late);
}

static void on_replied(void *arg, uint64_t id, const char *line, const char *error)
{
	struct split *s = arg;

	net_replied(&s->q, &s->plan, id, line, error);
}

static void drain(void *arg)
{
	struct split *s = arg;

	set_timer(s, &s->boot_timer, 0, NULL);
	set_timer(s, &s->silence_timer, 0, NULL);
	while (s->talk.fd >= 0 && talk_read(&s->talk))
		;
	split_drain_lines(s);
	split_out_end(s);
}

/* The ROS ended, and nobody had wanted that. */
static bool ros_ended(struct split *s, struct machine_end *e)
{
	char panic[256];

	if (s->q.killed || !*s->q.shutdown || !strcmp(s->q.shutdown, "host-signal") ||
		!strcmp(s->q.shutdown, "host-qmp-quit"))
		return false;
	split_panic_line(s, panic, sizeof(panic));
	e->failed = true;
	e->how = *panic ? "ros-panic" : !strcmp(s->q.shutdown, "guest-shutdown") ? "ros-power-off" : "reset";
	e->status = 134;
	if (*panic)
		snprintf(e->error, sizeof(e->error), "the ROS panicked: %s (ros.console has all of it)",
			panic);
	else if (!strcmp(s->q.shutdown, "guest-shutdown"))
		snprintf(e->error, sizeof(e->error),
			"the ROS powered off before the kernel had ended: see ros.console");
	else
		snprintf(e->error, sizeof(e->error),
			"the machine was reset: the ROS, or the kernel by a triple fault, which takes the "
			"ROS "
			"with it: see console and ros.console");
	return true;
}

static bool judge(void *arg, struct machine_end *e)
{
	struct split *s = arg;

	if (!s->ended)
		return ros_ended(s, e);
	e->failed = s->failed;
	e->how = s->how;
	e->status = s->status;
	snprintf(e->error, sizeof(e->error), "%s", s->words);
	return true;
}

const struct qemu_mode split_qemu = {
	.running = on_running,
	.reset = on_reset,
	.drain = drain,
	.judge = judge,
	.replied = on_replied,
	.reset_words = "the machine was reset: see console and ros.console",
};
