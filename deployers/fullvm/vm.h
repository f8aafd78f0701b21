/* SPDX-License-Identifier: MIT */
/*
 * vm.h: one QEMU and what hangs on it.
 *
 * Shape    start.c makes it run, events.c hears the kernel, command.c steers it; qemu.h has what all QEMUs share
 * Owns     the vm owns its descriptors and QEMU; kill -9 of this process ends QEMU too
 * Threads  the loop's, which is the main thread
 */
#ifndef FULLVM_VM_H
#define FULLVM_VM_H

#include "deployers/arguments.h"
#include "deployers/guest.h"
#include "deployers/image.h"
#include "deployers/qemu.h"

#include <stdbool.h>
#include <sys/types.h>

#define VM_CONSOLE_MAX (16u << 20) /* bytes of console log that are kept */

struct vm {
	struct monitor mon;
	struct plan plan;
	struct image image;
	struct qemu q;
	enum plan_machine machine; /* resolved: not auto */
	int image_fd, initrd_fd;   /* what QEMU opens as /dev/fd/N; -1: it opens the path */
	int disk_fd;		   /* -1: no disk */

	struct port serial, control;
	bool serial_waits;  /* stdout is the console, and full */
	struct buf message; /* an unfinished control message */

	bool console_seen;
	bool hello; /* the guest can be asked */
	bool control_broken;
	uint32_t size_value; /* RESIZE for a guest that says HELLO later; 0: none */
	int exit_status;     /* what the guest told; -1: nothing */
};

/* start.c: recognises the image, starts QEMU. */
int vm_start(struct vm *vm, struct why *why);
/* The same in two steps, for who does not run under a monitor (conform/): all of (vm) but plan and the
 * descriptors of the files may be zero. Our ends of the sockets are at 0, QEMU's at 1, (words) is a pipe;
 * pairs that the plan does not ask for are -1. */
struct wires {
	int qmp[2], serial[2], in[2], out[2], control[2], words[2];
};
int vm_prepare(struct vm *vm, struct wires *w, struct why *why);
/* Closes QEMU's ends in any case, and ours too when it fails. */
pid_t vm_exec(struct vm *vm, const struct wires *w, struct why *why);
void vm_free(struct vm *vm);

/* args.c: the command line. The numbers are QEMU's ends of the sockets. */
struct vm_fds {
	int qmp, serial, in, out, control; /* in and out are -1 with streams = console */
};
int vm_arguments(const struct vm *vm, const struct vm_fds *fds, struct arguments *out, struct why *why);

/* events.c */
void vm_watch(struct vm *vm);
void vm_tell_guest(struct vm *vm, unsigned type, uint64_t value);
extern const struct qemu_mode vm_qemu;

/* disk.c: disk and network. */
int vm_disk_open(struct vm *vm, struct why *why);
void vm_device_arguments(const struct vm *vm, struct arguments *a);
void vm_replied(void *arg, uint64_t id, const char *line, const char *error);

/* command.c */
extern const struct monitor_ops vm_ops;

/* probe.c: --probe. The status for exit(3). */
int vm_probe(const char *qemu, const char *kernel);

#endif
