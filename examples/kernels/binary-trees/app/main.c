/* SPDX-License-Identifier: MIT */
/* binary-trees [DEPTH]: makes and frees many trees, counting their nodes: the heap's work. */
#include <stdio.h>
#include <stdlib.h>

#define LEAST 4

struct tree {
	struct tree *left, *right;
};

static struct tree *make(int depth)
{
	struct tree *t = malloc(sizeof(*t));

	if (!t) {
		fprintf(stderr, "binary-trees: no memory\n");
		exit(1);
	}
	t->left = depth ? make(depth - 1) : NULL;
	t->right = depth ? make(depth - 1) : NULL;
	return t;
}

static long count(const struct tree *t)
{
	return 1 + (t->left ? count(t->left) + count(t->right) : 0);
}

static void drop(struct tree *t)
{
	if (t->left) {
		drop(t->left);
		drop(t->right);
	}
	free(t);
}

static long make_and_count(int depth)
{
	struct tree *t = make(depth);
	long n = count(t);

	drop(t);
	return n;
}

int main(int argc, char **argv)
{
	int most = argc > 1 ? atoi(argv[1]) : 10;
	struct tree *stays;

	if (most < LEAST + 2)
		most = LEAST + 2;
	printf("stretch tree of depth %d\t check: %ld\n", most + 1, make_and_count(most + 1));
	stays = make(most);
	for (int depth = LEAST; depth <= most; depth += 2) {
		long trees = 1L << (most - depth + LEAST), nodes = 0;

		for (long i = 0; i < trees; i++)
			nodes += make_and_count(depth);
		printf("%ld\t trees of depth %d\t check: %ld\n", trees, depth, nodes);
	}
	printf("long lived tree of depth %d\t check: %ld\n", most, count(stays));
	drop(stays);
	return 0;
}
