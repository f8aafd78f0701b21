/* SPDX-License-Identifier: MIT */
/*
 * stream [LENGTH [ROUNDS [THREADS]]]: memory bandwidth of four loops over long vectors, each shared out among threads. A
 * barrier before and after each loop: its time is that of the slowest thread. What the vectors hold in the end is known.
 */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 64
#define FACTOR	    3.0

static long length, rounds;
static int threads;
static double *a, *b, *c;
static pthread_barrier_t barrier;

static void copy(long from, long to)
{
	for (long i = from; i < to; i++)
		c[i] = a[i];
}

static void scale(long from, long to)
{
	for (long i = from; i < to; i++)
		b[i] = FACTOR * c[i];
}

static void add(long from, long to)
{
	for (long i = from; i < to; i++)
		c[i] = a[i] + b[i];
}

static void triad(long from, long to)
{
	for (long i = from; i < to; i++)
		a[i] = b[i] + FACTOR * c[i];
}

static struct {
	const char *name;
	void (*run)(long from, long to);
	long bytes;  /* a number */
	double best; /* seconds */
} loops[] = { { "copy", copy, 16, 1e9 }, { "scale", scale, 16, 1e9 }, { "add", add, 24, 1e9 },
	{ "triad", triad, 24, 1e9 } };
enum { LOOPS = sizeof(loops) / sizeof(loops[0]) };

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Each thread touches its part first, as it does later. */
static void *work(void *arg)
{
	long me = (long)arg, from = length * me / threads, to = length * (me + 1) / threads;

	for (long i = from; i < to; i++) {
		a[i] = 1;
		b[i] = 2;
		c[i] = 0;
	}
	for (long round = 0; round < rounds; round++)
		for (int l = 0; l < LOOPS; l++) {
			double began;

			pthread_barrier_wait(&barrier);
			began = now();
			loops[l].run(from, to);
			pthread_barrier_wait(&barrier);
			began = now() - began;
			if (me == 0 && began < loops[l].best)
				loops[l].best = began;
		}
	return NULL;
}

/* The same on one number of each vector. Returns how many numbers differ from it. */
static long wrong(void)
{
	double x = 1, y = 2, z = 0;
	long n = 0;

	for (long round = 0; round < rounds; round++) {
		z = x;
		y = FACTOR * z;
		z = x + y;
		x = y + FACTOR * z;
	}
	for (long i = 0; i < length; i++)
		n += fabs(a[i] - x) > x * 1e-12 || fabs(b[i] - y) > y * 1e-12 || fabs(c[i] - z) > z * 1e-12;
	return n;
}

static int start_all(void)
{
	pthread_t ids[THREADS_MAX];

	pthread_barrier_init(&barrier, NULL, (unsigned)threads);
	for (long i = 0; i < threads; i++)
		if (pthread_create(&ids[i], NULL, work, (void *)i)) {
			fprintf(stderr, "stream: cannot create thread %ld\n", i);
			return -1;
		}
	for (int i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	return 0;
}

int main(int argc, char **argv)
{
	long bad;

	length = argc > 1 ? atol(argv[1]) : 1000000;
	rounds = argc > 2 ? atol(argv[2]) : 10;
	threads = argc > 3 ? atoi(argv[3]) : (int)sysconf(_SC_NPROCESSORS_ONLN);
	if (length < 1 || length > 1L << 40 || rounds < 1 || rounds > 400 || threads < 1 ||
		threads > THREADS_MAX) {
		fprintf(stderr, "usage: stream [LENGTH [ROUNDS [THREADS]]]\n");
		return 64;
	}
	a = malloc((size_t)length * sizeof(*a));
	b = malloc((size_t)length * sizeof(*b));
	c = malloc((size_t)length * sizeof(*c));
	if (!a || !b || !c) {
		fprintf(stderr, "stream: no memory for three vectors of %ld numbers\n", length);
		return 1;
	}
	if (start_all() < 0)
		return 1;
	for (int l = 0; l < LOOPS; l++)
		printf("%-6s %9.1f MB/s\n", loops[l].name,
			(double)(length * loops[l].bytes) / 1e6 / loops[l].best);
	bad = wrong();
	if (bad)
		printf("wrong: %ld of %ld\n", bad, length);
	else
		printf("checked: %d threads, %ld rounds over %ld numbers\n", threads, rounds, length);
	return bad != 0;
}
