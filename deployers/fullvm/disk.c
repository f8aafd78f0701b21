/* SPDX-License-Identifier: MIT */
/*
 * disk.c: the machine's disk and network.
 */
#include "deployers/fullvm/vm.h"
#include "deployers/net.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

int vm_disk_open(struct vm *vm, struct why *why)
{
	const char *path = vm->plan.disk;
	struct stat st;

	if (!path)
		return 0;
	vm->disk_fd = open(path, (vm->plan.disk_write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);
	if (vm->disk_fd < 0)
		return why_fail_errno(why, -errno, "disk: cannot open %s", path);
	if (fstat(vm->disk_fd, &st) < 0 || (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)))
		return why_fail(why, -EINVAL, "disk: %s is neither a file nor a block device", path);
	return 0;
}

static void add_disk(const struct vm *vm, struct arguments *a)
{
	struct stat st;
	bool block = !fstat(vm->disk_fd, &st) && S_ISBLK(st.st_mode);

	arguments_format(a, "-add-fd", "fd=%d,set=1", vm->disk_fd);
	arguments_format(a, "-blockdev", "driver=%s,node-name=disk,filename=/dev/fdset/1,read-only=%s",
		block ? "host_device" : "file", vm->plan.disk_write ? "off" : "on");
	arguments_format(
		a, "-device", "virtio-blk-%s,drive=disk", vm->machine == MACHINE_MICROVM ? "device" : "pci");
}

void vm_device_arguments(const struct vm *vm, struct arguments *a)
{
	net_arguments(&vm->plan, vm->machine != MACHINE_MICROVM, a);
	if (vm->plan.disk)
		add_disk(vm, a);
}

void vm_replied(void *arg, uint64_t id, const char *line, const char *error)
{
	struct vm *vm = arg;

	net_replied(&vm->q, &vm->plan, id, line, error);
}
