/* SPDX-License-Identifier: MIT */
/*
 * work.h: what moves an instance from a config to images, and from images to a machine that runs.
 *
 *     kernel -> scan src and kernel -> fill src -> build, or the kernel's own images -> [publish] -> probe ->
 *         [the ROS] -> launch
 *
 * Each step looks at the facts and does what is missing, so that one road serves a first build, a change
 * while a build runs, and a restart of the daemon.
 *
 * Threads  the loop's; the disk work in the pool
 */
#ifndef FS_WORK_H
#define FS_WORK_H

#include "cache/base/log.h"
#include "fs/ops.h"

struct instance;
struct deployer;
struct building;
struct chosen;
struct publishing;

enum work_step {
	WORK_IDLE,
	WORK_KERNEL,
	WORK_SCAN,
	WORK_FILL,
	WORK_SOURCES,
	WORK_BUILD,
	WORK_IMAGES,
	WORK_PUBLISH,
	WORK_PROBE,
	WORK_ROS,
	WORK_CLEAR,
	WORK_LAUNCH
};

#define WORK_SOURCE_MAX 128

struct work {
	bool active;
	enum work_step step; /* what is under way; WORK_IDLE between two */
	bool launch;	     /* the goal is a machine, not only images */
	bool force;	     /* ctl build: even if nothing has changed */
	bool fill;	     /* src/ may be filled: config was written */
	bool again;	     /* config changed meanwhile: begin anew after this step */
	bool cancelled;
	bool probed;		   /* it is known whether the mode works */
	int mode;		   /* of the launch; -1: the config's or kernel's */
	struct chosen *deploying;  /* the cache was told of; NULL: nothing */
	struct chosen *ros;	   /* split modes: found for this launch; NULL before */
	struct building *building; /* build.c's, while one is under way */
	struct deployer *builder;
	struct publishing *publishing; /* publish.c's, from the write that asks for it to its answer */
	bool build_ended; /* its EXIT was seen; the next three say what it said */
	bool build_ok;
	struct why build_why;
	struct timer *deadline; /* of a launch that does not come to run */
	uint64_t begun_ns;	/* of the step, for `timeline` */

	/* Facts about the disk. */
	bool scanned;
	bool src_empty;
	uint64_t scanned_at; /* changes of src/ and kernel/ then, together */
	uint64_t src_hash;
	uint64_t kernel_hash; /* of what was changed in kernel/; 0: nothing */
	/* Kept in `meta`. */
	uint64_t template_hash;		     /* of src/ when it was filled */
	char template_from[WORK_SOURCE_MAX]; /* digest of the kernel that filled it */
	char sources_from[WORK_SOURCE_MAX];  /* digest of the kernel whose sources are in kernel/, and its changes */
	char ros_from[WORK_SOURCE_MAX];	     /* digest of the kernel whose images are in ros/ */
	char built[WORK_SOURCE_MAX]; /* what images/ holds: "kernel sha256:..." or "build <fingerprint>" */
};

/* A writer has closed config. */
void work_config_closed(struct instance *in);
/* config is another now: what is under way for the old one begins anew. */
void work_config_changed(struct instance *in);
/* Both answer (req), later. (size) is what the write returns then. */
void work_deploy(struct instance *in, const char *mode, fuse_req_t req, size_t size);
void work_build(struct instance *in, fuse_req_t req, size_t size);
/* The images that publish.c wants are made, if they are not up to date, and it is called. */
void work_publish(struct instance *in);
/* Ends what is under way; its waiters are told -EINTR. */
void work_cancel(struct instance *in);
/* Removes what building made. 0 or -EBUSY. */
int work_clean(struct instance *in, struct why *why);
/* The machine has come to run (err 0) or never will. */
void work_launched(struct instance *in, int err, const struct why *why);
/* A machine's process is gone: those who waited for that go on. */
void work_machine_gone(struct instance *in);
/* Ends the build, at the latest when the instance ends. */
void work_free(struct instance *in);

#endif
