/* SPDX-License-Identifier: MIT */
/*
 * delegate.c: one slot of the shared area a call. We write the call, say REQUEST, and wait: spinning a while, because
 * an agent that is awake answers sooner than a thread switch; then asleep until the doorbell. When the agent touches a page
 * of the program that is not there it asks for it in the same slot.
 *
 * Free slots are a stack, so that the one used last, whose agent is awake and warm, is used next.
 *
 * A call that is answered at once is made with interrupts off: to switch them costs more than the answer keeps them waiting.
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

/* Interrupts are off, but for while it has to be waited for. */
static unsigned take_slot(void)
{
	unsigned slot;

	lock_take(&waiting.lock);
	slot = free_count ? free_slots[--free_count] : 0;
	lock_drop(&waiting.lock);
	if (slot)
		return slot;
	irq_on();
	slot = wait_for_slot();
	irq_off(); /* for the lock in give_slot, too */
	return slot;
}

static void give_slot(unsigned slot)
{
	lock_take(&waiting.lock);
	free_slots[free_count++] = (uint16_t)slot;
	if (waiting.first)
		wake_locked(&waiting, 0, 1);
	lock_drop(&waiting.lock);
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

/* Not by an exchange, for which QEMU calls a function. */
static void say(unsigned number, struct guest_slot *s, uint32_t state)
{
	__atomic_store_n(&s->state, state, __ATOMIC_RELEASE);
	__asm__ volatile("mfence" ::: "memory");
	cokernel_ring(number, &s->agent_asleep);
}

static bool look(const struct guest_slot *s)
{
	for (int i = 0; i < LOOKS; i++)
		if (ours(s))
			return true;
	return false;
}

/* The clock and a pause may both leave the VM, and cost more than a call: they come after as many looks as most calls need. */
static bool spin(const struct guest_slot *s)
{
	uint64_t now, end = 0;

	for (;;) {
		if (look(s))
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

/* What follows when it was not answered at once. Interrupts are on. */
static bool wait_for_answer(unsigned number, struct guest_slot *s)
{
	bool cancelled = false;

	for (;;) {
		if (!spin(s) && sleep(number, s, !cancelled)) {
			cancelled = true;
			s->cancel = 1;
			cokernel_ring_now(number);
			continue;
		}
		if (state_of(s) == GUEST_SLOT_DONE)
			return cancelled;
		serve_fault(number, s);
	}
}

/* Interrupts are off; they may be on when this returns. */
static long call_in_slot(uint64_t call, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	unsigned number = take_slot();
	struct guest_slot *s = cokernel_slot(number);
	bool cancelled = false;
	long result;

	s->number = call;
	s->arguments[0] = a;
	s->arguments[1] = b;
	s->arguments[2] = c;
	s->arguments[3] = d;
	s->arguments[4] = e;
	s->arguments[5] = f;
	if (s->cancel) /* each write takes the line from the other CPU */
		s->cancel = 0;
	if (s->thread != current_thread()->id)
		s->thread = current_thread()->id;
	say(number, s, GUEST_SLOT_REQUEST);
	if (!look(s) || state_of(s) != GUEST_SLOT_DONE) {
		irq_on();
		cancelled = wait_for_answer(number, s);
		irq_off();
	}
	result = s->result;
	__atomic_store_n(&s->state, GUEST_SLOT_FREE, __ATOMIC_RELEASE);
	give_slot(number);
	return result == -EINTR && cancelled ? -ERESTART : result;
}

long delegate_call(uint64_t call, const uint64_t arguments[6])
{
	const uint64_t *a = arguments;
	uint64_t flags = irq_save();
	long result = call_in_slot(call, a[0], a[1], a[2], a[3], a[4], a[5]);

	irq_restore(flags);
	return result;
}

/* Calls with which there is more to do. */
#define TOUCH_MOST 0x400000u
enum care { PLAIN, NAMES, FILLS, POLLS, WAITS };
static const uint8_t cares[] = {
	[2] = NAMES,   /* open */
	[89] = NAMES,  /* readlink */
	[257] = NAMES, /* openat */
	[267] = NAMES, /* readlinkat */
	[0] = FILLS,   /* read */
	[17] = FILLS,  /* pread64 */
	[45] = FILLS,  /* recvfrom */
	[217] = FILLS, /* getdents64 */
	[7] = POLLS,   /* poll */
	[23] = POLLS,  /* select */
	[232] = POLLS, /* epoll_wait */
	[270] = POLLS, /* pselect6 */
	[271] = POLLS, /* ppoll */
	[281] = POLLS, /* epoll_pwait */
	[61] = WAITS,  /* wait4 */
	[247] = WAITS, /* waitid */
};

long delegate_program(struct frame *f, uint64_t number)
{
	enum care care = number < sizeof(cares) ? cares[number] : PLAIN;
	long result;

	if (care == NAMES || care == FILLS) {
		irq_on();
		if (care == NAMES && proc_answers(f, number, &result))
			return result;
		/* What the agent is about to fill is brought here at once, not page by page. */
		if (care == FILLS && ARG3 <= TOUCH_MOST)
			touch_out((void *)ARG2, ARG3);
		irq_off();
	}
	result = call_in_slot(number, ARG1, ARG2, ARG3, ARG4, ARG5, ARG6);
	if (care == WAITS) {
		irq_on();
		cokernel_hear(); /* CHILD comes before a child can be waited for: so does the signal then */
	}
	return care == POLLS && result == -ERESTART ? -EINTR : result;
}

void delegate_forget(uint64_t start, uint64_t len)
{
	if (delegate_there())
		DELEGATE(GUEST_CALL_FORGET, start, len);
}
