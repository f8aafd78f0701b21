/* SPDX-License-Identifier: MIT */
/*
 * primes: an ordinary program for Linux. Reads numbers, one a line, from "limits"; a thread for each counts the primes up to it.
 * The counts go to "counts", their sum to standard output. The directory with both files is the argument.
 *
 *     cc -O2 -pthread -o primes primes.c
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MOST 64

struct work {
	long limit, found;
	pthread_t thread;
};

static void *count(void *argument)
{
	struct work *w = argument;
	char *composite = calloc((size_t)w->limit + 1, 1); /* each thread its own: memory is the kernel's work, too */

	if (!composite) {
		perror("primes");
		exit(1);
	}
	for (long i = 2; i <= w->limit; i++) {
		w->found += !composite[i];
		for (long j = composite[i] ? w->limit + 1 : i * i; j <= w->limit; j += i)
			composite[j] = 1;
	}
	free(composite);
	return NULL;
}

static int read_limits(struct work *w)
{
	FILE *f = fopen("limits", "r");
	int n = 0;

	if (!f)
		return -1;
	while (n < MOST && fscanf(f, "%ld", &w[n].limit) == 1)
		n++;
	fclose(f);
	return n;
}

int main(int argc, char **argv)
{
	static struct work w[MOST];
	int n = argc == 2 && chdir(argv[1]) == 0 ? read_limits(w) : -1;
	FILE *out = n < 0 ? NULL : fopen("counts", "w");
	long sum = 0;

	if (!out) {
		perror("primes");
		return 1;
	}
	for (int i = 0; i < n; i++)
		if (pthread_create(&w[i].thread, NULL, count, &w[i]))
			return 1;
	for (int i = 0; i < n; i++) {
		pthread_join(w[i].thread, NULL);
		fprintf(out, "%ld %ld\n", w[i].limit, w[i].found);
		sum += w[i].found;
	}
	if (fclose(out))
		return 1;
	printf("%ld\n", sum);
	return 0;
}
