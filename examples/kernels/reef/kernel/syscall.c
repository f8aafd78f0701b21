/* SPDX-License-Identifier: MIT */
/*
 * syscall.c: the system calls of Linux that a static C library makes for memory, threads, time, standard input and
 * output. What is not in the table is ENOSYS. Later: what is not served here goes to a delegate (COKERNEL.md 6).
 */
#include "kernel.h"

enum {
	EBADF = 9,
	ENOMEM = 12,
	EINVAL = 22,
	ENOTTY = 25,
	ESPIPE = 29,
	ENOSYS = 38,
};

#define MAP_FIXED     0x10u
#define MAP_ANONYMOUS 0x20u
#define ARCH_SET_FS   0x1002
#define ARCH_GET_FS   0x1003
#define SECOND	      1000000000ull

struct iovec {
	char *base;
	size_t len;
};

extern volatile int process_threads;

#define CALL(name) static long name(struct frame *f)
#define ARG1	   f->rdi
#define ARG2	   f->rsi
#define ARG3	   f->rdx
#define ARG4	   f->r10

static long write_to(uint64_t fd, const void *buf, size_t len)
{
	if (fd == 1)
		io_write(buf, len);
	else if (fd == 2)
		io_console(buf, len);
	else
		return -EBADF;
	return (long)len;
}

CALL(sys_read)
{
	return ARG1 ? -EBADF : (long)io_read((void *)ARG2, ARG3);
}

CALL(sys_write)
{
	return write_to(ARG1, (const void *)ARG2, ARG3);
}

CALL(sys_readv)
{
	const struct iovec *v = (const void *)ARG2;
	long done = 0;

	for (uint64_t i = 0; i < ARG3; i++) {
		size_t n = ARG1 || !v[i].len ? 0 : io_read(v[i].base, v[i].len);

		done += (long)n;
		if (n < v[i].len)
			break;
	}
	return ARG1 ? -EBADF : done;
}

CALL(sys_writev)
{
	const struct iovec *v = (const void *)ARG2;
	long done = 0;

	for (uint64_t i = 0; i < ARG3; i++) {
		long n = write_to(ARG1, v[i].base, v[i].len);

		if (n < 0)
			return n;
		done += n;
	}
	return done;
}

CALL(sys_close)
{
	return ARG1 < 3 ? 0 : -EBADF;
}

CALL(sys_lseek)
{
	return ARG1 < 3 ? -ESPIPE : -EBADF;
}

CALL(sys_ioctl)
{
	return ARG1 < 3 ? -ENOTTY : -EBADF;
}

static uint64_t whole_pages(uint64_t len)
{
	return (len + PAGE - 1) & ~(PAGE - 1);
}

CALL(sys_mmap)
{
	uint64_t a, len = whole_pages(ARG2);

	if (!(ARG4 & MAP_ANONYMOUS) || !len || len < ARG2)
		return -EINVAL;
	if (ARG4 & MAP_FIXED)
		return region_add_at(ARG1, len, (unsigned)ARG3) ? -ENOMEM : (long)ARG1;
	a = region_add(len, (unsigned)ARG3);
	return a ? (long)a : -ENOMEM;
}

CALL(sys_munmap)
{
	return region_remove(ARG1, whole_pages(ARG2)) ? -EINVAL : 0;
}

CALL(sys_mprotect)
{
	return region_protect(ARG1, whole_pages(ARG2), (unsigned)ARG3) ? -ENOMEM : 0;
}

CALL(sys_brk)
{
	return process_brk(ARG1);
}

CALL(sys_arch_prctl)
{
	struct thread *t = current_thread();

	if (ARG1 == ARCH_GET_FS) {
		*(uint64_t *)ARG2 = t->fs;
		return 0;
	}
	if (ARG1 != ARCH_SET_FS)
		return -EINVAL;
	preempt_disable(); /* a switch between the two would restore the old */
	t->fs = ARG2;
	write_msr(MSR_FS_BASE, ARG2);
	preempt_enable();
	return 0;
}

CALL(sys_set_tid_address)
{
	current_thread()->clear_tid = (int *)ARG1;
	return (long)current_thread()->id;
}

CALL(sys_gettid)
{
	(void)f;
	return (long)current_thread()->id;
}

CALL(sys_one) /* getpid */
{
	(void)f;
	return 1;
}

CALL(sys_fine) /* without effect here: signals, user ids */
{
	(void)f;
	return 0;
}

CALL(sys_yield)
{
	(void)f;
	sched_yield_cpu();
	return 0;
}

CALL(sys_clock_gettime)
{
	uint64_t now = ARG1 == 0 || ARG1 == 5 ? clock_wall() : clock_ns(); /* CLOCK_REALTIME, ..._COARSE */

	*(struct timespec *)ARG2 = (struct timespec){ (int64_t)(now / SECOND), (int64_t)(now % SECOND) };
	return 0;
}

CALL(sys_clock_getres)
{
	if (ARG2)
		*(struct timespec *)ARG2 = (struct timespec){ 0, 1 };
	return 0;
}

CALL(sys_gettimeofday)
{
	uint64_t now = clock_wall();

	if (ARG1)
		*(struct timespec *)ARG1 =
			(struct timespec){ (int64_t)(now / SECOND), (int64_t)(now % SECOND / 1000) };
	return 0;
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

CALL(sys_nanosleep)
{
	uint64_t ns = time_span((const void *)ARG1);

	thread_sleep(ns == NEVER ? NEVER / 4 : ns);
	return 0;
}

CALL(sys_clock_nanosleep)
{
	uint64_t ns = time_span((const void *)ARG3), now = ARG1 ? clock_ns() : clock_wall();

	if (ARG2 & 1) /* until, not for */
		ns = ns > now ? ns - now : 0;
	thread_sleep(ns == NEVER ? NEVER / 4 : ns);
	return 0;
}

CALL(sys_futex)
{
	return futex((uint32_t *)ARG1, (int)ARG2, (uint32_t)ARG3, ARG4);
}

CALL(sys_exit)
{
	struct thread *t = current_thread();

	if (!__atomic_sub_fetch(&process_threads, 1, __ATOMIC_ACQ_REL))
		exit((int)ARG1);
	if (t->clear_tid) {
		__atomic_store_n(t->clear_tid, 0, __ATOMIC_SEQ_CST);
		futex_wake((uint32_t *)t->clear_tid, 1);
	}
	thread_exit();
}

CALL(sys_exit_group)
{
	exit((int)ARG1);
}

/* A signal to oneself, by abort() for one, ends the application: there are no handlers. */
CALL(sys_tkill)
{
	int signal = (int)ARG2;

	if (!signal)
		return 0;
	print("%s: ended by signal %d\n", KERNEL_NAME, signal);
	exit(128 + signal);
}

CALL(sys_tgkill)
{
	f->rsi = ARG3;
	return sys_tkill(f);
}

CALL(sys_getaffinity)
{
	uint64_t *mask = (uint64_t *)ARG3;

	if (ARG2 < 8)
		return -EINVAL;
	*mask = cpu_count == 64 ? ~0ull : (1ull << cpu_count) - 1;
	return 8;
}

CALL(sys_getrandom)
{
	random_bytes((void *)ARG1, ARG2);
	return (long)ARG2;
}

static long (*const calls[])(struct frame *f) = {
	[0] = sys_read,
	[1] = sys_write,
	[3] = sys_close,
	[8] = sys_lseek,
	[9] = sys_mmap,
	[10] = sys_mprotect,
	[11] = sys_munmap,
	[12] = sys_brk,
	[13] = sys_fine,
	[14] = sys_fine,
	[16] = sys_ioctl,
	[19] = sys_readv,
	[20] = sys_writev,
	[24] = sys_yield,
	[28] = sys_fine,
	[35] = sys_nanosleep,
	[39] = sys_one,
	[56] = process_clone,
	[60] = sys_exit,
	[62] = sys_tkill,
	[96] = sys_gettimeofday,
	[102] = sys_fine,
	[104] = sys_fine,
	[107] = sys_fine,
	[108] = sys_fine,
	[131] = sys_fine,
	[158] = sys_arch_prctl,
	[186] = sys_gettid,
	[200] = sys_tkill,
	[202] = sys_futex,
	[204] = sys_getaffinity,
	[218] = sys_set_tid_address,
	[228] = sys_clock_gettime,
	[229] = sys_clock_getres,
	[230] = sys_clock_nanosleep,
	[231] = sys_exit_group,
	[234] = sys_tgkill,
	[273] = sys_fine,
	[318] = sys_getrandom,
};

void syscall_dispatch(struct frame *f)
{
	struct thread *t = current_thread();
	uint64_t nr = f->rax;

	t->fpu_free = f->rip == (uint64_t)call_return;
	f->rax = (uint64_t)(nr < sizeof(calls) / sizeof(calls[0]) && calls[nr] ? calls[nr](f) : -ENOSYS);
	t->fpu_free = false;
}
