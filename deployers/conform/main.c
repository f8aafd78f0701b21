/* SPDX-License-Identifier: MIT */
/*
 * main.c: diverfs-conform: boots a kernel and lists what of the interface it meets (`diverfs conform`).
 */
#include "cache/base/conf.h"
#include "deployers/conform/conform.h"
#include "deployers/deploy.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_S 10

/* With the program's name before it: diverfs passes its own. */
static const char usage[] =
	"usage: diverfs conform [-m MEMORY] [-c CPUS] [-M auto|microvm|pc] [--initrd FILE] [--cmdline TEXT]\n"
	"                       [--accel tcg|kvm] [--qemu PROGRAM] [--timeout SECONDS] [--ros ROS] KERNEL "
	"[-- ARGUMENT...]\n"
	"\n"
	"Boots KERNEL, an image or the directory of a tag in a mount (kernels/NAME/TAG), a few times in "
	"fullVM, and\n"
	"lists item by item what of the interface (diver-kernel(7)) it meets. SECONDS, 10 by default, is how "
	"long it\n"
	"is waited for a kernel's first sign, and for its end. -m is the machine's memory, as 64M, -M its "
	"kind. The "
	"ARGUMENTs\n"
	"are the kernel's in all boots but the one that shows whether arguments arrive: give those with "
	"which it "
	"reads its\n"
	"input, and more can be told.\n"
	"With ROS, the directory of the kernel `ros` (kernels/ros/TAG), a KERNEL that can be a co-kernel is "
	"also started\n"
	"beside that Linux, as splitVM does.\n"
	"Exit status: 0 it meets all that can be told of the level that it claims, 1 it does not, 125 it "
	"could not\n"
	"be tried.\n";

static int set_sizes(struct subject *s, int option, const char *value, struct why *why)
{
	uint64_t seconds = 0;
	int err = 0;

	if (option == 'm')
		err = conf_size("memory", value, 1u << 20, UINT64_C(1) << 46, &s->memory_bytes, why);
	if (option == 'c')
		err = conf_number("cpus", value, 1, 4096, &s->cpus, why);
	if (option == 't') {
		err = conf_number("timeout", value, 1, 3600, &seconds, why);
		s->patience_ms = seconds * 1000;
	}
	return err;
}

static int usage_error(const char *words)
{
	if (words)
		log_error("conform: %s", words);
	else
		fputs(usage, stderr);
	return DEPLOY_EXIT_FAILED;
}

/* Returns -1 to go on, else the exit status. */
static int options(int argc, char **argv, struct subject *s)
{
	static const struct option known[] = {
		{ "memory", required_argument, NULL, 'm' },
		{ "cpus", required_argument, NULL, 'c' },
		{ "machine", required_argument, NULL, 'M' },
		{ "initrd", required_argument, NULL, 'i' },
		{ "cmdline", required_argument, NULL, 'l' },
		{ "accel", required_argument, NULL, 'a' },
		{ "qemu", required_argument, NULL, 'q' },
		{ "timeout", required_argument, NULL, 't' },
		{ "ros-image", required_argument, NULL, 'R' }, /* of --ros: conform_cmd.c */
		{ "ros-initrd", required_argument, NULL, 'I' },
		{ "ros-cmdline", required_argument, NULL, 'L' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	struct why why = { 0 };

	for (int c; (c = getopt_long(argc, argv, "m:c:M:h", known, NULL)) != -1;) {
		const struct {
			int option;
			const char **slot;
		} texts[] = {
			{ 'M', &s->machine },
			{ 'i', &s->initrd },
			{ 'l', &s->cmdline },
			{ 'a', &s->accel },
			{ 'q', &s->qemu },
			{ 'R', &s->ros_image },
			{ 'I', &s->ros_initrd },
			{ 'L', &s->ros_cmdline },
		};
		if (c == 'h' || c == 'V') {
			fputs(c == 'h' ? usage : "diverfs-conform " DIVERFS_VERSION "\n", stdout);
			return 0;
		}
		if (c == '?')
			return usage_error(NULL);
		for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
			if (texts[i].option == c)
				*texts[i].slot = optarg;
		if (set_sizes(s, c, optarg, &why) < 0)
			return usage_error(why.text);
	}
	s->args = argv + optind + 1;
	return optind < argc ? -1 : usage_error(NULL);
}

int main(int argc, char **argv)
{
	static struct seen seen;
	struct subject s = { .patience_ms = PATIENCE_S * 1000 };
	struct why why = { 0 };

	log_open("diverfs", LOG_LEVEL_INFO);
	signal(SIGPIPE, SIG_IGN);
	int status = options(argc, argv, &s);
	if (status >= 0)
		return status;
	char *image = realpath(argv[optind], NULL);
	char *initrd = s.initrd ? realpath(s.initrd, NULL) : NULL;
	s.image = image;
	if (!image || (s.initrd && !initrd)) {
		why_fail_errno(&why, -errno, "cannot open %s", image ? s.initrd : argv[optind]);
		return usage_error(why.text);
	}
	s.initrd = initrd;
	int err = conform_boot(&s, &seen, &why);
	if (err < 0)
		log_error("conform: %s", *why.text ? why.text : err_text(err));
	else
		status = conform_judge(&seen) ? 0 : 1;
	conform_free(&seen);
	free(image);
	free(initrd);
	if (err < 0)
		return DEPLOY_EXIT_FAILED;
	if (fflush(stdout)) {
		log_error("conform: cannot print the report");
		return DEPLOY_EXIT_FAILED;
	}
	return status;
}
