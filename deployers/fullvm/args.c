/* SPDX-License-Identifier: MIT */
/*
 * args.c: the plan as a QEMU command line. Nothing that QEMU would add by itself, no network, one socket for
 * each purpose, handed over as an open descriptor.
 */
#include "deployers/fullvm/vm.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define SANDBOX "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"

#define LINUX_ARGS_MAX 31 /* INIT_ENV_ARG_LIMIT without init's own name */

static void add(struct arguments *a, char *text)
{
	a->item = xrealloc(a->item, (a->count + 2) * sizeof(*a->item));
	a->item[a->count++] = text;
	a->item[a->count] = NULL;
}

static void add_text(struct arguments *a, const char *text)
{
	add(a, xstrdup(text));
}

static void add_pair(struct arguments *a, const char *option, const char *value)
{
	add_text(a, option);
	add_text(a, value);
}

__attribute__((format(printf, 3, 4))) static void add_format(
	struct arguments *a, const char *option, const char *fmt, ...)
{
	autobuf struct buf b = { 0 };
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	add_text(a, option);
	add(a, buf_steal(&b));
}

void arguments_free(struct arguments *a)
{
	for (size_t i = 0; i < a->count; i++)
		free(a->item[i]);
	free(a->item);
	*a = (struct arguments){ 0 };
}

/* Linux writes over its own code (static keys) while its other CPUs run it. QEMU before 8.1, translating with a
 * thread a CPU, reads code to be translated before it watches the page for writes, and may then run the old code
 * for ever: a Linux of several CPUs hung once in some hundred boots, all CPUs at a breakpoint that was no longer
 * there. One thread for all CPUs cannot. */
static const char *translator(const struct vm *vm)
{
	return vm->image.kind == IMAGE_LINUX && vm->plan.cpus > 1 ? "tcg,thread=single" : "tcg";
}

static void add_machine(const struct vm *vm, struct arguments *a)
{
	bool kvm = vm->plan.accel == ACCEL_KVM;

	/* Without auto-kernel-cmdline=off QEMU would write the transports into the kernel's command line. */
	add_pair(a, "-M",
		vm->machine == MACHINE_MICROVM ? "microvm,auto-kernel-cmdline=off" : "pc,usb=off,vmport=off");
	add_pair(a, "-accel", kvm ? "kvm" : translator(vm));
	/* arch-capabilities tells guests which mitigations they may leave out; under nested KVM setting it
	 * can fail, and with it QEMU. Without it a guest is only more careful. */
	add_pair(a, "-cpu", kvm ? "host,arch-capabilities=off" : "max");
	add_format(a, "-m", "size=%" PRIu64 "k", vm->plan.memory_bytes / 1024);
	add_format(a, "-smp", "%u", vm->plan.cpus);
}

static void add_socket(struct arguments *a, const char *id, int fd)
{
	add_format(a, "-chardev", "socket,id=%s,fd=%d", id, fd);
}

static void add_port(struct arguments *a, unsigned nr, const char *id, int fd, const char *name)
{
	if (fd < 0)
		return;
	add_socket(a, id, fd);
	/* With an id QEMU tells when the kernel opens the port (VSERPORT_CHANGE). */
	add_format(a, "-device", "virtserialport,bus=streams.0,nr=%u,id=" VM_PORT_ID "%s,chardev=%s,name=%s",
		nr, id, id, name);
}

static void add_devices(const struct vm *vm, const struct vm_fds *fds, struct arguments *a)
{
	add_socket(a, "qmp", fds->qmp);
	add_pair(a, "-mon", "chardev=qmp,mode=control");
	add_socket(a, "console", fds->serial);
	add_pair(a, "-serial", "chardev:console");
	if (vm->machine == MACHINE_MICROVM) {
		add_pair(a, "-global", "virtio-mmio.force-legacy=false");
		add_pair(a, "-device", "virtio-serial-device,id=streams,max_ports=8");
	} else {
		add_pair(a, "-device", "virtio-serial-pci,id=streams,max_ports=8");
	}
	/* One port and socket each: PITFALLS 15. Number 0 is for consoles. */
	add_port(a, 1, "stdin", fds->in, GUEST_PORT_STDIN);
	add_port(a, 2, "stdout", fds->out, GUEST_PORT_STDOUT);
	add_port(a, 3, "control", fds->control, GUEST_PORT_CONTROL);
}

/* A Linux would cut off a longer line in silence, and panic at more words behind the "--". */
static int check_line(const struct vm *vm, size_t len, struct why *why)
{
	if (len > vm->image.cmdline_max)
		return why_fail(why, -E2BIG,
			"cmdline and arguments make %zu bytes; this kernel takes %u: use fewer arguments, or "
			"stdin",
			len, vm->image.cmdline_max);
	if (vm->image.kind == IMAGE_LINUX && vm->plan.args.count > LINUX_ARGS_MAX)
		return why_fail(why, -E2BIG,
			"%zu arguments; Linux takes %d on its command line: use fewer, or stdin",
			vm->plan.args.count, LINUX_ARGS_MAX);
	return 0;
}

int vm_arguments(const struct vm *vm, const struct vm_fds *fds, struct arguments *out, struct why *why)
{
	autobuf struct buf line = { 0 };
	int err = plan_command_line(&vm->plan, &line, why);

	*out = (struct arguments){ 0 };
	if (!err)
		err = check_line(vm, line.len, why);
	if (err < 0)
		return err;
	add_text(out, vm->plan.qemu);
	add_text(out, "-nodefaults");
	add_text(out, "-no-user-config");
	add_text(out, "-no-reboot"); /* a triple fault ends the machine: it would be told nowhere else */
	if (vm->begins_paused)
		add_text(out, "-S");
	add_pair(out, "-display", "none");
	add_pair(out, "-sandbox", SANDBOX);
	add_machine(vm, out);
	if (vm->image_fd >= 0)
		add_format(out, "-kernel", "/dev/fd/%d", vm->image_fd);
	else
		add_pair(out, "-kernel", vm->plan.image);
	if (vm->initrd_fd >= 0)
		add_format(out, "-initrd", "/dev/fd/%d", vm->initrd_fd);
	else if (vm->plan.initrd)
		add_pair(out, "-initrd", vm->plan.initrd);
	if (line.len)
		add_pair(out, "-append", line.data);
	add_devices(vm, fds, out);
	return 0;
}
