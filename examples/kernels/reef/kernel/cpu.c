/* SPDX-License-Identifier: MIT */
/*
 * cpu.c: what every CPU needs before it may be interrupted: descriptor tables with a stack for each kind of vector,
 * %gs for its own data, the system-call entry, and the FPU.
 */
#include "kernel.h"

struct cpu cpus[CPUS_MAX];
unsigned cpu_count;
unsigned fpu_len = 512;
static bool have_xsave;
static uint32_t fpu_parts;

/* x87, SSE, AVX, and what Linux switches on beside them (MPX, AVX-512): a C library asks once how large the registers are, to
 * save them on the stack, and a program's child goes on on Linux with that number. */
#define FPU_PARTS 0xffu

_Static_assert(offsetof(struct cpu, current) == 8 && offsetof(struct cpu, kernel_sp) == 16 &&
		       offsetof(struct cpu, caller_sp) == 24 && offsetof(struct cpu, preempt_off) == 32 &&
		       offsetof(struct cpu, resched) == 36,
	"entry.S and kernel.h know them");

void syscall_entry(void);

/* The first CPU needs its stacks before there is memory to take them from. */
#define TRAP_STACKS 5
static char first_stacks[TRAP_STACKS][STACK_SIZE] __attribute__((aligned(16)));

static void load_tables(struct cpu *c)
{
	uint64_t base = (uint64_t)&c->task;
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) p = { sizeof(c->gdt) - 1, (uint64_t)c->gdt };

	c->gdt[1] = 0x00af9b000000ffff; /* 8: 64-bit code */
	c->gdt[2] = 0x00cf93000000ffff; /* 16: data */
	c->gdt[3] =
		(sizeof(c->task) - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
	c->gdt[4] = base >> 32;
	c->gdt[5] = 0x00cf13000000ffff; /* SEGMENT_ABSENT: data, but not present */
	c->task.io_map = sizeof(c->task);
	__asm__ volatile("lgdt %0; ltr %w1" ::"m"(p), "r"(24) : "memory");
	idt_load();
	write_msr(MSR_GS_BASE, (uint64_t)c);
}

static void fpu_init(void)
{
	uint64_t cr4;

	if (!(cpuid(1, 0).c >> 26 & 1))
		return; /* no XSAVE: FXSAVE will do */
	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	__asm__ volatile("mov %0, %%cr4" ::"r"(cr4 | 1 << 18));
	fpu_parts = cpuid(13, 0).a & FPU_PARTS;
	__asm__ volatile("xsetbv" ::"c"(0), "a"(fpu_parts), "d"(0));
	fpu_len = cpuid(13, 0).b; /* for the parts that were just enabled */
	have_xsave = true;
}

void fpu_save(void *area)
{
	if (have_xsave)
		__asm__ volatile("xsave64 (%0)" ::"r"(area), "a"(fpu_parts), "d"(0) : "memory");
	else
		__asm__ volatile("fxsave64 (%0)" ::"r"(area) : "memory");
}

void fpu_load(const void *area)
{
	if (have_xsave)
		__asm__ volatile("xrstor64 (%0)" ::"r"(area), "a"(fpu_parts), "d"(0) : "memory");
	else
		__asm__ volatile("fxrstor64 (%0)" ::"r"(area) : "memory");
}

/* As a new process has it. */
void fpu_fresh(void *area)
{
	page_zero(area, fpu_len & ~7ull);
	*(uint16_t *)area = 0x37f;		   /* x87: no exceptions, 64-bit mantissa */
	*(uint32_t *)((char *)area + 24) = 0x1f80; /* SSE likewise */
}

void cpu_init(struct cpu *c)
{
	c->self = c;
	for (unsigned i = 0; i < TRAP_STACKS; i++) {
		char *stack = c->number ? page_alloc(2) : first_stacks[i];

		if (!stack)
			panic("no memory for the stacks of CPU %u", c->number);
		c->task.stacks[i] = (uint64_t)stack + STACK_SIZE;
	}
	load_tables(c);
	write_msr(MSR_EFER, read_msr(MSR_EFER) | 1); /* SYSCALL */
	write_msr(MSR_STAR, 8ull << 32 | 8ull << 48);
	write_msr(MSR_LSTAR, (uint64_t)syscall_entry);
	write_msr(MSR_FMASK, 0x40700); /* no interrupts, traps, alignment checks; direction up */
	fpu_init();
}
