/* SPDX-License-Identifier: MIT */
/*
 * costs: what threads, locks, memory and time cost a program, in nanoseconds: plain POSIX, so that the same source runs
 * on reef and on Linux. The smallest of some rounds, because the host is noisy. Prints a line for each: NS and what it is.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS	 7
#define PAGE	 4096u
#define SLEEP_NS 1000000L
#define LOCKS	 20000

static volatile int stop;
static sem_t ping, pong;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static volatile long counter;

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void check(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "costs: %s failed\n", what);
		exit(1);
	}
}

static void start(pthread_t *t, void *(*run)(void *))
{
	check(pthread_create(t, NULL, run, NULL) == 0, "pthread_create");
}

static void bench_syscall(long n)
{
	while (n--)
		syscall(SYS_gettid);
}

static void bench_clock(long n)
{
	while (n--)
		now();
}

static void bench_yield(long n)
{
	while (n--)
		sched_yield();
}

static void *yielder(void *unused)
{
	while (!stop)
		sched_yield();
	return unused;
}

static void bench_pingpong(long n)
{
	while (n--) {
		sem_post(&ping);
		sem_wait(&pong);
	}
}

static void *answerer(void *unused)
{
	while (!stop) {
		sem_wait(&ping);
		sem_post(&pong);
	}
	return unused;
}

static void *nothing(void *arg)
{
	return arg;
}

static void bench_thread(long n)
{
	while (n--) {
		pthread_t t;

		start(&t, nothing);
		pthread_join(t, NULL);
	}
}

static void bench_mutex(long n)
{
	while (n--) {
		pthread_mutex_lock(&mutex);
		counter++;
		pthread_mutex_unlock(&mutex);
	}
}

static volatile long asked, done; /* of rounds */

static void *locker(void *unused)
{
	while (!stop) {
		if (done == asked) {
			sched_yield();
			continue;
		}
		bench_mutex(LOCKS);
		__atomic_store_n(&done, done + 1, __ATOMIC_SEQ_CST);
	}
	return unused;
}

/* Both take it (n) times, and the slower one counts: who has the CPU for himself for a while gains nothing. */
static void bench_contended(long n)
{
	__atomic_store_n(&asked, asked + 1, __ATOMIC_SEQ_CST);
	bench_mutex(n);
	while (done != asked)
		sched_yield();
}

static void bench_malloc(long n)
{
	while (n--) {
		void *volatile p = malloc(64);

		free(p);
	}
}

static void bench_large(long n)
{
	while (n--) {
		void *volatile p = malloc(1000000);

		free(p);
	}
}

static void bench_fault(long n)
{
	size_t len = (size_t)n * PAGE;
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(p != MAP_FAILED, "mmap");
	for (size_t at = 0; at < len; at += PAGE)
		((volatile char *)p)[at] = 1;
	munmap(p, len);
}

static void bench_sleep(long n)
{
	struct timespec t = { .tv_nsec = SLEEP_NS };

	while (n--)
		nanosleep(&t, NULL);
}

static const struct {
	const char *name;
	void (*run)(long n);
	long n;
	uint64_t less;		 /* ns of each that are not cost */
	void *(*beside)(void *); /* another thread */
	int cpus;		 /* only with so many; 0: any */
} all[] = {
	{ "system call", bench_syscall, 50000, 0, NULL, 0 },
	{ "clock_gettime", bench_clock, 50000, 0, NULL, 0 },
	{ "context switch (sched_yield)", bench_yield, 20000, 0, yielder, 1 },
	{ "semaphore there and back", bench_pingpong, 3000, 0, answerer, 0 },
	{ "thread create and join", bench_thread, 500, 0, NULL, 0 },
	{ "mutex, free", bench_mutex, 100000, 0, NULL, 0 },
	{ "mutex, two threads", bench_contended, LOCKS, 0, locker, 2 },
	{ "malloc and free of 64", bench_malloc, 100000, 0, NULL, 0 },
	{ "malloc and free of 1,000,000", bench_large, 2000, 0, NULL, 0 },
	{ "page fault", bench_fault, 1000, 0, NULL, 0 },
	{ "sleep of 1 ms, too long by", bench_sleep, 20, SLEEP_NS, NULL, 0 },
};

static uint64_t measure(void (*run)(long n), long n)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t began = now(), ns;

		run(n);
		ns = (now() - began) / (uint64_t)n;
		best = ns < best ? ns : best;
	}
	return best;
}

int main(void)
{
	int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);

	sem_init(&ping, 0, 0);
	sem_init(&pong, 0, 0);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		pthread_t other;

		if (all[i].cpus && all[i].cpus != cpus)
			continue;
		stop = 0;
		if (all[i].beside)
			start(&other, all[i].beside);
		uint64_t ns = measure(all[i].run, all[i].n);
		stop = 1;
		sem_post(&ping);
		if (all[i].beside)
			pthread_join(other, NULL);
		while (sem_trywait(&ping) == 0 || sem_trywait(&pong) == 0)
			;
		printf("%8lu ns  %s\n", (unsigned long)(ns - all[i].less), all[i].name);
		fflush(stdout);
	}
	return 0;
}
