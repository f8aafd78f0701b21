/* SPDX-License-Identifier: MIT */
/* lib.c: boot information, console, messages, delegated calls: guest.h sections 5 to 7, as briefly as it goes. */
#include "kernel.h"

volatile struct guest_cokernel *area;
uint64_t direct_map, memory_end, cpu_count = 1;
char command[256], *words[16];
unsigned word_count;

void *memset(void *to, int c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((char *)to)[i] = (char)c;
	return to;
}

void *memcpy(void *to, const void *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((char *)to)[i] = ((const char *)from)[i];
	return to;
}

static void split(const char *line)
{
	unsigned n = 0;

	for (; line[n] && n < sizeof(command) - 1; n++)
		command[n] = line[n];
	for (unsigned i = 0; i < n; i++) {
		if (command[i] == ' ')
			command[i] = 0;
		else if ((!i || !command[i - 1]) && word_count < 16)
			words[word_count++] = command + i;
	}
}

void boot_read(uint64_t info)
{
	uint32_t total = *(uint32_t *)info;

	for (uint32_t n = 8; n < total;) {
		uint32_t *tag = (uint32_t *)(info + n);

		if (tag[0] == 1)
			split((char *)(tag + 2));
		if (tag[0] == GUEST_TAG_HRT) {
			const struct guest_tag_hrt *hrt = (void *)tag;

			direct_map = hrt->offset;
			cpu_count = hrt->apics - hrt->first_apic;
		}
		if (tag[0] == GUEST_TAG_COKERNEL)
			area = at(((struct guest_tag_cokernel *)tag)->area);
		n += (tag[1] + 7) & ~7u;
	}
	if (area)
		memory_end = area->memory + area->memory_bytes;
}

/* A byte at a time: the console waits for room. */
static void console_put(char c)
{
	volatile struct guest_ring *r = &area->rings[GUEST_CONSOLE_OUT];

	while (r->head - r->tail >= r->bytes)
		pause();
	((volatile char *)area)[r->offset + (r->head & (r->bytes - 1))] = c;
	__atomic_store_n(&r->head, r->head + 1, __ATOMIC_SEQ_CST);
}

static void ring_bell(unsigned slot, volatile uint32_t *asleep)
{
	volatile uint32_t *apic = at(0xfee00000);

	__atomic_fetch_or(&area->pending[slot / 64], 1ull << slot % 64, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(asleep, __ATOMIC_SEQ_CST))
		return;
	apic[0x310 / 4] = area->ros_apic << 24;
	apic[0x300 / 4] = area->ros_vector;
}

void print(const char *text)
{
	for (; *text; text++)
		if (area)
			console_put(*text);
		else
			__asm__ volatile("outb %b0, %w1" : : "a"(*text), "Nd"(0xc0c0));
	if (area)
		ring_bell(0, &area->rings_asleep);
}

void printed(void)
{
	volatile struct guest_ring *r = &area->rings[GUEST_CONSOLE_OUT];

	while (__atomic_load_n(&r->tail, __ATOMIC_ACQUIRE) != r->head)
		pause();
}

static void print_base(const char *before, uint64_t n, unsigned base, const char *after)
{
	char digits[24], *p = digits + sizeof(digits) - 1;

	*p = 0;
	do
		*--p = "0123456789abcdef"[n % base];
	while (n /= base);
	print(before);
	print(p);
	print(after);
}

void print_number(const char *before, uint64_t n, const char *after)
{
	if ((int64_t)n < 0) {
		print(before);
		print_base("-", -n, 10, after);
	} else {
		print_base(before, n, 10, after);
	}
}

void print_hex(const char *before, uint64_t n, const char *after)
{
	print_base(before, n, 16, after);
}

uint64_t number(const char *text)
{
	uint64_t n = 0;

	while (text && *text >= '0' && *text <= '9')
		n = n * 10 + (uint64_t)(*text++ - '0');
	return n;
}

int same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

void message(unsigned type, uint64_t value)
{
	struct guest_message m = { GUEST_MESSAGE_MAGIC, GUEST_REV, (uint16_t)type, value };
	volatile struct guest_ring *r = &area->rings[GUEST_MESSAGES_OUT];
	volatile char *to = (volatile char *)area + r->offset;

	for (unsigned i = 0; i < sizeof(m); i++)
		to[(r->head + i) & (r->bytes - 1)] = ((char *)&m)[i];
	__atomic_store_n(&r->head, r->head + sizeof(m), __ATOMIC_SEQ_CST);
	ring_bell(0, &area->rings_asleep);
}

int message_take(struct guest_message *m)
{
	volatile struct guest_ring *r = &area->rings[GUEST_MESSAGES_IN];
	volatile char *from = (volatile char *)area + r->offset;

	if (__atomic_load_n(&r->head, __ATOMIC_ACQUIRE) == r->tail)
		return 0;
	for (unsigned i = 0; i < sizeof(*m); i++)
		((char *)m)[i] = from[(r->tail + i) & (r->bytes - 1)];
	__atomic_store_n(&r->tail, r->tail + sizeof(*m), __ATOMIC_RELEASE);
	return 1;
}

void halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

void exit_with(unsigned status)
{
	message(GUEST_EXIT, status);
	halt();
}

volatile struct guest_slot *slot_at(unsigned n)
{
	return (volatile struct guest_slot *)((volatile char *)area + area->slots_offset) + n;
}

void slot_begin(unsigned n, uint64_t call, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	volatile struct guest_slot *s = slot_at(n);
	uint64_t arguments[6] = { a, b, c, d, 0, 0 };

	s->number = call;
	for (int i = 0; i < 6; i++)
		s->arguments[i] = arguments[i];
	__atomic_store_n(&s->state, GUEST_SLOT_REQUEST, __ATOMIC_SEQ_CST);
	ring_bell(n, &s->agent_asleep);
}

int64_t slot_end(unsigned n)
{
	volatile struct guest_slot *s = slot_at(n);

	for (;;) {
		uint32_t state = __atomic_load_n(&s->state, __ATOMIC_ACQUIRE);

		if (state == GUEST_SLOT_DONE)
			break;
		if (state == GUEST_SLOT_FAULT) {
			s->result = page_wanted(s->fault, s->fault_flags & 1);
			__atomic_store_n(&s->state, GUEST_SLOT_FAULTED, __ATOMIC_SEQ_CST);
			ring_bell(n, &s->agent_asleep);
		}
		pause();
	}
	int64_t result = s->result;
	__atomic_store_n(&s->state, GUEST_SLOT_FREE, __ATOMIC_RELEASE);
	return result;
}

int64_t call(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	slot_begin(1, number, a, b, c, d);
	return slot_end(1);
}
