/* SPDX-License-Identifier: MIT */
/* fasta [N]: DNA sequences: one repeated, two drawn by weighted random selection, as text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 60
#define IM    139968
#define IA    3877
#define IC    29573

struct weight {
	char letter;
	double part;
};

static const char alu[] = "GGCCGGGCGCGGTGGCTCACGCCTGTAATCCCAGCACTTTGG"
			  "GAGGCCGAGGCGGGCGGATCACCTGAGGTCAGGAGTTCGAGA"
			  "CCAGCCTGGCCAACATGGTGAAACCCCGTCTCTACTAAAAAT"
			  "ACAAAAATTAGCCGGGCGTGGTGGCGCGCGCCTGTAATCCCA"
			  "GCTACTCGGGAGGCTGAGGCAGGAGAATCGCTTGAACCCGGG"
			  "AGGCGGAGGTTGCAGTGAGCCGAGATCGCGCCACTGCACTCC"
			  "AGCCTGGGCGACAGAGCGAGACTCCGTCTCAAAAA";

static const struct weight iub[] = { { 'a', 0.27 }, { 'c', 0.12 }, { 'g', 0.12 }, { 't', 0.27 },
	{ 'B', 0.02 }, { 'D', 0.02 }, { 'H', 0.02 }, { 'K', 0.02 }, { 'M', 0.02 }, { 'N', 0.02 },
	{ 'R', 0.02 }, { 'S', 0.02 }, { 'V', 0.02 }, { 'W', 0.02 }, { 'Y', 0.02 }, { 0, 0 } };
static const struct weight sapiens[] = { { 'a', 0.3029549426680 }, { 'c', 0.1979883004921 },
	{ 'g', 0.1975473066391 }, { 't', 0.3015094502008 }, { 0, 0 } };

static void repeat(long n)
{
	size_t at = 0, len = strlen(alu);

	while (n > 0) {
		long line = n < WIDTH ? n : WIDTH;

		for (long i = 0; i < line; i++, at = (at + 1) % len)
			putchar(alu[at]);
		putchar('\n');
		n -= line;
	}
}

static char draw(const struct weight *w)
{
	static int state = 42;
	double r, sum = w->part;

	state = (state * IA + IC) % IM;
	r = (double)state / IM;
	while (r >= sum && w[1].letter)
		sum += (++w)->part;
	return w->letter;
}

static void random_letters(const struct weight *w, long n)
{
	while (n > 0) {
		long line = n < WIDTH ? n : WIDTH;

		for (long i = 0; i < line; i++)
			putchar(draw(w));
		putchar('\n');
		n -= line;
	}
}

int main(int argc, char **argv)
{
	long n = argc > 1 ? atol(argv[1]) : 1000;

	puts(">ONE Homo sapiens alu");
	repeat(2 * n);
	puts(">TWO IUB ambiguity codes");
	random_letters(iub, 3 * n);
	puts(">THREE Homo sapiens frequency");
	random_letters(sapiens, 5 * n);
	return ferror(stdout) || fflush(stdout);
}
