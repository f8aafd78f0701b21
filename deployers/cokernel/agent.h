/* SPDX-License-Identifier: MIT */
/*
 * agent.h: what a deployer and the agent in the ROS say to each other.
 *
 * Where    frames on one byte stream: splitVM, the virtio-serial port AGENT_PORT; splitHW, a Unix socket. Beside it the
 *          ports AGENT_PORT_CONSOLE (the HRT's console, both ways) and guest.h's GUEST_PORT_STDIN and _STDOUT, raw: the
 *          agent gives the last two to the program as descriptors 0 and 1. The ROS's own console is its serial line.
 * Order    agent: READY. Deployer: CONFIG, IMAGE..., [POLICY], BOOT. Agent: ALIVE, then [HELLO], COUNTS now and then,
 *          and at the end COUNTS, OUT... and ENDED. After ENDED the deployer may say BOOT again (a fresh HRT of the
 *          same image and config), or HALT. The ports know nothing of each other's order: what is printed may come before
 *          ALIVE, and be read after ENDED, although it was in its port before that.
 * Trust    the agent runs beside a kernel that can write anything: the deployer checks every frame as it would a
 *          stranger's. Texts are UTF-8 without zeroes; what is not is shown escaped.
 * Errors   a frame with another magic or revision, or longer than AGENT_FRAME_MAX, ends the conversation, in words.
 */
#ifndef DEPLOYERS_COKERNEL_AGENT_H
#define DEPLOYERS_COKERNEL_AGENT_H

#include <stdint.h>

#define AGENT_REV	   1
#define AGENT_MAGIC	   0x67617664u	/* "dvag" */
#define AGENT_FRAME_MAX	   (64u * 1024) /* bytes behind the head */
#define AGENT_PORT	   "diverfs.agent"
#define AGENT_PORT_CONSOLE "diverfs.console"

struct agent_frame { /* little endian; (len) bytes follow */
	uint32_t magic;
	uint16_t rev, type; /* enum agent_type */
	uint32_t len, pad;
};
_Static_assert(sizeof(struct agent_frame) == 16, "both sides are built apart");

enum agent_type {
	/* Deployer to agent. */
	AGENT_CONFIG = 1, /* text, key = value lines: struct agent_config says which. Replaces what was */
	AGENT_IMAGE = 2,  /* the next bytes of the HRT's image; the first after CONFIG begins a new one */
	AGENT_POLICY = 3, /* text: the policy of delegated calls, in force at once. Replaces what was */
	AGENT_BOOT = 4,	  /* start the HRT */
	AGENT_STOP = 5,	  /* pass GUEST_STOP on; the HRT may end by itself */
	AGENT_KILL = 6,	  /* stop the HRT's CPUs now; ENDED follows */
	AGENT_HALT = 7,	  /* as KILL, then power the ROS off */
	AGENT_RESIZE = 8, /* u32 columns, u32 rows */

	/* Agent to deployer. */
	AGENT_READY = 32, /* text, key = value lines: linux (release), memory and cpus that an HRT can have */
	AGENT_ALIVE = 33, /* the HRT's first CPU has entered; no bytes */
	AGENT_HELLO = 34, /* u32 level */
	AGENT_COUNTS =
		35, /* struct agent_count[]; all calls made since BOOT, several frames if need be: each call at most once */
	AGENT_OUT =
		36, /* the next bytes of a tar archive of what the program wrote; without bytes: its end */
	AGENT_ENDED = 37, /* struct agent_end, then words (may be none) */
	AGENT_REFUSED =
		38, /* text: what was asked and cannot be done, why, what to do. After BOOT: no ALIVE will come */
	AGENT_LOG = 39, /* text: a line for the instance's log, e.g. a refused call */
};

/*
 * Keys of CONFIG. Sizes in bytes.
 *   cmdline   the HRT's command line (guest.h section 2)
 *   cpus      how many CPUs the HRT gets; they are the machine's last
 *   memory    how much memory it gets; address: where it begins (splitVM: behind mem=)
 *   root      a block device (vda) with a squashfs that becomes the program's root, under an overlay
 *   writable  megabytes that the overlay's upper directory may take (tmpfs)
 *   spin      microseconds that an agent's thread spins at most before it sleeps
 *   out       on: send what the program wrote (OUT) at the end
 *   cwd, uid, gid   of the program, in its root (default /, 0, 0)
 *   net       on: the ROS's network card gets the address that QEMU's user network wants: 10.0.2.15/24, gateway 10.0.2.2
 *
 * POLICY: lines  allow|refuse|tell CALLS [PATH] , CALLS being `all` or numbers of x86-64 system calls separated by commas, PATH the rest of
 * the line, absolute: the rule is then for calls that name PATH or something below it, links followed. The first rule of
 * allow and refuse that matches decides; without one a call is allowed. A call that a tell rule matches is told in LOG when it fails, once
 * for each call, path and error. Refused: -EPERM, counted, and some of them told in LOG. Whatever the policy,
 * calls that would damage the agent or the ROS are refused (mount, reboot, modules, ptrace ...), and those that are the
 * HRT's own affair (memory, threads, signals, the end) are -ENOSYS.
 * Children of the program (guest.h, GUEST_CALL_FORK) are Linux's own, and their calls pass no policy: one that refuses anything
 * refuses children, too, unless a rule without a path allows fork (57).
 *
 * While an HRT runs COUNTS comes at least every two seconds, if need be without bytes: a sign of life. What the HRT wrote to
 * stdout and to its console is in the ports' queues before ENDED is: take it before the machine is ended.
 */

enum agent_how { AGENT_EXITED = 1, AGENT_FAULTED = 2, AGENT_STOPPED = 3, AGENT_RESTART = 4, AGENT_LOST = 5 };
struct agent_end {
	uint32_t
		how; /* FAULTED: the panic record is in the words; RESTART: the HRT asks to be booted again; LOST: the ROS
			could not serve it any more, why is in the words */
	uint32_t status; /* EXITED */
	uint64_t stray;	 /* interrupts that the HRT counted as nobody's */
};
_Static_assert(sizeof(struct agent_end) == 16, "both sides are built apart");

struct agent_count {
	uint32_t number; /* of the system call, x86-64; GUEST_CALLS - 1: all above */
	uint32_t pad;
	uint64_t served;						   /* by the HRT */
	uint64_t delegated;						   /* to the ROS */
	uint64_t refused;						   /* by the policy */
	uint64_t unknown;						   /* answered -ENOSYS by either */
	uint64_t served_ns, served_ns_max, delegated_ns, delegated_ns_max; /* sums and longest */
};
_Static_assert(sizeof(struct agent_count) == 72, "both sides are built apart");

#endif
