/* SPDX-License-Identifier: MIT */
/*
 * split.h: one QEMU in which a Linux (the ROS) keeps some CPUs and some memory, and the specialised kernel (the
 * HRT) gets the rest. An agent in the ROS loads and serves it (cokernel/agent.h).
 *
 * Shape    root.c packs the program's root, start.c makes the machine run, agent.c is the conversation, lines.c
 *          the consoles, command.c steers, counts.c and out.c keep what the agent tells of calls and files
 * States   launching until the HRT has entered, although the ROS runs before
 * Owns     the split owns its descriptors, the packer and QEMU; kill -9 of this process ends both
 * Threads  the loop's, which is the main thread
 */
#ifndef SPLITVM_SPLIT_H
#define SPLITVM_SPLIT_H

#include "deployers/arguments.h"
#include "deployers/cokernel/talk.h"
#include "deployers/guest.h"
#include "deployers/image.h"
#include "deployers/qemu.h"
#include "deployers/untar.h"

#include <stdbool.h>
#include <sys/types.h>

#define SPLIT_CONSOLE_MAX (16u << 20) /* bytes of console log that are kept */
#define SPLIT_ROS_MAX	  (4u << 20)
#define SPLIT_READY_MS	  120000	      /* from the first instruction of the ROS to its agent's word */
#define SPLIT_ALIVE_MS	  60000		      /* from BOOT to the HRT's first instruction */
#define SPLIT_SILENCE_MS  20000		      /* three times without a word from the agent: it is dead */
#define SPLIT_ADDRESS_MAX (UINT64_C(3) << 30) /* the PCI hole lies above */
#define SPLIT_TAIL	  4096

/* Counts of all calls, by number. */
struct counts {
	struct agent_count call[GUEST_CALLS];
};

struct split {
	struct monitor mon;
	struct plan plan;
	struct qemu q;
	struct talk talk;

	/* What QEMU and the agent are given; -1: none. */
	int ros_fd, initrd_fd, image_fd, root_fd;
	pid_t packer; /* diverfs-root, while it packs; 0 */
	struct watch *packer_watch;
	struct port packed; /* what it says */
	struct buf packer_said;
	int packer_status;
	bool packer_ended;

	struct port console, debug, ros;
	bool console_waits; /* stdout is the console, and full */
	bool debug_lost;    /* the same, and some was not kept */
	bool console_seen;
	char tail[SPLIT_TAIL]; /* the last bytes of the ROS's console */
	size_t tail_len;

	bool alive, hello;
	struct timer *boot_timer, *silence_timer;
	uint64_t silent_since; /* talk.frames then */
	unsigned silent;
	uint64_t reset_number; /* of the command reset-hrt that waits; 0 none */
	bool resetting_hrt;
	uint32_t size_value; /* RESIZE for a kernel that says HELLO later; 0: none */

	/* How the HRT ended: */
	bool ended, failed;
	unsigned status;
	const char *how;
	char words[WHY_MAX];

	struct counts counts;
	struct untar out; /* what the program wrote */
	int out_fd;	  /* its directory, being filled; -1 none */
	bool out_bad;
};

/* root.c: packs the root with diverfs-root, or finds that none is wanted; split_launch follows. */
int split_pack(struct split *s, struct why *why);
void split_pack_kill(struct split *s);

/* start.c */
int split_launch(struct split *s, struct why *why);
/* The same in two steps, for who does not run under a monitor (conform/): all of (s) but plan may be zero, and its
 * descriptors -1. Our ends of the sockets are at 0, QEMU's at 1, (words) is a pipe; pairs that the plan does not ask for
 * are -1. split_exec closes QEMU's ends in any case, and ours too when it fails. */
struct split_wires {
	int qmp[2], ros[2], agent[2], console[2], debug[2], in[2], out[2], words[2];
};
int split_prepare(struct split *s, struct split_wires *w, struct why *why);
pid_t split_exec(struct split *s, struct split_wires *w, struct why *why);
void split_free(struct split *s);
/* Nothing runs yet, or could be started: this is the end. */
void split_fail(struct split *s, const struct why *why);

/* args.c: the numbers are QEMU's ends of the sockets. */
struct split_fds {
	int qmp, ros, agent, console, debug, in, out; /* in and out are -1 with streams = console */
};
int split_arguments(
	const struct split *s, const struct split_fds *fds, struct arguments *out, struct why *why);
/* The agent's CONFIG. */
int split_config(const struct split *s, struct buf *out, struct why *why);

/* agent.c */
extern const struct talk_events split_talk;
extern const struct qemu_mode split_qemu;
void split_policy(struct split *s);
void split_boot(struct split *s);
/* (number) is answered when the next one has entered. */
void split_reset_hrt(struct split *s, uint64_t number);

/* lines.c */
void split_watch(struct split *s);
void split_drain_lines(struct split *s);
/* The line of the ROS's console that says that it panicked, or "". */
void split_panic_line(const struct split *s, char *out, size_t size);

/* command.c */
extern const struct monitor_ops split_ops;

/* counts.c: `syscalls`. */
void counts_take(struct counts *c, const struct agent_count *counts, size_t count);
void counts_put(const struct counts *c, struct buf *out);

/* out.c: out/. */
void split_out(struct split *s, const void *data, size_t len);
void split_out_end(struct split *s);

#endif
