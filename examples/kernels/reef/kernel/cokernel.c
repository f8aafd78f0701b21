/* SPDX-License-Identifier: MIT */
/*
 * cokernel.c: reef on a part of a machine that a Linux runs (guest.h sections 5 and 6): what the agent tells us at entry, the
 * rings, the doorbells, and the words at the end. Numbers that the agent wrote are checked once and copied.
 */
#include "cokernel.h"
#include "syscall.h"

#define TAG_CMDLINE 1u
#define TAG_MAP	    6u
#define INFO_MOST   0x100000u
#define FULL_NS	    20000000ull /* how long we wait for room in the console's ring */
#define USABLE	    1u

struct guest_cokernel *cokernel;
static struct guest_tag_hrt hrt;
static uint64_t area_bytes;
static unsigned slot_count;
static struct guest_slot *slots;
static struct guest_count *counts;

struct ring { /* our copy of what is not ours */
	struct guest_ring *shared;
	char *data;
	uint64_t bytes;
	struct lock lock; /* one writer, one reader at a time */
};
static struct ring rings[GUEST_RINGS];
static struct semaphore bell; /* the listener's */

unsigned cokernel_slots(void)
{
	return slot_count;
}

struct guest_slot *cokernel_slot(unsigned number)
{
	return &slots[number];
}

struct guest_count *cokernel_counts(void)
{
	return counts;
}

/* --- at entry --- */

static void *in_area(uint64_t offset, uint64_t bytes)
{
	return offset <= area_bytes && bytes <= area_bytes - offset ? (char *)cokernel + offset : NULL;
}

static void read_map(const uint32_t *tag)
{
	uint32_t step = tag[2];

	for (uint32_t at = 16; step >= 20 && at + step <= tag[1]; at += step) {
		const struct {
			uint64_t start, len;
			uint32_t type;
		} *m = (const void *)((const char *)tag + at);

		if (m->type == USABLE && m->start + m->len > m->start && boot.ranges < BOOT_RANGES)
			boot.memory[boot.ranges++] = (struct range){ m->start, m->start + m->len };
	}
}

static void read_tag(const uint32_t *tag, struct guest_tag_cokernel *shared)
{
	size_t len = tag[1] - 8;

	if (tag[0] == TAG_CMDLINE && len && len < sizeof(boot.cmdline))
		memcpy(boot.cmdline, tag + 2, len);
	if (tag[0] == TAG_MAP && len >= 8)
		read_map(tag);
	if (tag[0] == GUEST_TAG_HRT && tag[1] >= sizeof(hrt))
		memcpy(&hrt, tag, sizeof(hrt));
	if (tag[0] == GUEST_TAG_COKERNEL && tag[1] >= sizeof(*shared))
		memcpy(shared, tag, sizeof(*shared));
}

static void open_rings(void)
{
	for (int i = 0; i < GUEST_RINGS; i++) {
		struct guest_ring *r = &cokernel->rings[i];
		uint64_t offset = r->offset, bytes = r->bytes;

		rings[i] = (struct ring){ .shared = r, .data = in_area(offset, bytes), .bytes = bytes };
		if (!rings[i].data || !bytes || bytes & (bytes - 1))
			rings[i].bytes = 0;
	}
}

/* Without a shared area there is nobody to tell: the CPU halts. */
bool cokernel_read(const void *info)
{
	const uint32_t *total = info, *tag;
	struct guest_tag_cokernel shared = { 0 };

	for (uint32_t at = 8; *total < INFO_MOST && at + 8 <= *total; at += (tag[1] + 7) & ~7u) {
		tag = (const uint32_t *)((const char *)info + at);
		if (!tag[0] || tag[1] < 8 || tag[1] > *total - at)
			break;
		read_tag(tag, &shared);
	}
	if (!shared.area || shared.area_bytes < sizeof(*cokernel))
		return false;
	image_moved = shared.distance;
	cokernel = at_physical(shared.area);
	area_bytes = shared.area_bytes;
	if (cokernel->magic != GUEST_COKERNEL_MAGIC || cokernel->rev != GUEST_REV)
		return false;
	slot_count = cokernel->slots < GUEST_SLOTS_MAX ? cokernel->slots : GUEST_SLOTS_MAX;
	slots = in_area(cokernel->slots_offset, slot_count * sizeof(*slots));
	counts = in_area(cokernel->counts_offset, GUEST_CALLS * sizeof(*counts));
	open_rings();
	return slots && counts;
}

unsigned cokernel_cpus(void)
{
	return cokernel->cpus < CPUS_MAX ? cokernel->cpus : CPUS_MAX;
}

uint64_t cokernel_memory_end(void)
{
	return physical(cokernel) + area_bytes;
}

/* --- rings --- */

static uint64_t room(const struct ring *r)
{
	uint64_t used = r->shared->head - __atomic_load_n(&r->shared->tail, __ATOMIC_ACQUIRE);

	return used < r->bytes ? r->bytes - used : 0;
}

/* The lock is held and there is room. */
static void put(struct ring *r, const char *from, uint64_t n)
{
	uint64_t head = r->shared->head;

	for (uint64_t i = 0; i < n; i++)
		r->data[(head + i) & (r->bytes - 1)] = from[i];
	__atomic_store_n(&r->shared->head, head + n, __ATOMIC_SEQ_CST);
}

static uint64_t take(struct ring *r, char *to, uint64_t n)
{
	uint64_t tail = r->shared->tail, there = __atomic_load_n(&r->shared->head, __ATOMIC_ACQUIRE) - tail;

	n = there > r->bytes ? 0 : there < n ? there : n;
	for (uint64_t i = 0; i < n; i++)
		to[i] = r->data[(tail + i) & (r->bytes - 1)];
	__atomic_store_n(&r->shared->tail, tail + n, __ATOMIC_RELEASE);
	return n;
}

static bool wait_for_room(const struct ring *r)
{
	uint64_t end = read_tsc() + FULL_NS / 1000000 * cokernel->tsc_khz;

	cokernel_ring(0, &cokernel->rings_asleep);
	while (!room(r) && read_tsc() < end)
		pause_cpu();
	return room(r);
}

void cokernel_console_write(const char *text, size_t len)
{
	struct ring *r = &rings[GUEST_CONSOLE_OUT];
	uint64_t flags = irq_save();

	while (!panicking && __atomic_exchange_n(&r->lock.taken, 1, __ATOMIC_ACQUIRE))
		pause_cpu();
	while (r->bytes && len) {
		uint64_t n = room(r); /* once: it grows while it is looked at */

		if (!n && !wait_for_room(r)) {
			r->shared->dropped += len;
			break;
		}
		n = n < len ? n : len;
		put(r, text, n);
		text += n;
		len -= n;
	}
	lock_restore(&r->lock, flags);
	cokernel_ring(0, &cokernel->rings_asleep);
}

size_t cokernel_console_read(void *buf, size_t len)
{
	struct ring *r = &rings[GUEST_CONSOLE_IN];
	uint64_t flags = lock_save(&r->lock);
	size_t n = r->bytes ? take(r, buf, len) : 0;

	lock_restore(&r->lock, flags);
	return n;
}

void cokernel_tell(uint16_t type, uint64_t value)
{
	struct guest_message m = { GUEST_MESSAGE_MAGIC, GUEST_REV, type, value };
	struct ring *r = &rings[GUEST_MESSAGES_OUT];
	uint64_t flags = irq_save();

	while (!panicking && __atomic_exchange_n(&r->lock.taken, 1, __ATOMIC_ACQUIRE))
		pause_cpu();
	if (r->bytes && room(r) >= sizeof(m))
		put(r, (const char *)&m, sizeof(m));
	lock_restore(&r->lock, flags);
	cokernel_ring(0, &cokernel->rings_asleep);
}

/* --- doorbells --- */

void cokernel_ring_now(unsigned number)
{
	__atomic_fetch_or(&cokernel->pending[number / 64], 1ull << number % 64, __ATOMIC_SEQ_CST);
	apic_send(cokernel->ros_apic, APIC_FIXED | (cokernel->ros_vector & 0xff));
}

void cokernel_ring(unsigned number, const uint32_t *asleep)
{
	if (__atomic_load_n(asleep, __ATOMIC_SEQ_CST))
		cokernel_ring_now(number);
}

void cokernel_interrupt(void)
{
	const struct ring *orders = &rings[GUEST_MESSAGES_IN];

	delegate_interrupt();
	io_typed();
	if (orders->shared->head != orders->shared->tail)
		semaphore_up(&bell);
}

void cokernel_hear(void)
{
	static struct mutex hearing;
	struct guest_message m;

	mutex_lock(&hearing);
	while (take(&rings[GUEST_MESSAGES_IN], (char *)&m, sizeof(m)) == sizeof(m)) {
		if (m.magic != GUEST_MESSAGE_MAGIC || m.rev != GUEST_REV)
			continue;
		if (m.type == GUEST_STOP)
			exit(128 + 15);
		if (m.type == GUEST_CHILD)
			signal_send_process(SIGNAL_CHILD);
	}
	mutex_unlock(&hearing);
}

static void listen(void *unused)
{
	(void)unused;
	for (;;) {
		cokernel_hear();
		semaphore_down(&bell);
	}
}

/* Before there was a vector nobody was rung: what was typed until then is in the ring. */
static void take_typed_early(void)
{
	uint64_t flags = irq_save();

	io_typed();
	irq_restore(flags);
}

void cokernel_start(void)
{
	cokernel->program_cr3 = paging_root();
	__atomic_store_n(&cokernel->hrt_vector, VECTOR_BELL, __ATOMIC_SEQ_CST);
	cokernel->level = 2;
	cokernel_tell(GUEST_HELLO, 2);
	delegate_init();
	take_typed_early();
	thread_create("listener", listen, NULL, PRIORITY_NORMAL);
}

void cokernel_stray(void)
{
	__atomic_fetch_add(&cokernel->stray, 1, __ATOMIC_RELAXED);
}

/* --- the end --- */

void cokernel_fault(const struct frame *f, uint64_t cr2)
{
	struct guest_panic *p = &cokernel->panic;

	*p = (struct guest_panic){ .cpu = this_cpu()->number,
		.vector = (uint32_t)f->vector,
		.error = f->error,
		.rip = f->rip,
		.rsp = f->rsp,
		.rbp = f->rbp,
		.cr2 = cr2,
		.cr3 = paging_root() };
}

void cokernel_failed(const char *words)
{
	struct guest_panic *p = &cokernel->panic;
	size_t n = 0;

	for (; words[n] && n < sizeof(p->words) - 1; n++)
		p->words[n] = words[n];
	p->words[n] = '\0';
	__atomic_store_n(&cokernel->state, GUEST_FAILED, __ATOMIC_SEQ_CST);
	cokernel_ring_now(0);
}

void cokernel_end(int status)
{
	cokernel_tell(GUEST_EXIT, (uint64_t)status);
	for (;;)
		__asm__ volatile("cli; hlt"); /* the agent stops the CPUs */
}
