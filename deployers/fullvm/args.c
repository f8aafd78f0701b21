/* SPDX-License-Identifier: MIT */
/*
 * args.c: the plan as a QEMU command line. Nothing that QEMU would add by itself, one socket for each
 * purpose, handed over as an open descriptor.
 */
#include "deployers/fullvm/vm.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define LINUX_ARGS_MAX 31 /* INIT_ENV_ARG_LIMIT without init's own name */

/* A Linux of several CPUs hung once in some 250 boots of QEMU 7.2 with a thread a CPU: all CPUs at one place of its
 * code, a static key that Linux had just patched there, as far as the registers told. Most likely QEMU went on
 * running its translation of the old code; that was not proven. With one thread for all CPUs it was not seen. */
static const char *translator(const struct vm *vm)
{
	return vm->image.kind == IMAGE_LINUX && vm->plan.cpus > 1 ? "tcg,thread=single" : "tcg";
}

static void add_machine(const struct vm *vm, struct arguments *a)
{
	/* Without auto-kernel-cmdline=off QEMU would write the transports into the kernel's command line. */
	arguments_pair(a, "-M",
		vm->machine == MACHINE_MICROVM ? "microvm,auto-kernel-cmdline=off" : "pc,usb=off,vmport=off");
	arguments_cpu(a, vm->plan.accel == ACCEL_KVM, translator(vm));
	arguments_format(a, "-m", "size=%" PRIu64 "k", vm->plan.memory_bytes / 1024);
	arguments_format(a, "-smp", "%u", vm->plan.cpus);
}

static void add_devices(const struct vm *vm, const struct vm_fds *fds, struct arguments *a)
{
	arguments_socket(a, "qmp", fds->qmp);
	arguments_pair(a, "-mon", "chardev=qmp,mode=control");
	arguments_socket(a, "console", fds->serial);
	arguments_pair(a, "-serial", "chardev:console");
	if (vm->machine == MACHINE_MICROVM) {
		arguments_pair(a, "-global", "virtio-mmio.force-legacy=false");
		arguments_pair(a, "-device", "virtio-serial-device,id=streams,max_ports=8");
	} else {
		arguments_pair(a, "-device", "virtio-serial-pci,id=streams,max_ports=8");
	}
	/* One port and socket each: PITFALLS 15. Number 0 is for consoles. */
	arguments_port(a, 1, "stdin", fds->in, GUEST_PORT_STDIN);
	arguments_port(a, 2, "stdout", fds->out, GUEST_PORT_STDOUT);
	arguments_port(a, 3, "control", fds->control, GUEST_PORT_CONTROL);
	vm_device_arguments(vm, a);
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
	arguments_qemu(out, vm->plan.qemu);
	add_machine(vm, out);
	if (vm->image_fd >= 0)
		arguments_format(out, "-kernel", "/dev/fd/%d", vm->image_fd);
	else
		arguments_pair(out, "-kernel", vm->plan.image);
	if (vm->initrd_fd >= 0)
		arguments_format(out, "-initrd", "/dev/fd/%d", vm->initrd_fd);
	else if (vm->plan.initrd)
		arguments_pair(out, "-initrd", vm->plan.initrd);
	if (line.len)
		arguments_pair(out, "-append", line.data);
	add_devices(vm, fds, out);
	return 0;
}
