/* SPDX-License-Identifier: MIT */
/* calls_self.c: what the program is and where: one process of one user, root, on a machine of its own. */
#include "delegate.h"
#include "elf.h"

#define ALWAYS(call, value)                                                                                  \
	CALL(call)                                                                                           \
	{                                                                                                    \
		(void)f;                                                                                     \
		return (value);                                                                              \
	}
ALWAYS(getpid, process_id)
ALWAYS(getppid, 0)
ALWAYS(getpgrp, process_id)
ALWAYS(getpgid, process_id)
ALWAYS(getsid, process_id)
ALWAYS(setsid, process_id)
ALWAYS(setpgid, 0)
ALWAYS(getuid, 0)
ALWAYS(getgid, 0)
ALWAYS(geteuid, 0)
ALWAYS(getegid, 0)
ALWAYS(setuid, 0)
ALWAYS(setgid, 0)
ALWAYS(setreuid, 0)
ALWAYS(setregid, 0)
ALWAYS(setresuid, 0)
ALWAYS(setresgid, 0)
ALWAYS(setgroups, 0)
ALWAYS(getgroups, 0)
ALWAYS(setpriority, 0)
ALWAYS(getpriority, 20)
ALWAYS(personality, 0)
ALWAYS(sync, 0)

static long three_zeroes(struct frame *f)
{
	uint32_t zero = 0;

	return copy_out((void *)ARG1, &zero, 4) || copy_out((void *)ARG2, &zero, 4) ||
			       copy_out((void *)ARG3, &zero, 4)
		       ? -EFAULT
		       : 0;
}

CALL(getresuid)
{
	return three_zeroes(f);
}

CALL(getresgid)
{
	return three_zeroes(f);
}

CALL(getrandom)
{
	if (touch_out((void *)ARG1, ARG2))
		return -EFAULT;
	random_bytes((void *)ARG1, ARG2);
	return (long)ARG2;
}

CALL(uname)
{
	static const char fields[6][65] = { "Linux", KERNEL_NAME, "6.1.0-reef", "reef", "x86_64", "(none)" };

	return copy_out((void *)ARG1, fields, sizeof(fields));
}

CALL(sysinfo)
{
	struct {
		int64_t uptime;
		uint64_t loads[3], total, left, shared, buffers, swap, swap_left;
		uint16_t processes, pad[3];
		uint64_t high, high_left;
		uint32_t unit, pad2;
	} s = { .uptime = (int64_t)(clock_ns() / 1000000000),
		.total = page_total(),
		.left = page_left(),
		.processes = 1,
		.unit = 1 };

	return copy_out((void *)ARG1, &s, sizeof(s));
}

enum { RLIMIT_STACK = 3, RLIMIT_NOFILE = 7, RLIMITS = 16 };

static long limit_out(uint64_t which, void *user)
{
	uint64_t limit[2] = { ~0ull, ~0ull };

	if (which >= RLIMITS)
		return -EINVAL;
	if (which == RLIMIT_STACK)
		limit[0] = 0x800000;
	if (which == RLIMIT_NOFILE)
		limit[0] = limit[1] = FDS_MAX;
	return copy_out(user, limit, sizeof(limit));
}

CALL(getrlimit)
{
	return limit_out(ARG1, (void *)ARG2);
}

/* Limits cannot be changed; to ask for one that is there already, or less, is no mistake. */
CALL(setrlimit)
{
	return ARG1 < RLIMITS ? 0 : -EINVAL;
}

CALL(prlimit64)
{
	if (ARG2 >= RLIMITS)
		return -EINVAL;
	if (ARG2 == RLIMIT_NOFILE && program_runs && delegate_there()) /* the descriptors are there */
		return delegate_program(f, f->rax);
	return ARG4 ? limit_out(ARG2, (void *)ARG4) : 0;
}

static void add_time(struct thread *t, void *sum)
{
	if (t->fpu)
		*(uint64_t *)sum += t->ran + (t->state == RUNNING ? read_tsc() - t->since : 0);
}

static uint64_t cpu_ns(void)
{
	uint64_t ticks = 0;

	thread_each(add_time, &ticks);
	return (uint64_t)((unsigned __int128)ticks * 1000000 / tsc_khz);
}

CALL(getrusage)
{
	uint64_t ns = cpu_ns(), usage[18] = { ns / 1000000000, ns / 1000 % 1000000 };

	usage[4] = (page_total() - page_left()) / 1024;
	return copy_out((void *)ARG2, usage, sizeof(usage));
}

CALL(times)
{
	uint64_t t[4] = { cpu_ns() / 10000000 };

	if (ARG1 && copy_out((void *)ARG1, t, sizeof(t)))
		return -EFAULT;
	return (long)(clock_ns() / 10000000);
}

enum {
	PR_GET_DUMPABLE = 3,
	PR_SET_DUMPABLE = 4,
	PR_SET_NAME = 15,
	PR_GET_NAME = 16,
	PR_SET_NO_NEW_PRIVS = 38,
	PR_GET_NO_NEW_PRIVS = 39,
	PR_SET_VMA = 0x53564d41
};

/* Names of threads are heard, and not kept. */
CALL(prctl)
{
	switch (ARG1) {
	case PR_SET_NAME:
	case PR_SET_DUMPABLE:
	case PR_SET_NO_NEW_PRIVS:
	case PR_SET_VMA:
		return 0;
	case PR_GET_DUMPABLE:
	case PR_GET_NO_NEW_PRIVS:
		return 1;
	case PR_GET_NAME:
		return copy_out((void *)ARG2, "program\0\0\0\0\0\0\0\0", 16);
	default:
		return -EINVAL;
	}
}
