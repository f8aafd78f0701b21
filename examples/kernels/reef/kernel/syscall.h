/* SPDX-License-Identifier: MIT */
/*
 * syscall.h: how a system call is written. It gets the caller's registers and returns a number or -errno:
 *
 *	CALL(getpid)
 *	{
 *		return ...ARG1...;
 *	}
 *
 * and has a line in calls.h. It runs on the thread's kernel stack, interrupts on, may be preempted and may sleep.
 *
 * Pointers come from the program and may be bad: they are touched by the functions below only, with no spin lock held,
 * because the page may have to be brought first. (One address space, one privilege: this is for mistakes, not for protection.)
 */
#ifndef SYSCALL_H
#define SYSCALL_H

#include "errors.h"
#include "kernel.h"

#define CALL(name) long sys_##name(struct frame *f)
#define ARG1	   f->rdi
#define ARG2	   f->rsi
#define ARG3	   f->rdx
#define ARG4	   f->r10
#define ARG5	   f->r8
#define ARG6	   f->r9

/* All of calls.h, so that there need be no other prototypes. */
#define LOCAL(number, name)  CALL(name);
#define EITHER(number, name) CALL(name);
#define OTHER(number, name)
#define REFUSED(number, name)
#include "calls.h"
#undef LOCAL
#undef EITHER
#undef OTHER
#undef REFUSED

/* Sockets are there in images with TCP/IP (net/); elsewhere these are NULL. */
#pragma weak sys_socket
#pragma weak sys_connect
#pragma weak sys_accept
#pragma weak sys_sendto
#pragma weak sys_recvfrom
#pragma weak sys_sendmsg
#pragma weak sys_recvmsg
#pragma weak sys_shutdown
#pragma weak sys_bind
#pragma weak sys_listen
#pragma weak sys_getsockname
#pragma weak sys_getpeername
#pragma weak sys_setsockopt
#pragma weak sys_getsockopt
#pragma weak sys_accept4

/* user.c: 0, or -EFAULT. */
long copy_in(void *to, const void *from_user, size_t len);
long copy_out(void *to_user, const void *from, size_t len);
long touch_in(const void *user, size_t len); /* the memory is there, to be read, */
long touch_out(void *user, size_t len);	     /* or written */
/* The length without the NUL; -EFAULT, -ENAMETOOLONG if it does not fit. */
long string_in(char *to, const char *from_user, size_t room);

struct iovec {
	char *base;
	size_t len;
};

const char *syscall_name(uint64_t number); /* "?" */

#endif
