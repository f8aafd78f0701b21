/* SPDX-License-Identifier: MIT */
/* bench.c: what the kernel's own operations cost, in nanoseconds. The smallest of some rounds: the host is noisy. */
#include "kernel.h"

#define ROUNDS 5

static volatile bool stop;
static struct semaphore ping, pong;
static struct mutex mutex;

static void yielder(void *unused)
{
	(void)unused;
	while (!stop)
		sched_yield_cpu();
}

static void bench_switch(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		sched_yield_cpu();
}

static void nothing(void *unused)
{
	(void)unused;
}

static void bench_thread(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		struct thread *t = thread_create("bench", nothing, NULL, PRIORITY_NORMAL);

		if (t)
			thread_join(t);
	}
}

static void bench_mutex(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		mutex_lock(&mutex);
		mutex_unlock(&mutex);
	}
}

static void bench_malloc(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		void *volatile p = malloc(64);

		free(p);
	}
}

static void bench_large(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		void *volatile p = malloc(100000);

		free(p);
	}
}

static void bench_fault(uint64_t n)
{
	uint64_t a = region_add(REGION_KERNEL, n * PAGE, REGION_READ | REGION_WRITE);

	for (uint64_t i = 0; a && i < n; i++)
		*(volatile char *)(a + i * PAGE) = 1;
	if (a)
		region_remove(a, n * PAGE);
}

static void bench_syscall(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		uint64_t nr = 186; /* gettid */

		__asm__ volatile("syscall" : "+a"(nr)::"rcx", "r11", "memory");
	}
}

static void bench_clock(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		(void)clock_ns();
}

static void partner(void *unused)
{
	(void)unused;
	while (!stop) {
		semaphore_down(&ping);
		semaphore_up(&pong);
	}
}

static void bench_pingpong(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		semaphore_up(&ping);
		semaphore_down(&pong);
	}
}

static void bench_timer(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		thread_sleep(1000000);
}

static uint64_t switch_ns;

static uint64_t measure(void (*run)(uint64_t n), uint64_t n)
{
	uint64_t best = NEVER;

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t start = clock_ns(), ns;

		run(n);
		ns = (clock_ns() - start) / n;
		best = ns < best ? ns : best;
	}
	return best;
}

/* In a kernel thread: without FPU state. */
static void measure_switch(void *unused)
{
	(void)unused;
	switch_ns = measure(bench_switch, 20000);
	stop = true;
}

/* Two threads on one CPU take turns: each yield is a switch. */
static void show_switch(void)
{
	struct thread *a, *b;

	stop = false;
	a = thread_create("bench", measure_switch, NULL, PRIORITY_NORMAL);
	b = thread_create("partner", yielder, NULL, PRIORITY_NORMAL);
	if (a)
		thread_join(a);
	if (b)
		thread_join(b);
	print("%-28s %8lu ns\n", "context switch", switch_ns);
}

/* On one CPU a partner runs beside the measured loop only by switches. */
static void with(void (*other)(void *), const char *text, void (*run)(uint64_t n), uint64_t n)
{
	struct thread *t;

	stop = false;
	t = thread_create("partner", other, NULL, PRIORITY_NORMAL);
	thread_sleep(2000000);
	print("%-28s %8lu ns\n", text, measure(run, n));
	stop = true;
	semaphore_up(&ping);
	if (t)
		thread_join(t);
	ping.count = pong.count = 0;
}

static int bench(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	if (cpu_count == 1) {
		show_switch();
		with(yielder, "context switch from FPU user", bench_switch, 20000);
	}
	with(partner, "semaphore there and back", bench_pingpong, 2000);
	print("%-28s %8lu ns\n", "thread create and join", measure(bench_thread, 500));
	print("%-28s %8lu ns\n", "mutex lock and unlock", measure(bench_mutex, 100000));
	print("%-28s %8lu ns\n", "malloc and free of 64", measure(bench_malloc, 100000));
	print("%-28s %8lu ns\n", "malloc and free of 100,000", measure(bench_large, 10000));
	print("%-28s %8lu ns\n", "page fault", measure(bench_fault, 500));
	print("%-28s %8lu ns\n", "system call", measure(bench_syscall, 50000));
	print("%-28s %8lu ns\n", "clock", measure(bench_clock, 50000));
	print("%-28s %8lu ns\n", "sleep of 1 ms, too long by", measure(bench_timer, 10) - 1000000);
	return 0;
}
REEF_COMMAND(bench, "what the kernel's operations cost", bench);
