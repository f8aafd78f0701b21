/* SPDX-License-Identifier: MIT */
/*
 * end.c: QEMU has ended; how did the machine? In this order: what the guest told, what we did, what QMP said,
 * what the process says. QEMU's own exit status alone tells next to nothing (PITFALLS 16).
 */
#include "deployers/fullvm/vm.h"

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
	struct vm *vm = arg;

	vm->taken_timer = NULL;
	qmp_send(vm->qmp, QMP_TAKEN, "query-status", NULL);
}

void vm_end_when_taken(struct vm *vm)
{
	vm->taken_end = stream_out_end(&vm->mon.out);
	vm->taken_quiet = 0;
	taken_ask(vm);
}

void vm_taken(struct vm *vm)
{
	struct stream_out *out = &vm->mon.out;
	bool full = stream_out_full(out);
	int unread = 0;

	if (!vm->pid || vm->taken_timer)
		return;
	if (out->fd >= 0 && !out->eof && ioctl(out->fd, FIONREAD, &unread) < 0)
		unread = 0;
	bool quiet = !full && !unread && stream_out_end(out) == vm->taken_end;
	vm->taken_quiet = quiet ? vm->taken_quiet + 1 : 0;
	vm->taken_end = stream_out_end(out);
	if (vm->taken_quiet >= TAKEN_QUIET)
		vm_kill(vm, "guest", (unsigned)vm->exit_status, "");
	else
		vm->taken_timer = loop_after(vm->mon.loop, full ? TAKEN_FULL_MS : TAKEN_MS, taken_ask, vm);
}

/* QEMU's last words, without the blanks around them and without the registers that KVM's errors end with. */
static const char *last_words(struct vm *vm)
{
	char *text = vm->said.data ? vm->said.data : (char *)"";
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

static void by_qmp(struct vm *vm, struct machine_end *e)
{
	if (!strcmp(vm->shutdown, "guest-shutdown")) {
		e->how = "power-off";
	} else if (!strcmp(vm->shutdown, "guest-reset")) {
		e->how = "reset";
		e->status = 134;
		snprintf(e->error, sizeof(e->error),
			"the kernel reset the machine, as a triple fault does, without telling a status: see "
			"the console");
	} else if (!strcmp(vm->shutdown, "guest-panic")) {
		e->how = "panic";
		e->status = 134;
		snprintf(e->error, sizeof(e->error), "the kernel reported a panic: see the console");
	} else {
		e->how = "killed";
		e->status = 137;
		snprintf(e->error, sizeof(e->error), "QEMU was told to end from outside (%s)", vm->shutdown);
	}
}

static void by_process(struct vm *vm, int status, struct machine_end *e)
{
	const char *said = last_words(vm);
	const char *when = vm->running ? "" : " before the kernel ran";

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

static void judge(struct vm *vm, int status, struct machine_end *e)
{
	if (vm->exit_status >= 0) {
		e->how = "guest";
		e->status = (unsigned)vm->exit_status;
	} else if (*vm->shutdown && !vm->killed) {
		by_qmp(vm, e);
	} else if (vm->killed) {
		e->how = vm->killed;
		e->status = vm->killed_status;
		e->failed = !strcmp(vm->killed, "lost");
		const char *said = e->failed ? last_words(vm) : "";
		snprintf(e->error, sizeof(e->error), "%s%s%.*s", vm->reason, *said ? ": " : "", SAID_MAX,
			said);
	} else {
		by_process(vm, status, e);
	}
}

void vm_gone(void *arg, pid_t pid, int status)
{
	struct vm *vm = arg;
	struct machine_end e = { 0 };

	(void)pid;
	watch_remove(vm->child);
	vm->child = NULL;
	vm->pid = 0;
	timer_cancel(vm->stop_timer);
	timer_cancel(vm->launch_timer);
	timer_cancel(vm->timeout_timer);
	timer_cancel(vm->taken_timer);
	vm->stop_timer = vm->launch_timer = vm->timeout_timer = vm->taken_timer = NULL;
	vm_drain(vm);
	judge(vm, status, &e);
	if (vm->said.len && !e.failed)
		log_warn("QEMU said: %s", last_words(vm));
	monitor_end(&vm->mon, &e);
}
