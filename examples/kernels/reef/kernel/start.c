/* SPDX-License-Identifier: MIT */
/* start.c: the kernel's life in the order in which it happens. Read the files in this order, too. */
#include "kernel.h"

void start(uint32_t magic, const void *info);

static int argc;
static char *argv[ARGS_MAX + 1];

/* The first thread: from here on there is somebody who can wait. */
static void begin(void *unused)
{
	(void)unused;
	smp_start();
	io_init();
	stdio_init();
	process_start(argc, argv); /* the application's main() */
}

void start(uint32_t magic, const void *info)
{
	static struct thread idle = { .name = "idle" };

	serial_init();
	idt_init();
	cpus[0].number = 0;
	cpu_count = 1;
	cpu_init(&cpus[0]); /* from here on a mistake is a message, not a reboot */
	boot_read(magic, info);
	page_init();
	paging_init();
	apic_init();
	clock_init();
	cpus[0].apic_id = apic_id();
	ioapic_init();
	sched_init_cpu(&cpus[0], &idle);
	argc = args_parse(boot.cmdline, KERNEL_NAME, argv);
	thread_create("main", begin, NULL, PRIORITY_NORMAL);
	sched_idle();
}
