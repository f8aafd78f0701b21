/* SPDX-License-Identifier: MIT */
/* The application: an ordinary C program. */
#include <stdio.h>
int main(int argc, char **argv)
{
	printf("hello, world");
	for (int i = 1; i < argc; i++)
		printf(" %s", argv[i]);
	printf(" %.3f\n", 3.14159);
	return 0;
}
