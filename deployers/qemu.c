/* SPDX-License-Identifier: MIT */
/*
 * qemu.c: what QEMU tells by QMP and on its stderr, and what it is told.
 */
#include "deployers/qemu.h"

#include "cache/base/io.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

void port_unwatch(struct port *p)
{
	watch_remove(p->watch);
	p->watch = NULL;
}

void port_close(struct port *p)
{
	port_unwatch(p);
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

/* What it is told */

void qemu_kill(struct qemu *q, const char *how, unsigned status, const char *reason)
{
	if (!q->killed) {
		q->killed = how;
		q->killed_status = status;
		snprintf(q->reason, sizeof(q->reason), "%s", reason);
	}
	if (q->pid)
		kill(-q->pid, SIGKILL); /* its session: not reaped yet, so the number is still its own */
}

static void stop_late(void *arg)
{
	struct qemu *q = arg;

	q->stop_timer = NULL;
	qemu_kill(q, "killed", 137, "");
}

bool qemu_stop_begin(struct qemu *q, const char *reason)
{
	if (q->stop_timer || q->killed || !q->pid)
		return false;
	monitor_event(q->mon, "stop: %s", reason);
	if (!q->running) {
		qemu_kill(q, "killed", 137, reason);
		return false;
	}
	if (q->paused)
		qmp_send(q->qmp, QMP_QUIET, "cont", NULL);
	q->stop_timer = loop_after(q->mon->loop, DEPLOY_STOP_MS, stop_late, q);
	return true;
}

/*
 * On `pc` the BIOS copies itself to memory and lets the chipset show that instead of the ROM. QEMU's reset does not undo it: a
 * BIOS that was reset in the middle would begin in an unfinished copy, which is zeros, and nobody would hear of it again; a later one
 * would find the copy and reset the machine once more. So the ROM is shown again first, while no CPU runs: the registers PAM0 to PAM6
 * of the host bridge (Intel 82441FX, 0x59 to 0x5f; the byte before them is of no use in QEMU).
 */
static void show_rom(struct qemu *q)
{
	static const char *const writes[] = { "0xcf8 0x80000058", "0xcfc 0", "0xcf8 0x8000005c", "0xcfc 0" };
	char arguments[80];

	for (size_t i = 0; i < sizeof(writes) / sizeof(*writes); i++) {
		snprintf(arguments, sizeof(arguments), "{\"command-line\":\"o /w %s\"}", writes[i]);
		qmp_send(q->qmp, QMP_QUIET, "human-monitor-command", arguments);
	}
}

/* -no-reboot makes every reset an end, also this one: it is lifted for the moment. */
void qemu_reset(struct qemu *q, uint64_t id)
{
	q->resetting = true;
	q->halted = q->pc && !q->paused;
	if (q->halted)
		qmp_send(q->qmp, QMP_QUIET, "stop", NULL);
	if (q->pc)
		show_rom(q);
	qmp_send(q->qmp, QMP_QUIET, "set-action", "{\"reboot\":\"reset\"}");
	qmp_send(q->qmp, id, "system_reset", NULL);
	qmp_send(q->qmp, QMP_QUIET, "set-action", "{\"reboot\":\"shutdown\"}");
}

/* The answer comes with the status: `state` says paused before the write to ctl returns. */
static void pause_machine(struct qemu *q, uint64_t id)
{
	q->halted = false;
	qmp_send(q->qmp, QMP_QUIET, "stop", NULL);
	qmp_send(q->qmp, id, "query-status", NULL);
}

bool qemu_command(struct qemu *q, uint64_t number, const char *word)
{
	uint64_t id = number + QMP_DAEMON;

	if (!strcmp(word, "kill")) {
		qemu_kill(q, "killed", 137, "");
		monitor_answer(q->mon, number, 0, "");
		return true;
	}
	if (strcmp(word, "reset") && strcmp(word, "pause") && strcmp(word, "resume"))
		return false;
	if (!q->qmp)
		monitor_answer(q->mon, number, -EAGAIN, "the machine has not been started yet");
	else if (!strcmp(word, "reset"))
		qemu_reset(q, id);
	else if (!strcmp(word, "resume"))
		qmp_send(q->qmp, id, "cont", NULL);
	else
		pause_machine(q, id);
	return true;
}

/* Its own words */

bool qemu_words_read(struct qemu *q)
{
	char *p = buf_reserve(&q->said, QEMU_WORDS_MAX);
	ssize_t n = read(q->words.fd, p, QEMU_WORDS_MAX);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		port_unwatch(&q->words);
	if (n <= 0)
		return false;
	q->said.len += (size_t)n;
	q->said.data[q->said.len] = 0;
	if (q->said.len > QEMU_WORDS_MAX)
		buf_consume(&q->said, q->said.len - QEMU_WORDS_MAX);
	return true;
}

static void on_words(void *arg, uint32_t events)
{
	(void)events;
	qemu_words_read(arg);
}

/* QMP */

static void now_running(struct qemu *q)
{
	bool first = q->pid && !q->running;

	if (first) {
		q->running = true;
		timer_cancel(q->launch_timer);
		q->launch_timer = NULL;
	}
	q->paused = false;
	q->mode->running(q->arg, first);
}

/* The virtual CPUs stand still. Either somebody wants that, or KVM met something that it cannot run: then
 * they would stand for ever. */
static void now_stopped(struct qemu *q, const char *line)
{
	char status[32], words[128];

	/* A machine that is ending stops too. */
	if (*q->shutdown || q->killed || !json_find(line, "return.status", status, sizeof(status)))
		return;
	/* "prelaunch" is what it is before it runs (-S), and after a reset while it stands. */
	if (!strcmp(status, "paused") || (q->running && !strcmp(status, "prelaunch"))) {
		q->paused = true;
		monitor_state(q->mon, "paused");
	} else if (!strcmp(status, "internal-error") || !strcmp(status, "io-error") ||
		   !strcmp(status, "guest-panicked")) {
		snprintf(words, sizeof(words), "QEMU stopped the machine (%s)", status);
		qemu_kill(q, "lost", DEPLOY_EXIT_FAILED, words);
	}
}

static void now_reset(struct qemu *q)
{
	if (q->halted && q->running) /* else it is about to be told so for the first time */
		qmp_send(q->qmp, QMP_QUIET, "cont", NULL);
	q->resetting = q->halted = false;
	monitor_event(q->mon, "reset");
	q->mode->reset(q->arg);
}

static void on_event(void *arg, const char *event, const char *line)
{
	struct qemu *q = arg;

	if (!strcmp(event, "SHUTDOWN")) {
		if (!json_find(line, "data.reason", q->shutdown, sizeof(q->shutdown)))
			strcpy(q->shutdown, "unknown");
	} else if (!strcmp(event, "RESUME")) {
		now_running(q);
	} else if (!strcmp(event, "STOP")) {
		if (!q->halted)
			qmp_send(q->qmp, QMP_STOPPED, "query-status", NULL);
	} else if (!strcmp(event, "RESET")) {
		now_reset(q);
	} else if (!strcmp(event, QMP_BROKEN)) {
		qemu_kill(q, "lost", DEPLOY_EXIT_FAILED, "QEMU sent rubbish instead of QMP");
	} else if (!strcmp(event, "GUEST_PANICKED")) {
		monitor_event(q->mon, "the kernel reports a panic");
	}
}

static void on_reply(void *arg, uint64_t id, const char *line, const char *error)
{
	struct qemu *q = arg;
	char running[8];

	if (id >= QMP_DAEMON) {
		if (!error)
			now_stopped(q, line); /* if it was to be paused */
		monitor_answer(q->mon, id - QMP_DAEMON, error ? -EIO : 0, error);
		return;
	}
	if (error)
		log_warn("QEMU: %s", error);
	if (id >= QMP_MODE && q->mode->replied)
		q->mode->replied(q->arg, id, line, error);
	if (id == QMP_TAKEN)
		qemu_taken(q);
	if (id == QMP_STOPPED && !error)
		now_stopped(q, line);
	if (id == QMP_STATUS && json_find(line, "return.running", running, sizeof(running)) &&
		!strcmp(running, "true"))
		now_running(q);
}

/* Beginning and end */

static void launch_late(void *arg)
{
	struct qemu *q = arg;

	q->launch_timer = NULL;
	qemu_kill(q, "lost", DEPLOY_EXIT_FAILED, "QEMU did not start the kernel within 30 seconds");
}

static void too_long(void *arg)
{
	struct qemu *q = arg;

	q->timeout_timer = NULL;
	qemu_kill(q, "timeout", 124, "it ran longer than its timeout");
}

void qemu_begin(struct qemu *q, struct monitor *mon, const struct qemu_mode *mode, void *arg)
{
	*q = (struct qemu){ .mon = mon, .mode = mode, .arg = arg, .words.fd = -1 };
}

void qemu_started(struct qemu *q, pid_t pid, int qmp_fd, int words_fd, uint64_t timeout_s)
{
	struct loop *l = q->mon->loop;

	q->pid = pid;
	monitor_mark(q->mon, "launch");
	q->child = loop_child(l, pid, qemu_gone, q);
	q->launch_timer = loop_after(l, QEMU_LAUNCH_MS, launch_late, q);
	if (timeout_s)
		q->timeout_timer = loop_after(l, timeout_s * 1000, too_long, q);
	q->words.fd = words_fd;
	io_set_nonblock(words_fd, true);
	q->words.watch = loop_watch(l, words_fd, EPOLLIN, on_words, q);
	q->qmp = qmp_new(l, qmp_fd, on_event, on_reply, q);
	/* Asked before QEMU is there: it answers when the machine runs, which is what "running" means. */
	qmp_send(q->qmp, QMP_STATUS, "query-status", NULL);
}

void qemu_free(struct qemu *q)
{
	timer_cancel(q->stop_timer);
	timer_cancel(q->launch_timer);
	timer_cancel(q->timeout_timer);
	timer_cancel(q->taken_timer);
	watch_remove(q->child);
	qmp_free(q->qmp);
	port_close(&q->words);
	buf_free(&q->said);
}
