/* SPDX-License-Identifier: MIT */
/*
 * process.c: the application: a main() linked with a C library, as Linux would start it: argument, environment and
 * auxiliary vectors on a stack of its own. Its threads come by clone().
 */
#include "errors.h"
#include "kernel.h"

#define STACK_MOST 0x800000ull
#define PT_TLS	   7

#define CLONE_VM	     0x100u
#define CLONE_THREAD	     0x10000u
#define CLONE_SETTLS	     0x80000u
#define CLONE_PARENT_SETTID  0x100000u
#define CLONE_CHILD_CLEARTID 0x200000u
#define CLONE_CHILD_SETTID   0x1000000u

enum { AT_NULL = 0, AT_PHDR = 3, AT_PHENT = 4, AT_PHNUM = 5, AT_PAGESZ = 6, AT_RANDOM = 25 };

struct program_header {
	uint32_t type, flags;
	uint64_t offset, virtual, physical, file_len, memory_len, align;
};
static struct program_header tls = { .type = PT_TLS, .flags = 4 };
extern char tls_start[], tls_data_end[], tls_end[], tls_align[]; /* link.ld */

int __libc_start_main(int (*main)(int, char **), int argc, char **argv, void (*init)(void),
	void (*fini)(void), void (*loader)(void));

volatile int process_threads = 1;
int process_id;

/* Strings lie in the kernel's command line, which stays. */
static uint64_t *build_stack(uint64_t top, int argc, char **argv)
{
	static uint64_t random[2];
	uint64_t auxv[] = { AT_PHDR, (uint64_t)&tls, AT_PHENT, sizeof(tls), AT_PHNUM, 1, AT_PAGESZ, PAGE,
		AT_RANDOM, (uint64_t)random, AT_NULL, 0 };
	uint64_t *sp = (uint64_t *)top - ((unsigned)argc + 2 + sizeof(auxv) / 8 + 3), *p = sp;

	random_bytes(random, sizeof(random));
	sp = p = (uint64_t *)((uint64_t)sp & ~15ull);
	for (int i = 0; i < argc; i++)
		*p++ = (uint64_t)argv[i];
	*p++ = 0; /* the end of argv, and no environment */
	*p++ = 0;
	memcpy(p, auxv, sizeof(auxv));
	return sp;
}

void process_start(int argc, char **argv)
{
	struct thread *t = current_thread();
	uint64_t len =
		page_total() / 4 < STACK_MOST ? (page_total() / 4 + PAGE - 1) & ~(PAGE - 1) : STACK_MOST;
	uint64_t stack = region_add(len, REGION_READ | REGION_WRITE), *sp;
	struct frame f = { .rip = (uint64_t)__libc_start_main, .cs = 8, .ss = 16, .rflags = 0x202 };

	if (!stack)
		panic("no memory for the application's stack");
	tls.virtual = (uint64_t)tls_start;
	tls.file_len = (uint64_t)(tls_data_end - tls_start);
	tls.memory_len = (uint64_t)(tls_end - tls_start);
	tls.align = (uint64_t)tls_align;
	sp = build_stack(stack + len, argc, argv);
	f.rdi = (uint64_t)main;
	f.rsi = (uint64_t)argc;
	f.rdx = (uint64_t)sp;
	sp[-1] = 0; /* where __libc_start_main would return to */
	f.rsp = (uint64_t)(sp - 1);
	process_id = (int)t->id;
	irq_save();
	fpu_fresh(t->stack);
	t->fpu = t->stack;
	fpu_load(t->fpu);
	t->fpu_cpu = this_cpu();
	this_cpu()->fpu_owner = t;
	__asm__ volatile("movq %0, %%rsp; jmp frame_return" ::"r"(&f) : "memory");
	__builtin_unreachable();
}

/* clone(flags, stack, parent_tid, child_tid, tls): threads only. */
long process_clone(struct frame *f)
{
	uint64_t flags = f->rdi;
	struct thread *t;
	struct frame *copy;
	uint64_t *sp;

	if (!(flags & CLONE_VM) || !(flags & CLONE_THREAD) || !f->rsi)
		return -EINVAL;
	t = thread_new("application", true);
	if (!t)
		return -EAGAIN;
	signal_thread_new(t);
	fpu_save(t->fpu);
	t->fs = flags & CLONE_SETTLS ? f->r8 : current_thread()->fs;
	if (flags & CLONE_PARENT_SETTID)
		*(int *)f->rdx = (int)t->id;
	if (flags & CLONE_CHILD_SETTID)
		*(int *)f->r10 = (int)t->id;
	t->clear_tid = flags & CLONE_CHILD_CLEARTID ? (int *)f->r10 : NULL;
	copy = (struct frame *)(t->stack + STACK_SIZE) - 1;
	*copy = *f;
	copy->rax = 0;
	copy->rsp = f->rsi;
	sp = (uint64_t *)copy - 7;
	memset(sp, 0, 7 * sizeof(*sp));
	sp[6] = (uint64_t)frame_begin;
	t->sp = (uint64_t)sp;
	__atomic_fetch_add(&process_threads, 1, __ATOMIC_RELAXED);
	sched_start(t);
	return (long)t->id;
}

/* The C library's own small needs; its malloc is ours. */
long process_brk(uint64_t wanted)
{
	static struct lock lock;
	static uint64_t start, end, now;
	uint64_t flags;

	if (!start) {
		uint64_t len = page_total() & ~(PAGE_2M - 1),
			 a = region_add(len + PAGE_2M, REGION_READ | REGION_WRITE);

		flags = lock_save(&lock);
		if (!start) {
			end = a + len;
			start = now = a;
		}
		lock_restore(&lock, flags);
	}
	if (wanted >= start && wanted <= end)
		now = wanted;
	return (long)now;
}
