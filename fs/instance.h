/* SPDX-License-Identifier: MIT */
/*
 * instance.h: what an instance is, and its states.
 *
 *     new -> configured -> building -> built -> launching -> running <-> paused -> exited | failed
 *     and publishing, after building
 *
 * State on disk: <state_dir>/instances/NAME/ with
 *     meta  config  src/  images/  kernels/DIGEST/ (what was changed in kernel/)
 *     kernel/   its sources with that, checked out for building
 *     plan, pid, sock, lock, end, console.*, deployer.log   of the machine (deploy.h)
 *     publish/ what is being published
 *     ros/     image and initrd of the regular OS, out/ what a program wrote, syscalls, delegate, ros.console.*: split modes
 *     build/   the same of the last build
 *
 * Life     made by mkdir or by opening run/new; instance_end takes it out of the tree at once,
 *          ends its processes and then removes its directory. Memory goes when the last hold (open
 *          file, job, deployer) is given back
 * Threads  the loop's
 */
#ifndef FS_INSTANCE_H
#define FS_INSTANCE_H

#include "fs/chosen.h"
#include "fs/config.h"
#include "fs/delegate.h"
#include "fs/edit.h"
#include "fs/machine.h"
#include "fs/modes.h"
#include "fs/pending.h"
#include "fs/stream.h"
#include "fs/work.h"
#include "fs/workspace.h"

#define INSTANCE_NAME_MAX 64
#define INSTANCE_MARKS	  32

struct mark { /* a line of `timeline` */
	char name[24];
	uint64_t begin_ns, end_ns; /* realtime */
};

struct instance {
	struct instance *next; /* by serial */
	struct run *run;
	struct fs *fs;
	char name[INSTANCE_NAME_MAX + 1];
	uint32_t serial;
	bool anonymous; /* of run/new */
	bool gone;	/* not in the tree any more */
	bool removing;
	char aside[INSTANCE_NAME_MAX + 16]; /* what its directory is called once it is gone */
	pid_t refused; /* who tried to remove a control file while something ran, and when */
	uint64_t refused_ns;
	unsigned holds;
	int dirfd;
	char *dir; /* absolute */
	uint64_t made_ns, changed_ns, config_ns;
	uint32_t gen[RUN_FILES]; /* of the inode that stands for a file now: files.c */
	bool written[RUN_FILES]; /* a write went through that inode */
	struct workspace *src, *images, *out;
	struct workspace *kernel_dir;		 /* kernel_dir.h; NULL: there is none */
	char kernel_dir_of[DIGEST_TEXT_LEN + 1]; /* the kernel whose sources it shows */
	unsigned kernel_dirs;			 /* that were thrown away, for their names */
	bool kernel_dir_asks;			 /* for its kernel, after a restart */

	struct buf text; /* of config, as it is in force */
	struct config cfg;
	struct chosen *kernel;	       /* NULL: none, or not looked up since the daemon began */
	char pin[DIGEST_TEXT_LEN + 1]; /* the digest that the config's kernel had; "" none */
	const char
		*result;  /* new, configured, built, exited or failed: the state when nothing is under way */
	const char *told; /* the last state that was told as an event */
	struct buf error;
	char *published; /* NAME:TAG, digest and registry of the last one; NULL: nothing yet */

	struct pending *pending; /* writes to deploy and ctl that wait */
	unsigned parked_writes;
	struct edit edit;
	struct delegate delegate;
	struct work work;
	struct machine machine;
	struct streams streams;
	struct mark marks[INSTANCE_MARKS];
	unsigned nmarks;
};

struct run {
	struct fs *fs;
	int dirfd; /* <state_dir>/instances */
	char *dir;
	struct instance *first, *last;
	struct instance *ending; /* out of the tree, not yet removed */
	struct handle *open;	 /* all open files of class RUN */
	uint32_t next_serial, next_anonymous;
	struct modes *modes;
	bool stopping;
	void (*stopped)(void *arg);
	void *stopped_arg;
};

bool instance_name_ok(const char *name);
struct instance *instance_find(struct run *r, const char *name);
struct instance *instance_by_serial(struct run *r, uint32_t serial);
/* (name) NULL: an anonymous one. 0, -EEXIST, -EINVAL, or -errno. */
int instance_make(struct run *r, const char *name, struct instance **out);
/* For instance_make and run.c: an instance on a directory that is there, (dirfd) taken over; last in the
 * list. */
struct instance *instance_new(struct run *r, const char *name, int dirfd);
int instance_open_dir(struct run *r, const char *name);
/* Takes it out of the tree, ends what runs, removes what it left. */
void instance_end(struct instance *in);
struct instance *instance_hold(struct instance *in);
void instance_release(struct instance *in);

const char *instance_state(const struct instance *in);
/* A machine runs, or work is under way. */
bool instance_busy(const struct instance *in);
/* To be called after whatever may have changed the state: tells the event, wakes who waits. */
void instance_changed(struct instance *in);
/* config is valid and in force from now on. Takes (cfg) and (kernel) over. */
void instance_configure(
	struct instance *in, const struct buf *text, struct config *cfg, struct chosen *kernel);
/* Writes `meta`: what a restarted daemon must know. */
void instance_save(struct instance *in);

/* The last error in words, for `error`, `events` and the log; returns (err). */
int instance_error(struct instance *in, int err, const char *words);
void instance_error_clear(struct instance *in);
void instance_event(struct instance *in, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void instance_mark(struct instance *in, const char *name, uint64_t begin_ns, uint64_t end_ns);
void instance_marks_clear(struct instance *in);

/* Something has ended: when the mount is ending, perhaps the last. */
void run_ended_one(struct run *r);
/* Of all machines that are up. */
void run_totals(const struct run *r, uint64_t *memory, unsigned *count);

#endif
