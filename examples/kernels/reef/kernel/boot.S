/* SPDX-License-Identifier: MIT */
/*
 * boot.S: from the loader's 32-bit world to start() in the upper half of the address space.
 *
 * Both protocols enter here in 32-bit protected mode, paging off, flat segments, interrupts off, with the image at
 * its physical addresses:
 *   PVH        %ebx = physical address of the start info
 *   Multiboot  %ebx = physical address of the information structure, %eax = its magic
 * The first 4 GiB are mapped at 0 (until paging.c takes that back) and at DIRECT_MAP, the image also where
 * it is linked; then start(%edi = magic, %rsi = info at DIRECT_MAP).
 */
	.file	"boot.S"
	.section .text.entry, "ax"
	.code32
#define PHYSICAL(x)	((x) - IMAGE_OFFSET)
	.globl	entry_pvh, entry_multiboot
entry_pvh:
	movl	$0x336ec578, %eax	/* PVH gives no magic in a register: take that of its structure */
entry_multiboot:
	cli
	cld
	movl	%eax, %edi
	movl	%ebx, %esi

	/* Four page directories, 2048 entries of 2 MiB: the address overflows (carry) after the last. */
	movl	$PHYSICAL(page_dirs), %edx
	movl	$0x83, %eax		/* present, writable, 2 MiB */
1:	movl	%eax, (%edx)
	addl	$8, %edx
	addl	$0x200000, %eax
	jnc	1b

	movl	$PHYSICAL(image_dir), %edx
	movl	$0x83, %eax
2:	movl	%eax, (%edx)
	addl	$8, %edx
	addl	$0x200000, %eax
	cmpl	$PHYSICAL(image_end), %eax
	jb	2b

	movl	$PHYSICAL(image_dir) + 3, %eax	/* present, writable */
	movl	%eax, PHYSICAL(image_pointers) + 510 * 8
	movl	$PHYSICAL(page_dirs) + 3, %eax
	movl	%eax, PHYSICAL(page_pointers)
	addl	$4096, %eax
	movl	%eax, PHYSICAL(page_pointers) + 8
	addl	$4096, %eax
	movl	%eax, PHYSICAL(page_pointers) + 16
	addl	$4096, %eax
	movl	%eax, PHYSICAL(page_pointers) + 24
	movl	$PHYSICAL(page_pointers) + 3, %eax
	movl	%eax, PHYSICAL(page_root)
	movl	%eax, PHYSICAL(page_root) + 256 * 8
	movl	$PHYSICAL(image_pointers) + 3, PHYSICAL(page_root) + 511 * 8

	movl	$PHYSICAL(page_root), %eax
	movl	%eax, %cr3
	movl	$0x620, %eax		/* PAE; OSFXSR and OSXMMEXCPT allow SSE, which applications use */
	movl	%eax, %cr4
	movl	$0xc0000080, %ecx	/* EFER */
	movl	$0x900, %eax		/* LME long mode, NXE pages that cannot be executed */
	xorl	%edx, %edx
	wrmsr
	movl	$0x80010033, %eax	/* PG, WP, NE, ET, MP, PE */
	movl	%eax, %cr0
	lgdt	PHYSICAL(gdt_pointer)
	ljmp	$8, $PHYSICAL(entry_64)

	.code64
entry_64:
	movl	$16, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	movq	$stack_top, %rsp
	movl	%esi, %esi
	movabsq	$0xffff800000000000, %rax
	addq	%rax, %rsi
	xorl	%ebp, %ebp		/* the end of the chain of frames */
	movabsq	$start, %rax
	call	*%rax			/* does not return */

/* As a co-kernel (guest.h section 5): every CPU comes here, in 64-bit mode, on tables and a stack of the loader's:
 *   %eax = Multiboot 2's magic, %rbx = its information, %edx = our number among the CPUs */
	.globl	entry_cokernel
entry_cokernel:
	movl	%edx, %r12d
	xorl	%ebp, %ebp
	testl	%r12d, %r12d
	jnz	3f
	movq	$stack_top, %rsp
	movl	%eax, %edi
	movq	%rbx, %rsi
	call	start			/* does not return */
3:	movl	%r12d, %edi
	call	smp_wait		/* returns the stack of our own */
	movq	%rax, %rsp
	leal	-1(%r12), %edi
	call	ap_main

	.section .note.diverfs, "a", @note
	.p2align 2
	.long	8			/* length of the owner's name with its NUL */
	.long	24			/* length of struct guest_note */
	.long	1			/* GUEST_NOTE_COKERNEL */
	.asciz	"diverfs"
	.long	2			/* GUEST_REV */
	.long	0
	.quad	entry_cokernel, 0xffff800000000000

	.data
	.p2align 3
gdt:	.quad	0
	.quad	0x00af9b000000ffff	/*  8: 64-bit code */
	.quad	0x00cf93000000ffff	/* 16: data */
gdt_pointer:
	.word	gdt_pointer - gdt - 1
	.quad	PHYSICAL(gdt)

	.bss
	.globl	page_root, page_pointers, page_dirs, image_pointers, image_dir, stack_guard
	.p2align 12
page_root:	.skip 4096
page_pointers:	.skip 4096
image_pointers:	.skip 4096
image_dir:	.skip 4096
page_dirs:	.skip 4 * 4096
stack_guard:	.skip 4096		/* paging.c leaves it out: a stack that overflows faults */
		.skip 65536
stack_top:

	.section .note.GNU-stack, "", @progbits
