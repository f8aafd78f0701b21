/* SPDX-License-Identifier: MIT */
/* calls_time.c: what time it is, and waiting for a time. */
#include "syscall.h"

#define SECOND	      1000000000ull
#define TIMER_ABSTIME 1u

static struct timespec from_ns(uint64_t ns)
{
	return (struct timespec){ (int64_t)(ns / SECOND), (int64_t)(ns % SECOND) };
}

/* CLOCK_REALTIME and its coarse one count from 1970; CPU time is (nearly) that of the threads. */
static uint64_t clock_of(uint64_t which)
{
	struct thread *t = current_thread();

	if (which == 0 || which == 5 || which == 11)
		return clock_wall();
	if (which == 3) /* CLOCK_THREAD_CPUTIME_ID */
		return (t->ran + (read_tsc() - t->since)) * 1000000 / tsc_khz;
	return clock_ns();
}

CALL(clock_gettime)
{
	struct timespec now = from_ns(clock_of((uint32_t)ARG1));

	return copy_out((void *)ARG2, &now, sizeof(now));
}

CALL(clock_getres)
{
	return ARG2 ? copy_out((void *)ARG2, &(struct timespec){ 0, 1 }, sizeof(struct timespec)) : 0;
}

CALL(gettimeofday)
{
	struct timespec now = from_ns(clock_wall());

	now.nanoseconds /= 1000;
	if (ARG2 && copy_out((void *)ARG2, &(uint64_t){ 0 }, 8)) /* the time zone */
		return -EFAULT;
	return ARG1 ? copy_out((void *)ARG1, &now, sizeof(now)) : 0;
}

CALL(time)
{
	int64_t now = (int64_t)(clock_wall() / SECOND);

	return ARG1 && copy_out((void *)ARG1, &now, sizeof(now)) ? -EFAULT : now;
}

/* NEVER: none given, or longer than the clock can count. */
uint64_t time_span(const struct timespec *t)
{
	if (!t || t->seconds > 0x7fffffff)
		return NEVER;
	if (t->seconds < 0)
		return 0;
	return (uint64_t)t->seconds * SECOND + (uint64_t)t->nanoseconds % SECOND;
}

static long sleep_until(uint64_t until, void *left)
{
	struct wait_queue alone = { 0 };
	struct timespec rest;
	uint64_t now;

	while ((now = clock_ns()) < until) {
		uint64_t flags = wait_begin(&alone, until);

		if (wait_interruptible(&alone, 0, flags) != -EINTR)
			continue;
		rest = from_ns(until > now ? until - now : 0);
		return left && copy_out(left, &rest, sizeof(rest)) ? -EFAULT : -EINTR;
	}
	return 0;
}

static long sleep(const void *user, void *left, uint64_t clock, bool absolute)
{
	struct timespec t;
	uint64_t ns, now = clock == 0 ? clock_wall() : clock_ns();

	if (copy_in(&t, user, sizeof(t)))
		return -EFAULT;
	if (t.nanoseconds < 0 || t.nanoseconds >= (int64_t)SECOND || t.seconds < 0)
		return -EINVAL;
	ns = time_span(&t);
	if (absolute && ns != NEVER)
		ns = ns > now ? ns - now : 0;
	return sleep_until(ns == NEVER ? NEVER / 4 : clock_ns() + ns, absolute ? NULL : left);
}

CALL(nanosleep)
{
	return sleep((void *)ARG1, (void *)ARG2, 1, false);
}

CALL(clock_nanosleep)
{
	return sleep((void *)ARG3, (void *)ARG4, (uint32_t)ARG1, ARG2 & TIMER_ABSTIME);
}
