/* SPDX-License-Identifier: MIT */
/*
 * trap.c: exceptions and interrupts.
 *
 * An exception is a mistake, except a page fault in a demand-paged region: it is told on the console, with the
 * registers and the calls that led there, and ends the kernel. Vectors have IST stacks by kind, because a kind may
 * hit while another is being served: 1 exceptions, 2 NMI, 3 double fault and machine check, 4 interrupts,
 * 5 page faults.
 */
#include "cokernel.h"
#include "elf.h"

struct gate {
	uint16_t offset_low, selector;
	uint8_t stack, type;
	uint16_t offset_mid;
	uint32_t offset_high, zero;
};

enum { STACK_TRAP = 1, STACK_NMI, STACK_FATAL, STACK_IRQ, STACK_PAGE };
#define SIGBUS 7
enum { NMI = 2, DOUBLE_FAULT = 8, PAGE_FAULT = 14, MACHINE_CHECK = 18 };

extern char vectors[];
extern char copy_begin[], copy_end[], copy_fault[];
struct frame *trap(struct frame *f);
void trap_leave(struct frame *f);

static struct gate idt[256];
volatile bool panicking;

static uint8_t stack_of(unsigned vector)
{
	if (vector == NMI)
		return STACK_NMI;
	if (vector == DOUBLE_FAULT || vector == MACHINE_CHECK)
		return STACK_FATAL;
	if (vector == PAGE_FAULT)
		return STACK_PAGE;
	return vector < 32 ? STACK_TRAP : STACK_IRQ;
}

void idt_init(void)
{
	for (unsigned i = 0; i < 256; i++) {
		uint64_t a = (uint64_t)vectors + 16 * i;

		idt[i] = (struct gate){ (uint16_t)a, 8, stack_of(i), 0x8e, (uint16_t)(a >> 16),
			(uint32_t)(a >> 32), 0 };
	}
}

void idt_load(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) p = { sizeof(idt) - 1, (uint64_t)idt };

	__asm__ volatile("lidt %0" ::"m"(p));
}

/* The table that the Makefile makes of the linked image: ends with address 0. */
struct symbol {
	uint64_t address;
	const char *name;
};
extern const struct symbol symbols[] __attribute__((weak));

static bool is_text(uint64_t a)
{
	return a >= (uint64_t)image_start && a < (uint64_t)image_text_end;
}

/* NULL: none is there. */
static const struct symbol *symbol_of(uint64_t a)
{
	const struct symbol *best = NULL;

	for (const struct symbol *s = symbols; is_text(a) && s && s->address; s++)
		if (s->address <= a)
			best = s;
	return best;
}

static void print_place(uint64_t a)
{
	const struct symbol *s = symbol_of(a);

	if (s)
		printk("  %lx  %s+%lu\n", a, s->name, a - s->address);
	else
		printk("  %lx\n", a);
}

static bool readable(uint64_t a)
{
	return !(a & 7) && paging_present(a) && paging_present(a + 15);
}

#define PUSH_RBP	0x55
#define CALL_NEAR	0xe8
#define CALL_INDIRECT	0xff /* with these bits behind it: */
#define CALL_BITS(byte) (((byte)&0x38) == 0x10)

static bool follows_call(uint64_t a)
{
	const uint8_t *p = (const uint8_t *)a;

	if (!is_text(a - 7))
		return false;
	for (int n = 2; n <= 7; n++)
		if (p[-n] == CALL_INDIRECT && CALL_BITS(p[1 - n]))
			return true;
	return p[-5] == CALL_NEAR;
}

/* Who called what has no frame: a function that needs none, or a bad pointer that was called. 0: that is not so. */
static uint64_t caller_of(uint64_t rip, uint64_t rsp)
{
	const struct symbol *s = symbol_of(rip);

	if ((s && *(const uint8_t *)s->address == PUSH_RBP) || !readable(rsp))
		return 0;
	return follows_call(*(const uint64_t *)rsp) ? *(const uint64_t *)rsp : 0;
}

/* Frame pointers, as far as they make sense: the C library has none. */
static void trace(uint64_t rip, uint64_t rbp, uint64_t rsp)
{
	uint64_t below = rsp - 256, caller = caller_of(rip, rsp);

	printk("called from:\n");
	print_place(rip);
	if (caller)
		print_place(caller);
	for (int depth = 0; depth < 24 && rbp > below && readable(rbp); depth++) {
		const uint64_t *frame = (const uint64_t *)rbp;

		if (!is_text(frame[1]))
			break;
		print_place(frame[1]);
		below = rbp;
		rbp = frame[0];
	}
}

static const char *const names[32] = { "divide error", "debug", "NMI", "breakpoint", "overflow", "bound",
	"invalid opcode", "no FPU", "double fault", "coprocessor segment", "invalid TSS",
	"segment not present", "stack fault", "general protection", "page fault", "reserved", "FPU error",
	"alignment", "machine check", "SIMD error", "virtualization", "control protection" };

static const char *likely(const struct frame *f, uint64_t address)
{
	if (f->vector != PAGE_FAULT)
		return "an exception";
	if (address < 16 * PAGE)
		return "a null pointer";
	if (f->error & 2 && (char *)address >= image_start && (char *)address < image_text_end)
		return "a write to a constant";
	if (address - f->rsp + PAGE < 2 * PAGE)
		return "a stack overflow";
	if (address >= REGION_BASE && address < REGION_END)
		return "a bad pointer, or memory that ran out";
	return "a bad pointer";
}

/* The thread was in its own code, not in a system call. */
static bool in_program(const struct frame *f, const struct thread *t)
{
	return t && t->fpu && f->rflags & 0x200 && f->rsp - (uint64_t)t->stack > STACK_SIZE;
}

static void report(const struct frame *f) __attribute__((noreturn));
static void report(const struct frame *f)
{
	struct cpu *c = this_cpu();
	uint64_t cr2;

	__asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
	panic_stop_others();
	printk("\n%s: exception %lu (%s)  error %lx  rip %lx  rsp %lx  cr2 %lx  cpu %u  thread %u %s\n",
		KERNEL_NAME, f->vector, f->vector < 32 && names[f->vector] ? names[f->vector] : "", f->error,
		f->rip, f->rsp, cr2, c->number, c->current ? c->current->id : 0,
		c->current ? c->current->name : "");
	printk("rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", f->rax, f->rbx, f->rcx, f->rdx);
	printk("rsi %016lx rdi %016lx rbp %016lx  r8 %016lx\n", f->rsi, f->rdi, f->rbp, f->r8);
	printk(" r9 %016lx r10 %016lx r11 %016lx r12 %016lx\n", f->r9, f->r10, f->r11, f->r12);
	printk("r13 %016lx r14 %016lx r15 %016lx flags %lx\n", f->r13, f->r14, f->r15, f->rflags);
	trace(f->rip, f->rbp, f->rsp);
	if (program_runs && in_program(f, c->current)) { /* its own fault, and its own end */
		printk("%s: ended by %s\n", KERNEL_NAME, likely(f, cr2));
		exit(128 + signal_number(f->vector));
	}
	if (cokernel)
		cokernel_fault(f, cr2);
	panic("ended by %s", likely(f, cr2));
}

static void interrupt(unsigned vector)
{
	switch (vector) {
	case VECTOR_SPURIOUS:
		return;
	case VECTOR_TIMER:
		apic_eoi();
		clock_tick();
		return;
	case VECTOR_FLUSH:
		smp_flush_here(this_cpu());
		break;
	case VECTOR_RESCHED:
		this_cpu()->resched = 1;
		break;
	case VECTOR_BELL:
		apic_eoi(); /* first: what comes while we look rings again */
		cokernel_interrupt();
		return;
	default:
		if (cokernel)
			cokernel_stray();
		else
			io_interrupt(vector);
	}
	apic_eoi();
}

/* A frame to leave the thread from: on its kernel stack, below what is in use there. */
static struct frame *move_frame(const struct frame *f, struct thread *t)
{
	uint64_t bottom = (uint64_t)t->stack, top = bottom + STACK_SIZE;
	uint64_t sp = f->rsp > bottom && f->rsp <= top ? f->rsp : top;
	struct frame *copy = (struct frame *)((sp & ~15ull) - sizeof(*copy) - 16);

	*copy = *f;
	return copy;
}

/* What a thread does before it goes on from a moved frame: on its kernel stack, interrupts off. */
void trap_leave(struct frame *f)
{
	uint64_t page_in = current_thread()->page_in;

	if (page_in) {
		current_thread()->page_in = 0;
		__asm__ volatile("sti");
		if (!region_page_in(page_in)) {
			print("%s: a mapped file cannot be read, or memory ran out\n", KERNEL_NAME);
			exit(128 + SIGBUS);
		}
		__asm__ volatile("cli");
	}
	if (this_cpu()->resched)
		schedule();
	if (in_program(f, current_thread()) && signal_wanted(current_thread())) {
		__asm__ volatile("sti");
		signal_leave(f);
		__asm__ volatile("cli");
	}
}

struct frame *trap(struct frame *f)
{
	struct cpu *c = this_cpu();
	uint64_t cr2;

	if (f->vector >= 32) {
		interrupt((unsigned)f->vector);
		if (c->preempt_off || c->current == c->idle ||
			!(c->resched || (c->current->interrupted && in_program(f, c->current))))
			return f;
		return move_frame(f, c->current);
	}
	if (panicking)
		for (;;) { /* another CPU is telling why, or telling is what failed */
			if (f->vector != NMI)
				printk("\n%s: exception %lu at %lx while ending\n", KERNEL_NAME, f->vector,
					f->rip);
			if (f->vector != NMI && panicking)
				exit(134);
			__asm__ volatile("cli; hlt");
		}
	if (cokernel && f->vector == NMI) {
		cokernel_stray();
		return f;
	}
	__asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
	if (f->vector == PAGE_FAULT && region_fault(cr2, f->error))
		return f;
	if (f->vector == PAGE_FAULT && f->rflags & 0x200 && !c->preempt_off && c->current &&
		c->current->fpu && region_backed(cr2, f->error)) {
		c->current->page_in = cr2;
		return move_frame(f, c->current);
	}
	if (f->rip >= (uint64_t)copy_begin && f->rip < (uint64_t)copy_end) {
		f->rip = (uint64_t)copy_fault;
		return f;
	}
	if (c->current && !c->preempt_off && in_program(f, c->current) && signal_fault(f, cr2))
		return move_frame(f, c->current);
	report(f);
}
