/* SPDX-License-Identifier: MIT */
/*
 * command.c: what users write to ctl.
 */
#include "deployers/fullvm/vm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void vm_stop(void *arg, const char *reason)
{
	struct vm *vm = arg;

	if (!qemu_stop_begin(&vm->q, reason))
		return;
	if (vm->hello)
		vm_tell_guest(vm, GUEST_STOP, 0);
	else
		qmp_send(vm->q.qmp, QMP_QUIET, "system_powerdown", NULL);
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
	const char *words = "";
	int err = 0;

	if (qemu_command(&vm->q, number, word))
		return;
	if (!strcmp(word, "stop")) {
		vm_stop(vm, "asked for");
	} else if (!strcmp(word, "resize")) {
		err = resize(vm, rest);
		words = err < 0 ? "resize takes COLUMNS ROWS, each 1 to 65535" : "";
	} else {
		err = -EOPNOTSUPP;
		words = "not a command of fullVM (stop, kill, reset, pause, resume, resize COLUMNS ROWS)";
	}
	monitor_answer(&vm->mon, number, err, words);
}

const struct monitor_ops vm_ops = { .command = command, .stop = vm_stop };
