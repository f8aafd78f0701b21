/* SPDX-License-Identifier: MIT */
/*
 * machine.h: an instance's machine: launching it in a mode, what it says, how it ended.
 *
 * Threads  the loop's
 */
#ifndef FS_MACHINE_H
#define FS_MACHINE_H

#include "cache/base/buf.h"
#include "fs/config.h"
#include "fs/ending.h"
#include "fs/launch.h"
#include "fs/ops.h"

struct instance;

struct machine {
	struct deployer *dep; /* NULL: no process; it may outlive its machine until stdout is read */
	bool up;	      /* from the launch to EXIT */
	char state[16];	      /* launching, running, paused */
	int mode;	      /* what follows is of the last launch; mode -1: never launched */
	uint64_t memory; /* all of it: the ROS's too */
	uint32_t cpus;
	uint64_t ros_memory; /* split modes; 0 */
	uint32_t ros_cpus;
	char *ros; /* which kernel that is */
	char *image, *accel, *type;
	struct buf forwards; /* ports of the host that lead into it, a line each (PLAN_FORWARD) */
	uint64_t since_ns, ended_ns; /* realtime */
	bool launched;		     /* there was a launch: `wait` has an answer once it is over */
	bool reached_running;
	bool asked_to_end; /* by us or by ctl: that it was killed is no error then */
	struct ending end; /* cleared by the next launch */
};

/* Writes the plan and starts the deployer. -ENOMEM, -EAGAIN: the mount's limits; words say what is free. */
int machine_launch(struct instance *in, const struct settings *s, const char *accel, struct why *why);
/* Finds the deployer of an earlier daemon, or how it ended. */
void machine_find(struct instance *in);
/* Asks it to end, or ends it; safety nets included. */
void machine_stop(struct instance *in, bool at_once);
/* The process itself goes, with all that it still keeps. */
void machine_dismiss(struct instance *in);
/* A word of ctl for the deployer: reset, pause, resume, resize. 0: it answers (req), later. */
int machine_command(struct instance *in, const char *words, fuse_req_t req, size_t size, struct why *why);
void machine_free(struct instance *in);

#endif
