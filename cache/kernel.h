/* SPDX-License-Identifier: MIT */
/*
 * kernel.h: what a kernel says of itself: kernel.conf, in the key = value grammar of base/conf.h.
 *
 *     name = sort                   OCI repository name: [a-z0-9]+ with . _ - inside, components joined by /
 *     version = 1.0                 becomes the tag
 *     description = One line.       license, homepage, keywords, family: likewise free text
 *     arch = x86_64
 *     modes = fullVM                blank-separated: fullVM splitVM splitHW
 *     image = images/sort.elf       what boots; below the tag's directory
 *     initrd = images/initrd        may be missing
 *     cmdline =                     the kernel's own parameters
 *     memory = 16M                  default; memory_min = 4M: true minimum, less is refused
 *     cpus = 1                      default; cpus_max = 1: more is refused
 *     machine = microvm             auto, microvm, pc
 *     console = serial
 *     stdout = port                 port: level 1 of guest.h; console: it has only a console
 *     terminal = stdin              what a terminal is good for: stdin: lines of input; console: there is a shell, so `run`
 *                                   attaches the terminal to the console; shell: as console where no arguments are
 *                                   given, else as stdin. Missing: console where stdout = console
 *     template = app                the directory below src/ that fills an instance's src/
 *     build = make OUT="$OUT" APP="$APP"    run in the copy of src/; missing: cannot be built
 *     tools = make gcc ld           blank-separated programs that the build needs
 *     fullVM.memory = 32M           MODE.KEY overrides image, initrd, cmdline, memory, memory_min, cpus, cpus_max,
 *                                   machine and console in that mode
 *
 * Unknown keys are an error when publishing (strict) and ignored when reading, so that newer artifacts can be read.
 * Threads  any
 */
#ifndef CACHE_KERNEL_H
#define CACHE_KERNEL_H

#include "cache/base/buf.h"
#include "cache/base/log.h"

#include <stdbool.h>
#include <stdint.h>

enum kernel_mode { MODE_FULLVM, MODE_SPLITVM, MODE_SPLITHW, MODE_COUNT };
/* "fullVM" ...; NULL-terminated, in the order of enum kernel_mode. */
extern const char *const kernel_mode_names[];

struct kernel_launch { /* how it is launched in one mode, overrides applied */
	bool supported;
	char *image, *initrd, *cmdline, *machine, *console; /* "" where missing */
	uint64_t memory, memory_min;                        /* bytes */
	uint32_t cpus, cpus_max;
};

struct kernel_conf {
	char *name, *version, *description, *license, *homepage, *keywords, *family, *arch; /* "" where missing */
	char *build, *template_dir, *tools;
	bool stdout_console;
	struct kernel_launch launch[MODE_COUNT];
};

/* 0 or -EINVAL with the line in (why). End with kernel_conf_free, also after an error. */
int kernel_conf_parse(struct kernel_conf *k, const char *text, size_t len, bool strict, struct why *why);
void kernel_conf_free(struct kernel_conf *k);

#endif
