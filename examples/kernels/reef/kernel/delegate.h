/* SPDX-License-Identifier: MIT */
/*
 * delegate.h: system calls that the Linux beside us makes for our program (guest.h section 7).
 *
 * Pointers among the arguments are program addresses, the same there as here; memory of the kernel cannot be passed.
 * Threads: any; a call sleeps here as long as it does there.
 */
#ifndef DELEGATE_H
#define DELEGATE_H

#include "file.h"

bool delegate_there(void);
/* Linux's result, or -ERESTART: a signal came. */
long delegate_call(uint64_t number, const uint64_t arguments[6]);
#define DELEGATE(number, ...) delegate_call(number, (const uint64_t[6]){ __VA_ARGS__ })
/* A system call of the program, as it is in (f). Interrupts are off; they may be on when it returns. */
long delegate_program(struct frame *f, uint64_t number);
/* The ROS forgets what it knows of these addresses. */
void delegate_forget(uint64_t start, uint64_t len);
/* fork.c: a process that continues behind (f), at (sp), and is Linux's; (set_tid), (clear_tid) as of clone. Its id, or -errno. */
long delegate_fork(const struct frame *f, uint64_t sp, uint64_t set_tid, uint64_t clear_tid);
void delegate_interrupt(void); /* the doorbell */
/* delegate_file.c: a file of the ROS, to be read by the kernel; one of its descriptors as a file (NULL: no memory). */
long delegate_open(const char *path, struct file **file);
struct file *delegate_own(uint64_t fd); /* closes it at the end */
void delegate_exec(void); /* closes what is not to stay open when another program begins */
int delegate_fd(const struct file *f); /* of such a file; -1: it is none */
struct file *delegate_stream(uint64_t fd, unsigned flags);

#endif
