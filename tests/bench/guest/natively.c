/* SPDX-License-Identifier: MIT */
/*
 * natively: runs a program as a child. On reef in splitVM a child is a process of the Linux beside it: so the program runs
 * natively in the very machine, and on the very Linux, that serves reef's calls, while reef sleeps. Says on stderr how long it took.
 *
 *   natively PROGRAM [ARGUMENT...]
 */
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

int main(int argc, char **argv)
{
	double began = now_ms();
	int status = 0;
	pid_t child = argc > 1 ? fork() : -1;

	if (!child) {
		execv(argv[1], argv + 1);
		perror(argv[1]);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0) {
		perror("natively");
		return 1;
	}
	fprintf(stderr, "\nit ran %.0f ms\n", now_ms() - began);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
