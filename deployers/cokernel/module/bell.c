// SPDX-License-Identifier: GPL-2.0
/*
 * bell.c: the HRT's doorbell. One interrupt vector serves all: it is the one that KVM uses for posted interrupts, the only vector
 * that modules can hook and that is in every kernel's table. What it is about is in the bits of guest_cokernel.pending.
 *
 * A thread that waits for slot n sleeps until bit n was set: in the interrupt, or before it went to sleep.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include <asm/sync_bitops.h>

#include "cok.h"

static DEFINE_SPINLOCK(bells_lock);
static LIST_HEAD(leases);
static u64 heard;

static void wake(struct waiter *w)
{
	WRITE_ONCE(w->rung, 1);
	wake_up(&w->queue);
}

/* (n) came from the HRT. */
static void ring(struct lease *l, u32 n)
{
	struct waiter *w;

	if (n >= l->slot_count)
		return;
	w = &l->waiters[n];
	wake(w);
	if (!READ_ONCE(w->task) || READ_ONCE(l->slots[n].cancel))
		wake(&l->waiters[l->slot_count]);
}

static void ring_all(struct lease *l)
{
	unsigned long bits;
	unsigned int i, bit;

	for (i = 0; i < GUEST_SLOTS_MAX / 64; i++) {
		if (!READ_ONCE(l->area->pending[i]))
			continue;
		bits = xchg(&l->area->pending[i], 0);
		for_each_set_bit(bit, &bits, 64) ring(l, i * 64 + bit);
	}
}

static void on_bell(void)
{
	unsigned long flags;
	struct lease *l;

	spin_lock_irqsave(&bells_lock, flags);
	heard++;
	list_for_each_entry(l, &leases, bells) ring_all(l);
	spin_unlock_irqrestore(&bells_lock, flags);
}

int bells_init(void)
{
	kvm_set_posted_intr_wakeup_handler(on_bell);
	return 0;
}

void bells_exit(void)
{
	kvm_set_posted_intr_wakeup_handler(NULL);
}

u64 bells_heard(void)
{
	return READ_ONCE(heard);
}

static bool part_of(const struct lease *l, u64 offset, u64 bytes)
{
	return !(offset & 63) && offset <= l->bytes && bytes <= l->bytes - offset;
}

int bell_share(struct lease *l, const struct cokernel_share *s)
{
	u32 i;

	if (l->area)
		return -EALREADY;
	if (!l->cpus || !s->slot_count || s->slot_count > GUEST_SLOTS_MAX ||
		!part_of(l, s->area, sizeof(struct guest_cokernel)) ||
		!part_of(l, s->slots, s->slot_count * sizeof(struct guest_slot)))
		return -EINVAL;
	l->waiters = kcalloc(s->slot_count + 1, sizeof(*l->waiters), GFP_KERNEL);
	if (!l->waiters)
		return -ENOMEM;
	for (i = 0; i <= s->slot_count; i++)
		init_waitqueue_head(&l->waiters[i].queue);
	l->slot_count = s->slot_count;
	l->slots = (void *)(l->memory + s->slots);
	smp_store_release(&l->area, (void *)(l->memory + s->area));
	spin_lock_irq(&bells_lock);
	list_add(&l->bells, &leases);
	spin_unlock_irq(&bells_lock);
	return 0;
}

void bell_stop(struct lease *l)
{
	u32 i;

	WRITE_ONCE(l->stopped, true);
	smp_mb();
	for (i = 0; l->waiters && i <= l->slot_count; i++)
		wake_up(&l->waiters[i].queue);
}

void bell_drop(struct lease *l)
{
	spin_lock_irq(&bells_lock);
	list_del_init(&l->bells);
	spin_unlock_irq(&bells_lock);
}

/* Its bit may have been set without an interrupt, when nobody seemed to sleep. (sync_: a Linux that runs on one CPU patches the
 * lock out of its ordinary atomic operations, but the HRT is another CPU.) */
static bool was_rung(struct lease *l, u32 n)
{
	struct waiter *w = &l->waiters[n];

	if (n < l->slot_count && READ_ONCE(l->area->pending[n / 64]) & 1ull << n % 64 &&
		sync_test_and_clear_bit(n % 64, (unsigned long *)&l->area->pending[n / 64]))
		return true;
	return READ_ONCE(w->rung) && xchg(&w->rung, 0);
}

int bell_wait(struct lease *l, const struct cokernel_wait *w)
{
	long left = w->limit_ms ? (long)msecs_to_jiffies(w->limit_ms) : MAX_SCHEDULE_TIMEOUT;
	struct waiter *own;
	u32 n;

	if (!smp_load_acquire(&l->area))
		return -EINVAL;
	n = w->slot == COKERNEL_BUSY ? l->slot_count : w->slot;
	if (n > l->slot_count || (n == l->slot_count && w->slot != COKERNEL_BUSY))
		return -EINVAL;
	own = &l->waiters[n];
	WRITE_ONCE(own->task, current);
	if (w->limit_ms == COKERNEL_NOW)
		return was_rung(l, n) ? 0 : -ETIMEDOUT;
	left = wait_event_interruptible_timeout(own->queue, was_rung(l, n) || READ_ONCE(l->stopped), left);
	if (READ_ONCE(l->stopped))
		return -ECANCELED;
	if (left < 0)
		return -EINTR;
	return left ? 0 : -ETIMEDOUT;
}

struct guest_slot *bell_slot(struct lease *l, struct waiter **w)
{
	u32 i;

	if (!smp_load_acquire(&l->area))
		return NULL;
	for (i = 1; i < l->slot_count; i++)
		if (READ_ONCE(l->waiters[i].task) == current) {
			*w = &l->waiters[i];
			return &l->slots[i];
		}
	return NULL;
}
