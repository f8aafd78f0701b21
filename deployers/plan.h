/* SPDX-License-Identifier: MIT */
/*
 * plan.h: what a deployer is to do, as it stands in DIR/plan (deploy.h, PLAN_*).
 *
 * Owns     a plan owns its strings; plan_free ends it
 * Errors   0 or -errno with words. Keys that a mode does not use are ignored: the daemon writes one
 *          plan for all of them
 */
#ifndef DEPLOYERS_PLAN_H
#define DEPLOYERS_PLAN_H

#include "cache/base/buf.h"
#include "cache/base/log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum plan_machine { MACHINE_AUTO, MACHINE_MICROVM, MACHINE_PC };
enum plan_accel { ACCEL_KVM, ACCEL_TCG };
enum plan_net { NET_NONE, NET_USER, NET_RESTRICTED };
enum plan_streams { STREAMS_PORTS, STREAMS_CONSOLE };

struct plan_list {
	char **item;
	size_t count;
};

struct plan {
	char *name;
	char *image, *initrd; /* initrd may be NULL */
	char *cmdline;	      /* never NULL */
	struct plan_list args;
	uint64_t memory_bytes;
	unsigned cpus;
	enum plan_net net;
	struct plan_list forwards; /* checked: forward_parse takes them */
	char *disk;		   /* NULL: none */
	bool disk_write;
	enum plan_machine machine;
	enum plan_accel accel;
	enum plan_streams streams;
	bool tee;
	uint64_t timeout_s;
	uint64_t orphan_ms;
	char *qemu;

	char *ros_image, *ros_initrd, *ros_cmdline; /* of split modes; NULL elsewhere */
	uint64_t ros_memory_bytes;
	unsigned ros_cpus;
	char *exec, *root, *roots; /* may be NULL */
	struct plan_list files;

	char *build, *kernel, *app, *out, *bwrap; /* of diverfs-build; NULL elsewhere (but app) */
	struct plan_list tools;
	uint64_t limit_memory, limit_disk, limit_procs;
};

int plan_read(int dirfd, struct plan *p, struct why *why); /* the file "plan" */
int plan_read_at(int dirfd, const char *path, struct plan *p, struct why *why);
int plan_parse(const char *text, size_t len, struct plan *p, struct why *why);
void plan_free(struct plan *p);

/* Joins cmdline and args as guest.h section 2 says and appends them to (out). -EINVAL for what a command line
 * cannot carry, -E2BIG above GUEST_CMDLINE_MAX. */
int plan_command_line(const struct plan *p, struct buf *out, struct why *why);

#endif
