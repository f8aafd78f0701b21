/* SPDX-License-Identifier: MIT */
/* program.c: what a deployer is asked to do. */
#include "deployers/program.h"

#include "cache/base/log.h"
#include "deployers/deploy.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

int program_main(const struct program *p, int argc, char **argv)
{
	static const struct option options[] = {
		{ "probe", no_argument, NULL, 'p' },
		{ "qemu", required_argument, NULL, 'q' },
		{ "bwrap", required_argument, NULL, 'b' },
		{ "kernel", required_argument, NULL, 'k' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	struct probe_with with = { .qemu = "qemu-system-x86_64", .bwrap = "bwrap" };
	bool probe = false;
	int c;

	log_open(p->name, LOG_LEVEL_INFO);
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'p':
			probe = true;
			break;
		case 'q':
			with.qemu = optarg;
			break;
		case 'b':
			with.bwrap = optarg;
			break;
		case 'k':
			with.kernel = optarg;
			break;
		case 'h':
			fputs(p->usage, stdout);
			return 0;
		case 'V':
			printf("%s %s\n", p->name, DIVERFS_VERSION);
			return 0;
		default:
			fputs(p->usage, stderr);
			return DEPLOY_EXIT_USAGE;
		}
	}
	if (probe && optind == argc)
		return p->probe(&with);
	if (!probe && optind + 1 == argc)
		return p->deploy(argv[optind]);
	fputs(p->usage, stderr);
	return DEPLOY_EXIT_USAGE;
}
