/* SPDX-License-Identifier: MIT */
/* futex.c: waiting at an address, on which the C library builds its locks. Queues are shared by hash; the key is the
 * address. */
#include "errors.h"
#include "kernel.h"

#define BUCKETS 256
#define WAIT	0
#define WAKE	1
#define REQUEUE 3
#define PRIVATE 128

static struct wait_queue buckets[BUCKETS];

static struct wait_queue *bucket(const uint32_t *word)
{
	return &buckets[((uint64_t)word >> 2) * 0x9e3779b97f4a7c15ull >> 56];
}

static long futex_wait(uint32_t *word, uint32_t value, uint64_t timeout)
{
	struct wait_queue *q = bucket(word);
	uint64_t flags;

	if (__atomic_load_n(word, __ATOMIC_SEQ_CST) != value) /* also brings its page in, before the lock */
		return -EAGAIN;
	flags = wait_begin(q, timeout == NEVER ? NEVER : clock_ns() + timeout);
	if (__atomic_load_n(word, __ATOMIC_SEQ_CST) != value) {
		wait_not(q, flags);
		return -EAGAIN;
	}
	return wait_on(q, (uint64_t)word, flags) ? 0 : -ETIMEDOUT;
}

void futex_wake(uint32_t *word, unsigned most)
{
	wake(bucket(word), (uint64_t)word, most);
}

/* (timeout) is a struct timespec, relative, for a wait; another number for the others. A requeue wakes all: those who should sleep on find the second word taken. */
long futex(uint32_t *word, int op, uint32_t value, uint64_t timeout)
{
	switch (op & ~PRIVATE) {
	case WAIT:
		return futex_wait(word, value, time_span((const void *)timeout));
	case WAKE:
		return wake(bucket(word), (uint64_t)word, value);
	case REQUEUE:
		return wake(bucket(word), (uint64_t)word, ~0u);
	default:
		return -ENOSYS;
	}
}
