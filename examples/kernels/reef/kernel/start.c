/* SPDX-License-Identifier: MIT */
/* start.c: the kernel's life in the order in which it happens. Read the files in this order, too. */
#include "cokernel.h"
#include "memfs.h"

void start(uint32_t magic, const void *info);

static int argc;
static char *argv[ARGS_MAX + 1];

/* The tree in memory, with what came along. */
static void files_init(void)
{
	if (memfs_init())
		panic("no memory for the tree of files");
	if (boot.module.end)
		cpio_unpack(at_physical(boot.module.start), boot.module.end - boot.module.start);
}

/* The first thread: from here on there is somebody who can wait. */
static void begin(void *unused)
{
	(void)unused;
	smp_start();
	if (cokernel)
		cokernel_start();
	else
		io_init();
	stdio_init();
	files_init();
	program_start(argc, argv); /* the application's main(), or another program */
}

/* On a part of a machine: where its console is must be known first of all. */
static void begin_cokernel(const void *info)
{
	if (!cokernel_read(info))
		for (;;)
			__asm__ volatile("cli; hlt"); /* there is nobody to tell */
	cokernel->state = GUEST_ENTERED;
	paging_prepare();
}

void start(uint32_t magic, const void *info)
{
	static struct thread idle = { .name = "idle" };

	if (magic == GUEST_MULTIBOOT2_ENTERED)
		begin_cokernel(info);
	console_init();
	idt_init();
	cpus[0].number = 0;
	cpu_count = 1;
	cpu_init(&cpus[0]); /* from here on a mistake is a message, not a reboot */
	if (!cokernel)
		boot_read(magic, info);
	page_init();
	paging_init();
	apic_init();
	clock_init();
	cpus[0].apic_id = apic_id();
	if (!cokernel)
		ioapic_init();
	sched_init_cpu(&cpus[0], &idle);
	argc = args_parse(boot.cmdline, KERNEL_NAME, argv);
	thread_create("main", begin, NULL, PRIORITY_NORMAL);
	sched_idle();
}
