/* SPDX-License-Identifier: MIT */
/*
 * entry.S: the ways into the kernel and from thread to thread, and, at the end, how the other CPUs start. The first boots in boot.S.
 */
	.file	"entry.S"
	.text
	.code64

#define CPU_CALLER_SP	24	/* in struct cpu */
#define CPU_KERNEL_SP	16
#define FRAME_VECTOR	120	/* in struct frame */

.macro PUSH_ALL
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
.endm
.macro POP_ALL
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rbp
	popq	%rdi
	popq	%rsi
	popq	%rdx
	popq	%rcx
	popq	%rbx
	popq	%rax
.endm

/* 256 stubs of 16 bytes: an error code where the CPU has none, the vector, then all the same way. */
#define HAS_ERROR_CODE 0x60227d00	/* a bit a vector */
	.globl	vectors
	.p2align 4
vectors:
	.set	vector, 0
	.rept	256
	.p2align 4
	.if	((HAS_ERROR_CODE >> (vector & 31)) & 1) == 0 || vector > 31
	pushq	$0
	.endif
	pushq	$vector
	jmp	trap_common
	.set	vector, vector + 1
	.endr

/* We are on an IST stack. trap() returns the frame to go on with: this one, or, when the thread is to be
 * preempted, a copy on the thread's own kernel stack, from where it can be left for another. */
trap_common:
	PUSH_ALL
	movq	%rsp, %rdi
	cld
	call	trap
	cmpq	%rsp, %rax
	je	frame_return
	movq	%rax, %rsp
	movq	%rsp, %rdi
	xorl	%ebp, %ebp
	call	trap_leave
	.globl	frame_return
frame_return:
	POP_ALL
	addq	$16, %rsp
	iretq

/* SYSCALL from ring 0: the CPU has put the caller's rip into rcx, its flags into r11, and has cleared the
 * interrupt flag. The caller may use the red zone: nothing is pushed on its stack. */
	.globl	syscall_entry
syscall_entry:
	movq	%rsp, %gs:CPU_CALLER_SP
	movq	%gs:CPU_KERNEL_SP, %rsp
	pushq	$16
	pushq	%gs:CPU_CALLER_SP
	pushq	%r11
	pushq	$8
	pushq	%rcx
	pushq	$0
	pushq	$256
	PUSH_ALL
	movq	%rsp, %rdi
	cld
	call	syscall_dispatch	/* which switches interrupts on, if need be */
	cli
	cmpq	$256, FRAME_VECTOR(%rsp)
	jne	frame_return		/* a signal's handler comes first, or all registers count */
	POP_ALL
	addq	$16, %rsp
	movq	(%rsp), %rcx
	addq	$16, %rsp
	popfq			/* interrupts may come again: we still are on the kernel stack */
	movq	(%rsp), %rsp
	jmp	*%rcx

/* For user.c. Nothing is pushed, so a fault in here can return for us (trap.c). */
	.globl	copy_begin, copy_end, copy_fault, copy_bytes, copy_touch
copy_begin:
copy_bytes:			/* rdi = to, rsi = from, rdx = len */
	cmpq	$32, %rdx
	jb	2f
1:	movq	(%rsi), %rax
	movq	8(%rsi), %rcx
	movq	16(%rsi), %r8
	movq	24(%rsi), %r9
	movq	%rax, (%rdi)
	movq	%rcx, 8(%rdi)
	movq	%r8, 16(%rdi)
	movq	%r9, 24(%rdi)
	addq	$32, %rsi
	addq	$32, %rdi
	subq	$32, %rdx
	cmpq	$32, %rdx
	jae	1b
2:	subq	$8, %rdx
	jb	3f
	movq	(%rsi), %rax
	movq	%rax, (%rdi)
	addq	$8, %rsi
	addq	$8, %rdi
	jmp	2b
3:	addq	$8, %rdx
	jz	5f
4:	movb	(%rsi), %al
	movb	%al, (%rdi)
	incq	%rsi
	incq	%rdi
	decq	%rdx
	jnz	4b
5:	xorl	%eax, %eax
	ret
copy_touch:
	lock orb $0, (%rdi)
	xorl	%eax, %eax
	ret
copy_end:
copy_fault:
	movl	$1, %eax
	ret

/* switch_to(from, to): the stack pointer is the first field of struct thread. */
	.globl	switch_to
switch_to:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, (%rdi)
	movq	(%rsi), %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

/* New threads come here from switch_to: a kernel thread's function and argument are in rbx and r12. */
	.globl	thread_begin
thread_begin:
	xorl	%ebp, %ebp
	call	sched_finish
	sti
	movq	%r12, %rdi
	call	*%rbx
	call	thread_exit
	.globl	frame_begin
frame_begin:			/* a frame is on the stack */
	call	sched_finish
	jmp	frame_return

/* call_on(stack, function): for what must not run on the stack that it takes away. Does not return. */
	.globl	call_on
call_on:
	movq	%rdi, %rsp
	xorl	%ebp, %ebp
	call	*%rsi

/* The AP's start, copied to AP_PAGE: real mode to long mode at once, then ap_main(). The tables are the BSP's. */
	.globl	ap_start, ap_end, ap_root, ap_count, ap_stacks
#define AP_PAGE 0x8000
#define AT(x)	(AP_PAGE + (x) - ap_start)
	.p2align 4
	.code16
ap_start:
	cli
	cld
	xorw	%ax, %ax
	movw	%ax, %ds
	lgdtl	AT(ap_gdt_pointer)
	movl	$0x620, %eax		/* PAE, OSFXSR, OSXMMEXCPT */
	movl	%eax, %cr4
	movl	AT(ap_root), %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx
	movl	$0x900, %eax		/* LME, NXE */
	xorl	%edx, %edx
	wrmsr
	movl	$0x80010033, %eax	/* PG, WP, NE, ET, MP, PE */
	movl	%eax, %cr0
	ljmpl	$8, $AT(ap_64)
	.code64
ap_64:
	movl	$16, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	movl	$1, %edi
	lock xaddl %edi, AT(ap_count)	/* our number */
	movq	AT(ap_stacks), %rax
	movq	(%rax,%rdi,8), %rsp
	xorl	%ebp, %ebp
	movabsq	$ap_main, %rax
	call	*%rax
	.p2align 3
ap_gdt:	.quad	0, 0x00af9b000000ffff, 0x00cf93000000ffff
ap_gdt_pointer:
	.word	23
	.long	AT(ap_gdt)
	.p2align 3
ap_root:	.quad	0
ap_stacks:	.quad	0
ap_count:	.long	0
ap_end:

	.section .note.GNU-stack, "", @progbits
