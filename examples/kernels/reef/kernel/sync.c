/* SPDX-License-Identifier: MIT */
/*
 * sync.c: waiting for others, and what is made of it.
 *
 * A thread that wants to sleep takes the queue's lock, looks whether it still has to, and is in the queue before the
 * lock is dropped; who wakes takes the lock after having changed what was looked at. A timer may end the sleep: it
 * first says so, then looks for the thread's queue, while the thread first says its queue, then looks whether it was
 * timed out.
 */
#include "errors.h"
#include "kernel.h"

static void queue_add(struct wait_queue *q, struct thread *t)
{
	t->wait_next = NULL;
	if (q->last)
		q->last->wait_next = t;
	else
		q->first = t;
	q->last = t;
	t->waiting_on = q;
}

/* (before) is the one in front of (t), or NULL. */
static void queue_remove(struct wait_queue *q, struct thread *t, struct thread *before)
{
	*(before ? &before->wait_next : &q->first) = t->wait_next;
	if (q->last == t)
		q->last = before;
	t->waiting_on = NULL;
}

static bool queue_find_remove(struct wait_queue *q, struct thread *t)
{
	struct thread *before = NULL;

	for (struct thread *x = q->first; x; before = x, x = x->wait_next)
		if (x == t) {
			queue_remove(q, t, before);
			return true;
		}
	return false;
}

/* Takes a thread from where it sleeps, if it does, and for a signal if it may be disturbed there. */
static void rouse(struct thread *t, bool signal)
{
	struct wait_queue *q;

	while ((q = t->waiting_on)) {
		bool ours;

		lock_take(&q->lock);
		if (signal && t->waiting_on == q && !t->interruptible) {
			lock_drop(&q->lock);
			return;
		}
		ours = t->waiting_on == q && queue_find_remove(q, t);
		lock_drop(&q->lock);
		if (ours) {
			sched_wake(t);
			return;
		}
	}
}

static void timed_out(struct timer *timer)
{
	struct thread *t = (struct thread *)((char *)timer - offsetof(struct thread, timer));

	t->timed_out = true;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	rouse(t, false);
}

/* The same for a signal. */
void wait_interrupt(struct thread *t)
{
	uint64_t flags = irq_save();

	t->interrupted = true;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	rouse(t, true);
	irq_restore(flags);
}

uint64_t wait_begin(struct wait_queue *q, uint64_t until)
{
	struct thread *t = current_thread();

	t->timed_out = false;
	if (until != NEVER) {
		t->timer.ring = timed_out;
		timer_set(&t->timer, until);
	}
	return lock_save(&q->lock);
}

void wait_not(struct wait_queue *q, uint64_t flags)
{
	lock_restore(&q->lock, flags);
	timer_cancel(&current_thread()->timer);
}

static void sleep_in(struct wait_queue *q, uint64_t key, uint64_t flags, bool interruptible)
{
	struct thread *t = current_thread();

	t->wait_key = key;
	t->woken = false;
	t->interruptible = interruptible;
	t->state = BLOCKED;
	queue_add(q, t);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (t->timed_out || (interruptible && t->interrupted)) {
		queue_find_remove(q, t);
		t->state = RUNNING;
		lock_drop(&q->lock);
	} else {
		lock_drop(&q->lock);
		schedule();
	}
	t->interruptible = false;
	irq_restore(flags);
	timer_cancel(&t->timer);
}

bool wait_on(struct wait_queue *q, uint64_t key, uint64_t flags)
{
	sleep_in(q, key, flags, false);
	return current_thread()->woken;
}

long wait_interruptible(struct wait_queue *q, uint64_t key, uint64_t flags)
{
	struct thread *t = current_thread();

	sleep_in(q, key, flags, true);
	return t->woken ? 0 : t->timed_out ? -ETIMEDOUT : -EINTR;
}

unsigned wake_locked(struct wait_queue *q, uint64_t key, unsigned most)
{
	struct thread *before = NULL, *t = q->first;
	unsigned n = 0;

	while (t && n < most) {
		struct thread *next = t->wait_next;

		if (t->wait_key == key) {
			queue_remove(q, t, before);
			t->woken = true;
			sched_wake(t);
			n++;
		} else {
			before = t;
		}
		t = next;
	}
	return n;
}

unsigned wake(struct wait_queue *q, uint64_t key, unsigned most)
{
	uint64_t flags = lock_save(&q->lock);
	unsigned n = wake_locked(q, key, most);

	lock_restore(&q->lock, flags);
	return n;
}

void thread_sleep(uint64_t ns)
{
	struct wait_queue alone = { 0 };
	uint64_t flags = wait_begin(&alone, clock_ns() + ns);

	wait_on(&alone, 0, flags);
}

void bell_reset(struct bell *b)
{
	__atomic_store_n(&b->rung, false, __ATOMIC_SEQ_CST);
}

void bell_ring(struct bell *b)
{
	uint64_t flags = lock_save(&b->queue.lock);

	b->rung = true;
	wake_locked(&b->queue, 0, 1);
	lock_restore(&b->queue.lock, flags);
}

long bell_wait(struct bell *b, uint64_t until, bool interruptible)
{
	uint64_t flags = wait_begin(&b->queue, until);

	if (b->rung) {
		wait_not(&b->queue, flags);
		return 0;
	}
	if (interruptible)
		return wait_interruptible(&b->queue, 0, flags);
	return wait_on(&b->queue, 0, flags) ? 0 : -ETIMEDOUT;
}

#define MUTEX_SPINS 100

void mutex_lock(struct mutex *m)
{
	int expected;

	for (int i = 0; i < MUTEX_SPINS; i++) {
		expected = 0;
		if (__atomic_compare_exchange_n(
			    &m->state, &expected, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return;
		if (cpu_count == 1 || expected == 2)
			break;
		pause_cpu();
	}
	for (;;) {
		uint64_t flags = wait_begin(&m->queue, NEVER);

		if (!__atomic_exchange_n(&m->state, 2, __ATOMIC_ACQUIRE)) {
			wait_not(&m->queue, flags);
			return;
		}
		wait_on(&m->queue, 0, flags);
	}
}

void mutex_unlock(struct mutex *m)
{
	if (__atomic_exchange_n(&m->state, 0, __ATOMIC_RELEASE) == 2)
		wake(&m->queue, 0, 1);
}

void condition_wait(struct condition *c, struct mutex *m)
{
	unsigned sequence = c->sequence;
	uint64_t flags;

	mutex_unlock(m);
	flags = wait_begin(&c->queue, NEVER);
	if (c->sequence == sequence)
		wait_on(&c->queue, 0, flags);
	else
		wait_not(&c->queue, flags);
	mutex_lock(m);
}

static void condition_wake(struct condition *c, unsigned most)
{
	uint64_t flags = lock_save(&c->queue.lock);

	c->sequence++;
	wake_locked(&c->queue, 0, most);
	lock_restore(&c->queue.lock, flags);
}

void condition_signal(struct condition *c)
{
	condition_wake(c, 1);
}

void condition_broadcast(struct condition *c)
{
	condition_wake(c, ~0u);
}

void barrier_wait(struct barrier *b)
{
	unsigned round;

	mutex_lock(&b->mutex);
	round = b->round;
	if (++b->come == b->need) {
		b->come = 0;
		b->round++;
		condition_broadcast(&b->all);
	}
	while (b->round == round)
		condition_wait(&b->all, &b->mutex);
	mutex_unlock(&b->mutex);
}

void semaphore_down(struct semaphore *s)
{
	for (;;) {
		uint64_t flags = wait_begin(&s->queue, NEVER);

		if (s->count > 0) {
			s->count--;
			wait_not(&s->queue, flags);
			return;
		}
		wait_on(&s->queue, 0, flags);
	}
}

void semaphore_up(struct semaphore *s)
{
	uint64_t flags = lock_save(&s->queue.lock);

	s->count++;
	wake_locked(&s->queue, 0, 1);
	lock_restore(&s->queue.lock, flags);
}
