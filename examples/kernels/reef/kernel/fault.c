/* SPDX-License-Identifier: MIT */
/*
 * fault.c: a command that makes each kind of exception, to show that it is reported. What ring 0 cannot make in 64-bit mode,
 * or QEMU's translator (TCG) does not, is called by its vector.
 */
#include "kernel.h"

#define SEGMENT_ABSENT 40 /* cpu.c: a descriptor that is not present */

static void divide(void)
{
	__asm__ volatile("xorl %%ecx, %%ecx; movl $1, %%eax; cltd; idivl %%ecx" ::: "eax", "ecx", "edx");
}
static void debug(void)
{
	__asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq; nop" ::: "memory", "cc");
}
static void nmi(void)
{
	apic_send(apic_id(), APIC_NMI);
	thread_sleep(100000000);
}
static void breakpoint(void)
{
	__asm__ volatile("int3");
}
static void invalid(void)
{
	__asm__ volatile("ud2");
}
static void no_fpu(void)
{
	__asm__ volatile("movq %%cr0, %%rax; orq $8, %%rax; movq %%rax, %%cr0; fnop" ::: "rax");
}
/* An interrupt whose stack cannot be written, and neither can the page fault's: the CPU has one more stack. */
static void double_fault(void)
{
	struct cpu *c;

	irq_save();
	c = this_cpu();
	c->task.stacks[0] = c->task.stacks[4] = 0x800;
	__asm__ volatile("ud2");
}
/* The interrupt's stack is behind the end of the task's segment, as that now is; the exception's is not. */
static void task_segment(void)
{
	struct cpu *c;

	irq_save();
	c = this_cpu();
	c->gdt[3] = (c->gdt[3] & ~0xffffull & ~(2ull << 40)) |
		    (offsetof(typeof(c->task), stacks[3]) - 1); /* not busy */
	__asm__ volatile("ltr %w0; int $0x80" ::"r"(24));
}
static void segment(void)
{
	__asm__ volatile("movw %w0, %%fs" ::"r"(SEGMENT_ABSENT));
}
/* On a CPU an address through %rbp that is none would do, too; under TCG that is a protection fault. */
static void stack_segment(void)
{
	__asm__ volatile("movw %w0, %%ss" ::"r"(SEGMENT_ABSENT));
}
static void protection(void)
{
	*(volatile uint64_t *)0x8000000000000000 = 0;
}
static void null_pointer(void)
{
	volatile int *volatile p = NULL;

	*p = 0;
}
static void text(void)
{
	*(volatile char *)image_start = 0;
}
static void execute(void)
{
	static char data[16];

	((void (*)(void))data)();
}
static void region(void)
{
	*(volatile int *)(REGION_END - PAGE) = 0;
}
/* QEMU's TCG only notes it in MXCSR and goes on: then the vector is called. */
static void simd(void)
{
	uint32_t control = 0; /* nothing masked */

	__asm__ volatile("ldmxcsr %0; xorps %%xmm0, %%xmm0; divps %%xmm0, %%xmm0; int $19" ::"m"(control));
}
static void x87(void)
{
	uint16_t control = 0x300;

	__asm__ volatile("fninit; fldcw %0; fldz; fldz; fdivp; fwait" ::"m"(control));
}
/* There are no instructions for these in 64-bit mode; a machine that breaks makes the last by itself. */
#define CALLED(name, vector)                                                                                 \
	static void name(void)                                                                               \
	{                                                                                                    \
		__asm__ volatile("int %0" ::"i"(vector));                                                    \
	}
CALLED(overflowed, 4)
CALLED(bound, 5)
CALLED(coprocessor, 9)
CALLED(reserved, 15)
CALLED(machine, 18)
/* Only ring 3 has its alignment checked: this pushes what the CPU would, an error code too, which INT does not. */
static void alignment(void)
{
	__asm__ volatile("movq %%rsp, %%rax; pushq $16; pushq %%rax; pushfq; cli; pushq $8\n\t"
			 "leaq 1f(%%rip), %%rax; pushq %%rax; pushq $0\n\t"
			 "1: jmp vectors + 17 * 16" ::
				 : "rax", "memory");
}
static void overflow(void)
{
	__asm__ volatile("1: pushq %rax; subq $1024, %rsp; jmp 1b");
}
static void panics(void)
{
	panic("asked to");
}

static const struct {
	const char *name;
	void (*make)(void);
} kinds[] = { { "divide", divide }, { "debug", debug }, { "nmi", nmi }, { "breakpoint", breakpoint },
	{ "into", overflowed }, { "bound", bound }, { "invalid", invalid }, { "nofpu", no_fpu },
	{ "double", double_fault }, { "coprocessor", coprocessor }, { "tss", task_segment },
	{ "segment", segment }, { "stack", stack_segment }, { "protection", protection },
	{ "null", null_pointer }, { "text", text }, { "execute", execute }, { "region", region },
	{ "reserved", reserved }, { "x87", x87 }, { "alignment", alignment }, { "machine", machine },
	{ "simd", simd }, { "overflow", overflow }, { "panic", panics } };

static int fault(int argc, char **argv)
{
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (argc > 1 && !strcmp(kinds[i].name, argv[1]))
			kinds[i].make();
	print("kinds:");
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		print(" %s", kinds[i].name);
	print("\n");
	return 1;
}
REEF_COMMAND(fault, "KIND  makes an exception", fault);
