/* SPDX-License-Identifier: MIT */
/*
 * kernel.h: what the files of reef know of each other. Applications include reef.h, or just the C library.
 *
 * One address space, ring 0, every CPU. Order of events: boot.S -> start.c, which is the table of contents.
 *
 * Locks    spin locks are taken with interrupts off and held for few instructions. Their order, outermost first:
 *          timer (clock.c), wait queue (sync.c), run queue (sched.c). Memory: region (region.c), then pages (page.c);
 *          neither is ever held with one of the first three wanted.
 * Stacks   an application's thread has the stack that its C library gave it, which is demand-paged, and a kernel
 *          stack for system calls and for its frame when it is preempted. Every vector has an IST stack of its CPU:
 *          the C library uses the red zone below the stack pointer, so nothing may be pushed there (PITFALLS 19).
 * FPU      the kernel is compiled for general registers only, so SSE and AVX state is an application's always.
 */
#ifndef KERNEL_H
#define KERNEL_H

#include "lib.h"
#include "reef.h"

#define CPUS_MAX   64
#define PAGE	   4096ull
#define PAGE_2M	   0x200000ull
#define STACK_SIZE 16384ull
#define NEVER	   UINT64_MAX

/* --- frames and CPUs ---------------------------------------------------------------------------------- */

struct frame { /* as entry.S and the CPU push it */
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

struct lock {
	volatile int taken;
};

#define CLASSES 32
#define LEVELS	4 /* of priority; 0 is the most urgent */

struct thread;
struct timer;
struct cpu { /* %gs points to it; the first fields are known to entry.S by their offsets */
	struct cpu *self;
	struct thread *current;
	uint64_t kernel_sp; /* top of the current thread's kernel stack */
	uint64_t caller_sp; /* while a system call enters */
	volatile int preempt_off;
	volatile int resched;

	unsigned number;
	uint32_t apic_id;
	volatile bool online, idling, flush;
	volatile bool polling; /* idling, but looks at its queue all the time */
	struct thread *idle, *previous;
	struct thread *fpu_owner; /* whose state is in the registers */
	struct lock run_lock;	  /* guards the next five */
	struct thread *first[LEVELS], *last[LEVELS];
	unsigned queued;
	struct thread *dying;
	uint64_t switches;
	struct lock timer_lock; /* guards the next two */
	struct timer *timers;
	uint64_t armed; /* when the APIC's timer will ring */
	struct {
		void *list;
		unsigned count;
	} cache[CLASSES]; /* malloc.c; preemption off, as for the next */
	void *spare;
	uint64_t gdt[6];
	struct {
		uint32_t reserved0;
		uint64_t rsp[3], reserved1, stacks[7], reserved2;
		uint16_t reserved3, io_map;
	} __attribute__((packed)) task;
};
extern struct cpu cpus[CPUS_MAX];
extern unsigned cpu_count;

static inline struct cpu *this_cpu(void)
{
	struct cpu *c;

	__asm__ volatile("movq %%gs:0, %0" : "=r"(c));
	return c;
}
static inline struct thread *current_thread(void)
{
	struct thread *t;

	__asm__ volatile("movq %%gs:8, %0" : "=r"(t));
	return t;
}
static inline void preempt_disable(void)
{
	__asm__ volatile("incl %%gs:32" ::: "memory");
}
void preempt_late(void);
static inline void preempt_enable(void)
{
	int resched;

	__asm__ volatile("decl %%gs:32; movl %%gs:36, %0" : "=r"(resched)::"memory");
	if (resched)
		preempt_late();
}

static inline uint64_t irq_save(void)
{
	uint64_t flags;

	__asm__ volatile("pushfq; popq %0; cli" : "=r"(flags)::"memory");
	return flags;
}
static inline void irq_off(void)
{
	__asm__ volatile("cli" ::: "memory");
}
static inline void irq_on(void)
{
	__asm__ volatile("sti" ::: "memory");
}
static inline void irq_restore(uint64_t flags)
{
	if (flags & 0x200)
		irq_on();
}
static inline void pause_cpu(void)
{
	__builtin_ia32_pause();
}
static inline void lock_take(struct lock *l) /* interrupts are off already */
{
	while (__atomic_exchange_n(&l->taken, 1, __ATOMIC_ACQUIRE))
		while (l->taken)
			pause_cpu();
}
static inline void lock_drop(struct lock *l)
{
	__atomic_store_n(&l->taken, 0, __ATOMIC_RELEASE);
}
static inline uint64_t lock_save(struct lock *l)
{
	uint64_t flags = irq_save();

	lock_take(l);
	return flags;
}
static inline void lock_restore(struct lock *l, uint64_t flags)
{
	lock_drop(l);
	irq_restore(flags);
}

/* An application that calls the kernel does so on its own, demand-paged stack. What is needed of that must be there
 * before a lock is held that the page fault would want. */
static inline void stack_touch(void)
{
	__asm__ volatile("orb $0, -2048(%%rsp)" ::: "memory", "cc");
}

static inline uint64_t read_msr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return low | (uint64_t)high << 32;
}
static inline void write_msr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}
static inline uint64_t read_tsc(void)
{
	return __builtin_ia32_rdtsc();
}
struct cpuid {
	uint32_t a, b, c, d;
};
static inline struct cpuid cpuid(uint32_t leaf, uint32_t sub)
{
	struct cpuid r;

	__asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub));
	return r;
}
#define MSR_EFER    0xc0000080u
#define MSR_STAR    0xc0000081u
#define MSR_LSTAR   0xc0000082u
#define MSR_FMASK   0xc0000084u
#define MSR_FS_BASE 0xc0000100u
#define MSR_GS_BASE 0xc0000101u

/* cpu.c: descriptor tables, FPU and system-call entry of the CPU that calls. */
void cpu_init(struct cpu *c);
extern unsigned fpu_len; /* bytes of a thread's FPU state */
void fpu_save(void *area);
void fpu_load(const void *area);
void fpu_fresh(void *area);

/* trap.c, entry.S */
#define VECTOR_TIMER   0x40
#define VECTOR_RESCHED 0x41
#define VECTOR_FLUSH   0x42
#define VECTOR_SERIAL  0x43
#define VECTOR_BELL    0x44 /* of a co-kernel */
#define VECTOR_SYSCALL 256 /* in a frame: no vector */
void idt_init(void);
void idt_load(void);
extern volatile bool panicking;
void panic_stop_others(void);

/* acpi.c: finds the CPUs' APIC ids; returns how many (at most max). */
unsigned acpi_cpus(uint32_t *ids, unsigned max);

/* apic.c */
void apic_init(void);	/* this CPU's */
void ioapic_init(void); /* the devices', to the first CPU */
uint32_t apic_id(void);
void apic_eoi(void);
void apic_send(uint32_t to, uint32_t command);
#define APIC_FIXED   0x4000u /* | vector */
#define APIC_NMI     0x4400u
#define APIC_INIT    0x4500u
#define APIC_STARTUP 0x4600u /* | page */
void apic_timer(uint32_t ticks);
uint32_t apic_timer_left(void);
void apic_timer_init(void);

#define AP_PAGE 0x8000ull /* other CPUs start there; free in every machine: below the image, above the firmware's data */
/* smp.c */
void smp_start(void);
void smp_flush(void); /* returns when no CPU remembers old translations; interrupts on */
void smp_flush_here(struct cpu *c);

/* clock.c: nanoseconds since the start; timers. */
void clock_init(void);
uint64_t clock_ns(void);
struct clock_terms { /* nanoseconds: (TSC - start) * mult >> 32; since 1970: and wall */
	uint64_t start, mult, wall;
};
struct clock_terms clock_terms(void);
uint64_t clock_wall(void); /* nanoseconds since 1970, by the machine's clock; 0 at the start if it has none */
extern const uint64_t slice_ns;    /* the scheduler's time slice */
extern uint64_t tsc_khz;
struct timer {
	uint64_t at;
	void (*ring)(struct timer *t); /* on an interrupt stack, interrupts off, timer lock held */
	struct timer *next;
	struct cpu *cpu; /* NULL: not set */
};
void timer_set(struct timer *t, uint64_t at);
void timer_cancel(struct timer *t); /* when it returns, ring() does not run and will not */
void clock_tick(void);		    /* the timer interrupt */
void clock_slice(struct cpu *c);    /* (c) = this one, interrupts off: a tick will come within a slice */

/* page.c: physical memory in pieces of PAGE << order, aligned to their size, seen in the direct map. */
#define ORDER_2M 9
void page_init(void);
void *page_alloc(unsigned order); /* not zeroed; NULL: none */
void page_free(void *p, unsigned order);
void *page_alloc_len(uint64_t len); /* a multiple of PAGE; for page_free_len */
void page_free_len(void *p, uint64_t len);
uint64_t page_total(void), page_left(void);
void page_zero(void *p, uint64_t len);

/* paging.c: translations. Physical memory and devices are seen at DIRECT_MAP. The image lies IMAGE_OFFSET (Makefile) above
 * its linked physical addresses, and those are (image_moved) below where it was really loaded. */
#define DIRECT_MAP 0xffff800000000000ull
extern uint64_t image_moved;
#define MAP_WRITE 2ull
#define MAP_NX	  (1ull << 63)
void paging_init(void);
void paging_prepare(void); /* of a co-kernel: before page_init */
void paging_use(void);
uint64_t paging_root(void); /* physical */
int paging_map(uint64_t address, uint64_t physical, bool large, uint64_t flags);
void paging_unmap(uint64_t start, uint64_t end); /* what was mapped there goes into limbo */
uint64_t paging_limbo(void *list[2]);		 /* how much is there; takes it out (unless NULL) */
void paging_free(void *list[2]);		 /* after smp_flush */
void paging_protect(uint64_t start, uint64_t end, uint64_t flags, bool none);
bool paging_move(uint64_t from, uint64_t to, uint64_t len);
void paging_shared(uint64_t *start, uint64_t *end); /* what the ROS must forget; takes it out */
bool paging_present(uint64_t address);
bool paging_mapped(uint64_t address); /* also if it may not be touched */

/* region.c: demand-paged memory. Addresses are multiples of PAGE; protection is that of Linux. */
#define REGION_READ  1u
#define REGION_WRITE 2u
#define REGION_EXEC  4u
enum region_space { REGION_KERNEL, REGION_PROGRAM };
uint64_t region_add(enum region_space space, uint64_t len, unsigned protection); /* 0: none left */
/* 0, or -1: not within a space, or no memory for the tables. */
int region_add_at(uint64_t start, uint64_t len, unsigned protection); /* in place of what was there */
int region_remove(uint64_t start, uint64_t len);
int region_protect(uint64_t start, uint64_t len, unsigned protection); /* -1 also: not all of it is there */
int region_discard(uint64_t start, uint64_t len);
int region_move(uint64_t from, uint64_t to, uint64_t len);
int region_protection(uint64_t start, uint64_t len);
bool region_free(uint64_t start, uint64_t len); /* nothing is there */
struct file;
struct region_seen {
	uint64_t start, end;
	unsigned protection;
	struct file *file; /* what was not touched yet is read from there, from (offset) on; NULL: it is zero */
	uint64_t offset;
};
void region_each(void (*visit)(const struct region_seen *r, void *arg), void *arg);
bool region_fault(uint64_t address, uint64_t error);
uint64_t region_bytes(void);
/* Regions whose memory is read from a file when it is touched. region_back takes over a user of (file), if true. Such a page
 * cannot be brought on the page fault's stack: region_backed says so, and region_page_in sleeps; false: it cannot be read. */
bool region_back(uint64_t start, uint64_t len, struct file *file, uint64_t offset);
bool region_backed(uint64_t address, uint64_t error);
bool region_page_in(uint64_t address);
void region_settle(void); /* closes files that no region has any more; may sleep */
#define REGION_BASE 0xffffc00000000000ull
#define REGION_END  0xffffe00000000000ull
#define PROGRAM_MMAP 0x100000000000ull /* where a program's addresses are handed out */

/* malloc.c, beside what lib.h has */
void *calloc(size_t n, size_t len);

/* sched.c, thread.c */
struct signals { /* of an application's thread; signal.c's, under its lock */
	uint64_t mask, pending;
	uint64_t saved; /* the mask to come back to when the system call ends, if (masked) */
	uint64_t awaited; /* by sigtimedwait, though blocked */
	bool masked;
	uint64_t alt_start, alt_len; /* the alternative stack; 0: none */
	int fault;		     /* the signal of an exception to be delivered, and its siginfo: */
	int code;
	uint64_t address, trap, error;
};

enum thread_state { RUNNING, READY, BLOCKED, DEAD };
struct wait_queue {
	struct lock lock;
	struct thread *first, *last;
};
struct fpu_control {
	uint32_t sse;
	uint16_t x87;
};
struct thread {
	uint64_t sp; /* saved; the first field, for entry.S */
	struct thread *next;
	volatile enum thread_state state;
	struct cpu *volatile cpu; /* where it runs, waits to run, or ran */
	unsigned priority, id;
	uint64_t fs;
	char *stack;
	void *fpu;	     /* NULL: a kernel thread, without */
	struct cpu *fpu_cpu; /* which loaded it last */
	bool fpu_free;	     /* it waits in a function it called, and expects only fpu_control back */
	struct fpu_control fpu_control;
	uint64_t *canary;    /* at the end of the kernel stack */
	struct wait_queue *volatile waiting_on;
	struct thread *wait_next;
	uint64_t wait_key;
	volatile bool timed_out, woken, interruptible;
	volatile bool interrupted; /* signal.c: something is to be delivered */
	struct signals signals;
	struct timer timer;
	int *clear_tid;
	uint64_t robust; /* the list of futex.c */
	uint64_t page_in; /* trap.c: the address whose page is to be read; 0: none */
	void (*run)(void *);
	void *argument;
	struct thread *all_next, **all_link;
	const char *name;
	uint64_t ran, since;  /* TSC */
	uint32_t events_seen; /* io.c */
	volatile int users;   /* itself, who may join it, who has found it; under thread.c's lock */
	bool finished;	      /* under joiners.lock */
	struct wait_queue joiners;
};
void sched_init_cpu(struct cpu *c, struct thread *idle);
/* Interrupts off, no lock held; the state says whether the thread comes back by itself. */
void schedule(void);
void sched_yield_cpu(void);
void sched_start(struct thread *t); /* a new thread */
void sched_wake(struct thread *t);  /* a blocked one */
void sched_tick(void);
void sched_idle(void) __attribute__((noreturn));
void sched_finish(void); /* first thing on a thread's stack after a switch; interrupts off */
#define STACK_CANARY 0x7265656620656e64ull

struct thread *thread_new(const char *name, bool fpu);
struct thread *thread_create(const char *name, void (*run)(void *), void *argument, unsigned priority);
void thread_join(struct thread *t);
void thread_exit(void) __attribute__((noreturn));
void thread_put(struct thread *t); /* one user less */
struct thread *thread_find(bool (*is)(struct thread *t, uint64_t arg), uint64_t arg); /* thread_put it */
void thread_each(void (*visit)(struct thread *t, void *arg), void *arg);
#define PRIORITY_NORMAL 2
#define PRIORITY_HIGH	1

/* entry.S */
void switch_to(struct thread *from, struct thread *to);
void thread_begin(void); /* a kernel thread's first instruction */
void frame_return(void); /* continues at the frame at the stack pointer */
void frame_begin(void);	 /* the same, as a new thread's first instruction */

/* sync.c: sleeping. A thread waits in one queue at a time, with a key. */
uint64_t wait_begin(struct wait_queue *q, uint64_t until); /* sets the timer, takes the lock */
/* Sleeps, drops the lock; false: timed out. */
bool wait_on(struct wait_queue *q, uint64_t key, uint64_t flags);
/* The same, but a signal ends it: 0, -ETIMEDOUT, -EINTR. */
long wait_interruptible(struct wait_queue *q, uint64_t key, uint64_t flags);
void wait_interrupt(struct thread *t);
void wait_not(struct wait_queue *q, uint64_t flags);	     /* instead of wait_on: there is no need */
unsigned wake(struct wait_queue *q, uint64_t key, unsigned most);
unsigned wake_locked(struct wait_queue *q, uint64_t key, unsigned most);
void thread_sleep(uint64_t ns);
/* What one thread looks for may come while it looks: it resets the bell, looks, and waits unless somebody has rung since. */
struct bell {
	struct wait_queue queue; /* its lock guards the next */
	volatile bool rung;
};
void bell_reset(struct bell *b);
void bell_ring(struct bell *b); /* from anywhere, interrupts too */
/* 0, -ETIMEDOUT, and if (interruptible) -EINTR. */
long bell_wait(struct bell *b, uint64_t until, bool interruptible);
struct mutex {
	volatile int state; /* 0 free, 1 taken, 2 taken and waited for */
	struct wait_queue queue;
};
void mutex_lock(struct mutex *m);
void mutex_unlock(struct mutex *m);
struct condition {
	volatile unsigned sequence;
	struct wait_queue queue;
};
void condition_wait(struct condition *c, struct mutex *m);
void condition_signal(struct condition *c);
void condition_broadcast(struct condition *c);
struct barrier {
	unsigned need, come, round;
	struct mutex mutex;
	struct condition all;
};
void barrier_wait(struct barrier *b);
struct semaphore {
	volatile int count;
	struct wait_queue queue;
};
void semaphore_down(struct semaphore *s);
void semaphore_up(struct semaphore *s);

/* futex.c */
long futex(struct frame *f);
long futex_wake(uint32_t *word, unsigned most); /* how many */
void futex_robust(struct thread *t);

extern char call_return[]; /* call.S: where a system call that was a function call goes on */

/* calls_time.c, syscall.c, program.c, calls_thread.c */
struct timespec {
	int64_t seconds, nanoseconds;
};
uint64_t time_span(const struct timespec *t); /* in nanoseconds; NULL: NEVER */
void syscall_dispatch(struct frame *f);
extern int process_id; /* and its first thread's */
void program_start(int argc, char **argv) __attribute__((noreturn)); /* program.c */
extern volatile int process_threads;
void random_bytes(void *buf, size_t len);

/* signal.c: signals of the application. */
void signal_send(struct thread *t, int number);	 /* from anywhere */
void signal_send_process(int number);		 /* likewise */
void signal_self(int number);
int signal_number(uint64_t vector); /* of an exception */
bool signal_fault(const struct frame *f, uint64_t address); /* an exception has a handler: then signal_leave delivers it */
void signal_leave(struct frame *f);		  /* on the way back to the program, interrupts on */
static inline bool signal_wanted(const struct thread *t)
{
	return t->interrupted || t->signals.masked || t->signals.fault;
}
long signal_mask_for_call(const uint64_t *user, size_t len); /* until this system call ends; NULL: as it is */
void signal_exec(void); /* handlers go, what is ignored stays */
/* For a copy of this thread: below (below) is put what goes on behind the system call (f), with stack pointer (sp) and result
 * 0. What rt_sigreturn wants as its stack pointer; 0: there is no room. And what rt_sigaction takes for all signals. */
#define SIGNAL_CHILD	   17
#define SIGNAL_ACTIONS_LEN (64 * 32)
uint64_t signal_frame_for(const struct frame *f, uint64_t sp, uint64_t below);
long signal_actions(void *to_user);
void signal_thread_new(struct thread *t);	  /* inherits the caller's mask */

/* io.c: the streams and the console for threads. */
void io_init(void);
void io_interrupt(unsigned vector);
size_t io_read(void *buf, size_t len);
bool io_readable(void);
void stdio_init(void);	  /* stdio.c: descriptors 0, 1 and 2 */
void stdio_changed(void); /* stdin may have something; from the interrupt */
void io_write(const void *buf, size_t len);
void io_console(const void *buf, size_t len);
void io_typed(void); /* something was typed; interrupts off */
int io_key(void); /* waits for a byte typed on the console */

/* net/stack.c: sends what was written to sockets last; NULL in an image without TCP/IP. */
void net_finish(void) __attribute__((weak));

/* shell.c */
void print(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* to the console */
void vprint(const char *fmt, va_list args);
int number(const char *s); /* the digits in front of it */

#endif
