/* SPDX-License-Identifier: MIT */
/*
 * handlers.S: what the HRT's CPUs run for an exception before the kernel has an interrupt table of its own: they write it
 * down for the agent and halt. Copied into the partition, so nothing here refers to an address.
 */
#include "deployers/cokernel/agent/tables.h"

	.section .rodata
	.balign 16
	.globl	handlers_begin, handlers_end, handlers_area, handlers_first
	.set	vector, 0
handlers_begin:
	.rept	32
	.balign	HANDLER_STEP
	.if	vector != 8 && (vector < 10 || vector > 14) && vector != 17 && vector != 21 && vector != 29 && vector != 30
	pushq	$0				/* the error code that others have */
	.endif
	pushq	$vector
	jmp	1f
	.set	vector, vector + 1
	.endr

	.balign	16
1:	lock btsl $0, claimed(%rip)		/* the first one is what matters */
	jc	2f
	movq	handlers_area(%rip), %rdi
	popq	%rax
	movl	%eax, PANIC_VECTOR(%rdi)
	popq	%rax
	movq	%rax, PANIC_ERROR(%rdi)
	movq	(%rsp), %rax
	movq	%rax, PANIC_RIP(%rdi)
	movq	24(%rsp), %rax
	movq	%rax, PANIC_RSP(%rdi)
	movq	%rbp, PANIC_RBP(%rdi)
	movq	%cr2, %rax
	movq	%rax, PANIC_CR2(%rdi)
	movq	%cr3, %rax
	movq	%rax, PANIC_CR3(%rdi)
	movl	$1, %eax
	cpuid					/* EBX: the APIC id in the high byte */
	shrl	$24, %ebx
	subl	handlers_first(%rip), %ebx
	movl	%ebx, PANIC_CPU(%rdi)
	movl	$2, AREA_STATE(%rdi)		/* GUEST_FAILED */
2:	cli
	hlt
	jmp	2b

	.balign	8
handlers_area:	.quad	0
handlers_first:	.long	0
claimed:	.long	0
handlers_end:

	.section .note.GNU-stack,"",@progbits
