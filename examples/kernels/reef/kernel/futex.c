/* SPDX-License-Identifier: MIT */
/*
 * futex.c: waiting at an address, on which C libraries build their locks. Queues are shared by hash; the key is the
 * address. A requeue wakes all: those who should sleep on find the second word taken. Bits that tell waiters apart
 * are not looked at: with some given, all are woken.
 */
#include "syscall.h"

#define BUCKETS 256
enum { WAIT = 0, WAKE = 1, REQUEUE = 3, CMP_REQUEUE = 4, WAKE_OP = 5, WAIT_BITSET = 9, WAKE_BITSET = 10 };
#define PRIVATE	 128u
#define REALTIME 256u
#define ALL_BITS 0xffffffffu

#define WAITERS	    0x80000000u /* in a robust lock's word */
#define OWNER_DIED  0x40000000u
#define OWNER	    0x3fffffffu
#define ROBUST_MOST 2048

static struct wait_queue buckets[BUCKETS];

static struct wait_queue *bucket(const uint32_t *word)
{
	return &buckets[((uint64_t)word >> 2) * 0x9e3779b97f4a7c15ull >> 56];
}

static long futex_wait(uint32_t *word, uint32_t value, uint64_t until)
{
	struct wait_queue *q = bucket(word);
	uint64_t flags;
	uint32_t now;
	long err;

	if (copy_in(&now, word, sizeof(now))) /* also brings its page in, before the lock */
		return -EFAULT;
	if (now != value)
		return -EAGAIN;
	flags = wait_begin(q, until);
	if (copy_in(&now, word, sizeof(now)) || now != value) {
		wait_not(q, flags);
		return -EAGAIN;
	}
	err = wait_interruptible(q, (uint64_t)word, flags);
	return err == -EINTR ? -ERESTART : err;
}

long futex_wake(uint32_t *word, unsigned most)
{
	return wake(bucket(word), (uint64_t)word, most);
}

/* (operation): what to do with the second word, and what its old value is compared with then. */
static long wake_op(uint32_t *word, unsigned most, uint32_t *second, unsigned most_second, uint32_t operation)
{
	uint32_t argument = operation >> 12 & 0xfff, compare = operation & 0xfff, old, new;
	long n;
	bool is;

	if (operation >> 31)
		argument = 1u << (argument & 31);
	if (touch_out(second, sizeof(*second)))
		return -EFAULT;
	old = __atomic_load_n(second, __ATOMIC_SEQ_CST);
	do {
		const uint32_t results[8] = { argument, old + argument, old | argument, old & ~argument,
			old ^ argument };

		new = results[operation >> 28 & 7];
	} while (!__atomic_compare_exchange_n(second, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	const bool results[16] = { old == compare, old != compare,
		(int)old<(int)compare, (int)old <= (int)compare, (int)old>(int) compare,
		(int)old >= (int)compare };

	is = results[operation >> 24 & 15];
	n = futex_wake(word, most);
	return is ? n + futex_wake(second, most_second) : n;
}

/* The limit of a wait: relative for WAIT, absolute for WAIT_BITSET. */
static long limit(const void *user, unsigned op, uint64_t *until)
{
	struct timespec t;
	uint64_t span, now = clock_ns(), wall = clock_wall();

	*until = NEVER;
	if (!user)
		return 0;
	if (copy_in(&t, user, sizeof(t)))
		return -EFAULT;
	span = time_span(&t);
	if (span == NEVER)
		return 0;
	if ((op & ~(PRIVATE | REALTIME)) == WAIT)
		*until = now + span;
	else if (op & REALTIME)
		*until = span > wall ? now + (span - wall) : now;
	else
		*until = span;
	return 0;
}

long futex(struct frame *f)
{
	uint32_t *word = (uint32_t *)ARG1, *second = (uint32_t *)ARG5, value = (uint32_t)ARG3, now;
	unsigned op = (unsigned)ARG2;
	uint64_t until;
	long err;

	if (ARG1 & 3)
		return -EINVAL;
	switch (op & ~(PRIVATE | REALTIME)) {
	case WAIT:
	case WAIT_BITSET:
		err = limit((void *)ARG4, op, &until);
		return err ? err : futex_wait(word, value, until);
	case WAKE_BITSET:
		return futex_wake(word, (uint32_t)ARG6 == ALL_BITS ? value : ~0u);
	case WAKE:
		return futex_wake(word, value);
	case CMP_REQUEUE:
		if (copy_in(&now, word, sizeof(now)))
			return -EFAULT;
		if (now != (uint32_t)ARG6)
			return -EAGAIN;
		return futex_wake(word, ~0u);
	case REQUEUE:
		return futex_wake(word, ~0u);
	case WAKE_OP:
		return wake_op(word, value, second, (unsigned)ARG4, (uint32_t)ARG6);
	default:
		return -ENOSYS;
	}
}

static void release_robust(uint32_t *word, unsigned id)
{
	uint32_t old;

	if ((uint64_t)word & 3 || touch_out(word, sizeof(*word)))
		return;
	old = __atomic_load_n(word, __ATOMIC_SEQ_CST);
	do {
		if ((old & OWNER) != id)
			return;
	} while (!__atomic_compare_exchange_n(
		word, &old, (old & WAITERS) | OWNER_DIED, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	if (old & WAITERS)
		futex_wake(word, 1);
}

/* A thread ends: the locks that it holds and has listed say so. */
void futex_robust(struct thread *t)
{
	struct {
		uint64_t first;
		int64_t offset;
		uint64_t pending;
	} head;
	uint64_t at;

	if (!t->robust || copy_in(&head, (void *)t->robust, sizeof(head)))
		return;
	at = head.first;
	for (int i = 0; i < ROBUST_MOST && at != t->robust; i++) {
		if (at != head.pending)
			release_robust((uint32_t *)((at & ~1ull) + (uint64_t)head.offset), t->id);
		if (copy_in(&at, (void *)(at & ~1ull), sizeof(at)))
			break;
	}
	if (head.pending)
		release_robust((uint32_t *)((head.pending & ~1ull) + (uint64_t)head.offset), t->id);
}
