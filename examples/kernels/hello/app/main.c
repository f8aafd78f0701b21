/* SPDX-License-Identifier: MIT */
/* hello: a greeting, and the arguments if there are any. Change it: this file is your application. */
#include "diver.h"

int main(int argc, char **argv)
{
	printf("hello, world");
	for (int i = 1; i < argc; i++)
		printf(" %s", argv[i]);
	printf("\n");
	return 0;
}
