/* SPDX-License-Identifier: MIT */
/* exit.c: the ways in which a kernel ends. */
#include "lib.h"

#define STATUS_PANIC 134 /* what a shell shows for a program that called abort() */

void exit(int status)
{
	streams_exit(status & 255);
	if (status & 255) /* nobody to tell it to but who reads the console */
		printk("%s: exit status %d\n", KERNEL_NAME, status & 255);
	power_off();
}

void panic(const char *fmt, ...)
{
	static bool again;
	va_list args;

	printk("%s: ", KERNEL_NAME);
	va_start(args, fmt);
	vprintk(fmt, args);
	va_end(args);
	printk("\n");
	if (again) /* telling the status is what failed */
		reset();
	again = true;
	exit(STATUS_PANIC);
}
