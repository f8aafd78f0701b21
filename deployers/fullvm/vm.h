/* SPDX-License-Identifier: MIT */
/*
 * vm.h: one QEMU and what hangs on it.
 *
 * Shape    start.c makes it run, events.c hears it, command.c steers it, end.c finds out how it ended
 * Owns     the vm owns its descriptors and QEMU; kill -9 of this process ends QEMU too
 * Threads  the loop's, which is the main thread
 */
#ifndef FULLVM_VM_H
#define FULLVM_VM_H

#include "deployers/guest.h"
#include "deployers/image.h"
#include "deployers/monitor.h"
#include "deployers/qmp.h"

#include <stdbool.h>
#include <sys/types.h>

#define VM_CONSOLE_MAX (16u << 20) /* bytes of console log that are kept */
#define VM_LAUNCH_MS   30000	   /* from exec to "running" */
#define VM_WORDS_MAX   4096	   /* of QEMU's stderr, for the error */

/* What the ports are called in QMP: this with stdin, stdout, control after it. */
#define VM_PORT_ID "port-"

/* Ids of our own QMP commands; a daemon's command has its number + QMP_DAEMON. */
enum { QMP_STATUS = 1, QMP_QUIET = 2, QMP_STOPPED = 3, QMP_TAKEN = 4, QMP_DAEMON = 16 };

/* One end of a socket pair whose other end QEMU has. */
struct port {
	int fd;
	struct watch *watch;
};

struct vm {
	struct monitor mon;
	struct plan plan;
	struct image image;
	enum plan_machine machine; /* resolved: not auto */
	int image_fd, initrd_fd;   /* what QEMU opens as /dev/fd/N; -1: it opens the path */

	pid_t pid; /* 0: not started, or reaped */
	struct watch *child;
	struct qmp *qmp;
	struct port serial, control, words;
	bool serial_waits;  /* stdout is the console, and full */
	struct buf message; /* an unfinished control message */
	struct buf said;    /* the tail of QEMU's stderr */

	bool begins_paused; /* until QMP says cont: then QMP misses nothing (conform/) */
	bool running, paused, console_seen;
	bool hello; /* the guest can be asked */
	bool control_broken;
	bool resetting;
	uint32_t size_value; /* RESIZE for a guest that says HELLO later; 0: none */
	int exit_status;     /* what the guest told; -1: nothing */
	const char *killed;  /* how (END_HOW), when it was us */
	unsigned killed_status;
	char reason[256];  /* why it was us, in words */
	char shutdown[32]; /* QMP's reason */
	struct timer *stop_timer, *launch_timer, *timeout_timer;
	struct timer *taken_timer; /* the guest has ended; stdout may be on its way (end.c) */
	uint64_t taken_end;	   /* of stdout, when last looked at */
	unsigned taken_quiet;	   /* how often in a row nothing had come */
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
struct arguments {
	char **item; /* ends with NULL */
	size_t count;
};
int vm_arguments(const struct vm *vm, const struct vm_fds *fds, struct arguments *out, struct why *why);
void arguments_free(struct arguments *a);

/* events.c */
void vm_watch(struct vm *vm);
void vm_drain(struct vm *vm); /* reads all that a dead QEMU left */
void vm_on_event(void *arg, const char *event, const char *line);
void vm_on_reply(void *arg, uint64_t id, const char *line, const char *error);
void vm_tell_guest(struct vm *vm, unsigned type, uint64_t value);

/* command.c */
extern const struct monitor_ops vm_ops;
/* Ends QEMU at once; the first reason counts. */
void vm_kill(struct vm *vm, const char *how, unsigned status, const char *reason);
void vm_reset(struct vm *vm, uint64_t id);

/* end.c */
/* The guest told its status, but some of stdout may still be queued in the machine: kills it when all is here. */
void vm_end_when_taken(struct vm *vm);
void vm_taken(struct vm *vm); /* QMP_TAKEN was answered */
void vm_gone(void *arg, pid_t pid, int status);

/* probe.c: --probe. The status for exit(3). */
int vm_probe(const char *qemu, const char *kernel);

#endif
