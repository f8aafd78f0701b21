/* SPDX-License-Identifier: MIT */
/* calls_thread.c: threads, and the end of the program. */
#include "delegate.h"
#include "elf.h"
#include "syscall.h"

#define ARCH_SET_FS 0x1002
#define ARCH_GET_FS 0x1003

#define CLONE_VM	     0x100u
#define CLONE_VFORK	     0x4000u
#define CLONE_THREAD	     0x10000u
#define CLONE_SETTLS	     0x80000u
#define CLONE_PARENT_SETTID  0x100000u
#define CLONE_CHILD_CLEARTID 0x200000u
#define CLONE_CHILD_SETTID   0x1000000u
#define CLONE_NEW	     0x7e020080u /* namespaces */
#define CLONE_OTHERS	     0xb000u	 /* PIDFD, PTRACE, PARENT */

volatile int process_threads = 1;

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

struct clone { /* struct clone_args of Linux, as far as we look */
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_len, tls;
};

/* Another process: a copy of this one in the ROS, if there is one. What vfork would share is copied, too. */
static long new_process(const struct frame *f, const struct clone *c, uint64_t top)
{
	static volatile bool said;
	bool can = program_runs && delegate_there() && (!(c->flags & CLONE_VM) || c->flags & CLONE_VFORK) &&
		   !(c->flags & (CLONE_NEW | CLONE_OTHERS));
	long result =
		!can ? -ENOSYS
		     : delegate_fork(f, top ? top : f->rsp, c->flags & CLONE_CHILD_SETTID ? c->child_tid : 0,
			       c->flags & CLONE_CHILD_CLEARTID ? c->child_tid : 0);
	int id = (int)result;

	if (result < 0 && result != -ERESTART && !__atomic_exchange_n(&said, true, __ATOMIC_SEQ_CST))
		print("%s: fork (clone with flags %lx): error %ld: %s\n", KERNEL_NAME, c->flags, -result,
			can ? "the other Linux cannot make the child; see events"
			: delegate_there()
				? "a child that shares this program's memory cannot run on the other Linux"
				: "there is no other Linux here where the child could run: deploy in "
				  "splitVM");
	if (result > 0 && c->flags & CLONE_PARENT_SETTID)
		copy_out((void *)c->parent_tid, &id, sizeof(id));
	return result;
}

/* The new thread comes back from the same system call, on the stack that ends at (top). */
static long new_thread(const struct frame *f, const struct clone *c, uint64_t top)
{
	struct thread *t;
	struct frame *copy;
	uint64_t *sp;
	int id;

	if (!(c->flags & CLONE_VM) || !(c->flags & CLONE_THREAD))
		return new_process(f, c, top);
	if (!top)
		return -EINVAL;
	t = thread_new("application", true);
	if (!t)
		return -EAGAIN;
	id = (int)t->id;
	if ((c->flags & CLONE_PARENT_SETTID && copy_out((void *)c->parent_tid, &id, sizeof(id))) ||
		(c->flags & CLONE_CHILD_SETTID && copy_out((void *)c->child_tid, &id, sizeof(id)))) {
		thread_put(t);
		return -EFAULT;
	}
	signal_thread_new(t);
	fpu_save(t->fpu);
	t->fs = c->flags & CLONE_SETTLS ? c->tls : current_thread()->fs;
	t->clear_tid = c->flags & CLONE_CHILD_CLEARTID ? (int *)c->child_tid : NULL;
	copy = (struct frame *)(t->stack + STACK_SIZE) - 1;
	*copy = *f;
	copy->rax = 0;
	copy->rsp = top;
	sp = (uint64_t *)copy - 7;
	memset(sp, 0, 7 * sizeof(*sp));
	sp[6] = (uint64_t)frame_begin;
	t->sp = (uint64_t)sp;
	__atomic_fetch_add(&process_threads, 1, __ATOMIC_RELAXED);
	sched_start(t);
	return id;
}

CALL(clone)
{
	struct clone c = { .flags = ARG1, .parent_tid = ARG3, .child_tid = ARG4, .tls = ARG5 };

	return new_thread(f, &c, ARG2);
}

CALL(clone3)
{
	struct clone c;

	if (ARG2 < sizeof(c))
		return -EINVAL;
	if (copy_in(&c, (void *)ARG1, sizeof(c)))
		return -EFAULT;
	return new_thread(f, &c, c.stack + c.stack_len);
}

CALL(fork)
{
	return new_process(f, &(struct clone){ 0 }, 0);
}

CALL(vfork)
{
	return new_process(f, &(struct clone){ 0 }, 0);
}

CALL(wait4)
{
	(void)f;
	return -ECHILD;
}

CALL(waitid)
{
	(void)f;
	return -ECHILD;
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

/* Threads run where there is room: a wish is heard, and not followed. */
CALL(sched_setaffinity)
{
	uint64_t mask = 0;

	if (copy_in(&mask, (void *)ARG3, ARG2 < 8 ? ARG2 : 8))
		return -EFAULT;
	return mask ? 0 : -EINVAL;
}

CALL(sched_setscheduler)
{
	return ARG2 > 6 ? -EINVAL : 0;
}

CALL(sched_getscheduler)
{
	(void)f;
	return 0;
}

CALL(sched_setparam)
{
	(void)f;
	return 0;
}

CALL(sched_getparam)
{
	return copy_out((void *)ARG2, &(int){ 0 }, sizeof(int));
}

CALL(sched_get_priority_max)
{
	return ARG1 == 1 || ARG1 == 2 ? 99 : 0;
}

CALL(sched_get_priority_min)
{
	return ARG1 == 1 || ARG1 == 2;
}

CALL(getcpu)
{
	unsigned number = this_cpu()->number;

	if ((ARG1 && copy_out((void *)ARG1, &number, sizeof(number))) ||
		(ARG2 && copy_out((void *)ARG2, &(unsigned){ 0 }, sizeof(unsigned))))
		return -EFAULT;
	return 0;
}

/* Every CPU has passed a barrier when it has answered. */
CALL(membarrier)
{
	if (ARG1 == 0) /* which commands there are */
		return 1 | 1 << 3 | 1 << 4;
	smp_flush();
	return 0;
}

CALL(futex)
{
	return futex(f);
}

CALL(set_robust_list)
{
	if (ARG2 != 24)
		return -EINVAL;
	current_thread()->robust = ARG1;
	return 0;
}

CALL(exit)
{
	struct thread *t = current_thread();
	int zero = 0;

	if (!__atomic_sub_fetch(&process_threads, 1, __ATOMIC_ACQ_REL))
		exit((int)ARG1);
	futex_robust(t);
	if (t->clear_tid && !copy_out(t->clear_tid, &zero, sizeof(zero)))
		futex_wake((uint32_t *)t->clear_tid, 1);
	thread_exit();
}

CALL(exit_group)
{
	exit((int)ARG1);
}
