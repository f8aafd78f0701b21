/* SPDX-License-Identifier: MIT */
/*
 * command.c: what users write to ctl, what they type, and the ways to end a machine.
 */
#include "deployers/fullvm/vm.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

void vm_kill(struct vm *vm, const char *how, unsigned status, const char *reason)
{
	if (!vm->killed) {
		vm->killed = how;
		vm->killed_status = status;
		snprintf(vm->reason, sizeof(vm->reason), "%s", reason);
	}
	if (vm->pid)
		kill(-vm->pid, SIGKILL); /* its session: not reaped yet, so the number is still its own */
}

static void stop_late(void *arg)
{
	struct vm *vm = arg;

	vm->stop_timer = NULL;
	vm_kill(vm, "killed", 137, "");
}

static void vm_stop(void *arg, const char *reason)
{
	struct vm *vm = arg;

	if (vm->stop_timer || vm->killed || !vm->pid)
		return;
	monitor_event(&vm->mon, "stop: %s", reason);
	if (!vm->running) {
		vm_kill(vm, "killed", 137, reason);
		return;
	}
	if (vm->paused)
		qmp_send(vm->qmp, QMP_QUIET, "cont", NULL);
	if (vm->hello)
		vm_tell_guest(vm, GUEST_STOP, 0);
	else
		qmp_send(vm->qmp, QMP_QUIET, "system_powerdown", NULL);
	vm->stop_timer = loop_after(vm->mon.loop, DEPLOY_STOP_MS, stop_late, vm);
}

/* -no-reboot makes every reset an end, also this one: it is lifted for the moment (events.c puts it back). */
void vm_reset(struct vm *vm, uint64_t id)
{
	vm->resetting = true;
	qmp_send(vm->qmp, QMP_QUIET, "set-action", "{\"reboot\":\"reset\"}");
	qmp_send(vm->qmp, id, "system_reset", NULL);
}

static int resize(struct vm *vm, const char *rest)
{
	unsigned columns, rows;
	char more;

	if (sscanf(rest, "%u %u %c", &columns, &rows, &more) != 2 || !columns || !rows || columns > 65535 ||
		rows > 65535)
		return -EINVAL;
	vm->size_value = columns << 16 | rows;
	vm_tell_guest(vm, GUEST_RESIZE, vm->size_value);
	return 0;
}

static void command(void *arg, uint64_t number, const char *word, const char *rest)
{
	struct vm *vm = arg;
	uint64_t id = number + QMP_DAEMON;

	if (!strcmp(word, "stop")) {
		vm_stop(vm, "asked for");
	} else if (!strcmp(word, "kill")) {
		vm_kill(vm, "killed", 137, "");
	} else if (!strcmp(word, "reset")) {
		vm_reset(vm, id);
		return;
	} else if (!strcmp(word, "pause")) {
		qmp_send(vm->qmp, id, "stop", NULL);
		return;
	} else if (!strcmp(word, "resume")) {
		qmp_send(vm->qmp, id, "cont", NULL);
		return;
	} else if (!strcmp(word, "resize")) {
		int err = resize(vm, rest);
		monitor_answer(
			&vm->mon, number, err, err < 0 ? "resize takes COLUMNS ROWS, each 1 to 65535" : "");
		return;
	} else {
		monitor_answer(&vm->mon, number, -EOPNOTSUPP,
			"not a command of fullVM (stop, kill, reset, pause, resume, resize COLUMNS ROWS)");
		return;
	}
	monitor_answer(&vm->mon, number, 0, "");
}

static void typed(void *arg, const void *data, size_t len)
{
	struct vm *vm = arg;

	if (vm->serial.fd >= 0) /* what does not fit is dropped, as with a real line */
		(void)!send(vm->serial.fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

const struct monitor_ops vm_ops = { .command = command, .typed = typed, .stop = vm_stop };
