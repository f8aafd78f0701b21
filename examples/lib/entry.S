/* SPDX-License-Identifier: MIT */
/*
 * entry.S: from the loader's 32-bit world to start() in 64-bit mode.
 *
 * Both protocols enter here in 32-bit protected mode, paging off, flat segments, interrupts off:
 *   PVH        %ebx = physical address of the start info
 *   Multiboot  %ebx = physical address of the information structure, %eax = its magic
 * We map the first 4 GiB one to one, turn on paging, long mode and SSE, and call start(%edi = magic, %rsi = info).
 */
	.file	"entry.S"
	.section .text.entry, "ax"
	.code32
	.globl	entry_pvh, entry_multiboot
entry_pvh:
	movl	$0x336ec578, %eax	/* PVH gives no magic in a register: take that of its structure */
entry_multiboot:
	cli
	cld
	movl	%eax, %edi
	movl	%ebx, %esi
	movl	$stack_top, %esp

	/* Four page directories, 2048 entries of 2 MiB: the address overflows (carry) after the last. */
	movl	$page_dirs, %edx
	movl	$0x83, %eax		/* present, writable, 2 MiB */
1:	movl	%eax, (%edx)
	addl	$8, %edx
	addl	$0x200000, %eax
	jnc	1b

	movl	$page_dirs + 3, %eax	/* present, writable */
	movl	%eax, page_pointers
	addl	$4096, %eax
	movl	%eax, page_pointers + 8
	addl	$4096, %eax
	movl	%eax, page_pointers + 16
	addl	$4096, %eax
	movl	%eax, page_pointers + 24
	movl	$page_pointers + 3, page_root

	movl	$page_root, %eax
	movl	%eax, %cr3
	movl	$0x620, %eax		/* PAE; OSFXSR and OSXMMEXCPT allow SSE, which the compiler uses */
	movl	%eax, %cr4
	movl	$0xc0000080, %ecx	/* EFER */
	movl	$0x900, %eax		/* LME long mode, NXE pages that cannot be executed */
	xorl	%edx, %edx
	wrmsr
	movl	$0x80010033, %eax	/* PG, WP, NE, ET, MP, PE */
	movl	%eax, %cr0
	lgdt	gdt_pointer
	ljmp	$8, $entry_64

	.code64
entry_64:
	movl	$16, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	movl	$stack_top, %esp	/* also clears the upper half */
	xorl	%ebp, %ebp		/* the end of the chain of frames */
	call	start			/* does not return */

	.data
	.globl	gdt
	.p2align 3
gdt:	.quad	0
	.quad	0x00af9b000000ffff	/*  8: 64-bit code */
	.quad	0x00cf93000000ffff	/* 16: data */
	.quad	0, 0			/* 24: the task state segment, filled by trap.c */
gdt_pointer:
	.word	gdt_pointer - gdt - 1
	.quad	gdt

	.bss
	.globl	page_root, stack_guard
	.p2align 12
page_root:	.skip 4096
page_pointers:	.skip 4096
page_dirs:	.skip 4 * 4096
	.globl	page_dirs
stack_guard:	.skip 4096		/* memory.c unmaps it: a stack that overflows faults */
		.skip 65536
stack_top:

	.section .note.GNU-stack, "", @progbits
