/* SPDX-License-Identifier: MIT */
/*
 * launch.h: a deployer seen from the daemon: a process, a channel to it, and its end (deployers/deploy.h).
 *
 * Life     deployer_start or deployer_find gives one; it is freed right after its gone() has
 *          returned, which comes when the process is dead and all that it had sent was handed to
 *          frame()
 * Threads  the loop's
 */
#ifndef FS_LAUNCH_H
#define FS_LAUNCH_H

#include "cache/base/chan.h"
#include "cache/base/log.h"
#include "cache/base/loop.h"
#include "fs/fs.h"

#include <spawn.h>

struct instance;
struct deployer;

struct deployer_events {
	/* The first HELLO has been seen (and is handed on too). */
	void (*frame)(struct instance *in, const struct frame *f, const void *payload);
	/* (why): how the process ended, in words; (clean): it exited with 0 or DEPLOY_EXIT_FAILED. */
	void (*gone)(struct instance *in, bool clean, const char *why);
};

struct deployer {
	struct instance *in; /* held as long as this lives */
	struct chan *chan;
	struct watch *child;
	struct timer *hard; /* when it fires: SIGKILL */
	pid_t pid;
	int wstatus;
	bool closed, reaped, let_go;
	uint64_t commands; /* sent so far: their numbers */
	const struct deployer_events *ev;
};

/* Starts argv[0] in a session of its own, with no signal blocked or ignored. 0 or -errno. */
int launch_spawn(char *const argv[], const posix_spawn_file_actions_t *files, pid_t *pid);
/* Starts libexec_dir/(program) in the directory (dir), which holds its plan. */
int deployer_start(struct instance *in, const char *program, const char *dir,
	const struct deployer_events *ev, struct deployer **out, struct why *why);
/* Connects to one that an earlier daemon started in (dirfd): -ENOENT if none lives there. */
int deployer_find(struct instance *in, int dirfd, const struct deployer_events *ev, struct deployer **out);
void deployer_send(
	struct deployer *d, uint16_t type, uint16_t stream, uint64_t offset, const void *data, size_t len);
/* Returns the command's number, which its answer repeats. */
uint64_t deployer_command(struct deployer *d, const char *words);
/* SIGKILL now, or after (ms) if it still lives: its machine dies with it. */
void deployer_kill(struct deployer *d);
void deployer_kill_after(struct deployer *d, uint64_t ms);
void deployer_spare(struct deployer *d); /* takes that back */
/* Leaves it running without a daemon: no gone() will come. */
void deployer_let_go(struct deployer *d);

#endif
