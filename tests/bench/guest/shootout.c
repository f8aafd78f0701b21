/* SPDX-License-Identifier: MIT */
/*
 * shootout: the examples' programs, linked as main_NAME, run one after another in one process, so that a machine is started once
 * for all. Says on stderr for each: MILLISECONDS ms and what it is.
 *
 *   shootout NAME:SIZE...
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PROGRAMS(P) P(nbody) P(fannkuch) P(spectral_norm) P(mandelbrot) P(binary_trees) P(fasta)

#define DECLARED(name) int main_##name(int argc, char **argv);
PROGRAMS(DECLARED)

#define ENTRY(name) { #name, main_##name },
static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} programs[] = { PROGRAMS(ENTRY) };

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* In C names '-' is '_'. */
static int is_named(const char *name, const char *word, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (name[i] != (word[i] == '-' ? '_' : word[i]))
			return 0;
	return !name[len];
}

static int run(char *word)
{
	char *size = strchr(word, ':');
	char *argv[] = { word, size ? size + 1 : NULL, NULL };

	for (size_t i = 0; size && i < sizeof(programs) / sizeof(programs[0]); i++)
		if (is_named(programs[i].name, word, (size_t)(size - word))) {
			double began = now_ms();

			*size = '\0';
			if (programs[i].run(2, argv))
				return 1;
			fflush(stdout);
			fprintf(stderr, "\n%.0f ms %s %s\n", now_ms() - began, word, argv[1]);
			return 0;
		}
	fprintf(stderr, "shootout: %s: no such program\n", word);
	return 1;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (run(argv[i]))
			return 1;
	return 0;
}
