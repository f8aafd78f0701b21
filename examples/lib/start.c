/* SPDX-License-Identifier: MIT */
/* start.c: the kernel's life in the order in which it happens. */
#include "lib.h"

void start(uint32_t magic, const void *info);

void start(uint32_t magic, const void *info)
{
	static char *argv[ARGS_MAX + 1];

	console_init();
	trap_init(); /* from here on a mistake is a message, not a reboot */
	boot_read(magic, info);
	memory_init();
	interrupts_init();
	streams_init();
	exit(main(args_parse(boot.cmdline, KERNEL_NAME, argv), argv));
}
