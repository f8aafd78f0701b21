/* SPDX-License-Identifier: MIT */
/*
 * config.h: what a user writes into an instance's config, checked. Knows nothing of files, FUSE or
 * registries.
 *
 *     kernel  = NAME[:TAG|@sha256:...]    the kernel; without a tag the only one, `latest` or the highest
 * version mode    = fullVM                    with it, closing config also deploys memory  = 64M    cpus = 1
 * cmdline = the kernel's own parameters args    = words of the application, separated by blanks, quoted as in
 * a shell ('...', "...", \x) machine = auto|microvm|pc           accel = auto|kvm|tcg       console = serial
 *     build   = COMMAND                   in place of the kernel's own build command
 *     net     = none|user [restrict] [tcp:[HOST:]PORT->PORT]...   PORT of the host: a number, or auto
 *     disk    = /PATH [rw]                a file or block device, as it is
 *     timeout = SECONDS                   or 90s, 5m, 2h; 0 (as without it): none
 *   split modes only:
 *     ros     = NAME[:TAG|@sha256:...]    the regular OS; `ros`
 *     ros_cpus = 1    ros_memory = 128M   what it keeps; memory and cpus are the kernel's
 *     exec    = /path WORD...             a Linux program for the kernel to run; args follow
 *     root    = /directory                what the program sees as /; without it the program and its libraries
 *     files   = /path...                  more of the host that it sees
 *
 * Errors   -EINVAL with the line in (why)
 * Threads  any
 */
#ifndef FS_CONFIG_H
#define FS_CONFIG_H

#include "cache/base/forward.h"
#include "cache/base/log.h"
#include "cache/kernel.h"

#include <stddef.h>
#include <stdint.h>

#define CONFIG_TEXT_MAX 65536u
#define CONFIG_ARGS_MAX 256u

struct config {		 /* strings are owned; NULL: not given */
	char *kernel;	 /* the name alone */
	char *reference; /* tag or sha256:..., NULL: choose one */
	int mode;	 /* enum kernel_mode, -1 not given */
	uint64_t memory; /* bytes; 0 not given */
	uint32_t cpus;	 /* 0 not given */
	char *cmdline, *build;
	char **args; /* NULL-terminated, never NULL after config_parse */
	uint32_t nargs;
	char *machine, *accel, *console;
	const char *net; /* as PLAN_NET has it; NULL: none */
	struct forward *forwards;
	uint32_t nforwards;
	char *disk;
	bool disk_write;
	uint64_t timeout_s;
	char *ros, *ros_reference;
	uint32_t ros_cpus;   /* 0 not given */
	uint64_t ros_memory; /* bytes; 0 not given */
	char *exec, *root;
	char **exec_args, **files; /* NULL-terminated, or NULL */
	uint32_t nexec_args, nfiles;
	uint64_t seen; /* which keys were given, one bit each; config.c's own */
};

/* (text) may end without a newline. On an error (c) is empty. */
int config_parse(struct config *c, const char *text, size_t len, struct why *why);
void config_free(struct config *c);

/* NAME[:TAG|@sha256:...] into its two parts, which the caller frees; (*reference) may become NULL. */
int config_split_kernel(const char *value, char **name, char **reference, struct why *why);

/* What holds when a kernel is launched in a mode: the kernel's defaults, overridden by config. Strings point
 * into both. */
struct settings {
	int mode;
	uint64_t memory;
	uint32_t cpus;
	const char *cmdline, *machine, *accel, *console, *build;
	const char *image, *initrd; /* "" if there is none */
	/* Split modes; 0 and NULL where config says nothing: the ROS's own defaults. */
	const char *ros, *ros_reference; /* (ros) is never NULL */
	uint64_t ros_memory;
	uint32_t ros_cpus;
};
/* -EINVAL for memory or cpus beyond what the kernel takes, -EOPNOTSUPP if it does not run in (mode) at all.
 * With (mode) -1 it is the config's, or the kernel's first. */
int config_settle(
	const struct config *c, const struct kernel_conf *k, int mode, struct settings *out, struct why *why);

/* True if (a) is a higher version than (b): numbers within compare as numbers, 1.10 > 1.9, 1.0 > 1.0-rc1. */
bool config_version_higher(const char *a, const char *b);

#endif
