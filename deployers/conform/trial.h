/* SPDX-License-Identifier: MIT */
/*
 * trial.h: one boot of a kernel under observation: fullvm's QEMU, with us at the other end of every socket.
 *
 * Shape    a trial is begun, waited for step by step (trial_wait runs the loop until something is so), and ended;
 *          what was seen stays readable in between and after
 * Bound    of console and stdout the first TRIAL_KEPT bytes are kept, all are counted
 * Trust    none in what the kernel says
 * Threads  the loop's, which is the main thread
 */
#ifndef CONFORM_TRIAL_H
#define CONFORM_TRIAL_H

#include "deployers/fullvm/vm.h"

#define TRIAL_KEPT   65536u
#define QUIET_MS     300
#define SILENT_MS    2000 /* of a kernel that has shown itself, but said no HELLO */
#define TYPED_MS     3000 /* for an answer to */
#define TYPED	     "diverfs-typed"
#define IDLE_PERCENT 20 /* of one CPU: more is not idle */

enum trial_port { PORT_IN, PORT_OUT, PORT_CONTROL, PORTS };

struct trial {
	/* Seen. Read-only outside trial.c */
	bool port_open[PORTS]; /* the kernel opened it, at some time */
	uint64_t console_bytes, out_bytes;
	struct buf out;	    /* the first of stdout */
	struct buf printed; /* and of the console */
	unsigned messages, hellos;
	uint64_t level;	     /* of the first HELLO */
	char malformed[128]; /* words about the first message that is none; then nobody listens any more */
	bool restart;	     /* RESTART was sent */
	bool exit_told;
	uint64_t exit_value;
	uint64_t out_late; /* bytes of stdout that were not out yet when EXIT came */
	char shutdown[32]; /* QMP's reason, "" if the machine did not end by itself */
	bool gone;	   /* QEMU has ended, */
	bool killed;	   /* by us, and the machine had not ended by then */
	bool feeding;	   /* not all of what trial_feed got was taken by QEMU */
	uint64_t heard_ns; /* when anything happened last */
	struct buf said;   /* by QEMU on its stderr */

	/* trial.c's */
	struct vm vm; /* plan, image and process only: no monitor */
	struct loop *loop;
	struct qmp *qmp;
	struct port console, in_port, out_port, control, words;
	struct watch *child;
	struct buf message;  /* an unfinished one */
	uint64_t out_filler; /* our own bytes before the kernel's, with (held) */
	uint64_t out_raw, raw_at_exit;
	bool asked;	     /* and not answered yet */
	bool held;	     /* stdout is not read now */
	struct buf food;     /* what the socket did not take yet */
	struct timer *timer; /* of trial_wait */
	bool (*until)(const struct trial *t);
};

/* (plan_text) as in deploy.h; (held): stdout is full from the start and is not read until EXIT or
 * trial_release. Errors: QEMU cannot be started, with words. In any case trial_end follows. */
int trial_begin(struct trial *t, const char *plan_text, size_t len, bool held, struct why *why);
/* Ends QEMU. What was seen stays, until trial_free. */
void trial_end(struct trial *t);
void trial_free(struct trial *t);

/* What trial_begin is made of, for another kind of machine (beside.c): an empty trial; QEMU and our ends of its sockets
 * become the trial's (a pair may be -1); something happened that is not the trial's own business. */
void trial_init(struct trial *t);
void trial_adopt(struct trial *t, pid_t pid, const struct wires *w);
void trial_heard(struct trial *t);
/* Appends what has come to (out), up to TRIAL_KEPT bytes of it in all. Returns the count; 0: nothing for now. */
size_t trial_take(struct port *p, struct buf *out);

typedef bool trial_until(const struct trial *t);
/* Returns whether (until) holds, after at most (ms). */
bool trial_wait(struct trial *t, uint64_t ms, trial_until *until);
/* The same, but time in which the machine waited for a CPU of a busy host does not count. */
bool trial_wait_served(struct trial *t, uint64_t ms, trial_until *until);
/* Until nothing has happened for (quiet_ms), or (until) holds, or (ms) are over. */
bool trial_settle(struct trial *t, uint64_t quiet_ms, uint64_t ms, trial_until *until);
bool trial_ended(const struct trial *t);
/* Brings (port_open) up to date: QEMU's events come up to a second late. */
void trial_ask_ports(struct trial *t);

void trial_release(struct trial *t);
/* Hands bytes to stdin; they go in trial_wait as the kernel takes them. */
void trial_feed(struct trial *t, const char *data, size_t len);
/* Whether every byte of it is with the kernel. */
bool trial_fed(const struct trial *t);
void trial_close_input(struct trial *t);
void trial_tell(struct trial *t, unsigned type, uint64_t value);
/* Bytes typed on the console; they go at once or are lost. */
void trial_type(struct trial *t, const char *text);
/* Whether what was typed came back behind the first (from) bytes. */
bool trial_answered(const struct trial *t, size_t from);
/* How much of one CPU, in percent, the machine uses while nothing is asked of it: the least of a few looks. Returns false if
 * (until) held before it was known. */
bool trial_idle(struct trial *t, trial_until *until, unsigned *part);

#endif
