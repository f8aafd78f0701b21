/* SPDX-License-Identifier: MIT */
/*
 * start.c: from the plan to a QEMU that runs.
 */
#include "deployers/fullvm/vm.h"

#include "cache/base/io.h"
#include "deployers/child.h"
#include "deployers/net.h"
#include "deployers/vmfiles.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int no_pair[2] = { -1, -1 };

static int prepare_initrd(struct vm *vm, bool drops, struct why *why)
{
	if (!vm->plan.initrd)
		return 0;
	autoclose int fd = open(vm->plan.initrd, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return why_fail_errno(why, -errno, "cannot open initrd %s", vm->plan.initrd);
	if (drops)
		vm->initrd_fd = vm_copy_file(fd, vm->plan.initrd, why);
	return drops && vm->initrd_fd < 0 ? vm->initrd_fd : 0;
}

static int resolve_machine(struct vm *vm, struct why *why)
{
	/* Linux wants ACPI to see all CPUs, and on a microvm with ACPI it hangs now and then (PITFALLS 17). */
	vm->machine = vm->plan.machine;
	if (vm->machine == MACHINE_AUTO)
		vm->machine = vm->image.kind == IMAGE_PVH ? MACHINE_MICROVM : MACHINE_PC;
	if (vm->machine == MACHINE_MICROVM && vm->image.kind == IMAGE_MULTIBOOT)
		return why_fail(why, -EINVAL,
			"machine = microvm boots PVH images only, and %s is a Multiboot image: use machine = "
			"pc, or auto",
			vm->plan.image);
	return 0;
}

/* QEMU drops in silence what lies beyond the memory. */
static int check_memory(const struct vm *vm, struct why *why)
{
	uint64_t need = (vm->image.end_address + (1u << 20) - 1) >> 20;

	if (vm->image.end_address <= vm->plan.memory_bytes)
		return 0;
	return why_fail(why, -EINVAL,
		"memory = %" PRIu64 "M is too small: the image alone reaches to %" PRIu64 " MiB",
		vm->plan.memory_bytes >> 20, need);
}

static int prepare_image(struct vm *vm, struct why *why)
{
	uid_t uid;
	gid_t gid;

	if (!vm->plan.image)
		return why_fail(why, -EINVAL, "plan: no image");
	autoclose int fd = open(vm->plan.image, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return why_fail_errno(why, -errno, "cannot open image %s", vm->plan.image);
	int err = image_recognise(fd, vm->plan.image, &vm->image, why);
	if (err < 0)
		return err;
	err = resolve_machine(vm, why);
	if (!err)
		err = check_memory(vm, why);
	if (err < 0)
		return err;
	/* QEMU would prefer a Multiboot header to the PVH note: it gets a copy without one. */
	bool hide = vm->image.kind == IMAGE_PVH && vm->image.multiboot_offset >= 0;
	bool drops = child_drops(&uid, &gid);
	if (hide || drops) {
		vm->image_fd = vm_copy_file(fd, vm->plan.image, why);
		if (vm->image_fd < 0)
			return vm->image_fd;
	}
	if (hide) {
		err = io_pwrite_full(vm->image_fd, "\0\0\0", 4, (uint64_t)vm->image.multiboot_offset);
		if (err < 0)
			return why_fail_errno(why, err, "cannot copy %s", vm->plan.image);
	}
	return prepare_initrd(vm, drops, why);
}

static int open_wires(const struct vm *vm, struct wires *w, struct why *why)
{
	bool ports = vm->plan.streams == STREAMS_PORTS;

	for (int *pair = (int *)w; pair < (int *)(w + 1); pair += 2)
		memcpy(pair, no_pair, sizeof(no_pair));
	int err = io_socketpair(w->qmp);
	if (!err)
		err = io_socketpair(w->serial);
	if (!err)
		err = io_socketpair(w->control);
	if (!err && ports)
		err = io_socketpair(w->in);
	if (!err && ports)
		err = io_socketpair(w->out);
	if (!err && pipe2(w->words, O_CLOEXEC) < 0)
		err = -errno;
	return err < 0 ? why_fail_errno(why, err, "cannot make the sockets of the machine") : 0;
}

static void close_side(const struct wires *w, int side)
{
	const int *pairs[] = { w->qmp, w->serial, w->in, w->out, w->control, w->words };

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		if (pairs[i][side] >= 0)
			close(pairs[i][side]);
}

static pid_t run_qemu(struct vm *vm, const struct wires *w, struct why *why)
{
	struct vm_fds fds = { w->qmp[1], w->serial[1], w->in[1], w->out[1], w->control[1] };
	const int all[] = { fds.qmp, fds.serial, fds.in, fds.out, fds.control, vm->image_fd, vm->initrd_fd,
		vm->disk_fd };
	struct arguments a;
	pid_t pid = vm_arguments(vm, &fds, &a, why);

	if (!pid)
		pid = vm_spawn(
			&a, all, sizeof(all) / sizeof(all[0]), w->words[1], vm->plan.accel == ACCEL_KVM, why);
	arguments_free(&a);
	return pid;
}

static void attach(struct vm *vm, const struct wires *w)
{
	vm->serial.fd = w->serial[0];
	vm->control.fd = w->control[0];
	stream_in_attach(&vm->mon.keys, fcntl(w->serial[0], F_DUPFD_CLOEXEC, 0));
	if (vm->plan.streams == STREAMS_PORTS) {
		stream_in_attach(&vm->mon.in, w->in[0]);
		stream_out_attach(&vm->mon.out, w->out[0]);
	} else {
		vm->mon.in.typed = true;
		stream_in_attach(&vm->mon.in, fcntl(w->serial[0], F_DUPFD_CLOEXEC, 0));
	}
	vm_watch(vm);
}

int vm_prepare(struct vm *vm, struct wires *w, struct why *why)
{
	int err = prepare_image(vm, why);

	if (err < 0)
		return err;
	err = vm_disk_open(vm, why);
	if (err < 0)
		return err;
	err = open_wires(vm, w, why);
	if (err < 0) {
		close_side(w, 1);
		close_side(w, 0);
	}
	return err;
}

pid_t vm_exec(struct vm *vm, const struct wires *w, struct why *why)
{
	pid_t pid = run_qemu(vm, w, why);

	close_side(w, 1);
	if (pid < 0)
		close_side(w, 0);
	return pid;
}

int vm_start(struct vm *vm, struct why *why)
{
	struct wires w;
	int err = vm_prepare(vm, &w, why);
	pid_t pid = err < 0 ? err : vm_exec(vm, &w, why);

	if (pid < 0)
		return (int)pid;
	vm->q.pc = vm->machine != MACHINE_MICROVM;
	qemu_started(&vm->q, pid, w.qmp[0], w.words[0], vm->plan.timeout_s);
	attach(vm, &w);
	net_begin(&vm->q, &vm->plan); /* and lets it run */
	return 0;
}

void vm_free(struct vm *vm)
{
	qemu_free(&vm->q);
	port_close(&vm->serial);
	port_close(&vm->control);
	buf_free(&vm->message);
	if (vm->image_fd >= 0)
		close(vm->image_fd);
	if (vm->initrd_fd >= 0)
		close(vm->initrd_fd);
	if (vm->disk_fd >= 0)
		close(vm->disk_fd);
	plan_free(&vm->plan);
	monitor_close(&vm->mon);
}
