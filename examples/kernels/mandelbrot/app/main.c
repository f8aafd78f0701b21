/* SPDX-License-Identifier: MIT */
/* mandelbrot [N]: the set as a picture of N x N points, a bit each, in the format PBM. */
#include <stdio.h>
#include <stdlib.h>

#define ROUNDS 50

static int inside(double cr, double ci)
{
	double r = 0, i = 0, rr = 0, ii = 0;

	for (int n = 0; n < ROUNDS && rr + ii <= 4; n++) {
		i = 2 * r * i + ci;
		r = rr - ii + cr;
		rr = r * r;
		ii = i * i;
	}
	return rr + ii <= 4;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 200;

	if (n < 1 || n > 32000) {
		fprintf(stderr, "usage: mandelbrot [N]\n");
		return 64;
	}
	printf("P4\n%d %d\n", n, n);
	for (int y = 0; y < n; y++)
		for (int x = 0; x < n; x += 8) {
			int byte = 0;

			for (int bit = 0; bit < 8; bit++)
				if (x + bit < n && inside(2.0 * (x + bit) / n - 1.5, 2.0 * y / n - 1))
					byte |= 0x80 >> bit;
			putchar(byte);
		}
	return ferror(stdout) || fflush(stdout);
}
