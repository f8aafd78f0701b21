/* SPDX-License-Identifier: MIT */
/*
 * conform.h: what of guest.h a kernel meets: it is booted a few times (boots.c), and what was seen is judged item
 * by item (judge.c).
 *
 * Source   diver-kernel.7 says what each item means
 */
#ifndef CONFORM_CONFORM_H
#define CONFORM_CONFORM_H

#include "deployers/conform/beside.h"
#include "deployers/conform/entry.h"
#include "deployers/conform/trial.h"

/* What the user gave; NULL or 0: the default. */
struct subject {
	const char *image, *initrd, *cmdline, *machine, *accel, *qemu;
	const char *ros_image, *ros_initrd, *ros_cmdline; /* a Linux for it to be started beside */
	uint64_t memory_bytes, cpus;
	uint64_t patience_ms; /* for a kernel's first sign, and for its end */
	char **args;	      /* of the kernel, but for BOOT_ARGUMENTS; ends with NULL */
};

enum boot { BOOT_INPUT, BOOT_HELD, BOOT_STOP, BOOT_ARGUMENTS, BOOTS };

struct seen {
	struct image image;
	char no_image[WHY_MAX]; /* why it is none that boots; then there was no boot */
	struct entry entry;	/* of level 2 */
	bool besides;		/* it was tried beside a Linux: */
	struct beside beside;
	bool done[BOOTS]; /* which boots there were */
	struct trial boot[BOOTS];

	/* BOOT_INPUT */
	bool fed;	    /* it took all of stdin */
	bool fed_some;	    /* and if not, at least a byte */
	bool before_close;  /* it ended before its input did */
	bool waited;	    /* its CPU time while stdin was silent is known */
	unsigned idle_part; /* that time, in percent of one CPU */
	bool spoke;	    /* in that time it printed or wrote */
	/* BOOT_STOP */
	bool before_messages; /* it ended before it was sent one */
	bool before_stop;     /* or before it could be asked to stop, */
	bool ended_early;     /* or by RESIZE and a message of no known type */
	size_t typed_from;    /* how much it had printed before it was typed to */
};

/* The arguments of BOOT_ARGUMENTS, and the first as it stands in the command line. A kernel that takes the first for
 * a command tells that there is none of this name. */
#define ARGUMENT_PLAIN	"diverfs-conform"
#define ARGUMENT_QUOTED "two words\"\\\xe9"
#define ARGUMENT_RAW	"\\\"\\\\\\xe9"

/* Errors: the kernel could not be tried, with words. */
int conform_boot(const struct subject *s, struct seen *seen, struct why *why);
void conform_free(struct seen *seen);

/* Prints the report. Returns whether all of the level that the kernel claims is met, as far as can be told. */
bool conform_judge(const struct seen *seen);

#endif
