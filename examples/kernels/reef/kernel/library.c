/* SPDX-License-Identifier: MIT */
/*
 * library.c: functions of the C library that the kernel has in place of musl's: in one address space they need no system
 * call, or a wait without a hundred turns of a loop that on one CPU nobody can end. The linker takes these
 * because it sees them first. call.S has one more.
 */
#include "kernel.h"

#define SECOND	     1000000000ull
#define CLOCK_OF_DAY 0
#define SPINS	     100

enum { SYS_YIELD = 24, SYS_GETTID = 186, SYS_CLOCK_GETTIME = 228 };

/* musl writes stdout in pieces of 1 KiB. Each would be a message to the host. */
#define STDOUT_BUFFER  32768
#define FULLY_BUFFERED 0
struct library_file;
extern struct library_file *const stdout;
int setvbuf(struct library_file *file, char *buffer, int how, size_t len);

__attribute__((constructor)) static void enlarge_stdout(void)
{
	static char buffer[STDOUT_BUFFER];

	setvbuf(stdout, buffer, FULLY_BUFFERED, sizeof(buffer));
}

/* Of musl: sem_t, and what its own semaphores use. */
struct library_semaphore {
	volatile int value, waiters, private;
};
int *__errno_location(void);
int sem_trywait(struct library_semaphore *s);
int __timedwait_cp(volatile int *word, int value, int clock, const struct timespec *at, int private);
void pthread_testcancel(void);
struct library_cleanup { /* what pthread_cleanup_push keeps on the stack */
	void (*run)(void *arg);
	void *arg;
	struct library_cleanup *next;
};
void _pthread_cleanup_push(struct library_cleanup *c, void (*run)(void *arg), void *arg);
void _pthread_cleanup_pop(struct library_cleanup *c, int run);

long __syscall_ret(unsigned long result); /* makes errno */
long call_enter(long a, long b, long c, long d, long e, long f, long number);

long syscall(long number, long a, long b, long c, long d, long e, long f);
int clock_gettime(int clock, struct timespec *t);
int __clock_gettime(int clock, struct timespec *t) __attribute__((alias("clock_gettime")));
int sched_yield(void);
int sem_timedwait(struct library_semaphore *s, const struct timespec *at);
int sem_wait(struct library_semaphore *s);

int clock_gettime(int clock, struct timespec *t)
{
	uint64_t now = clock == 0 || clock == 5 ? clock_wall() : clock_ns(); /* CLOCK_REALTIME, ..._COARSE */

	*t = (struct timespec){ (int64_t)(now / SECOND), (int64_t)(now % SECOND) };
	return 0;
}

int sched_yield(void)
{
	struct thread *t = current_thread();

	t->fpu_free = true;
	sched_yield_cpu();
	t->fpu_free = false;
	return 0;
}

/* Variadic for its callers, which makes no difference to where the arguments are. */
long syscall(long number, long a, long b, long c, long d, long e, long f)
{
	switch (number) { /* what is done before a frame would be made */
	case SYS_YIELD:
		return sched_yield();
	case SYS_GETTID:
		return current_thread()->id;
	case SYS_CLOCK_GETTIME:
		return clock_gettime((int)a, (struct timespec *)b);
	default:
		return __syscall_ret((unsigned long)call_enter(a, b, c, d, e, f, number));
	}
}

static void waits_no_more(void *s)
{
	__atomic_fetch_sub(&((struct library_semaphore *)s)->waiters, 1, __ATOMIC_SEQ_CST);
}

/* A value of -1 says that somebody waits and nothing is left. A thread may be cancelled here, also while it waits. */
int sem_timedwait(struct library_semaphore *s, const struct timespec *at)
{
	pthread_testcancel();
	for (int spins = cpu_count > 1 ? SPINS : 0; spins && s->value <= 0 && !s->waiters; spins--)
		pause_cpu();
	while (sem_trywait(s)) {
		struct library_cleanup cleanup;
		int none = 0, err;

		__atomic_fetch_add(&s->waiters, 1, __ATOMIC_SEQ_CST);
		__atomic_compare_exchange_n(&s->value, &none, -1, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
		_pthread_cleanup_push(&cleanup, waits_no_more, s);
		err = __timedwait_cp(&s->value, -1, CLOCK_OF_DAY, at, s->private);
		_pthread_cleanup_pop(&cleanup, 1);
		if (err) {
			*__errno_location() = err;
			return -1;
		}
	}
	return 0;
}

int sem_wait(struct library_semaphore *s)
{
	return sem_timedwait(s, NULL);
}
