/* SPDX-License-Identifier: MIT */
/*
 * syscall.c: from a number to who serves it: the function here, or the delegate (calls.h). What nobody serves is told once, when
 * a program asks for it.
 */
#include "cokernel.h"
#include "delegate.h"
#include "elf.h"

enum kind { UNKNOWN, IS_LOCAL, IS_EITHER, IS_OTHER, IS_REFUSED };
static const struct call {
	long (*local)(struct frame *f);
	const char *name;
	enum kind kind;
} calls[] = {
#define LOCAL(number, name)   [number] = { sys_##name, #name, IS_LOCAL },
#define EITHER(number, name)  [number] = { sys_##name, #name, IS_EITHER },
#define OTHER(number, name)   [number] = { NULL, #name, IS_OTHER },
#define REFUSED(number, name) [number] = { NULL, #name, IS_REFUSED },
#include "calls.h"
};
#define CALLS (sizeof(calls) / sizeof(calls[0]))
#define RSEQ  334 /* every C library asks, and does without */

const char *syscall_name(uint64_t number)
{
	return number < CALLS && calls[number].name ? calls[number].name : "?";
}

static long nobody(uint64_t number)
{
	static volatile uint8_t said[CALLS];

	if (program_runs && number != RSEQ &&
		(number >= CALLS || !__atomic_exchange_n(&said[number], 1, __ATOMIC_RELAXED)))
		print("%s: system call %lu (%s) is not served\n", KERNEL_NAME, number, syscall_name(number));
	return -ENOSYS;
}

/* To be seen in `syscalls`. */
static void count(uint64_t number, uint64_t ticks, bool served)
{
	struct guest_count *c = cokernel_counts() + (number < GUEST_CALLS - 1 ? number : GUEST_CALLS - 1);

	if (!served) {
		__atomic_fetch_add(&c->unknown, 1, __ATOMIC_RELAXED);
		return;
	}
	__atomic_fetch_add(&c->served, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&c->ticks, ticks, __ATOMIC_RELAXED);
	if (ticks > c->ticks_max)
		c->ticks_max = ticks;
}

static long serve(struct frame *f, uint64_t number)
{
	const struct call *c = number < CALLS ? &calls[number] : NULL;
	uint64_t since;
	long result;

	if (cokernel && program_runs && delegate_there() && c && (c->kind == IS_EITHER || c->kind == IS_OTHER))
		return delegate_program(f, number);
	irq_on();
	if (!cokernel)
		return c && c->local ? c->local(f) : nobody(number);
	since = read_tsc();
	result = c && c->local ? c->local(f) : nobody(number);
	count(number, read_tsc() - since, c && c->local);
	return result;
}

/* Interrupts are off; they may be on when this returns. */
void syscall_dispatch(struct frame *f)
{
	struct thread *t = current_thread();
	uint64_t number = f->rax;

	f->error = number; /* for signal.c, should the call be made again */
	t->fpu_free = f->rip == (uint64_t)call_return;
	f->rax = (uint64_t)serve(f, number);
	t->fpu_free = false;
	if (signal_wanted(t) || (int64_t)f->rax == -ERESTART) {
		irq_on();
		signal_leave(f);
	}
}
