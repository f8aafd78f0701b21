/* SPDX-License-Identifier: MIT */
/*
 * The application: what this Linux runs, and with whose status it ends. As it stands it runs the command that
 * its arguments name, or without arguments a shell that reads commands from stdin.
 *
 * Write any program here: all *.c files of this directory are compiled and linked statically.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static char *shell[] = { "sh", NULL };
	char **command = argc > 1 ? argv + 1 : shell;

	execvp(command[0], command);
	int err = errno;
	fprintf(stderr, "%s: %s\n", command[0], strerror(err));
	return err == ENOENT ? 127 : 126;
}
