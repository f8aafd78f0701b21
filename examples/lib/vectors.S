/* SPDX-License-Identifier: MIT */
/*
 * vectors.S: exceptions and interrupts, up to the C code in trap.c.
 *
 * The CPU pushes an error code for some vectors only; we push 0 for the others, then the
 * vector, then the registers: struct trap_frame in trap.c.
 */
	.file	"vectors.S"
	.text
	.code64
#define HAS_ERROR_CODE 0x60227d00	/* a bit a vector */
	.globl	trap_stubs
	.p2align 4
trap_stubs:
	.set	vector, 0
	.rept	32
	.p2align 4			/* 16 bytes each: trap.c counts on it */
	.if	((HAS_ERROR_CODE >> vector) & 1) == 0
	pushq	$0
	.endif
	pushq	$vector
	jmp	trap_common
	.set	vector, vector + 1
	.endr

trap_common:
	pushq	%rax
	pushq	%rbx
	pushq	%rcx
	pushq	%rdx
	pushq	%rsi
	pushq	%rdi
	pushq	%rbp
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, %rdi
	cld
	call	trap_report		/* does not return */

/* A device interrupt has done its work by ending the hlt: only tell the local APIC that we saw it. */
	.globl	interrupt_wake, interrupt_spurious
interrupt_wake:
	pushq	%rax
	movl	$0xfee000b0, %eax	/* end of interrupt */
	movl	$0, (%rax)
	popq	%rax
interrupt_spurious:
	iretq

	.section .note.GNU-stack, "", @progbits
