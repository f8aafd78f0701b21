/* SPDX-License-Identifier: MIT */
/*
 * main.c: diverfs-splitvm, the deployer of a machine that is split between a Linux and a specialised kernel
 * (deployers/deploy.h).
 */
#include "deployers/splitvm/split.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
	"usage: diverfs-splitvm DIR\n"
	"Launches the kernel that DIR/plan describes beside a Linux in one QEMU. diverfs starts it; deploy.h "
	"is the\n"
	"contract. Whether QEMU works here, and with what, diverfs-fullvm --probe says.\n";

static int deploy(const char *dir)
{
	static struct split s = {
		.ros_fd = -1,
		.initrd_fd = -1,
		.image_fd = -1,
		.root_fd = -1,
		.packed.fd = -1,
		.console.fd = -1,
		.debug.fd = -1,
		.ros.fd = -1,
		.out_fd = -1,
		.talk = { .fd = -1, .image = -1 },
	};
	struct why why = { 0 };

	qemu_begin(&s.q, &s.mon, &split_qemu, &s);
	if (chdir(dir) < 0) {
		log_error("%s: cannot enter the instance's directory", dir);
		return DEPLOY_EXIT_FAILED;
	}
	if (monitor_open(&s.mon, "console", SPLIT_CONSOLE_MAX, &split_ops, &s, &why) < 0) {
		log_error("%s", why.text);
		return DEPLOY_EXIT_FAILED;
	}
	monitor_state(&s.mon, "launching");
	int err = monitor_ros_open(&s.mon, SPLIT_ROS_MAX, &why);
	if (!err)
		err = plan_read(s.mon.dirfd, &s.plan, &why);
	if (!err) {
		monitor_plan(&s.mon, &s.plan);
		err = split_pack(&s, &why);
	}
	if (err < 0)
		split_fail(&s, &why);
	int status = monitor_run(&s.mon);
	split_free(&s);
	return status;
}

int main(int argc, char **argv)
{
	log_open("diverfs-splitvm", LOG_LEVEL_INFO);
	if (argc == 2 && !strcmp(argv[1], "--help")) {
		fputs(usage, stdout);
		return 0;
	}
	if (argc == 2 && !strcmp(argv[1], "--version")) {
		puts("diverfs-splitvm " DIVERFS_VERSION);
		return 0;
	}
	if (argc == 2 && *argv[1] != '-')
		return deploy(argv[1]);
	fputs(usage, stderr);
	return DEPLOY_EXIT_USAGE;
}
