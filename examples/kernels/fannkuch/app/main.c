/* SPDX-License-Identifier: MIT */
/*
 * fannkuch [N]: for each permutation of 1..N: reverse the first k elements, k being the first, until that is 1. Prints
 * the alternating sum of the numbers of reversals, and the largest.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 12

static int flips(const int *permutation, int n)
{
	int p[MOST], count = 0, first;

	memcpy(p, permutation, (size_t)n * sizeof(*p));
	while ((first = p[0])) {
		for (int i = 0, j = first; i < j; i++, j--) {
			int x = p[i];

			p[i] = p[j];
			p[j] = x;
		}
		count++;
	}
	return count;
}

/* The next in the order that the sum's signs go by: rotate the first i + 1 elements, i from 1 on, until one has not come
 * round. False: that was the last. */
static int next(int *p, int *turns, int n)
{
	for (int i = 1; i < n; i++) {
		int first = p[0];

		memmove(p, p + 1, (size_t)i * sizeof(*p));
		p[i] = first;
		if (++turns[i] <= i)
			return 1;
		turns[i] = 0;
	}
	return 0;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 8, p[MOST], turns[MOST] = { 0 }, most = 0, sign = 1, f;
	long sum = 0;

	if (n < 1 || n > MOST) {
		fprintf(stderr, "usage: fannkuch [1..%d]\n", MOST);
		return 64;
	}
	for (int i = 0; i < n; i++)
		p[i] = i;
	do {
		f = flips(p, n);
		most = f > most ? f : most;
		sum += sign * f;
		sign = -sign;
	} while (next(p, turns, n));
	printf("%ld\nPfannkuchen(%d) = %d\n", sum, n, most);
	return 0;
}
