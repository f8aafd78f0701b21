/* SPDX-License-Identifier: MIT */
/*
 * program.h: the command line that all deployers have.
 *
 *     NAME DIR                  launches what DIR/plan describes (deploy.h)
 *     NAME --probe [--qemu PATH] [--kernel PATH] [--bwrap PATH]
 *                               says whether that works here; who asks names all, and a deployer takes its own
 *     NAME --help | --version
 */
#ifndef DEPLOYERS_PROGRAM_H
#define DEPLOYERS_PROGRAM_H

struct probe_with {
	const char *qemu, *bwrap; /* a name in PATH, or a path */
	const char *kernel;	  /* NULL: none was given */
};

struct program {
	const char *name, *usage;
	int (*probe)(const struct probe_with *with); /* both: the status for exit(3) */
	int (*deploy)(const char *dir);
};

int program_main(const struct program *p, int argc, char **argv);

#endif
