/* SPDX-License-Identifier: MIT */
/* commands.c: small commands of the shell. To add one, write a function and REEF_COMMAND below it, here or in a file of
 * your own. */
#include "kernel.h"

static void show_thread(struct thread *t, void *arg)
{
	static const char *const states[] = { "running", "ready", "blocked", "dead" };
	uint64_t ran = t->ran + (t->state == RUNNING ? read_tsc() - t->since : 0);

	(void)arg;
	printk("%5u %4u %4u  %-8s %8lu ms  %s\n", t->id, t->cpu ? t->cpu->number : 0, t->priority,
		states[t->state], ran / tsc_khz, t->name);
}

static int ps(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	print("   id  cpu prio  state          ran  name\n");
	thread_each(show_thread, NULL);
	for (unsigned i = 0; i < cpu_count; i++)
		print("cpu %u: %lu switches, %u waiting, %s\n", i, cpus[i].switches, cpus[i].queued,
			cpus[i].idling ? "idle" : "busy");
	return 0;
}
REEF_COMMAND(ps, "threads and CPUs", ps);

static int mem(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	print("memory   %8lu KiB\nfree     %8lu KiB\nregions  %8lu KiB of addresses\n", page_total() >> 10,
		page_left() >> 10, region_bytes() >> 10);
	return 0;
}
REEF_COMMAND(mem, "memory: all, free, demand-paged", mem);

static int uptime(int argc, char **argv)
{
	uint64_t us = clock_ns() / 1000;

	(void)argc;
	(void)argv;
	print("%lu.%06lu s, TSC %lu kHz, time slice %lu us\n", us / 1000000, us % 1000000, tsc_khz,
		slice_ns / 1000);
	return 0;
}
REEF_COMMAND(uptime, "time since the start, and what tells it", uptime);

static int echo(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		print("%s%s", i > 1 ? " " : "", argv[i]);
	print("\n");
	return 0;
}
REEF_COMMAND(echo, "WORD...", echo);

static int sleep_ms(int argc, char **argv)
{
	thread_sleep((uint64_t)number(argc > 1 ? argv[1] : "1000") * 1000000);
	return 0;
}
REEF_COMMAND(sleep, "[MILLISECONDS]", sleep_ms);
