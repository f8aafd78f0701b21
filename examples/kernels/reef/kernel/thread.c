/* SPDX-License-Identifier: MIT */
/*
 * thread.c: threads from beginning to end. A thread is a structure and a kernel stack; the FPU state of an
 * application's thread lies at the far end of that stack, and a word between them tells when the stack was too small.
 */
#include "kernel.h"

static struct lock lock; /* guards the list of all, and the numbers */
static struct thread *all;
static unsigned last_id;

struct thread *thread_new(const char *name, bool fpu)
{
	struct thread *t = malloc(sizeof(*t));
	char *stack = t ? page_alloc(2) : NULL;
	uint64_t flags;

	if (!stack) {
		free(t);
		return NULL;
	}
	*t = (struct thread){ .name = name, .priority = PRIORITY_NORMAL, .stack = stack, .users = 1 };
	t->canary = (uint64_t *)(stack + ((fpu_len + 63) & ~63u));
	*t->canary = STACK_CANARY;
	if (fpu) {
		t->fpu = stack;
		fpu_fresh(stack);
	}
	flags = lock_save(&lock);
	t->id = ++last_id;
	t->all_next = all;
	t->all_link = &all;
	if (all)
		all->all_link = &t->all_next;
	all = t;
	lock_restore(&lock, flags);
	return t;
}

void thread_put(struct thread *t)
{
	uint64_t flags = lock_save(&lock);

	if (--t->users) {
		lock_restore(&lock, flags);
		return;
	}
	*t->all_link = t->all_next;
	if (t->all_next)
		t->all_next->all_link = t->all_link;
	lock_restore(&lock, flags);
	page_free(t->stack, 2);
	free(t);
}

/* NULL: no memory. It must be joined. */
struct thread *thread_create(const char *name, void (*run)(void *), void *argument, unsigned priority)
{
	struct thread *t = thread_new(name, false);
	uint64_t *sp;

	if (!t)
		return NULL;
	t->users = 2;
	t->priority = priority;
	sp = (uint64_t *)(t->stack + STACK_SIZE) - 8;
	sp[6] = (uint64_t)thread_begin;
	sp[5] = (uint64_t)run;	    /* rbx */
	sp[4] = 0;		    /* rbp */
	sp[3] = (uint64_t)argument; /* r12 */
	sp[2] = sp[1] = sp[0] = 0;
	t->sp = (uint64_t)sp;
	sched_start(t);
	return t;
}

void thread_exit(void)
{
	struct thread *t = current_thread();
	uint64_t flags = lock_save(&t->joiners.lock);

	(void)flags;
	t->finished = true;
	wake_locked(&t->joiners, 0, 1);
	lock_drop(&t->joiners.lock);
	t->state = DEAD;
	schedule();
	__builtin_unreachable();
}

void thread_join(struct thread *t)
{
	for (;;) {
		uint64_t flags = wait_begin(&t->joiners, NEVER);

		if (t->finished) {
			wait_not(&t->joiners, flags);
			break;
		}
		wait_on(&t->joiners, 0, flags);
	}
	thread_put(t);
}

/* The oldest that (is) says is it, with one user more. */
struct thread *thread_find(bool (*is)(struct thread *t, uint64_t arg), uint64_t arg)
{
	uint64_t flags = lock_save(&lock);
	struct thread *found = NULL;

	for (struct thread *t = all; t; t = t->all_next)
		if (is(t, arg))
			found = t;
	if (found)
		found->users++;
	lock_restore(&lock, flags);
	return found;
}

/* (visit) is called with interrupts off and a lock held: it may only look. */
void thread_each(void (*visit)(struct thread *t, void *arg), void *arg)
{
	uint64_t flags = lock_save(&lock);

	for (struct thread *t = all; t; t = t->all_next)
		visit(t, arg);
	lock_restore(&lock, flags);
}
