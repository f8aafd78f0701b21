/* SPDX-License-Identifier: MIT */
/*
 * smp.c: starts the other CPUs, all at once: each takes a number as it comes, and with it a stack, which becomes its
 * idle thread's. And what CPUs must tell each other: to forget translations, and to stop.
 */
#include "cokernel.h"

#define AP_WAIT	  2000000000ull
#define INIT_WAIT 200000ull

extern char ap_start[], ap_end[], ap_root[], ap_stacks[], ap_count[];
extern uint64_t page_root[];
void ap_main(unsigned number);
uint64_t smp_wait(unsigned number);

static volatile unsigned come;
static uint64_t stacks[CPUS_MAX];
static struct thread idles[CPUS_MAX];

/* An AP's first C, on its idle thread's stack. */
void ap_main(unsigned number)
{
	struct cpu *c = &cpus[number + 1];

	c->number = number + 1;
	c->apic_id = apic_id();
	cpu_init(c);
	apic_init();
	apic_timer_init();
	sched_init_cpu(c, &idles[number]);
	c->online = true;
	__atomic_fetch_add(&come, 1, __ATOMIC_SEQ_CST);
	sched_idle();
}

static volatile bool released;

/* A CPU that was entered with the first, on the loader's stack. */
uint64_t smp_wait(unsigned number)
{
	while (!released)
		pause_cpu();
	paging_use();
	return stacks[number - 1];
}

static void wait_ns(uint64_t ns)
{
	uint64_t end = clock_ns() + ns;

	while (clock_ns() < end)
		pause_cpu();
}

static volatile uint64_t *in_copy(char *symbol)
{
	return (volatile uint64_t *)((char *)at_physical(AP_PAGE) + (symbol - ap_start));
}

static void start_all(const uint32_t *ids, unsigned n)
{
	memcpy(at_physical(AP_PAGE), ap_start, (size_t)(ap_end - ap_start));
	*in_copy(ap_root) = physical(page_root);
	*in_copy(ap_stacks) = (uint64_t)stacks;
	for (unsigned i = 0; i < n; i++)
		if (ids[i] != cpus[0].apic_id)
			apic_send(ids[i], APIC_INIT);
	wait_ns(INIT_WAIT);
	for (unsigned i = 0; i < n; i++)
		if (ids[i] != cpus[0].apic_id)
			apic_send(ids[i], APIC_STARTUP | AP_PAGE >> 12);
}

void smp_start(void)
{
	uint32_t ids[CPUS_MAX];
	unsigned n = cokernel ? cokernel_cpus() : acpi_cpus(ids, CPUS_MAX), others = 0;
	uint64_t end = clock_ns() + AP_WAIT;

	cpus[0].online = true;
	for (unsigned i = 0; i < n; i++) {
		if (cokernel ? !i : ids[i] == cpus[0].apic_id)
			continue;
		char *stack = page_alloc(2);

		if (!stack)
			panic("no memory for CPU %u", i);
		idles[others].name = "idle";
		stacks[others++] = (uint64_t)stack + STACK_SIZE;
	}
	if (!others)
		return;
	if (cokernel)
		__atomic_store_n(&released, true, __ATOMIC_SEQ_CST);
	else
		start_all(ids, n);
	while (come < others && clock_ns() < end)
		pause_cpu();
	if (come < others)
		printk("%s: %u of %u CPUs did not start\n", KERNEL_NAME, others - come, others + 1);
	cpu_count = 1 + come;
}

void smp_flush_here(struct cpu *c)
{
	uint64_t cr3;

	if (!c->flush)
		return;
	c->flush = false; /* first: a new request must not be lost */
	__asm__ volatile("mov %%cr3, %0; mov %0, %%cr3" : "=r"(cr3)::"memory");
}

void smp_flush(void)
{
	struct cpu *me;

	preempt_disable();
	me = this_cpu();
	for (unsigned i = 0; i < cpu_count; i++) {
		cpus[i].flush = true;
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (&cpus[i] != me)
			apic_send(cpus[i].apic_id, APIC_FIXED | VECTOR_FLUSH);
	}
	smp_flush_here(me);
	for (unsigned i = 0; i < cpu_count; i++)
		while (cpus[i].flush) {
			smp_flush_here(me); /* another may wait for us likewise */
			pause_cpu();
		}
	preempt_enable();
}

/* By NMI: they may be spinning with interrupts off. trap() then keeps them. Of two CPUs that panic one goes on. */
void panic_stop_others(void)
{
	static struct lock first;

	if (__atomic_exchange_n(&first.taken, 1, __ATOMIC_SEQ_CST))
		for (;;)
			__asm__ volatile("cli; hlt");
	panicking = true;
	for (unsigned i = 0; i < cpu_count; i++)
		if (&cpus[i] != this_cpu())
			apic_send(cpus[i].apic_id, APIC_NMI);
}
