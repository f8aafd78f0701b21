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

/* Each machine ignores the other's way. */
void power_off(void)
{
	out16(0x604, 0x2000);			/* pc: ACPI PM1a control, SLP_EN, type 0 */
	*(volatile uint8_t *)0xfea02000 = 0x34; /* microvm with ACPI: sleep control, SLP_EN, type 5 */
	reset();
}

/* An exception without a table to handle it, and without one to handle that: the CPU resets. */
void reset(void)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) nothing;

	__asm__ volatile("cli; lidt %0; ud2" ::"m"(nothing));
	__builtin_unreachable();
}
