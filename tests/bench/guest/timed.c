/* SPDX-License-Identifier: MIT */
/* timed.c: linked with a program, makes it say on stderr how long it ran inside its machine: from before main to exit. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static struct timespec began;

static void tell(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	fprintf(stderr, "\nran %.0f ms\n",
		(double)(t.tv_sec - began.tv_sec) * 1e3 + (double)(t.tv_nsec - began.tv_nsec) / 1e6);
}

__attribute__((constructor)) static void begin(void)
{
	clock_gettime(CLOCK_MONOTONIC, &began);
	atexit(tell);
}
