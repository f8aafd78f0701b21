/* SPDX-License-Identifier: MIT */
/* syscall.c: from a number to the function that serves it. */
#include "syscall.h"

static const struct call {
	long (*local)(struct frame *f);
	const char *name;
} calls[] = {
#define LOCAL(number, name)   [number] = { sys_##name, #name },
#define EITHER(number, name)  [number] = { sys_##name, #name },
#define OTHER(number, name)   [number] = { NULL, #name },
#define REFUSED(number, name) [number] = { NULL, #name },
#include "calls.h"
};
#define CALLS (sizeof(calls) / sizeof(calls[0]))

const char *syscall_name(uint64_t number)
{
	return number < CALLS && calls[number].name ? calls[number].name : "?";
}

void syscall_dispatch(struct frame *f)
{
	struct thread *t = current_thread();
	uint64_t number = f->rax;

	f->error = number; /* for signal.c, should the call be made again */
	t->fpu_free = f->rip == (uint64_t)call_return;
	f->rax = (uint64_t)(number < CALLS && calls[number].local ? calls[number].local(f) : -ENOSYS);
	t->fpu_free = false;
	if (signal_wanted(t) || (int64_t)f->rax == -ERESTART)
		signal_leave(f);
}
