/* SPDX-License-Identifier: MIT */
/* calls_thread.c: threads, and the end of the program. */
#include "syscall.h"

#define ARCH_SET_FS 0x1002
#define ARCH_GET_FS 0x1003

extern volatile int process_threads;

CALL(arch_prctl)
{
	struct thread *t = current_thread();

	if (ARG1 == ARCH_GET_FS)
		return copy_out((void *)ARG2, &t->fs, sizeof(t->fs));
	if (ARG1 != ARCH_SET_FS)
		return -EINVAL;
	if ((uint64_t)((int64_t)(ARG2 << 16) >> 16) != ARG2)
		return -EPERM;
	preempt_disable(); /* a switch between the two would restore the old */
	t->fs = ARG2;
	write_msr(MSR_FS_BASE, ARG2);
	preempt_enable();
	return 0;
}

CALL(clone)
{
	return process_clone(f);
}

CALL(set_tid_address)
{
	current_thread()->clear_tid = (int *)ARG1;
	return (long)current_thread()->id;
}

CALL(gettid)
{
	(void)f;
	return (long)current_thread()->id;
}

CALL(getpid)
{
	(void)f;
	return process_id;
}

CALL(sched_yield)
{
	(void)f;
	sched_yield_cpu();
	return 0;
}

CALL(sched_getaffinity)
{
	uint64_t mask = cpu_count == 64 ? ~0ull : (1ull << cpu_count) - 1;

	if (ARG2 < 8)
		return -EINVAL;
	return copy_out((void *)ARG3, &mask, sizeof(mask)) ? -EFAULT : 8;
}

CALL(futex)
{
	return futex((uint32_t *)ARG1, (int)ARG2, (uint32_t)ARG3, ARG4);
}

CALL(exit)
{
	struct thread *t = current_thread();
	int zero = 0;

	if (!__atomic_sub_fetch(&process_threads, 1, __ATOMIC_ACQ_REL))
		exit((int)ARG1);
	if (t->clear_tid && !copy_out(t->clear_tid, &zero, sizeof(zero)))
		futex_wake((uint32_t *)t->clear_tid, 1);
	thread_exit();
}

CALL(exit_group)
{
	exit((int)ARG1);
}
