/* SPDX-License-Identifier: MIT */
/* alarm.c: the program's one timer of real time, whose SIGALRM a thread of the kernel sends. */
#include "syscall.h"

#define SIGALRM 14
#define SECOND	1000000000ull

struct interval { /* struct itimerval: both in seconds, microseconds */
	uint64_t every[2], left[2];
};

static struct wait_queue queue; /* its lock guards the next two */
static volatile uint64_t at = NEVER;
static uint64_t every;

static void run(void *unused)
{
	(void)unused;
	for (;;) {
		uint64_t until = at, flags = wait_begin(&queue, until);
		bool due;

		if (at != until) {
			wait_not(&queue, flags);
			continue;
		}
		wait_on(&queue, 0, flags);
		flags = lock_save(&queue.lock);
		due = at <= clock_ns();
		if (due)
			at = every ? clock_ns() + every : NEVER;
		lock_restore(&queue.lock, flags);
		if (due)
			signal_send_process(SIGALRM);
	}
}

/* In nanoseconds; 0: none. */
static long set(uint64_t in, uint64_t then, uint64_t *old_left, uint64_t *old_every)
{
	static volatile bool started;
	uint64_t flags, now = clock_ns();

	if (in && !__atomic_exchange_n(&started, true, __ATOMIC_SEQ_CST) &&
		!thread_create("alarm", run, NULL, PRIORITY_HIGH))
		return -ENOMEM;
	flags = lock_save(&queue.lock);
	*old_left = at == NEVER ? 0 : at > now ? at - now : 1;
	*old_every = every;
	at = in ? now + in : NEVER;
	every = then;
	wake_locked(&queue, 0, 1);
	lock_restore(&queue.lock, flags);
	return 0;
}

static uint64_t nanoseconds(const uint64_t t[2])
{
	return t[0] > 0x7fffffff ? 0x7fffffffull * SECOND : t[0] * SECOND + t[1] % 1000000 * 1000;
}

static struct interval interval(uint64_t left, uint64_t each)
{
	return (struct interval){ { each / SECOND, each % SECOND / 1000 },
		{ left / SECOND, left % SECOND / 1000 } };
}

CALL(setitimer)
{
	struct interval new = { 0 }, old;
	uint64_t left, each;
	long err;

	if (ARG1) /* of CPU time */
		return -EINVAL;
	if (ARG2 && copy_in(&new, (void *)ARG2, sizeof(new)))
		return -EFAULT;
	err = set(nanoseconds(new.left), nanoseconds(new.every), &left, &each);
	old = interval(left, each);
	return err || !ARG3 ? err : copy_out((void *)ARG3, &old, sizeof(old));
}

CALL(getitimer)
{
	uint64_t now = clock_ns(), left = at == NEVER ? 0 : at > now ? at - now : 1;
	struct interval i = interval(left, every);

	return ARG1 ? -EINVAL : copy_out((void *)ARG2, &i, sizeof(i));
}

CALL(alarm)
{
	uint64_t left, each;

	return set(ARG1 * SECOND, 0, &left, &each) ? 0 : (long)((left + SECOND - 1) / SECOND);
}
