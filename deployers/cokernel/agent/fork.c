/* SPDX-License-Identifier: MIT */
/*
 * fork.c: a child of the program (GUEST_CALL_FORK): a copy of the proxy becomes the copy of the program. So it has the program's
 * descriptors, directory and root from the start; its memory is filled from the HRT's, by the HRT's page table.
 *
 * What comes last cannot be done by code of ours, which has to be gone by then: a page (leave.S) unmaps all but the
 * program and itself, and goes on as the program. The child is Linux's own from then on, in ring 3, and no policy looks at its calls:
 * so it has no capabilities but harmless ones, and with a policy that refuses anything there are no children, unless it says so.
 */
#include "deployers/cokernel/agent/leave.h"
#include "deployers/cokernel/agent/parts.h"
#include "deployers/cokernel/agent/policy.h"

#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE	    4096ull
#define ADDRESS	    0x000ffffffffff000ull /* of an entry of a page table */
#define LARGE	    0x80ull
#define SIGNALS	    64
#define LEAVE_BYTES PAGE
#define TASK_END    0x7ffffffff000ull
#define NAME_BYTES  4096
#define LOOK_NS	    20000000

struct action { /* as the system call has it */
	uint64_t handler, flags, restorer, mask;
};

/* All that a child needs to know, copied from the program. */
struct plan {
	struct guest_fork begin;
	struct action actions[SIGNALS];
	char program[NAME_BYTES];
	struct guest_region regions[];
};

/* --- what the program wants --------------------------------------------------------------------------------------- */

static int fetch(struct hrt *h, uint64_t from, void *to, uint64_t bytes)
{
	struct cokernel_copy c = { from, (uint64_t)to, bytes };
	int got = ioctl(h->device, COKERNEL_COPY, &c);

	return got < 0 ? -errno : (uint64_t)got < bytes ? -EFAULT : 0;
}

static bool regions_are_right(const struct plan *p)
{
	uint64_t at = GUEST_PROGRAM_START;

	for (uint64_t i = 0; i < p->begin.count; i++) {
		const struct guest_region *r = &p->regions[i];

		if (r->start < at || r->end <= r->start || r->end > GUEST_PROGRAM_END ||
			(r->start | r->end | r->offset) % PAGE)
			return false;
		at = r->end;
	}
	return true;
}

static int fetch_all(struct hrt *h, const struct guest_fork *begin, struct plan *p)
{
	struct cokernel_copy name = { begin->program, (uint64_t)p->program, NAME_BYTES - 1 };

	p->begin = *begin;
	int err = fetch(h, begin->actions, p->actions, sizeof(p->actions));
	if (!err)
		err = fetch(h, begin->regions, p->regions, begin->count * sizeof(p->regions[0]));
	if (!err && ioctl(h->device, COKERNEL_COPY, &name) < 0)
		err = -errno;
	return err || regions_are_right(p) ? err : -EINVAL;
}

static struct plan *plan_make(struct hrt *h, uint64_t from, int *err)
{
	struct guest_fork begin;
	struct plan *p;

	*err = fetch(h, from, &begin, sizeof(begin));
	if (!*err && begin.count > GUEST_FORK_REGIONS)
		*err = -E2BIG;
	if (*err)
		return NULL;
	p = calloc(1, sizeof(*p) + begin.count * sizeof(p->regions[0]));
	*err = p ? fetch_all(h, &begin, p) : -ENOMEM;
	if (!*err)
		return p;
	free(p);
	return NULL;
}

/* --- its memory, in the child ----------------------------------------------------------------------------------------- */

static bool is_ours(const struct hrt *h, uint64_t physical, uint64_t bytes)
{
	return physical >= h->lease.address && bytes <= h->lease.bytes &&
	       physical - h->lease.address <= h->lease.bytes - bytes;
}

/* The page that (address) is in, or NULL; (step): how far that reaches. */
static const uint8_t *page_of(struct hrt *h, uint64_t address, uint64_t *step)
{
	uint64_t table = __atomic_load_n(&h->area->program_cr3, __ATOMIC_RELAXED) & ADDRESS;

	for (unsigned shift = 39;; shift -= 9) {
		uint64_t rest = address & ((1ull << shift) - 1), entry;

		*step = (1ull << shift) - rest;
		if (!is_ours(h, table, PAGE))
			return NULL;
		entry = __atomic_load_n(
			(uint64_t *)hrt_at(h, table) + (address >> shift & 511), __ATOMIC_RELAXED);
		if (!(entry & ADDRESS))
			return NULL;
		table = entry & ADDRESS;
		if (shift == 12 || (shift <= 30 && entry & LARGE)) {
			table = (table & ~((1ull << shift) - 1)) + rest;
			return is_ours(h, table, *step) ? hrt_at(h, table) : NULL;
		}
	}
}

static bool is_zero(const uint8_t *page)
{
	const uint64_t *words = (const void *)page;

	for (size_t i = 0; i < PAGE / sizeof(*words); i++)
		if (words[i])
			return false;
	return true;
}

static void copy_pages(struct hrt *h, const struct guest_region *r)
{
	uint64_t step;

	for (uint64_t a = r->start; a < r->end; a += step) {
		const uint8_t *page = page_of(h, a, &step);

		if (step > r->end - a)
			step = r->end - a;
		for (uint64_t i = 0; page && i < step; i += PAGE)
			if (r->fd >= 0 || !is_zero(page + i))
				memcpy((void *)(a + i), page + i, PAGE);
	}
}

static int make_region(struct hrt *h, const struct guest_region *r)
{
	int flags = MAP_PRIVATE | MAP_FIXED_NOREPLACE | MAP_NORESERVE | (r->fd < 0 ? MAP_ANONYMOUS : 0);
	uint64_t bytes = r->end - r->start;

	if (mmap((void *)r->start, bytes, PROT_READ | PROT_WRITE, flags, r->fd, (off_t)r->offset) !=
		(void *)r->start)
		return -errno;
	copy_pages(h, r);
	return 0;
}

static int make_memory(struct hrt *h, const struct plan *p)
{
	int err = 0;

	for (uint64_t i = 0; i < p->begin.count && !err; i++)
		err = make_region(h, &p->regions[i]);
	if (!err && p->begin.set_tid >= GUEST_PROGRAM_START && p->begin.set_tid < GUEST_PROGRAM_END - 4)
		*(int *)p->begin.set_tid = getpid();
	for (uint64_t i = 0; i < p->begin.count && !err; i++) {
		const struct guest_region *r = &p->regions[i];

		if (r->protection != (PROT_READ | PROT_WRITE) &&
			mprotect((void *)r->start, r->end - r->start, (int)(r->protection & 7)) < 0)
			err = -errno;
		if (r->fd >= 0)
			close(r->fd);
	}
	return err;
}

/* --- and the rest of it ------------------------------------------------------------------------------------------------ */

/* Files of others, other users' identity, signals to them, low ports. */
#define KEEP                                                                                                 \
	(1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH | 1u << CAP_FOWNER |           \
		1u << CAP_FSETID | 1u << CAP_KILL | 1u << CAP_SETGID | 1u << CAP_SETUID |                    \
		1u << CAP_NET_BIND_SERVICE)

static void limit_itself(const struct plan *p)
{
	const char *name = strrchr(p->program, '/');

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, name ? name + 1 : p->program);
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (cap > 31 || !(KEEP >> cap & 1))
			prctl(PR_CAPBSET_DROP, cap);
	syscall(SYS_close_range, PRIVATE_FDS, ~0u, 0);
	for (int n = 1; n <= SIGNALS; n++)
		syscall(SYS_rt_sigaction, n, &p->actions[n - 1], NULL, 8);
}

static void add(struct leave *l, uint64_t number, uint64_t a, uint64_t b, uint64_t c)
{
	l->calls[l->count++] = (struct leave_call){ number, { a, b, c, 0, 0, 0 } };
}

_Static_assert(sizeof(struct leave) <= LEAVE_BYTES, "one page has all");

/* Never comes back. */
static void leave(struct leave *l, const struct plan *p)
{
	uint64_t page = (uint64_t)l, behind = page + LEAVE_BYTES;
	int file = open(p->program, O_RDONLY | O_CLOEXEC);

	l->header = (struct __user_cap_header_struct){ _LINUX_CAPABILITY_VERSION_3, 0 };
	l->data[0] = (struct __user_cap_data_struct){ KEEP, KEEP, 0 };
	add(l, SYS_munmap, GUEST_PROGRAM_END, page - GUEST_PROGRAM_END, 0);
	add(l, SYS_munmap, behind, TASK_END - behind, 0);
	/* Each may have to be behind the other: one of the first two says so. */
	add(l, SYS_prctl, PR_SET_MM, PR_SET_MM_BRK, p->begin.brk);
	add(l, SYS_prctl, PR_SET_MM, PR_SET_MM_START_BRK, p->begin.brk_start);
	add(l, SYS_prctl, PR_SET_MM, PR_SET_MM_BRK, p->begin.brk);
	add(l, SYS_prctl, PR_SET_MM, PR_SET_MM_EXE_FILE, (uint64_t)file);
	add(l, SYS_close, (uint64_t)file, 0, 0);
	add(l, SYS_capset, (uint64_t)&l->header, (uint64_t)l->data, 0);
	add(l, SYS_set_tid_address, p->begin.clear_tid, 0, 0);
	add(l, SYS_arch_prctl, ARCH_SET_FS, p->begin.fs, 0);
	l->sp = p->begin.frame;
	memcpy(l->code, leave_begin, (size_t)(leave_end - leave_begin));
	mprotect(l, LEAVE_BYTES, PROT_READ | PROT_EXEC);
	((void (*)(const struct leave_call *, uint64_t, uint64_t))l->code)(l->calls, l->count, l->sp);
}

/* Here all signals but those of faults are blocked, until the frame unblocks them. The agent's own comes to this process no more:
 * it is the program's from now on, whose handler must not run before the program is there. */
static _Noreturn void become(struct hrt *h, const struct plan *p, int *state)
{
	sigset_t own;

	sigemptyset(&own);
	sigaddset(&own, SIGUSR1);
	sigprocmask(SIG_BLOCK, &own, NULL);
	int err = make_memory(h, p);
	struct leave *l = mmap(NULL, LEAVE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (!err && (l == MAP_FAILED || (uint64_t)l < GUEST_PROGRAM_END))
		err = -ENOMEM;
	if (!err)
		limit_itself(p);
	__atomic_store_n(state, err ? err : 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, state, FUTEX_WAKE, 1, NULL, NULL, 0);
	if (!err)
		leave(l, p);
	_exit(127);
}

/* --- the parent --------------------------------------------------------------------------------------------------------- */

static bool has_ended(pid_t pid)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == pid;
}

/* Until the child stands on its own feet: 1; or -errno. */
static int wait_for(pid_t pid, int *state)
{
	const struct timespec look = { 0, LOOK_NS };
	int said;

	while (!(said = __atomic_load_n(state, __ATOMIC_SEQ_CST)))
		if (syscall(SYS_futex, state, FUTEX_WAIT, 0, &look, NULL, 0) < 0 && has_ended(pid) &&
			!__atomic_load_n(state, __ATOMIC_SEQ_CST))
			return -EFAULT;
	return said;
}

static int64_t begin(struct hrt *h, const struct plan *p)
{
	int *state = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (state == MAP_FAILED)
		return -errno;
	pid_t pid = fork();
	if (!pid)
		become(h, p, state);
	int64_t result = pid < 0 ? -errno : wait_for(pid, state);
	if (result == 1)
		result = pid;
	else if (pid > 0)
		waitpid(pid, NULL, 0);
	munmap(state, PAGE);
	return result;
}

int64_t fork_program(struct hrt *h, uint64_t from)
{
	int err;

	if (getuid()) {
		note("fork is refused: the program is not root, and brk of a child cannot be set");
		return -EPERM;
	}
	struct plan *p = plan_make(h, from, &err);
	if (!p)
		return err;
	int64_t result = begin(h, p);
	free(p);
	return result;
}
