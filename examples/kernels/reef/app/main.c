/* SPDX-License-Identifier: MIT */
/*
 * The application: an ordinary C program, with musl as its C library. This one is reef's shell; with arguments it runs
 * one command, as in `reef test 5`.
 */
#include "reef.h"

int main(int argc, char **argv)
{
	return argc > 1 ? reef_run(argc - 1, argv + 1) : reef_shell();
}
