/* SPDX-License-Identifier: MIT */
/*
 * beside.h: level 2 at work: the kernel is started beside a Linux in splitVM's machine, with us in the deployer's place.
 *
 * Shape    the trial (t) has what comes out of the machine as in a boot on its own: console, streams, HELLO, EXIT. What
 *          only the agent in the Linux knows stands beside it
 * Trust    none in the kernel, nor in the agent, which shares a machine with it
 * Errors   the Linux did not come up, or there is no QEMU: the kernel could not be tried, with words. What is wrong with
 *          the kernel is no error
 */
#ifndef CONFORM_BESIDE_H
#define CONFORM_BESIDE_H

#include "deployers/conform/trial.h"
#include "deployers/splitvm/split.h"

struct beside {
	/* Seen. */
	struct trial t;	     /* the first member: beside.c's */
	bool alive;	     /* it was entered */
	bool again;	     /* and a second time, in the same Linux */
	size_t typed_from;   /* how much it had printed before it was typed to */
	bool waited;	     /* what the machine's CPUs used while it was silent is known: */
	unsigned idle_part;  /* in percent of one CPU, Linux's part too */
	bool ended_early;    /* it ended before it could be asked to stop */
	bool asked;	     /* it was asked */
	enum agent_how how;  /* 0: it did not end the first time, */
	bool lost;	     /* because the machine did */
	char words[WHY_MAX]; /* why it was not entered, or how it failed; or "" */
	uint64_t delegated, stray;

	/* beside.c's */
	struct split split;
	struct talk talk;
	struct port debug, ros;
	struct buf ros_said;
	bool ready, refused;
	unsigned boots, ends;
};

struct subject;

/* beside_free follows in any case. */
int beside_run(struct beside *b, const struct subject *s, struct why *why);
void beside_free(struct beside *b);

#endif
