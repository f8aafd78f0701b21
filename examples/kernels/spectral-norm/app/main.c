/* SPDX-License-Identifier: MIT */
/* spectral-norm [N]: the largest singular value of the infinite matrix 1, 1/2, 1/3 / 1/4, ... cut to N x N, by the power
 * method. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static double element(int i, int j)
{
	return 1.0 / ((i + j) * (i + j + 1) / 2 + i + 1);
}

static void times(int n, const double *v, double *out, int transposed)
{
	for (int i = 0; i < n; i++) {
		double sum = 0;

		for (int j = 0; j < n; j++)
			sum += v[j] * (transposed ? element(j, i) : element(i, j));
		out[i] = sum;
	}
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 100;
	double *u, *v, *t, uv = 0, vv = 0;

	if (n < 1 || n > 20000) {
		fprintf(stderr, "usage: spectral-norm [N]\n");
		return 64;
	}
	u = malloc((size_t)n * sizeof(*u));
	v = malloc((size_t)n * sizeof(*v));
	t = malloc((size_t)n * sizeof(*t));
	if (!u || !v || !t) {
		fprintf(stderr, "spectral-norm: no memory\n");
		return 1;
	}
	for (int i = 0; i < n; i++)
		u[i] = 1;
	for (int round = 0; round < 10; round++) {
		times(n, u, t, 0);
		times(n, t, v, 1);
		times(n, v, t, 0);
		times(n, t, u, 1);
	}
	for (int i = 0; i < n; i++) {
		uv += u[i] * v[i];
		vv += v[i] * v[i];
	}
	printf("%.9f\n", sqrt(uv / vv));
	return 0;
}
