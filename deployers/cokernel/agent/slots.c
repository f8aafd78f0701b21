/* SPDX-License-Identifier: MIT */
/*
 * slots.c: delegated calls. Each slot that is used has a thread: it waits for a request, makes the call, and puts the result
 * there. It spins before it sleeps, since a call that follows another closely is then served without an interrupt: twice as long
 * as lay between calls of late, if that is less than the configured limit, else hardly. No more threads spin than there are CPUs,
 * for a spinning one keeps others from work.
 *
 * agent_asleep is 1 only from just before the thread sleeps to just before it answers: were it 1 in each call, the HRT might see
 * that when it has just asked, and a bell costs more than a call. The thread `attend` hears of slots that have no thread yet,
 * and of cancels, for which the HRT rings in any case: those it interrupts by a signal, and again until the call has ended,
 * because a signal that comes just before the call is made has no effect. A call that was cancelled before it began is made all
 * the same: it fails only if it would wait, as on Linux, where a pending signal does not keep write() from writing.
 *
 * While a call is on its way the HRT does nothing else, so what can be done after the answer is done then.
 */
#include "deployers/cokernel/agent/parts.h"
#include "deployers/cokernel/agent/tables.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOOKS	    400
#define SPIN_MIN_US 20

enum { OUTSIDE, INSIDE, COUNTING };

struct server {
	uint32_t number;
	int tid;   /* 0: not started */
	int where; /* INSIDE: in a call; COUNTING: it is answered, but not yet counted */
	unsigned signals;	    /* that were, or are to be, sent */
	unsigned taken;		    /* of them, by the thread */
	uint64_t ended, apart;	    /* TSC: when the last call had been made; what lay between calls, on average */
	pthread_mutex_t signalling; /* held around the look at (where) and the signal */
};

static struct hrt *hrt;
static struct server servers[GUEST_SLOTS_MAX];
static int spinning, cpus;
static bool late; /* a call was begun that had been cancelled before, which `attend` may not have heard of */

/* What was written is seen before what comes next is read. As an instruction of its own: QEMU translates this one, but calls a
 * function for an exchange, which is what compilers make of it. */
static void settle(void)
{
	__asm__ volatile("mfence" ::: "memory");
}

static uint32_t state_of(const struct guest_slot *s)
{
	return __atomic_load_n(&s->state, __ATOMIC_ACQUIRE);
}

/* The clock and a pause may both leave the VM, and cost more than a call: they come after as many looks as most calls need. */
static bool look(const struct guest_slot *s)
{
	for (int i = 0; i < LOOKS; i++)
		if (state_of(s) == GUEST_SLOT_REQUEST)
			return true;
	return false;
}

static bool spin_until(const struct guest_slot *s, uint64_t until)
{
	while (tsc_now() < until) {
		if (look(s))
			return true;
		__builtin_ia32_pause();
	}
	return false;
}

static uint64_t ticks(uint64_t us)
{
	return hrt->info.tsc_khz * us / 1000;
}

static bool spin_for(const struct server *me, const struct guest_slot *s)
{
	uint64_t most = ticks(hrt->config->spin_us), time = ticks(SPIN_MIN_US) + 2 * me->apart;
	bool found = look(s);

	if (found)
		return true;
	if (me->apart > most)
		time = ticks(SPIN_MIN_US);
	if (__atomic_add_fetch(&spinning, 1, __ATOMIC_RELAXED) <= cpus)
		found = spin_until(s, me->ended + (time < most ? time : most));
	__atomic_sub_fetch(&spinning, 1, __ATOMIC_RELAXED);
	return found;
}

/* False: the HRT was stopped. */
static bool next_request(struct server *me, struct guest_slot *s)
{
	struct cokernel_wait w = { me->number, 0 };

	if (spin_for(me, s))
		return true;
	__atomic_store_n(&s->agent_asleep, 1, __ATOMIC_SEQ_CST);
	while (state_of(s) != GUEST_SLOT_REQUEST)
		if (ioctl(hrt->device, COKERNEL_WAIT, &w) < 0 && errno == ECANCELED)
			return false;
	return true;
}

/* Long ones count as a little more than the limit, so that they are soon forgotten. */
static void learn(struct server *me, uint64_t apart)
{
	uint64_t most = 2 * ticks(hrt->config->spin_us);

	me->apart = (3 * me->apart + (apart < most ? apart : most)) / 4;
}

/* A signal that is still on its way comes now, not in the next call. */
static void take_signals(struct server *me)
{
	unsigned signals = __atomic_load_n(&me->signals, __ATOMIC_RELAXED);

	if (me->taken == signals)
		return;
	pthread_mutex_lock(&me->signalling);
	me->taken = me->signals;
	pthread_mutex_unlock(&me->signalling);
	syscall(SYS_getppid);
}

static void count(struct server *me, uint64_t began, uint64_t number, int64_t result, bool refused)
{
	uint64_t before = me->ended;

	me->ended = tsc_now();
	learn(me, began - before);
	if (number == GUEST_CALL_FORK)
		number = SYS_fork;
	if (number != GUEST_CALL_FORGET)
		count_call(number, me->ended - began, result, refused);
	__atomic_store_n(&me->where, OUTSIDE, __ATOMIC_RELEASE);
}

static void answer(struct server *me, struct guest_slot *s)
{
	struct call c = { s->number,
		{ s->arguments[0], s->arguments[1], s->arguments[2], s->arguments[3], s->arguments[4],
			s->arguments[5] },
		s->thread };
	uint64_t began = tsc_now(), number = c.number;
	bool refused = false;

	__atomic_store_n(&me->where, INSIDE, __ATOMIC_RELAXED);
	settle();
	if (__atomic_load_n(&s->cancel, __ATOMIC_RELAXED))
		__atomic_store_n(&late, true, __ATOMIC_SEQ_CST);
	int64_t result = call_make(hrt, &c, &refused);

	s->result = result;
	/* Each write takes the line from the other CPU. */
	if (__atomic_load_n(&s->cancel, __ATOMIC_RELAXED))
		__atomic_store_n(&s->cancel, 0, __ATOMIC_RELAXED);
	if (__atomic_load_n(&s->agent_asleep, __ATOMIC_RELAXED))
		__atomic_store_n(&s->agent_asleep, 0, __ATOMIC_RELAXED); /* next_request comes before any sleep */
	__atomic_store_n(&me->where, COUNTING, __ATOMIC_RELEASE);
	__atomic_store_n(&s->state, GUEST_SLOT_DONE, __ATOMIC_RELEASE);
	settle();
	take_signals(me);
	if (__atomic_load_n(&s->hrt_asleep, __ATOMIC_RELAXED))
		hrt_kick(hrt, s->apic);
	count(me, began, number, result, refused);
}

static void *serve(void *argument)
{
	struct server *me = argument;
	struct guest_slot *s = &hrt->slots[me->number];
	struct cokernel_wait w = { me->number, COKERNEL_NOW };

	ioctl(hrt->device, COKERNEL_WAIT, &w); /* from now on faults of this thread are the slot's */
	__atomic_store_n(&me->tid, (int)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	while (next_request(me, s))
		answer(me, s);
	return NULL;
}

/* Either it is seen here that the call has ended, or there that a signal comes. */
static void interrupt_call(struct server *s)
{
	pthread_mutex_lock(&s->signalling);
	__atomic_fetch_add(&s->signals, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&s->where, __ATOMIC_SEQ_CST) == INSIDE)
		syscall(SYS_tgkill, getpid(), s->tid, SIGUSR1);
	pthread_mutex_unlock(&s->signalling);
}

/* Returns whether it has to be done again. */
static bool look_after(uint32_t n)
{
	struct server *s = &servers[n];
	struct guest_slot *slot = &hrt->slots[n];
	uint32_t state = state_of(slot);

	if (state == GUEST_SLOT_FREE || state == GUEST_SLOT_DONE)
		return false;
	if (s->tid && __atomic_load_n(&slot->cancel, __ATOMIC_ACQUIRE)) {
		interrupt_call(s);
		return true;
	}
	if (s->tid || state != GUEST_SLOT_REQUEST)
		return false;
	s->tid = -1;
	s->number = n;
	pthread_mutex_init(&s->signalling, NULL);
	if (!thread_start(serve, s))
		return __atomic_load_n(&slot->cancel, __ATOMIC_ACQUIRE);
	note("no thread can be had for the kernel's slot %u", n);
	s->tid = 0;
	slot->result = -EAGAIN;
	__atomic_store_n(&slot->state, GUEST_SLOT_DONE, __ATOMIC_RELEASE);
	return false;
}

/* The kernel did not ring for a cancel that came while the thread looked at the slot, or the ring was for what the thread did
 * before: nobody else looks then. */
void slots_look(void)
{
	bool again = false;

	if (!__atomic_exchange_n(&late, false, __ATOMIC_SEQ_CST))
		return;
	for (uint32_t n = 1; n < hrt->at.slots; n++) {
		struct guest_slot *slot = &hrt->slots[n];
		uint32_t state = state_of(slot);

		if (__atomic_load_n(&servers[n].tid, __ATOMIC_ACQUIRE) <= 0 || state == GUEST_SLOT_FREE ||
			state == GUEST_SLOT_DONE || !__atomic_load_n(&slot->cancel, __ATOMIC_ACQUIRE))
			continue;
		interrupt_call(&servers[n]);
		again = true;
	}
	if (again)
		__atomic_store_n(&late, true, __ATOMIC_SEQ_CST);
}

void slots_counted(void)
{
	for (uint32_t n = 1; n < hrt->at.slots; n++)
		while (__atomic_load_n(&servers[n].where, __ATOMIC_ACQUIRE) == COUNTING)
			sched_yield();
}

static void *attend(void *unused)
{
	struct cokernel_wait w = { COKERNEL_BUSY, 0 };

	for (;;) {
		bool again = false;

		if (ioctl(hrt->device, COKERNEL_WAIT, &w) < 0 && errno == ECANCELED)
			return unused;
		for (uint32_t n = 1; n < hrt->at.slots; n++)
			again |= look_after(n);
		w.limit_ms = again ? 5 : 0;
	}
}

static void on_signal(int unused)
{
	(void)unused;
}

int slots_start(struct hrt *h)
{
	struct sigaction interrupts = { .sa_handler = on_signal };

	hrt = h;
	cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
	sigaction(SIGUSR1, &interrupts, NULL);
	return thread_start(attend, NULL);
}
