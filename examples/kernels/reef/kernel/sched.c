/* SPDX-License-Identifier: MIT */
/*
 * sched.c: which thread runs. Every CPU has a queue for each priority; it runs the first thread of the most urgent
 * one, and a thread that has used its time slice (SLICE_NS in clock.c) goes to the end of its queue. New threads
 * go to an idle CPU; woken ones to the CPU where they were, because their data is in its cache. A CPU that has
 * nothing to do takes from the others; a busy one that has too much wakes an idle one at each tick.
 *
 * The run queue's lock is held through a switch: the thread that comes drops what the one that went has taken. So
 * a thread in a queue is not running any more, and may run anywhere.
 */
#include "kernel.h"

#define POLL_NS 50000ull

static void enqueue(struct cpu *c, struct thread *t)
{
	t->state = READY;
	t->cpu = c;
	t->next = NULL;
	if (c->last[t->priority])
		c->last[t->priority]->next = t;
	else
		c->first[t->priority] = t;
	c->last[t->priority] = t;
	c->queued++;
}

static struct thread *dequeue(struct cpu *c)
{
	for (unsigned p = 0; c->queued && p < LEVELS; p++) {
		struct thread *t = c->first[p];

		if (!t)
			continue;
		c->first[p] = t->next;
		if (!t->next)
			c->last[p] = NULL;
		c->queued--;
		return t;
	}
	return NULL;
}

/* Ends the hlt of another CPU, or makes it look who is to run. An interrupt costs more than all the rest. */
static void kick(struct cpu *c)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* what was queued is seen by a CPU that has just ceased to poll */
	if (c == this_cpu())
		c->resched = 1;
	else if (!c->polling)
		apic_send(c->apic_id, APIC_FIXED | VECTOR_RESCHED);
}

static struct cpu *idle_cpu(void)
{
	for (unsigned i = 0; i < cpu_count; i++)
		if (cpus[i].idling && !cpus[i].queued)
			return &cpus[i];
	return NULL;
}

void sched_init_cpu(struct cpu *c, struct thread *idle)
{
	idle->cpu = c;
	idle->state = RUNNING;
	idle->priority = LEVELS - 1;
	c->idle = c->current = idle;
	c->armed = NEVER;
	c->online = true;
}

static void leave_fpu(struct thread *t)
{
	if (t->fpu_free)
		__asm__ volatile("stmxcsr %0; fnstcw %1"
				 : "=m"(t->fpu_control.sse), "=m"(t->fpu_control.x87));
	else
		fpu_save(t->fpu);
}

static void take_fpu(struct cpu *c, struct thread *t)
{
	if (t->fpu_free)
		__asm__ volatile(
			"fninit; fldcw %1; ldmxcsr %0" ::"m"(t->fpu_control.sse), "m"(t->fpu_control.x87));
	else
		fpu_load(t->fpu);
	c->fpu_owner = t;
	t->fpu_cpu = c;
}

/* On the new thread's stack. */
void sched_finish(void)
{
	struct cpu *c = this_cpu();
	struct thread *dead = c->dying, *t = c->current;

	c->dying = NULL;
	lock_drop(&c->run_lock);
	if (t->fpu && (c->fpu_owner != t || t->fpu_cpu != c))
		take_fpu(c, t);
	if (dead)
		thread_put(dead);
}

/* What belongs to a thread beside its stack and registers. */
static void change(struct cpu *c, struct thread *from, struct thread *to)
{
	uint64_t now = read_tsc();

	from->ran += now - from->since;
	to->since = now;
	if (from->fpu && from->state != DEAD)
		leave_fpu(from);
	if (from->canary && *from->canary != STACK_CANARY)
		panic("thread %u (%s) has overrun its kernel stack", from->id, from->name);
	if (to->fs != from->fs)
		write_msr(MSR_FS_BASE, to->fs);
	if (from == c->idle)
		clock_slice(c);
	to->cpu = c;
	to->state = RUNNING;
	c->current = to;
	c->kernel_sp = (uint64_t)to->stack + STACK_SIZE;
	c->switches++;
	if (from->state == DEAD)
		c->dying = from;
}

void schedule(void)
{
	struct cpu *c = this_cpu();
	struct thread *from = c->current, *to;

	stack_touch(); /* sched_finish may free memory */
	lock_take(&c->run_lock);
	c->resched = 0;
	if (from->state == RUNNING && from != c->idle)
		enqueue(c, from);
	to = dequeue(c);
	if (!to)
		to = c->idle;
	if (to == from) {
		from->state = RUNNING;
		lock_drop(&c->run_lock);
		return;
	}
	change(c, from, to);
	switch_to(from, to);
	sched_finish();
}

/* Preemption was wanted while it was off. */
void preempt_late(void)
{
	uint64_t flags = irq_save();
	struct cpu *c = this_cpu();

	if (c->resched && !c->preempt_off && c->current != c->idle && flags & 0x200)
		schedule();
	irq_restore(flags);
}

void sched_yield_cpu(void)
{
	uint64_t flags = irq_save();

	if (this_cpu()->queued)
		schedule();
	irq_restore(flags);
}

static void place(struct cpu *c, struct thread *t)
{
	uint64_t flags = lock_save(&c->run_lock);
	bool now = c->current == c->idle || t->priority < c->current->priority;

	enqueue(c, t);
	lock_drop(&c->run_lock);
	if (now)
		kick(c);
	irq_restore(flags);
}

void sched_start(struct thread *t)
{
	static volatile unsigned turn;
	struct cpu *c = idle_cpu();

	if (!c)
		c = &cpus[__atomic_fetch_add(&turn, 1, __ATOMIC_RELAXED) % cpu_count];
	place(c, t);
}

void sched_wake(struct thread *t)
{
	uint64_t flags = irq_save();
	struct cpu *c = t->cpu; /* a blocked thread's does not change */
	bool now = false;

	lock_take(&c->run_lock);
	if (t->state == BLOCKED) {
		if (c->current == t) { /* it has not left yet */
			t->state = RUNNING;
		} else {
			enqueue(c, t);
			now = c->current == c->idle || t->priority < c->current->priority;
		}
	}
	lock_drop(&c->run_lock);
	if (now)
		kick(c);
	irq_restore(flags);
}

void sched_tick(void)
{
	struct cpu *c = this_cpu(), *other;

	if (!c->queued)
		return;
	c->resched = 1;
	other = idle_cpu();
	if (other)
		kick(other);
}

/* A thread that waits for another CPU. */
static bool steal(struct cpu *me)
{
	for (unsigned i = 1; i < cpu_count; i++) {
		struct cpu *c = &cpus[(me->number + i) % cpu_count];
		struct thread *t;

		if (!c->queued || c->idling) /* an idling one has been told and is about to run it */
			continue;
		lock_take(&c->run_lock);
		t = dequeue(c);
		lock_drop(&c->run_lock);
		if (!t)
			continue;
		lock_take(&me->run_lock);
		enqueue(me, t);
		lock_drop(&me->run_lock);
		return true;
	}
	return false;
}

/* To be waked takes tens of microseconds, so a CPU that became idle looks for a while who comes back. */
static void poll(struct cpu *c)
{
	uint64_t end = clock_ns() + POLL_NS;

	c->polling = true;
	__asm__ volatile("sti" ::: "memory");
	while (!c->queued && clock_ns() < end)
		pause_cpu();
	__asm__ volatile("cli" ::: "memory");
	c->polling = false;
}

/* A CPU's idle thread: hlt until there is something to do. */
void sched_idle(void)
{
	struct cpu *c = this_cpu();
	bool polled = false;

	c->kernel_sp = 0;
	for (;;) {
		__asm__ volatile("cli");
		if (c->queued || steal(c)) {
			schedule();
			polled = false;
			continue;
		}
		c->idling = true;
		__atomic_thread_fence(__ATOMIC_SEQ_CST); /* whoever queues after this look kicks us */
		if (!polled && cpu_count > 1) /* alone, only an interrupt brings something */
			poll(c);
		else if (!c->queued)
			__asm__ volatile("sti; hlt; cli" ::: "memory");
		polled = true;
		c->idling = false;
	}
}
