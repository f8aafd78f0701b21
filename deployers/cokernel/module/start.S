/* SPDX-License-Identifier: GPL-2.0 */
/*
 * start.S: where a CPU begins after INIT and STARTUP: real mode, at the start of a page below 1 MiB, CS = page / 16.
 * This is copied there, and the words at its end are filled in by trampoline.c.
 *
 * Real mode -> long mode in one step, on a passing page table that maps this page where it is and has the HRT's high
 * half; then to this page's alias in the HRT's direct map, where the HRT's own table, with nothing in its low
 * half, can be loaded.
 */
#include "trampoline.h"

	.section .rodata
	.balign 16
	.globl	trampoline_begin, trampoline_end
	.code16
trampoline_begin:
	cli
	cld
	movw	%cs, %ax
	movw	%ax, %ds
	cmpl	$0, (TRAMPOLINE_DATA + T_PARK)
	je	1f
	movl	$1, (TRAMPOLINE_DATA + T_ALIVE)
0:	hlt
	jmp	0b
1:	lgdtl	(gdtr - trampoline_begin)
	movl	$0x620, %eax			/* PAE OSFXSR OSXMMEXCPT */
	movl	%eax, %cr4
	movl	(TRAMPOLINE_DATA + T_PASSING), %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx		/* EFER: NXE LME SCE */
	movl	$0x901, %eax
	xorl	%edx, %edx
	wrmsr
	movl	$0x80010033, %eax		/* PG WP NE ET MP PE */
	movl	%eax, %cr0
	ljmpl	*(TRAMPOLINE_DATA + T_FAR)

	.code64
	.globl	trampoline_long
trampoline_long:
	leaq	2f(%rip), %rax
	addq	data + T_DIRECT(%rip), %rax
	jmp	*%rax
2:	movq	data + T_CR3(%rip), %rax
	movq	%rax, %cr3
	lgdt	data + T_GDT(%rip)
	lidt	data + T_IDT(%rip)
	movl	$0x10, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	movq	data + T_RSP(%rip), %rsp
	pushq	$0x08
	leaq	3f(%rip), %rax
	pushq	%rax
	lretq
3:	movl	data + T_TR(%rip), %eax
	testl	%eax, %eax
	jz	4f
	ltr	%ax
4:	movq	data + T_RBX(%rip), %rbx
	movq	data + T_RCX(%rip), %rcx
	movq	data + T_RDX(%rip), %rdx
	movq	data + T_RAX(%rip), %rax
	movq	data + T_ENTRY(%rip), %r8
	xorl	%ebp, %ebp
	/* From here on the words are the next CPU's. */
	movl	$1, data + T_ALIVE(%rip)
	jmp	*%r8

	.balign 8
gdt:	.quad	0
	.quad	0x00af9b000000ffff		/* 0x08: 64-bit code */
	.quad	0x00cf93000000ffff		/* 0x10: data */
gdtr:	.word	gdtr - gdt - 1
	.globl	trampoline_gdt_base
trampoline_gdt_base:
	.long	gdt - trampoline_begin		/* + the page's address */

	.org	trampoline_begin + TRAMPOLINE_DATA
data:	.fill	T_BYTES, 1, 0
trampoline_end:
