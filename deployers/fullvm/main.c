/* SPDX-License-Identifier: MIT */
/*
 * main.c: diverfs-fullvm, the deployer of fully virtualised kernels: one QEMU (deployers/deploy.h).
 */
#include "deployers/fullvm/vm.h"
#include "deployers/program.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
	"usage: diverfs-fullvm DIR\n"
	"       diverfs-fullvm --probe [--qemu PATH] [--kernel PATH]\n"
	"Launches the kernel that DIR/plan describes in QEMU. diverfs starts it; deploy.h is the contract.\n"
	"--probe says whether that works here, and with which accelerators.\n";

static int deploy(const char *dir)
{
	static struct vm vm = { .image_fd = -1, .initrd_fd = -1, .disk_fd = -1, .exit_status = -1 };
	struct machine_end e = { .failed = true, .status = DEPLOY_EXIT_FAILED, .how = "lost" };
	struct why why = { 0 };

	vm.serial.fd = vm.control.fd = -1;
	qemu_begin(&vm.q, &vm.mon, &vm_qemu, &vm);
	if (chdir(dir) < 0) {
		log_error("%s: cannot enter the instance's directory", dir);
		return DEPLOY_EXIT_FAILED;
	}
	if (monitor_open(&vm.mon, "console", VM_CONSOLE_MAX, &vm_ops, &vm, &why) < 0) {
		log_error("%s", why.text);
		return DEPLOY_EXIT_FAILED;
	}
	monitor_state(&vm.mon, "launching");
	int err = plan_read(vm.mon.dirfd, &vm.plan, &why);
	if (!err) {
		monitor_plan(&vm.mon, &vm.plan);
		err = vm_start(&vm, &why);
	}
	if (err < 0) {
		log_error("%s", why.text);
		snprintf(e.error, sizeof(e.error), "%s", why.text);
		monitor_end(&vm.mon, &e);
	}
	int status = monitor_run(&vm.mon);
	vm_free(&vm);
	return status;
}

static int probe(const struct probe_with *with)
{
	return vm_probe(with->qemu, with->kernel);
}

int main(int argc, char **argv)
{
	static const struct program program = { "diverfs-fullvm", usage, probe, deploy };

	return program_main(&program, argc, argv);
}
