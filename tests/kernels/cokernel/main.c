/* SPDX-License-Identifier: MIT */
/*
 * main.c: what the test kernel can do:
 *
 *   hello             a line from each CPU, EXIT 0            exit N        EXIT N
 *   loop N            N delegated getppid, and the time each  echo          console lines back, until one is "end"
 *   fault             a bad pointer, without a table          runaway       spins with interrupts off
 *   panic             says itself that it failed              stop          waits for STOP, EXIT 143
 *   overwrite         writes over Linux                       rings         nonsense in indices, slots, messages
 *   slots N           N calls that sleep at the same time     cancel        a call that blocks, and is cancelled
 *   pages             page faults of the agent: pages.c       restart       asks to be booted again
 *   call N A B C      a delegated call with numbers           quiet MS      counts interrupts for a while
 *   files  policy  harm  hog   calls with paths; a policy that changes; what must not hurt; no memory left: files.c
 *   show PATH         a file of the ROS's, on the console
 *   order WORD        writes it to /dev/order, and waits for the ROS's /dev/answer (tests/kernels/saboteur.c)
 */
#include "kernel.h"

void kernel_main(uint64_t info, uint64_t apic, uint64_t cpu);
void entry(void);
void on_doorbell(void);
void on_stray(void);

uint64_t doorbells, strays, apic_at;
static volatile uint64_t entered;
static uint64_t idt[512];

#define VECTOR 0x40

static void sleep_ms(uint64_t ms)
{
	uint64_t until = tsc() + ms * area->tsc_khz;

	while (tsc() < until)
		pause();
}

static void gate(unsigned vector, void (*handler)(void))
{
	uint64_t to = (uint64_t)handler;

	idt[2 * vector] = (to & 0xffff) | 0x08 << 16 | 0x8eull << 40 | (to >> 16 & 0xffff) << 48;
	idt[2 * vector + 1] = to >> 32;
}

/* An interrupt table where every vector but the doorbell's counts as stray. */
static void interrupts_on(void)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} idtr;
	volatile uint32_t *apic;

	__asm__ volatile("sidt %0" : "=m"(idtr)); /* exceptions stay the loader's */
	for (unsigned i = 0; i < 64; i++)
		idt[i] = ((uint64_t *)idtr.base)[i];
	idtr.limit = sizeof(idt) - 1;
	idtr.base = (uint64_t)idt;

	apic_at = (uint64_t)at(0xfee00000);
	apic = (void *)apic_at;
	for (unsigned v = 32; v < 256; v++)
		gate(v, v == VECTOR ? on_doorbell : on_stray);
	__asm__ volatile("lidt %0" : : "m"(idtr));
	apic[0xf0 / 4] = 0x1ff;
	area->hrt_vector = VECTOR;
	__asm__ volatile("sti");
}

static void hello(uint64_t cpu)
{
	if (cpu == 0) {
		while (__atomic_load_n(&entered, __ATOMIC_ACQUIRE) < cpu_count)
			pause();
		print_number("hello from ", cpu_count, " CPU");
		print(cpu_count == 1 ? "\n" : "s\n");
	}
}

static void loop(uint64_t n)
{
	uint64_t least = ~0ull, all = tsc(), khz = area->tsc_khz;

	for (uint64_t i = 0; i < n; i++) {
		uint64_t began = tsc();
		call(110, 0, 0, 0, 0); /* getppid */
		uint64_t took = tsc() - began;
		least = took < least ? took : least;
	}
	all = tsc() - all;
	print_number("getppid: ", n ? all * 1000000 / khz / n : 0, " ns each");
	print_number(", least ", least * 1000000 / khz, " ns\n");
}

static void echo(void)
{
	volatile struct guest_ring *r = &area->rings[GUEST_CONSOLE_IN];
	char line[128];
	unsigned n = 0;

	print("type\n");
	for (;;) {
		while (__atomic_load_n(&r->head, __ATOMIC_ACQUIRE) == r->tail)
			pause();
		char c = ((volatile char *)area)[r->offset + (r->tail & (r->bytes - 1))];
		__atomic_store_n(&r->tail, r->tail + 1, __ATOMIC_RELEASE);
		if (c != '\n' && n < sizeof(line) - 2) {
			line[n++] = c;
			continue;
		}
		line[n] = 0;
		n = 0;
		if (same(line, "end"))
			return;
		print("you typed ");
		print(line);
		print("\n");
	}
}

static void say_failed(void)
{
	static const char words_[] = "the test kernel panics because it was asked to";

	for (unsigned i = 0; i < sizeof(words_); i++)
		area->panic.words[i] = words_[i];
	area->panic.vector = 77;
	__atomic_store_n(&area->state, GUEST_FAILED, __ATOMIC_RELEASE);
	halt();
}

static void nonsense(void)
{
	volatile struct guest_cokernel *a = area;

	a->rings[GUEST_CONSOLE_IN].tail = 0x1234567890ull;
	a->rings[GUEST_MESSAGES_IN].tail = ~0ull;
	a->rings[GUEST_CONSOLE_OUT].tail = 99;
	a->rings[GUEST_CONSOLE_OUT].offset = a->rings[GUEST_CONSOLE_OUT].bytes = ~0u;
	a->slots = a->slots_offset = a->counts_offset = ~0u;
	for (unsigned i = 0; i < GUEST_SLOTS_MAX / 64; i++)
		a->pending[i] = ~0ull;
	a->program_cr3 = 0xfffffffff000ull;
	volatile struct guest_slot *s = (volatile struct guest_slot *)((volatile char *)a + 4096);
	s[7].state = 12345;
	s[8].number = ~0ull;
	s[8].state = GUEST_SLOT_REQUEST;
	s[9].number = 1; /* write(1, wild, huge) */
	s[9].arguments[0] = 1;
	s[9].arguments[1] = ~0ull;
	s[9].arguments[2] = ~0ull;
	s[9].state = GUEST_SLOT_REQUEST;
	volatile uint32_t *apic = at(0xfee00000);
	apic[0x310 / 4] = a->ros_apic << 24;
	apic[0x300 / 4] = a->ros_vector;
	while (s[8].state != GUEST_SLOT_DONE || s[9].state != GUEST_SLOT_DONE)
		pause();
	a->rings[GUEST_MESSAGES_OUT].head += 3ull << 40;
	a->rings[GUEST_CONSOLE_OUT].head = 1ull << 60;
	apic[0x300 / 4] = a->ros_vector;
	while (a->rings[GUEST_CONSOLE_OUT].tail != 1ull << 60 ||
		a->rings[GUEST_MESSAGES_OUT].tail != a->rings[GUEST_MESSAGES_OUT].head)
		pause(); /* until both are skipped */
	int served = s[8].state == GUEST_SLOT_DONE && s[8].result == -38 && s[9].state == GUEST_SLOT_DONE &&
		     s[9].result == -14;
	uint64_t head = a->rings[GUEST_MESSAGES_OUT].head;
	struct guest_message m = { GUEST_MESSAGE_MAGIC, GUEST_REV, GUEST_EXIT, served ? 55 : 56 };
	for (unsigned i = 0; i < sizeof(m); i++) /* ring data begin where they did */
		((volatile char *)a)[a->rings[GUEST_MESSAGES_OUT].offset + head % 4096 + i] = ((char *)&m)[i];
	a->rings[GUEST_MESSAGES_OUT].head = head + 16;
	apic[0x300 / 4] = a->ros_vector;
	halt();
}

/* Each sleeps a second; together that is one second and not N. */
static void many(unsigned n)
{
	uint64_t began = tsc();
	uint64_t *time = (uint64_t *)0x400000; /* in the program */
	int64_t wrong = 0;

	pages_begin();
	page_wanted(0x400000, 1);
	time = at(*page_entry(0x400000) & 0xffffffffff000ull);
	time[0] = 1;
	time[1] = 0;
	for (unsigned i = 1; i <= n; i++)
		slot_begin(i, 35, 0x400000, 0, 0, 0); /* nanosleep */
	for (unsigned i = 1; i <= n; i++)
		wrong += slot_end(i) != 0;
	print_number("slept in ", n, " slots");
	print_number(", ", (uint64_t)wrong, " wrong\n");
	if ((tsc() - began) / area->tsc_khz < 900)
		print("too fast\n");
}

static void cancel(void)
{
	volatile struct guest_slot *s = slot_at(5);
	uint64_t *words_;
	int64_t result;

	pages_begin();
	page_wanted(0x400000, 1);
	words_ = at(*page_entry(0x400000) & 0xffffffffff000ull);
	words_[0] = 1000;
	words_[1] = 0;
	for (int i = 0; i < 20; i++) {
		slot_begin(5, 35, 0x400000, 0, 0, 0);
		sleep_ms(i % 4 * 20);
		__atomic_store_n(&s->cancel, 1, __ATOMIC_SEQ_CST);
		__atomic_fetch_or(&area->pending[0], 1ull << 5, __ATOMIC_SEQ_CST);
		volatile uint32_t *apic = at(0xfee00000);
		apic[0x310 / 4] = area->ros_apic << 24;
		apic[0x300 / 4] = area->ros_vector;
		result = slot_end(5);
		if (result != -4) {
			print_number("cancelled call: ", (uint64_t)result, "\n");
			return;
		}
		if (call(110, 0, 0, 0, 0) < 0)
			print("the next call failed\n");
	}
	print("20 calls cancelled\n");
}

static void wait_for_stop(void)
{
	struct guest_message m;

	print("waiting\n");
	for (;;)
		if (message_take(&m) && m.type == GUEST_STOP)
			exit_with(143);
		else
			pause();
}

static void run(void)
{
	const char *what = word_count ? words[0] : "hello";

	if (same(what, "exit"))
		exit_with((unsigned)number(words[1]));
	else if (same(what, "loop"))
		loop(number(words[1]));
	else if (same(what, "echo"))
		echo();
	else if (same(what, "fault"))
		*(volatile uint64_t *)0xdead000 = 1;
	else if (same(what, "runaway"))
		for (print("running\n");;)
			;
	else if (same(what, "panic"))
		say_failed();
	else if (same(what, "stop"))
		wait_for_stop();
	else if (same(what, "overwrite"))
		for (uint64_t p = 1 << 20; p < area->memory; p += 8)
			*(volatile uint64_t *)at(p) = 0x6b6f63616d6f6b61ull;
	else if (same(what, "rings"))
		nonsense();
	else if (same(what, "slots"))
		many((unsigned)number(words[1]));
	else if (same(what, "cancel"))
		cancel();
	else if (same(what, "pages"))
		test_pages();
	else if (same(what, "files"))
		test_files();
	else if (same(what, "harm"))
		test_harm();
	else if (same(what, "policy"))
		test_policy();
	else if (same(what, "hog"))
		test_hog();
	else if (same(what, "order"))
		order(words[1]);
	else if (same(what, "show"))
		show(words[1]);
	else if (same(what, "restart"))
		message(GUEST_RESTART, 0);
	else if (same(what, "call"))
		print_number("result ",
			(uint64_t)call(
				number(words[1]), number(words[2]), number(words[3]), number(words[4]), 0),
			"\n");
	else if (same(what, "quiet"))
		sleep_ms(number(words[1]));
}

void kernel_main(uint64_t info, uint64_t apic, uint64_t cpu)
{
	(void)apic;
	if (cpu != 0) {
		__atomic_fetch_add(&entered, 1, __ATOMIC_SEQ_CST);
		halt();
	}
	__atomic_fetch_add(&entered, 1, __ATOMIC_SEQ_CST);
	boot_read(info);
	if (!area) {
		print("hello by port\n");
		halt();
	}
	__atomic_store_n(&area->state, GUEST_ENTERED, __ATOMIC_RELEASE);
	area->level = 2;
	message(GUEST_HELLO, 2);
	if (!word_count || !same(words[0], "fault"))
		interrupts_on();
	hello(cpu);
	run();
	area->stray = strays;
	exit_with(0);
}
