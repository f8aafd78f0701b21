/* SPDX-License-Identifier: MIT */
/*
 * delegate.c: one slot of the shared area a call. We write the call, say REQUEST, and wait: spinning a while, because
 * an agent that is awake answers sooner than a thread switch; then asleep until the doorbell. When the agent touches a page
 * of the program that is not there it asks for it in the same slot.
 *
 * Free slots are a stack, so that the one used last, whose agent is awake and warm, is used next.
 */
#include "delegate.h"
#include "cokernel.h"
#include "elf.h"
#include "syscall.h"

#define SPIN_NS 100000ull /* an agent that has to be woken takes most of that */
#define LOOKS	400

static struct wait_queue waiting; /* for a slot; its lock guards the next two */
static uint16_t free_slots[GUEST_SLOTS_MAX];
static unsigned free_count;
static unsigned slots;
static struct wait_queue sleepers; /* key: the slot's number */

bool delegate_there(void)
{
	return cokernel && slots;
}

void delegate_init(void)
{
	slots = cokernel_slots();
	for (unsigned i = slots; i > 1; i--) /* slot 0 is the rings' */
		free_slots[free_count++] = (uint16_t)(i - 1);
}

static unsigned wait_for_slot(void)
{
	for (;;) {
		uint64_t flags = wait_begin(&waiting, NEVER);

		if (free_count) {
			unsigned slot = free_slots[--free_count];

			wait_not(&waiting, flags);
			return slot;
		}
		wait_on(&waiting, 0, flags);
	}
}

static unsigned take_slot(void)
{
	uint64_t flags = lock_save(&waiting.lock);
	unsigned slot = free_count ? free_slots[--free_count] : 0;

	lock_restore(&waiting.lock, flags);
	return slot ? slot : wait_for_slot();
}

static void give_slot(unsigned slot)
{
	uint64_t flags = lock_save(&waiting.lock);

	free_slots[free_count++] = (uint16_t)slot;
	if (waiting.first)
		wake_locked(&waiting, 0, 1);
	lock_restore(&waiting.lock, flags);
}

static uint32_t state_of(const struct guest_slot *s)
{
	return __atomic_load_n(&s->state, __ATOMIC_ACQUIRE);
}

static bool ours(const struct guest_slot *s)
{
	uint32_t state = state_of(s);

	return state == GUEST_SLOT_DONE || state == GUEST_SLOT_FAULT;
}

static void say(unsigned number, struct guest_slot *s, uint32_t state)
{
	__atomic_store_n(&s->state, state, __ATOMIC_SEQ_CST);
	cokernel_ring(number, &s->agent_asleep);
}

/* The clock and a pause may both leave the VM, and cost more than a call: they come after as many looks as most calls need. */
static bool spin(const struct guest_slot *s)
{
	uint64_t now, end = 0;

	for (;;) {
		for (int i = 0; i < LOOKS; i++)
			if (ours(s))
				return true;
		now = read_tsc();
		end = end ? end : now + SPIN_NS * tsc_khz / 1000000;
		if (now >= end || this_cpu()->queued)
			return false;
		pause_cpu();
	}
}

/* Until the slot is ours. A signal ends it early: -EINTR. */
static long sleep(unsigned number, struct guest_slot *s, bool interruptible)
{
	long err = 0;

	while (!ours(s) && !err) {
		uint64_t flags = wait_begin(&sleepers, NEVER);

		s->apic = this_cpu()->apic_id;
		s->hrt_asleep = 1;
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (ours(s))
			wait_not(&sleepers, flags);
		else if (interruptible)
			err = wait_interruptible(&sleepers, number, flags);
		else
			wait_on(&sleepers, number, flags);
	}
	s->hrt_asleep = 0;
	return err;
}

void delegate_interrupt(void)
{
	for (unsigned i = 1; i < slots; i++) {
		struct guest_slot *s = cokernel_slot(i);

		if (s->hrt_asleep && ours(s))
			wake(&sleepers, i, 1);
	}
}

/* Brings the page that the agent wants to touch. */
static void serve_fault(unsigned number, struct guest_slot *s)
{
	void *p = (void *)s->fault;
	bool program = s->fault >= GUEST_PROGRAM_START && s->fault < GUEST_PROGRAM_END;

	s->result = !program ? -EFAULT : s->fault_flags & 1 ? touch_out(p, 1) : touch_in(p, 1);
	say(number, s, GUEST_SLOT_FAULTED);
}

long delegate_call(uint64_t call, const uint64_t arguments[6])
{
	unsigned number = take_slot();
	struct guest_slot *s = cokernel_slot(number);
	bool cancelled = false;
	long result;

	s->number = call;
	for (int i = 0; i < 6; i++)
		s->arguments[i] = arguments[i];
	if (s->cancel) /* each write takes the line from the other CPU */
		s->cancel = 0;
	if (s->thread != current_thread()->id)
		s->thread = current_thread()->id;
	say(number, s, GUEST_SLOT_REQUEST);
	for (;;) {
		if (!spin(s) && sleep(number, s, !cancelled)) {
			cancelled = true;
			s->cancel = 1;
			cokernel_ring_now(number);
			continue;
		}
		if (state_of(s) == GUEST_SLOT_DONE)
			break;
		serve_fault(number, s);
	}
	result = s->result;
	__atomic_store_n(&s->state, GUEST_SLOT_FREE, __ATOMIC_RELEASE);
	give_slot(number);
	return result == -EINTR && cancelled ? -ERESTART : result;
}

enum {
	CALL_READ = 0,
	CALL_POLL = 7,
	CALL_PREAD = 17,
	CALL_SELECT = 23,
	CALL_RECVFROM = 45,
	CALL_WAIT4 = 61,
	CALL_GETDENTS = 217,
	CALL_EPOLL_WAIT = 232,
	CALL_WAITID = 247,
	CALL_PSELECT = 270,
	CALL_PPOLL = 271,
	CALL_EPOLL_PWAIT = 281
};
#define TOUCH_MOST 0x400000u

long delegate_program(struct frame *f, uint64_t number)
{
	long result;

	if (proc_answers(f, number, &result))
		return result;
	/* What the agent is about to fill is brought here at once, not page by page. */
	if ((number == CALL_READ || number == CALL_PREAD || number == CALL_RECVFROM ||
		    number == CALL_GETDENTS) &&
		ARG3 <= TOUCH_MOST)
		touch_out((void *)ARG2, ARG3);
	result = DELEGATE(number, ARG1, ARG2, ARG3, ARG4, ARG5, ARG6);
	if (number == CALL_WAIT4 || number == CALL_WAITID)
		cokernel_hear(); /* CHILD comes before a child can be waited for: so does the signal then */
	if (result != -ERESTART)
		return result;
	switch (number) {
	case CALL_POLL:
	case CALL_SELECT:
	case CALL_EPOLL_WAIT:
	case CALL_PSELECT:
	case CALL_PPOLL:
	case CALL_EPOLL_PWAIT:
		return -EINTR;
	default:
		return result;
	}
}

void delegate_forget(uint64_t start, uint64_t len)
{
	if (delegate_there())
		DELEGATE(GUEST_CALL_FORGET, start, len);
}
