/* SPDX-License-Identifier: MIT */
/*
 * qemu.h: a QEMU that runs: what QMP and its own words tell, how it is steered, and how it ended. What is
 * inside, and which sockets lead there, is the mode's.
 *
 * Life     qemu_begin, then the mode starts the process and hands it over with qemu_started; when the process
 *          is reaped, monitor_end is called from here
 * Owns     the process and the two descriptors of qemu_started; kill -9 of this program ends QEMU too
 * Threads  the loop's, which is the main thread
 */
#ifndef DEPLOYERS_QEMU_H
#define DEPLOYERS_QEMU_H

#include "deployers/monitor.h"
#include "deployers/qmp.h"

#include <stdbool.h>
#include <sys/types.h>

#define QEMU_LAUNCH_MS 30000 /* from exec to "running" */
#define QEMU_WORDS_MAX 4096  /* of its stderr, for the error */

/* Ids of our own QMP commands, from QMP_MODE on the mode's; a daemon's command has its number + QMP_DAEMON. */
enum { QMP_STATUS = 1, QMP_QUIET = 2, QMP_STOPPED = 3, QMP_TAKEN = 4, QMP_MODE = 8, QMP_DAEMON = 16 };

/* One end of a socket pair whose other end QEMU has. */
struct port {
	int fd;
	struct watch *watch;
};
/* Stops watching; the descriptor stays open, so that QEMU may go on writing. */
void port_unwatch(struct port *p);
void port_close(struct port *p);

struct qemu_mode {
	/* The virtual CPUs run: for the first time, or again. */
	void (*running)(void *arg, bool first);
	/* The machine was reset, and goes on. */
	void (*reset)(void *arg);
	/* The process has ended: reads all that it left in the mode's sockets. */
	void (*drain)(void *arg);
	/* Fills (e) in and returns true if the mode knows how the machine ended, which comes before all else. */
	bool (*judge)(void *arg, struct machine_end *e);
	/* The answer to a command with an id from QMP_MODE on. May be NULL. */
	void (*replied)(void *arg, uint64_t id, const char *line, const char *error);
	/* What QMP's reset means here, in words. */
	const char *reset_words;
};

struct qemu {
	struct monitor *mon;
	const struct qemu_mode *mode;
	void *arg;

	pid_t pid; /* 0: not started, or reaped */
	struct watch *child;
	struct qmp *qmp;
	struct port words;
	struct buf said; /* the tail of its stderr */

	bool running, paused;
	bool resetting, halted; /* QEMU was asked to; its CPUs stand for that alone, and go on with it */
	bool pc;		/* the machine is QEMU's `pc`, with a BIOS (qemu_reset) */
	const char *killed; /* how (END_HOW), when it was us */
	unsigned killed_status;
	char reason[WHY_MAX]; /* why it was us, in words */
	char shutdown[32];    /* QMP's reason */
	struct timer *stop_timer, *launch_timer, *timeout_timer;

	/* The guest has ended; stdout may be on its way (qemu_end.c). */
	struct timer *taken_timer;
	bool taking;
	unsigned taken_status;
	uint64_t taken_end;   /* of stdout and the console, when last looked at */
	unsigned taken_quiet; /* how often in a row nothing had come */
};

void qemu_begin(struct qemu *q, struct monitor *mon, const struct qemu_mode *mode, void *arg);
/* (timeout_s) 0: none. Asks for the status at once: "running" is when QEMU answers that it is. */
void qemu_started(struct qemu *q, pid_t pid, int qmp_fd, int words_fd, uint64_t timeout_s);
void qemu_free(struct qemu *q);

/* Ends it at once; the first reason counts. (how) is kept, not copied: "lost" makes the end a failure. */
void qemu_kill(struct qemu *q, const char *how, unsigned status, const char *reason);
/* Kills it after DEPLOY_STOP_MS unless it has ended by then. False if nothing is there to be asked to end (then it is
 * killed now) or it was asked before. */
bool qemu_stop_begin(struct qemu *q, const char *reason);
void qemu_reset(struct qemu *q, uint64_t id);
/* kill, reset, pause, resume: true, and answered now or later. */
bool qemu_command(struct qemu *q, uint64_t number, const char *word);
/* The guest told its status, but some of stdout may still be queued in the machine: kills it when all is here. */
void qemu_end_when_taken(struct qemu *q, unsigned status);

/* Between qemu.c and qemu_end.c. */
void qemu_taken(struct qemu *q);
void qemu_gone(void *arg, pid_t pid, int status);
bool qemu_words_read(struct qemu *q);

#endif
