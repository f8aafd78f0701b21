/* SPDX-License-Identifier: MIT */
/*
 * leave.S: copied to a page of its own, which is all of the agent that stays. It uses no stack: there is none.
 *   rdi  the next struct leave_call, then r12   rsi  how many are left, then r13   rdx  the frame, then r14
 */
#include "deployers/cokernel/agent/leave.h"

	.section .rodata
	.globl	leave_begin, leave_end
leave_begin:
	movq	%rdi, %r12
	movq	%rsi, %r13
	movq	%rdx, %r14
1:	testq	%r13, %r13
	jz	2f
	movq	(%r12), %rax
	movq	8(%r12), %rdi
	movq	16(%r12), %rsi
	movq	24(%r12), %rdx
	movq	32(%r12), %r10
	movq	40(%r12), %r8
	movq	48(%r12), %r9
	syscall
	addq	$LEAVE_CALL_BYTES, %r12
	decq	%r13
	jmp	1b
2:	movq	%r14, %rsp
	movl	$15, %eax			/* rt_sigreturn */
	syscall
	hlt
leave_end:

	.section .note.GNU-stack, "", @progbits
