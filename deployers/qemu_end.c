/* SPDX-License-Identifier: MIT */
/*
 * qemu_end.c: QEMU has ended; how did the machine? In this order: what the guest told, what we did, what QMP
 * said, what the process says. QEMU's own exit status alone tells next to nothing (PITFALLS 16).
 */
#include "deployers/qemu.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#define SAID_MAX 700 /* of QEMU's words, in the error */

#define TAKEN_QUIET   2	 /* rounds without a byte that show that QEMU has none left */
#define TAKEN_MS      1	 /* between rounds */
#define TAKEN_FULL_MS 20 /* while nobody takes what is here already */

/* A round is a command to QEMU: before it answers, its main loop has moved what the guest queued for stdout, as
 * far as the socket had room. */
static void taken_ask(void *arg)
{
	struct qemu *q = arg;

	q->taken_timer = NULL;
	qmp_send(q->qmp, QMP_TAKEN, "query-status", NULL);
}

static uint64_t taken_end(const struct qemu *q)
{
	return stream_out_end(&q->mon->out) + q->mon->logs[MONITOR_CONSOLE].end;
}

void qemu_end_when_taken(struct qemu *q, unsigned status)
{
	q->taking = true;
	q->taken_status = status;
	q->taken_end = taken_end(q);
	q->taken_quiet = 0;
	taken_ask(q);
}

void qemu_taken(struct qemu *q)
{
	struct stream_out *out = &q->mon->out;
	bool full = stream_out_full(out);
	int unread = 0;

	if (!q->pid || q->taken_timer || !q->taking)
		return;
	if (out->fd >= 0 && !out->eof && ioctl(out->fd, FIONREAD, &unread) < 0)
		unread = 0;
	bool quiet = !full && !unread && taken_end(q) == q->taken_end;
	q->taken_quiet = quiet ? q->taken_quiet + 1 : 0;
	q->taken_end = taken_end(q);
	if (q->taken_quiet >= TAKEN_QUIET)
		qemu_kill(q, "guest", q->taken_status, "");
	else
		q->taken_timer = loop_after(q->mon->loop, full ? TAKEN_FULL_MS : TAKEN_MS, taken_ask, q);
}

/* QEMU's last words, without the blanks around them and without the registers that KVM's errors end with. */
static const char *last_words(struct qemu *q)
{
	char *text = q->said.data ? q->said.data : (char *)"";
	char *registers = strstr(text, "\nEAX=");

	if (!registers)
		registers = strstr(text, "\nRAX=");
	if (registers)
		*registers = 0;
	size_t len = strlen(text);
	while (len && strchr(" \n\r", text[len - 1]))
		text[--len] = 0;
	if (len > SAID_MAX) {
		text += len - SAID_MAX;
		char *line = strchr(text, '\n');
		text = line ? line + 1 : text;
	}
	return text;
}

static void by_qmp(struct qemu *q, struct machine_end *e)
{
	if (!strcmp(q->shutdown, "guest-shutdown")) {
		e->how = "power-off";
	} else if (!strcmp(q->shutdown, "guest-reset")) {
		e->how = "reset";
		e->status = 134;
		snprintf(e->error, sizeof(e->error), "%s", q->mode->reset_words);
	} else if (!strcmp(q->shutdown, "guest-panic")) {
		e->how = "panic";
		e->status = 134;
		snprintf(e->error, sizeof(e->error), "the kernel reported a panic: see the console");
	} else {
		e->how = "killed";
		e->status = 137;
		snprintf(e->error, sizeof(e->error), "QEMU was told to end from outside (%s)", q->shutdown);
	}
}

static void by_process(struct qemu *q, int status, struct machine_end *e)
{
	const char *said = last_words(q);
	const char *when = q->running ? "" : " before the kernel ran";

	e->failed = true;
	e->how = "lost";
	e->status = DEPLOY_EXIT_FAILED;
	if (WIFSIGNALED(status))
		snprintf(e->error, sizeof(e->error), "QEMU was ended by signal %d (%s)%s%s%s",
			WTERMSIG(status), strsignal(WTERMSIG(status)), when, *said ? ": " : "", said);
	else
		snprintf(e->error, sizeof(e->error), "QEMU ended with status %d%s: %s", WEXITSTATUS(status),
			when, *said ? said : "it gave no reason");
}

static void judge(struct qemu *q, int status, struct machine_end *e)
{
	if (q->mode->judge(q->arg, e))
		return;
	if (*q->shutdown && !q->killed) {
		by_qmp(q, e);
	} else if (q->killed) {
		e->how = q->killed;
		e->status = q->killed_status;
		e->failed = !strcmp(q->killed, "lost");
		const char *said = e->failed ? last_words(q) : "";
		snprintf(e->error, sizeof(e->error), "%.*s%s%.*s", (int)sizeof(e->error) - SAID_MAX - 8,
			q->reason, *said ? ": " : "", SAID_MAX, said);
	} else {
		by_process(q, status, e);
	}
}

static void end_timer(struct timer **t)
{
	timer_cancel(*t);
	*t = NULL;
}

void qemu_gone(void *arg, pid_t pid, int status)
{
	struct qemu *q = arg;
	struct machine_end e = { 0 };

	(void)pid;
	watch_remove(q->child);
	q->child = NULL;
	q->pid = 0;
	end_timer(&q->stop_timer);
	end_timer(&q->launch_timer);
	end_timer(&q->timeout_timer);
	end_timer(&q->taken_timer);
	q->mode->drain(q->arg);
	while (q->words.fd >= 0 && qemu_words_read(q))
		;
	qmp_drain(q->qmp);
	judge(q, status, &e);
	if (q->said.len && !e.failed)
		log_warn("QEMU said: %s", last_words(q));
	monitor_end(q->mon, &e);
}
