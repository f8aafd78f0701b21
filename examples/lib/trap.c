/* SPDX-License-Identifier: MIT */
/*
 * trap.c: exceptions and interrupts.
 *
 * An exception is a mistake: it is told on the console and ends the kernel. It runs on a stack of its own,
 * because a full stack may be the mistake.
 *
 * An interrupt only ends a hlt. All pins of the interrupt controllers that a device may use lead to one
 * vector, so we need not find out which pin is whose (that would take ACPI); after waking, streams.c looks at
 * its device. They are edge-triggered: a line that nobody serves disturbs once, not for ever.
 */
#include "virtio.h"

struct trap_frame { /* as entry.S and the CPU push it */
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

struct gate {
	uint16_t offset_low, selector;
	uint8_t stack, type;
	uint16_t offset_mid;
	uint32_t offset_high, zero;
};
struct pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));
struct task_state {
	uint32_t reserved0;
	uint64_t rsp[3], reserved1, stacks[7], reserved2; /* stacks[0] is number 1 in a gate */
	uint16_t reserved3, io_map;
} __attribute__((packed));
_Static_assert(sizeof(struct task_state) == 104, "the CPU's layout");

#define CODE_SELECTOR  8
#define TASK_SELECTOR  24
#define INTERRUPT_GATE 0x8e

#define APIC	       0xfee00000u
#define APIC_ID	       0x20
#define APIC_SPURIOUS  0xf0
#define APIC_LINT0     0x350
#define APIC_ENABLE    0x100
#define APIC_MASKED    0x10000
#define IOAPIC	       0xfec00000u
#define IOAPIC_SECOND  0xfec10000u /* microvm with ACPI */
#define IOAPIC_DATA    0x10
#define IOAPIC_VERSION 1
#define IOAPIC_TABLE   0x10
#define FIRST_DEVICE   5 /* below: timer, keyboard, cascade, serial lines */
#define PIN_CLOCK      8

extern char trap_stubs[], interrupt_wake[], interrupt_spurious[];
extern uint64_t gdt[];
void trap_report(const struct trap_frame *f) __attribute__((noreturn));

static struct gate idt[256];

static void set_gate(unsigned vector, const char *handler, uint8_t stack)
{
	uint64_t a = (uint64_t)handler;

	idt[vector] = (struct gate){ (uint16_t)a, CODE_SELECTOR, stack, INTERRUPT_GATE, (uint16_t)(a >> 16),
		(uint32_t)(a >> 32), 0 };
}

void device_wait(void)
{
	cpu_halt();
}

void device_ack(struct virtio *v)
{
	virtio_ack(v);
}

void trap_init(void)
{
	static uint8_t stack[16384] __attribute__((aligned(16)));
	static struct task_state task = { .io_map = sizeof(task) };
	struct pointer p = { sizeof(idt) - 1, (uint64_t)idt };
	uint64_t base = (uint64_t)&task;

	for (unsigned i = 0; i < 32; i++)
		set_gate(i, trap_stubs + 16 * i, 1);
	set_gate(VECTOR_WAKE, interrupt_wake, 0);
	set_gate(VECTOR_SPURIOUS, interrupt_spurious, 0);
	task.stacks[0] = (uint64_t)(stack + sizeof(stack));
	gdt[3] = (sizeof(task) - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
	gdt[4] = base >> 32;
	__asm__ volatile("ltr %w0" ::"r"(TASK_SELECTOR));
	__asm__ volatile("lidt %0" ::"m"(p));
}

static uint32_t ioapic_read(uint32_t base, uint32_t reg)
{
	*(volatile uint32_t *)(uint64_t)base = reg;
	return *(volatile uint32_t *)(uint64_t)(base + IOAPIC_DATA);
}

static void ioapic_write(uint32_t base, uint32_t reg, uint32_t value)
{
	*(volatile uint32_t *)(uint64_t)base = reg;
	*(volatile uint32_t *)(uint64_t)(base + IOAPIC_DATA) = value;
}

static void ioapic_init(uint32_t base, uint32_t first, uint32_t apic_id)
{
	uint32_t version = ioapic_read(base, IOAPIC_VERSION), last = version >> 16 & 0xff;

	if (version == 0 || version == 0xffffffff) /* nothing there */
		return;
	for (uint32_t pin = first; pin <= last; pin++) {
		if (base == IOAPIC && pin == PIN_CLOCK)
			continue;
		ioapic_write(base, IOAPIC_TABLE + 2 * pin + 1, apic_id);
		ioapic_write(base, IOAPIC_TABLE + 2 * pin, VECTOR_WAKE);
	}
}

static volatile uint32_t *apic(uint32_t reg)
{
	return (volatile uint32_t *)(uint64_t)(APIC + reg);
}

/* Those below FIRST_DEVICE are shut until somebody serves them. */
void interrupt_pin(unsigned pin)
{
	ioapic_write(IOAPIC, IOAPIC_TABLE + 2 * pin + 1, *apic(APIC_ID));
	ioapic_write(IOAPIC, IOAPIC_TABLE + 2 * pin, VECTOR_WAKE);
}

void interrupts_init(void)
{
	uint32_t id = *apic(APIC_ID);

	out8(0x21, 0xff); /* the old controllers say nothing any more */
	out8(0xa1, 0xff);
	*apic(APIC_LINT0) = APIC_MASKED;
	*apic(APIC_SPURIOUS) = APIC_ENABLE | VECTOR_SPURIOUS;
	ioapic_init(IOAPIC, FIRST_DEVICE, id);
	ioapic_init(IOAPIC_SECOND, 0, id);
}

static const char *const names[32] = { "divide error", "debug", "NMI", "breakpoint", "overflow", "bound",
	"invalid opcode", "no FPU", "double fault", "", "invalid TSS", "segment not present", "stack fault",
	"general protection", "page fault", "", "FPU error", "alignment", "machine check", "SIMD error" };

#define VECTOR_PAGE_FAULT 14

static const char *likely(const struct trap_frame *f, uint64_t address)
{
	if (f->vector != VECTOR_PAGE_FAULT)
		return "an exception";
	if (address < 4096)
		return "a null pointer";
	if (address - (uint64_t)stack_guard < 4096)
		return "a stack overflow";
	if (f->error & 2 && (char *)address >= image_start && (char *)address < image_text_end)
		return "a write to a constant";
	return "a bad pointer";
}

void trap_report(const struct trap_frame *f)
{
	uint64_t cr2;

	__asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
	printk("\n%s: exception %lu (%s)  error %lx  rip %lx  rsp %lx  cr2 %lx\n", KERNEL_NAME, f->vector,
		f->vector < 32 && names[f->vector] ? names[f->vector] : "", f->error, f->rip, f->rsp, cr2);
	printk("rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", f->rax, f->rbx, f->rcx, f->rdx);
	printk("rsi %016lx rdi %016lx rbp %016lx  r8 %016lx\n", f->rsi, f->rdi, f->rbp, f->r8);
	printk(" r9 %016lx r10 %016lx r11 %016lx r12 %016lx\n", f->r9, f->r10, f->r11, f->r12);
	printk("r13 %016lx r14 %016lx r15 %016lx flags %lx\n", f->r13, f->r14, f->r15, f->rflags);
	panic("ended by %s", likely(f, cr2));
}
