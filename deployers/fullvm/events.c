/* SPDX-License-Identifier: MIT */
/*
 * events.c: what comes out of the machine. The guest owns the serial line and the control port, so whatever
 * arrives there is only bytes until it was checked.
 */
#include "deployers/fullvm/vm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK 65536

static void unwatch(struct port *p)
{
	watch_remove(p->watch);
	p->watch = NULL;
}

/* The control port */

static void guest_exit(struct vm *vm, uint64_t value)
{
	if (vm->exit_status >= 0)
		return;
	bool queued = value & GUEST_EXIT_QUEUED;
	value &= ~(uint64_t)GUEST_EXIT_QUEUED;
	if (value > 255)
		monitor_event(&vm->mon,
			"control: the kernel told the exit status %llu, which is taken modulo 256",
			(unsigned long long)value);
	vm->exit_status = (int)(value & 255);
	if (queued && vm->plan.streams == STREAMS_PORTS) {
		vm_end_when_taken(vm);
		return;
	}
	/* All its output is in our sockets by now (guest.h section 4): nothing is gained by a slow farewell.
	 */
	vm_kill(vm, "guest", (unsigned)vm->exit_status, "");
}

static void guest_said(struct vm *vm, const struct guest_message *g)
{
	switch (g->type) {
	case GUEST_HELLO:
		vm->hello = true;
		if (vm->size_value)
			vm_tell_guest(vm, GUEST_RESIZE, vm->size_value);
		break;
	case GUEST_EXIT:
		guest_exit(vm, g->value);
		break;
	case GUEST_RESTART:
		if (!vm->resetting)
			vm_reset(vm, QMP_QUIET);
		break;
	}
}

static void control_bytes(struct vm *vm, const char *data, size_t len)
{
	struct guest_message g;

	if (vm->control_broken)
		return; /* still read, so that a guest that floods us fills nothing */
	buf_append(&vm->message, data, len);
	while (vm->message.len >= sizeof(g) && !vm->control_broken) {
		memcpy(&g, vm->message.data, sizeof(g));
		buf_consume(&vm->message, sizeof(g));
		vm->control_broken = g.magic != GUEST_MESSAGE_MAGIC || g.rev != GUEST_REV;
		if (vm->control_broken)
			monitor_event(&vm->mon,
				"control: a message of another kind (magic %08x, revision %u, not %u): not "
				"listening any more",
				g.magic, g.rev, GUEST_REV);
		else
			guest_said(vm, &g);
	}
}

void vm_tell_guest(struct vm *vm, unsigned type, uint64_t value)
{
	struct guest_message g = { GUEST_MESSAGE_MAGIC, GUEST_REV, (uint16_t)type, value };

	if (vm->control.fd >= 0 && vm->hello &&
		send(vm->control.fd, &g, sizeof(g), MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof(g))
		monitor_event(&vm->mon, "control: the kernel does not read its messages");
}

/* Returns false when there is no more for now. */
static bool control_read(struct vm *vm)
{
	char data[4096];
	ssize_t n = recv(vm->control.fd, data, sizeof(data), MSG_DONTWAIT);

	if (n > 0)
		control_bytes(vm, data, (size_t)n);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		unwatch(&vm->control);
	return n > 0;
}

static void on_control(void *arg, uint32_t events)
{
	(void)events;
	control_read(arg);
}

/* The serial line */

static bool serial_read(struct vm *vm)
{
	static char data[CHUNK];
	ssize_t n = recv(vm->serial.fd, data, sizeof(data), MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		unwatch(&vm->serial);
	if (n <= 0)
		return false;
	if (!vm->console_seen) {
		vm->console_seen = true;
		monitor_mark(&vm->mon, "console");
	}
	monitor_console(&vm->mon, data, (size_t)n);
	if (vm->plan.streams == STREAMS_CONSOLE)
		stream_out_put(&vm->mon.out, data, (size_t)n);
	return true;
}

static void serial_retry(void *arg);

static void on_serial(void *arg, uint32_t events)
{
	struct vm *vm = arg;

	(void)events;
	serial_read(vm);
	/* With streams = console these bytes are stdout, which loses nothing and so may wait. */
	if (vm->serial.watch && vm->plan.streams == STREAMS_CONSOLE && stream_out_full(&vm->mon.out)) {
		unwatch(&vm->serial);
		vm->serial_waits = true;
	}
}

static void serial_retry(void *arg)
{
	struct vm *vm = arg;

	if (!vm->serial_waits || stream_out_full(&vm->mon.out) || vm->serial.fd < 0)
		return;
	vm->serial_waits = false;
	vm->serial.watch = loop_watch(vm->mon.loop, vm->serial.fd, EPOLLIN, on_serial, vm);
}

/* QEMU's own words */

static bool words_read(struct vm *vm)
{
	char *p = buf_reserve(&vm->said, VM_WORDS_MAX);
	ssize_t n = read(vm->words.fd, p, VM_WORDS_MAX);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		unwatch(&vm->words);
	if (n <= 0)
		return false;
	vm->said.len += (size_t)n;
	vm->said.data[vm->said.len] = 0;
	if (vm->said.len > VM_WORDS_MAX)
		buf_consume(&vm->said, vm->said.len - VM_WORDS_MAX);
	return true;
}

static void on_words(void *arg, uint32_t events)
{
	(void)events;
	words_read(arg);
}

void vm_watch(struct vm *vm)
{
	struct loop *l = vm->mon.loop;

	vm->serial.watch = loop_watch(l, vm->serial.fd, EPOLLIN, on_serial, vm);
	vm->control.watch = loop_watch(l, vm->control.fd, EPOLLIN, on_control, vm);
	vm->words.watch = loop_watch(l, vm->words.fd, EPOLLIN, on_words, vm);
	vm->mon.out.drained = serial_retry;
	vm->mon.out.drained_arg = vm;
}

void vm_drain(struct vm *vm)
{
	while (vm->control.fd >= 0 && control_read(vm))
		;
	while (vm->serial.fd >= 0 && serial_read(vm))
		;
	while (vm->words.fd >= 0 && words_read(vm))
		;
	if (vm->qmp)
		qmp_drain(vm->qmp);
	vm->serial_waits = false;
}

/* QMP */

static void now_running(struct vm *vm)
{
	if (vm->pid && !vm->running) {
		vm->running = true;
		timer_cancel(vm->launch_timer);
		vm->launch_timer = NULL;
		monitor_mark(&vm->mon, "boot");
	}
	vm->paused = false;
	monitor_state(&vm->mon, "running");
}

/* The virtual CPUs stand still. Either somebody wants that, or KVM met something that it cannot run: then
 * they would stand for ever. */
static void now_stopped(struct vm *vm, const char *line)
{
	char status[32], words[128];

	/* A machine that is ending stops too. */
	if (*vm->shutdown || vm->killed || !json_find(line, "return.status", status, sizeof(status)))
		return;
	if (!strcmp(status, "paused")) {
		vm->paused = true;
		monitor_state(&vm->mon, "paused");
	} else if (!strcmp(status, "internal-error") || !strcmp(status, "io-error") ||
		   !strcmp(status, "guest-panicked")) {
		snprintf(words, sizeof(words), "QEMU stopped the machine (%s)", status);
		vm_kill(vm, "lost", DEPLOY_EXIT_FAILED, words);
	}
}

static void now_reset(struct vm *vm)
{
	vm->resetting = false;
	vm->hello = false;
	vm->control_broken = false;
	buf_clear(&vm->message);
	qmp_send(vm->qmp, QMP_QUIET, "set-action", "{\"reboot\":\"shutdown\"}");
	monitor_event(&vm->mon, "reset");
}

void vm_on_event(void *arg, const char *event, const char *line)
{
	struct vm *vm = arg;

	if (!strcmp(event, "SHUTDOWN")) {
		if (!json_find(line, "data.reason", vm->shutdown, sizeof(vm->shutdown)))
			strcpy(vm->shutdown, "unknown");
	} else if (!strcmp(event, "RESUME")) {
		now_running(vm);
	} else if (!strcmp(event, "STOP")) {
		qmp_send(vm->qmp, QMP_STOPPED, "query-status", NULL);
	} else if (!strcmp(event, "RESET")) {
		now_reset(vm);
	} else if (!strcmp(event, QMP_BROKEN)) {
		vm_kill(vm, "lost", DEPLOY_EXIT_FAILED, "QEMU sent rubbish instead of QMP");
	} else if (!strcmp(event, "GUEST_PANICKED")) {
		monitor_event(&vm->mon, "the kernel reports a panic");
	}
}

void vm_on_reply(void *arg, uint64_t id, const char *line, const char *error)
{
	struct vm *vm = arg;
	char running[8];

	if (id >= QMP_DAEMON) {
		monitor_answer(&vm->mon, id - QMP_DAEMON, error ? -EIO : 0, error);
		return;
	}
	if (error)
		log_warn("QEMU: %s", error);
	if (id == QMP_TAKEN)
		vm_taken(vm);
	if (id == QMP_STOPPED && !error)
		now_stopped(vm, line);
	if (id == QMP_STATUS && json_find(line, "return.running", running, sizeof(running)) &&
		!strcmp(running, "true"))
		now_running(vm);
}
