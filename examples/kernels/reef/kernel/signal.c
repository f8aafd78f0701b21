/* SPDX-License-Identifier: MIT */
/*
 * signal.c: signals, as far as programs need them: to a thread or to all, blocked and pending, handlers on the thread's or an
 * alternative stack, exceptions as signals, system calls that end early and are made again. No stopping, no queues
 * of one number, no other processes.
 *
 * A signal is delivered when its thread is about to go on with the program's own code: at the end of a system call or an
 * interrupt. The handler's stack has Linux's frame, with the FPU's state, and rt_sigreturn goes back through it.
 */
#include "delegate.h"
#include "elf.h"
#include "syscall.h"

#define SIGNALS 65
enum {
	SIGHUP = 1,
	SIGILL = 4,
	SIGTRAP,
	SIGABRT,
	SIGBUS,
	SIGFPE,
	SIGKILL,
	SIGSEGV = 11,
	SIGALRM = 14,
	SIGCHLD = 17,
	SIGCONT,
	SIGSTOP,
	SIGTSTP,
	SIGTTIN,
	SIGTTOU,
	SIGURG,
	SIGWINCH = 28
};
#define SA_ONSTACK	0x08000000u
#define SA_RESTART	0x10000000u
#define SA_NODEFER	0x40000000u
#define SA_RESETHAND	0x80000000u
#define HANDLER_DEFAULT 0
#define HANDLER_IGNORE	1
#define BIT(n)		(1ull << ((n)-1))
#define UNBLOCKABLE	(BIT(SIGKILL) | BIT(SIGSTOP))
#define IGNORED                                                                                              \
	(BIT(SIGCHLD) | BIT(SIGCONT) | BIT(SIGURG) | BIT(SIGWINCH) | BIT(SIGSTOP) | BIT(SIGTSTP) |           \
		BIT(SIGTTIN) | BIT(SIGTTOU))
#define RED_ZONE    128
#define CODE_USER   0
#define CODE_KERNEL 0x80
#define CODE_TKILL  (-6)

struct action {
	uint64_t handler, flags, restorer, mask;
};
struct alt_stack {
	uint64_t start;
	int flags, pad;
	uint64_t len;
};
struct siginfo {
	int number, error, code, pad;
	union {
		struct {
			int pid, uid;
		};
		uint64_t address;
		uint64_t room[14];
	};
};
struct context { /* ucontext_t with its mcontext */
	uint64_t flags, link;
	struct alt_stack alt;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
	uint16_t cs, gs, fs, ss;
	uint64_t error, trap, oldmask, cr2, fpu, reserved[8];
	uint64_t mask;
};
struct signal_frame {
	uint64_t restorer;
	struct context context;
	struct siginfo info;
};
_Static_assert(sizeof(struct siginfo) == 128 && sizeof(struct context) == 304, "Linux's layout");

static struct lock lock; /* guards the actions, what is pending, masks of other threads */
static struct action actions[SIGNALS];
static uint64_t pending; /* for whoever takes it */

static bool ignored(int n)
{
	return actions[n].handler == HANDLER_IGNORE ||
	       (actions[n].handler == HANDLER_DEFAULT && IGNORED & BIT(n));
}

static bool takes(const struct thread *t, int n)
{
	return t->fpu && ((~t->signals.mask | t->signals.awaited) & BIT(n));
}

/* The lock is held. */
static void disturb(struct thread *t)
{
	wait_interrupt(t);
	if (t->state == RUNNING && t->cpu && t->cpu != this_cpu())
		apic_send(t->cpu->apic_id, APIC_FIXED | VECTOR_RESCHED);
}

void signal_send(struct thread *t, int n)
{
	uint64_t flags = lock_save(&lock);

	if (!ignored(n) || !takes(t, n)) {
		t->signals.pending |= BIT(n);
		if (takes(t, n))
			disturb(t);
	}
	lock_restore(&lock, flags);
}

static bool is_taker(struct thread *t, uint64_t n)
{
	return takes(t, (int)n) && t->state != DEAD;
}

void signal_send_process(int n)
{
	struct thread *t = thread_find(is_taker, (uint64_t)n);
	uint64_t flags = lock_save(&lock);

	if (!ignored(n)) {
		pending |= BIT(n);
		if (t)
			disturb(t);
	}
	lock_restore(&lock, flags);
	if (t)
		thread_put(t);
}

void signal_self(int n)
{
	signal_send(current_thread(), n);
}

static void renew(struct thread *t)
{
	t->interrupted = (t->signals.pending | pending) & (~t->signals.mask | t->signals.awaited);
}

static void set_mask(struct thread *t, uint64_t mask)
{
	uint64_t flags = lock_save(&lock);

	t->signals.mask = mask & ~UNBLOCKABLE;
	renew(t);
	lock_restore(&lock, flags);
}

long signal_mask_for_call(const uint64_t *user, size_t len)
{
	struct thread *t = current_thread();
	uint64_t mask;

	if (!user)
		return 0;
	if (len != sizeof(mask))
		return -EINVAL;
	if (copy_in(&mask, user, sizeof(mask)))
		return -EFAULT;
	t->signals.saved = t->signals.mask;
	t->signals.masked = true;
	set_mask(t, mask);
	return 0;
}

void signal_thread_new(struct thread *t)
{
	t->signals.mask = current_thread()->signals.mask;
}

void signal_exec(void)
{
	uint64_t flags = lock_save(&lock);

	for (int n = 1; n < SIGNALS; n++)
		if (actions[n].handler != HANDLER_IGNORE)
			actions[n] = (struct action){ 0 };
	current_thread()->signals.alt_len = 0;
	lock_restore(&lock, flags);
}

/* The exceptions that Linux makes signals of. */
static int signal_of(uint64_t vector, int *code)
{
	switch (vector) {
	case 0:
		*code = 1; /* FPE_INTDIV */
		return SIGFPE;
	case 1:
	case 3:
		*code = CODE_KERNEL;
		return SIGTRAP;
	case 6:
		*code = 2; /* ILL_ILLOPN */
		return SIGILL;
	case 16:
	case 19:
		*code = 3; /* FPE_FLTDIV, the likeliest */
		return SIGFPE;
	case 14:
		*code = 1; /* SEGV_MAPERR */
		return SIGSEGV;
	case 17:
		*code = 1;
		return SIGBUS;
	default:
		*code = CODE_KERNEL;
		return vector == 4 || vector == 5 || (vector >= 10 && vector <= 13) ? SIGSEGV : 0;
	}
}

int signal_number(uint64_t vector)
{
	int code, n = signal_of(vector, &code);

	return n ? n : SIGSEGV;
}

/* On the exception's stack, interrupts off. */
bool signal_fault(const struct frame *f, uint64_t address)
{
	struct signals *s = &current_thread()->signals;
	int code, n = signal_of(f->vector, &code);

	if (!n || actions[n].handler <= HANDLER_IGNORE || s->mask & BIT(n) || s->fault)
		return false;
	s->fault = n;
	s->code = f->vector == 14 && f->error & 1 ? 2 /* SEGV_ACCERR */ : code;
	s->address = f->vector == 14 ? address : f->rip;
	s->trap = f->vector;
	s->error = f->error;
	return true;
}

static void end_by(int n) __attribute__((noreturn));
static void end_by(int n)
{
	print("%s: ended by signal %d\n", KERNEL_NAME, n);
	exit(128 + n);
}

/* The next to be delivered, and how; 0: none. */
static int take(struct thread *t, struct siginfo *info, struct action *action)
{
	struct signals *s = &t->signals;
	uint64_t flags = lock_save(&lock), ready;
	int n;

	*info = (struct siginfo){ .code = CODE_USER, .pid = 1 };
	n = s->fault;
	if (n) {
		s->fault = 0;
		info->code = s->code;
		info->address = s->address;
	}
	while (!n && (ready = (s->pending | pending) & ~s->mask)) {
		n = __builtin_ctzll(ready) + 1;
		if (s->pending & BIT(n)) {
			s->pending &= ~BIT(n);
			info->code = CODE_TKILL;
		} else {
			pending &= ~BIT(n);
		}
		if (ignored(n))
			n = 0;
	}
	info->number = n;
	*action = actions[n];
	if (n && action->flags & SA_RESETHAND)
		actions[n].handler = HANDLER_DEFAULT;
	renew(t);
	lock_restore(&lock, flags);
	return n;
}

static bool on_alt(const struct signals *s, uint64_t sp)
{
	return s->alt_len && sp - s->alt_start <= s->alt_len;
}

static struct context context_of(const struct frame *f, const struct thread *t, uint64_t fpu)
{
	const struct signals *s = &t->signals;

	return (struct context){ .flags = 7,
		.alt = { s->alt_start, s->alt_len ? on_alt(s, f->rsp) : 2, 0, s->alt_len },
		.r8 = f->r8,
		.r9 = f->r9,
		.r10 = f->r10,
		.r11 = f->r11,
		.r12 = f->r12,
		.r13 = f->r13,
		.r14 = f->r14,
		.r15 = f->r15,
		.rdi = f->rdi,
		.rsi = f->rsi,
		.rbp = f->rbp,
		.rbx = f->rbx,
		.rdx = f->rdx,
		.rax = f->rax,
		.rcx = f->rcx,
		.rsp = f->rsp,
		.rip = f->rip,
		.rflags = f->rflags,
		.cs = 0x33,
		.ss = 0x2b,
		.error = s->error,
		.trap = s->trap,
		.cr2 = s->address,
		.fpu = fpu,
		.mask = s->masked ? s->saved : s->mask };
}

/* Makes (f) continue in the handler. */
static void enter(struct frame *f, int n, const struct siginfo *info, const struct action *a)
{
	struct thread *t = current_thread();
	bool alt = a->flags & SA_ONSTACK && t->signals.alt_len && !on_alt(&t->signals, f->rsp);
	uint64_t top = alt ? t->signals.alt_start + t->signals.alt_len : f->rsp - RED_ZONE;
	uint64_t fpu = (top - fpu_len) & ~63ull, sp = ((fpu - sizeof(struct signal_frame)) & ~15ull) - 8;
	struct signal_frame sf = { a->restorer, context_of(f, t, fpu), *info };

	if (touch_out((void *)fpu, fpu_len) || copy_out((void *)sp, &sf, sizeof(sf))) {
		print("%s: no stack for the handler of signal %d\n", KERNEL_NAME, n);
		end_by(SIGSEGV);
	}
	memset((void *)fpu, 0, fpu_len);
	fpu_save((void *)fpu); /* the registers are the thread's: the kernel does not use them */
	t->signals.masked = false;
	set_mask(t, t->signals.mask | a->mask | (a->flags & SA_NODEFER ? 0 : BIT(n)));
	f->rip = a->handler;
	f->rsp = sp;
	f->rdi = (uint64_t)n;
	f->rsi = sp + offsetof(struct signal_frame, info);
	f->rdx = sp + offsetof(struct signal_frame, context);
	f->rax = 0;
	f->rflags &= ~0x400ull;
	f->vector = 0; /* a system call's no more */
}

/* What a system call that was disturbed answers; (once_more): it is made again. */
static void resume(struct frame *f, bool once_more)
{
	if (f->vector != VECTOR_SYSCALL || (int64_t)f->rax != -ERESTART)
		return;
	if (once_more) {
		f->rax = f->error; /* its number */
		f->rip -= 2;
	} else {
		f->rax = (uint64_t)-EINTR;
	}
}

void signal_leave(struct frame *f)
{
	struct thread *t = current_thread();
	struct siginfo info;
	struct action action;
	int n;

	while ((n = take(t, &info, &action))) {
		if (action.handler == HANDLER_DEFAULT)
			end_by(n);
		resume(f, action.flags & SA_RESTART);
		enter(f, n, &info, &action);
	}
	resume(f, true);
	if (t->signals.masked) {
		t->signals.masked = false;
		set_mask(t, t->signals.saved);
	}
}

uint64_t signal_frame_for(const struct frame *f, uint64_t sp, uint64_t below)
{
	uint64_t fpu = (below - fpu_len) & ~63ull, at = ((fpu - sizeof(struct signal_frame)) & ~15ull) - 8;
	struct signal_frame sf = { .context = context_of(f, current_thread(), fpu) };

	sf.context.rax = 0;
	sf.context.rsp = sp;
	if (touch_out((void *)fpu, fpu_len) || copy_out((void *)at, &sf, sizeof(sf)))
		return 0;
	memset((void *)fpu, 0, fpu_len);
	fpu_save((void *)fpu);
	return at + 8; /* behind the restorer */
}

long signal_actions(void *to_user)
{
	_Static_assert(sizeof(actions) - sizeof(actions[0]) == SIGNAL_ACTIONS_LEN, "64 signals");
	return copy_out(to_user, &actions[1], SIGNAL_ACTIONS_LEN);
}

CALL(rt_sigreturn)
{
	struct thread *t = current_thread();
	struct signal_frame sf;

	if (copy_in(&sf, (void *)(f->rsp - 8), sizeof(sf)) || touch_in((void *)sf.context.fpu, fpu_len))
		end_by(SIGSEGV);
	const struct context *c = &sf.context;

	f->r8 = c->r8, f->r9 = c->r9, f->r10 = c->r10, f->r11 = c->r11, f->r12 = c->r12, f->r13 = c->r13;
	f->r14 = c->r14, f->r15 = c->r15, f->rdi = c->rdi, f->rsi = c->rsi, f->rbp = c->rbp, f->rbx = c->rbx;
	f->rdx = c->rdx, f->rcx = c->rcx, f->rsp = c->rsp, f->rip = c->rip;
	f->rflags = (c->rflags & 0xcd5) | 0x202;
	f->vector = 0; /* returns with all registers, and is not made again */
	fpu_load((void *)c->fpu);
	set_mask(t, c->mask);
	return (long)c->rax;
}

CALL(rt_sigaction)
{
	int n = (int)ARG1;
	struct action new, old;
	uint64_t flags;

	if (n < 1 || n >= SIGNALS || ARG4 != 8 || (ARG2 && BIT(n) & UNBLOCKABLE))
		return -EINVAL;
	if (ARG2 && copy_in(&new, (void *)ARG2, sizeof(new)))
		return -EFAULT;
	flags = lock_save(&lock);
	old = actions[n];
	if (ARG2) {
		actions[n] = new;
		if (ignored(n))
			pending &= ~BIT(n);
	}
	lock_restore(&lock, flags);
	return ARG3 ? copy_out((void *)ARG3, &old, sizeof(old)) : 0;
}

CALL(rt_sigprocmask)
{
	struct thread *t = current_thread();
	uint64_t new, old = t->signals.mask;

	if (ARG4 != 8)
		return -EINVAL;
	if (ARG2) {
		if (copy_in(&new, (void *)ARG2, 8))
			return -EFAULT;
		if (ARG1 > 2)
			return -EINVAL;
		set_mask(t, ARG1 == 0 ? old | new : ARG1 == 1 ? old & ~new : new);
	}
	return ARG3 ? copy_out((void *)ARG3, &old, 8) : 0;
}

CALL(rt_sigpending)
{
	uint64_t now = (current_thread()->signals.pending | pending) & current_thread()->signals.mask;

	return copy_out((void *)ARG1, &now, 8);
}

static void sleep_until(uint64_t until)
{
	struct wait_queue alone = { 0 };
	uint64_t flags = wait_begin(&alone, until);

	wait_interruptible(&alone, 0, flags);
}

CALL(rt_sigsuspend)
{
	long err = signal_mask_for_call((void *)ARG1, ARG2);

	while (!err && !current_thread()->interrupted)
		sleep_until(NEVER);
	return err ? err : -EINTR;
}

CALL(pause)
{
	(void)f;
	while (!current_thread()->interrupted)
		sleep_until(NEVER);
	return -EINTR;
}

static int take_awaited(struct thread *t, uint64_t set)
{
	uint64_t flags = lock_save(&lock), ready = (t->signals.pending | pending) & set;
	int n = ready ? __builtin_ctzll(ready) + 1 : 0;

	if (n && t->signals.pending & BIT(n))
		t->signals.pending &= ~BIT(n);
	else if (n)
		pending &= ~BIT(n);
	t->signals.awaited = n ? 0 : set;
	renew(t);
	lock_restore(&lock, flags);
	return n;
}

CALL(rt_sigtimedwait)
{
	struct thread *t = current_thread();
	struct timespec limit;
	uint64_t set, until = NEVER;
	int n;

	if (ARG4 != 8)
		return -EINVAL;
	if (copy_in(&set, (void *)ARG1, 8) || (ARG3 && copy_in(&limit, (void *)ARG3, sizeof(limit))))
		return -EFAULT;
	if (ARG3 && time_span(&limit) != NEVER)
		until = clock_ns() + time_span(&limit);
	while (!(n = take_awaited(t, set)) && clock_ns() < until &&
		!((t->signals.pending | pending) & ~t->signals.mask))
		sleep_until(until);
	if (!n) {
		take_awaited(t, 0);
		return clock_ns() < until ? -EINTR : -EAGAIN;
	}
	return ARG2 && copy_out((void *)ARG2, &(struct siginfo){ .number = n }, sizeof(struct siginfo))
		       ? -EFAULT
		       : n;
}

CALL(sigaltstack)
{
	struct signals *s = &current_thread()->signals;
	struct alt_stack new, old = { s->alt_start, s->alt_len ? on_alt(s, f->rsp) : 2, 0, s->alt_len };

	if (ARG1) {
		if (copy_in(&new, (void *)ARG1, sizeof(new)))
			return -EFAULT;
		if (old.flags == 1)
			return -EPERM;
		if (!(new.flags & 2) && new.len < 2048)
			return -ENOMEM;
		s->alt_start = new.start;
		s->alt_len = new.flags & 2 ? 0 : new.len;
	}
	return ARG2 ? copy_out((void *)ARG2, &old, sizeof(old)) : 0;
}

static bool has_id(struct thread *t, uint64_t id)
{
	return t->id == id && t->fpu;
}

static long send_thread(int id, int n)
{
	struct thread *t;

	if (n < 0 || n >= SIGNALS)
		return -EINVAL;
	t = thread_find(has_id, (uint64_t)id);
	if (!t)
		return -ESRCH;
	if (n)
		signal_send(t, n);
	thread_put(t);
	return 0;
}

CALL(tkill)
{
	return send_thread((int)ARG1, (int)ARG2);
}

CALL(tgkill)
{
	return send_thread((int)ARG2, (int)ARG3);
}

CALL(kill)
{
	int pid = (int)ARG1, n = (int)ARG2;

	if (n < 0 || n >= SIGNALS)
		return -EINVAL;
	if (pid != process_id && pid != 0 && pid != -1) /* a child */
		return program_runs && delegate_there() ? delegate_program(f, f->rax) : -ESRCH;
	if (n == SIGKILL)
		end_by(n);
	if (n)
		signal_send_process(n);
	return 0;
}
