/* SPDX-License-Identifier: MIT */
/*
 * matmul [N [THREADS]]: multiplies two N x N matrices on all CPUs and prints a checksum. Blocks that fit the cache;
 * the inner loop goes along rows, so the compiler can use vector registers.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BLOCK	    32
#define THREADS_MAX 64

static int n, threads;
static double *a, *b, *c;

static int least(int x, int y)
{
	return x < y ? x : y;
}

static void multiply_block(int row, int k0)
{
	for (int i = row; i < least(row + BLOCK, n); i++)
		for (int k = k0; k < least(k0 + BLOCK, n); k++) {
			double factor = a[(size_t)i * n + k];
			const double *from = &b[(size_t)k * n];
			double *to = &c[(size_t)i * n];

			for (int j = 0; j < n; j++)
				to[j] += factor * from[j];
		}
}

static void *work(void *arg)
{
	for (int row = (int)(long)arg * BLOCK; row < n; row += threads * BLOCK)
		for (int k = 0; k < n; k += BLOCK)
			multiply_block(row, k);
	return NULL;
}

static double *matrix(void)
{
	double *m = calloc((size_t)n * n, sizeof(*m));

	if (!m) {
		fprintf(stderr, "matmul: no memory for %d x %d\n", n, n);
		exit(1);
	}
	return m;
}

int main(int argc, char **argv)
{
	pthread_t ids[THREADS_MAX];
	double sum = 0, trace = 0;

	n = argc > 1 ? atoi(argv[1]) : 200;
	threads = argc > 2 ? atoi(argv[2]) : (int)sysconf(_SC_NPROCESSORS_ONLN);
	if (n < 1 || n > 20000 || threads < 1 || threads > THREADS_MAX) {
		fprintf(stderr, "usage: matmul [N [THREADS]]\n");
		return 64;
	}
	a = matrix();
	b = matrix();
	c = matrix();
	for (int i = 0; i < n * n; i++) {
		a[i] = i % 7 - 3;
		b[i] = i % 11 - 5;
	}
	for (long i = 0; i < threads; i++)
		if (pthread_create(&ids[i], NULL, work, (void *)i)) {
			fprintf(stderr, "matmul: cannot create thread %ld\n", i);
			return 1;
		}
	for (int i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	for (int i = 0; i < n; i++) {
		trace += c[(size_t)i * n + i];
		for (int j = 0; j < n; j++)
			sum += c[(size_t)i * n + j] * (1 + (i + j) % 3);
	}
	printf("%d x %d: trace %.0f, checksum %.0f\n", n, n, trace, sum);
	return 0;
}
