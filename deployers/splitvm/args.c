/* SPDX-License-Identifier: MIT */
/*
 * args.c: the plan as a QEMU command line and as the agent's CONFIG. The last CPUs are the kernel's, and the memory behind
 * the ROS's: Linux is told not to touch either (COKERNEL.md 2, 3).
 */
#include "deployers/splitvm/split.h"

#include "cache/base/conf.h"
#include "deployers/net.h"

#include <errno.h>
#include <inttypes.h>

#define CONFIG_WRITABLE_MB 256
#define CONFIG_SPIN_US	   500
#define ROS_CMDLINE_MAX	   2047
#define FIRMWARE_TOP	   (UINT64_C(2) << 20) /* it keeps the last 128 KiB below 4 GiB */
#define ROS_END		   (UINT64_C(64) << 20) /* Linux keeps what is behind its memory up to a multiple of this */

/* Where the kernel's memory begins. What is left out between is never touched, and takes nothing of the host's. */
static uint64_t hrt_address(const struct split *s)
{
	return (s->plan.ros_memory_bytes + ROS_END - 1) & ~(ROS_END - 1);
}

static void add_machine(const struct split *s, struct arguments *a)
{
	uint64_t memory = hrt_address(s) + s->plan.memory_bytes + FIRMWARE_TOP;

	arguments_pair(a, "-M", "pc,usb=off,vmport=off");
	/* Two kernels run at the same time, so their CPUs must (COKERNEL.md 5). */
	arguments_cpu(a, s->plan.accel == ACCEL_KVM, "tcg,thread=multi");
	arguments_format(a, "-m", "size=%" PRIu64 "k", memory / 1024);
	arguments_format(a, "-smp", "%u", s->plan.ros_cpus + s->plan.cpus);
}

static void add_devices(const struct split *s, const struct split_fds *fds, struct arguments *a)
{
	arguments_socket(a, "qmp", fds->qmp);
	arguments_pair(a, "-mon", "chardev=qmp,mode=control");
	arguments_socket(a, "ros", fds->ros);
	arguments_pair(a, "-serial", "chardev:ros");
	arguments_socket(a, "debug", fds->debug);
	arguments_pair(a, "-device", "isa-debugcon,iobase=0xc0c0,chardev=debug");
	arguments_pair(a, "-device", "virtio-serial-pci,id=streams,max_ports=8");
	/* One port and socket each: PITFALLS 15. Number 0 is for consoles. */
	arguments_port(a, 1, "stdin", fds->in, GUEST_PORT_STDIN);
	arguments_port(a, 2, "stdout", fds->out, GUEST_PORT_STDOUT);
	arguments_port(a, 3, "agent", fds->agent, AGENT_PORT);
	arguments_port(a, 4, "console", fds->console, AGENT_PORT_CONSOLE);
	net_arguments(&s->plan, true, a);
	if (s->root_fd < 0)
		return;
	arguments_format(a, "-add-fd", "fd=%d,set=1", s->root_fd);
	arguments_pair(a, "-drive", "if=none,id=root,format=raw,read-only=on,file=/dev/fdset/1");
	arguments_pair(a, "-device", "virtio-blk-pci,drive=root");
}

static int check_sizes(const struct split *s, struct why *why)
{
	uint64_t mib = UINT64_C(1) << 20, end = hrt_address(s) + s->plan.memory_bytes;

	if (s->plan.ros_memory_bytes % (2 * mib))
		return why_fail(why, -EINVAL, "ros_memory must be a multiple of 2M in split modes");
	if (s->plan.memory_bytes % (2 * mib))
		return why_fail(why, -EINVAL, "memory must be a multiple of 2M in split modes");
	if (end > SPLIT_ADDRESS_MAX)
		return why_fail(why, -EINVAL,
			"ros_memory and memory make %" PRIu64 " MiB; splitVM takes %" PRIu64
			" at most, because devices lie above",
			end / mib, SPLIT_ADDRESS_MAX / mib);
	if (s->plan.disk)
		return why_fail(
			why, -EOPNOTSUPP, "disk is not for splitVM, where files come from root and files");
	return 0;
}

int split_arguments(
	const struct split *s, const struct split_fds *fds, struct arguments *out, struct why *why)
{
	autobuf struct buf line = { 0 };
	int err = check_sizes(s, why);

	*out = (struct arguments){ 0 };
	buf_printf(&line, "%s%smem=%" PRIu64 "M maxcpus=%u", s->plan.ros_cmdline ? s->plan.ros_cmdline : "",
		s->plan.ros_cmdline ? " " : "", s->plan.ros_memory_bytes >> 20, s->plan.ros_cpus);
	if (!err && line.len > ROS_CMDLINE_MAX)
		err = why_fail(why, -E2BIG, "the ROS's command line has %zu bytes; Linux takes %d", line.len,
			ROS_CMDLINE_MAX);
	if (err)
		return err;
	arguments_qemu(out, s->plan.qemu);
	add_machine(s, out);
	arguments_format(out, "-kernel", "/dev/fd/%d", s->ros_fd);
	if (s->initrd_fd >= 0)
		arguments_format(out, "-initrd", "/dev/fd/%d", s->initrd_fd);
	arguments_pair(out, "-append", line.data);
	add_devices(s, fds, out);
	return 0;
}

int split_config(const struct split *s, struct buf *out, struct why *why)
{
	autobuf struct buf line = { 0 };
	int err = plan_command_line(&s->plan, &line, why);

	if (err)
		return err;
	conf_put(out, "cmdline", line.data ? line.data : "");
	conf_putf(out, "cpus", "%u", s->plan.cpus);
	conf_putf(out, "memory", "%" PRIu64, s->plan.memory_bytes);
	conf_putf(out, "address", "%" PRIu64, hrt_address(s));
	conf_putf(out, "spin", "%d", CONFIG_SPIN_US);
	if (s->plan.net != NET_NONE)
		conf_put(out, "net", "on");
	if (s->root_fd >= 0) {
		conf_put(out, "root", "vda");
		conf_putf(out, "writable", "%d", CONFIG_WRITABLE_MB);
		conf_put(out, "out", "on");
	}
	return 0;
}
