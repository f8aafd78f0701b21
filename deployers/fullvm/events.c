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
		qemu_end_when_taken(&vm->q, (unsigned)vm->exit_status);
		return;
	}
	/* All its output is in our sockets by now (guest.h section 4): nothing is gained by a slow farewell.
	 */
	qemu_kill(&vm->q, "guest", (unsigned)vm->exit_status, "");
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
		if (!vm->q.resetting)
			qemu_reset(&vm->q, QMP_QUIET);
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
		port_unwatch(&vm->control);
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
		port_unwatch(&vm->serial);
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
		port_unwatch(&vm->serial);
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

void vm_watch(struct vm *vm)
{
	struct loop *l = vm->mon.loop;

	vm->serial.watch = loop_watch(l, vm->serial.fd, EPOLLIN, on_serial, vm);
	vm->control.watch = loop_watch(l, vm->control.fd, EPOLLIN, on_control, vm);
	vm->mon.out.drained = serial_retry;
	vm->mon.out.drained_arg = vm;
}

/* What QEMU tells of the machine */

static void on_running(void *arg, bool first)
{
	struct vm *vm = arg;

	if (first)
		monitor_mark(&vm->mon, "boot");
	monitor_state(&vm->mon, "running");
}

static void on_reset(void *arg)
{
	struct vm *vm = arg;

	vm->hello = false;
	vm->control_broken = false;
	buf_clear(&vm->message);
}

static void drain(void *arg)
{
	struct vm *vm = arg;

	while (vm->control.fd >= 0 && control_read(vm))
		;
	while (vm->serial.fd >= 0 && serial_read(vm))
		;
	vm->serial_waits = false;
}

static bool judge(void *arg, struct machine_end *e)
{
	struct vm *vm = arg;

	e->how = "guest";
	e->status = (unsigned)vm->exit_status;
	return vm->exit_status >= 0;
}

const struct qemu_mode vm_qemu = {
	.running = on_running,
	.reset = on_reset,
	.drain = drain,
	.judge = judge,
	.replied = vm_replied,
	.reset_words = "the kernel reset the machine, as a triple fault does, without telling a status: see "
		       "the console",
};
