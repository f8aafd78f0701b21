/* SPDX-License-Identifier: MIT */
/*
 * monitor.h: what every deployer shares: it is the machine's memory of what the daemon has and has not got.
 *
 * Shape    one per process. It owns DIR (pid, lock, sock, console, end), the connection to the daemon, the
 * two streams and the time of leaving; the mode owns the machine and tells the monitor what happens Life
 * monitor_open, then the mode starts its machine and calls monitor_run, which returns when the machine has
 *          ended (monitor_end) and the daemon has everything, or will not come any more
 * Threads  the loop's
 */
#ifndef DEPLOYERS_MONITOR_H
#define DEPLOYERS_MONITOR_H

#include "cache/base/buf.h"
#include "cache/base/chan.h"
#include "cache/base/log.h"
#include "cache/base/loop.h"
#include "cache/base/seglog.h"
#include "deployers/deploy.h"
#include "deployers/plan.h"
#include "deployers/streams.h"

#include <stdbool.h>
#include <stdint.h>

/* How a machine or build ended: what goes to `end`. */
struct machine_end {
	bool failed;
	unsigned status;
	const char *how;     /* a word of END_HOW */
	char error[WHY_MAX]; /* "" when nothing went wrong */
};

struct monitor_ops {
	/* A line for ctl: (rest) follows the word, "" if nothing does. To be answered with monitor_answer,
	 * now or later, once. Not called after monitor_end. */
	void (*command)(void *arg, uint64_t number, const char *word, const char *rest);
	/* The machine must end, in good order if it can: (reason) in words. */
	void (*stop)(void *arg, const char *reason);
};

/* A log of DIR whose end the daemon is told. */
struct monitor_log {
	struct seglog *log; /* NULL: there is none */
	uint64_t end, told;
	uint16_t stream;
};
enum { MONITOR_CONSOLE, MONITOR_ROS, MONITOR_LOGS };

struct monitor {
	struct loop *loop;
	int dirfd, lock_fd, listen_fd, signal_fd;
	struct watch *listen_watch, *signal_watch;
	const struct monitor_ops *ops;
	void *arg;

	struct chan *chan; /* the daemon, or NULL */
	bool greeted;	   /* it said HELLO on this connection */
	bool bye, keep;	   /* it said BYE; with "keep" */
	bool orphaned;	   /* the time for a new daemon is over */
	uint64_t orphan_ms;
	struct timer *orphan;

	struct stream_in in;
	struct stream_in keys; /* what is typed: kept until the mode attaches its console, and until that takes it */
	bool keys_lost;	       /* more was typed than is kept, which was told */
	struct stream_out out;
	bool out_seen;
	bool tee; /* stdout goes to the console's log too; never with streams = console */

	struct monitor_log logs[MONITOR_LOGS];
	struct timer *console_timer;

	const char *state;
	struct buf events; /* lines that no daemon was there to hear, each with its NUL */
	unsigned events_told, events_unsaid; /* since the last second began, for what guests cause */
	uint64_t events_ns;
	bool building;	   /* a build ends as "built" */
	bool ended;
	bool failed;
	struct buf end; /* the text of `end` */
};

/* Takes DIR (the working directory), its lock, and the daemon's connection on fd 3 over. (log_name) is
 * "console" or "build.log", of at most (log_max) bytes. */
int monitor_open(struct monitor *m, const char *log_name, uint64_t log_max, const struct monitor_ops *ops,
	void *arg, struct why *why);
void monitor_plan(struct monitor *m, const struct plan *p);
/* The status for exit(3). */
int monitor_run(struct monitor *m);
void monitor_close(struct monitor *m);

/* (state) is one of DEPLOY_STATES, kept and not copied. */
void monitor_state(struct monitor *m, const char *state);
/* Guests cause some: of very many in a second only their number is told. */
void monitor_event(struct monitor *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void monitor_mark(struct monitor *m, const char *name);
void monitor_console(struct monitor *m, const void *data, size_t len);
/* The ROS's console has a log of its own, from monitor_ros_open on. */
int monitor_ros_open(struct monitor *m, uint64_t max, struct why *why);
void monitor_ros(struct monitor *m, const void *data, size_t len);
void monitor_answer(struct monitor *m, uint64_t number, int err, const char *words);
/* Writes `end` and tells it. Once; all output of the machine was handed over before. */
void monitor_end(struct monitor *m, const struct machine_end *e);

#endif
