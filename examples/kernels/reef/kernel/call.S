/* SPDX-License-Identifier: MIT */
/*
 * call.S: ways into the kernel by a jump, not by SYSCALL: for library.c, and in place of the C library's own. That they
 * are called has a second use: by the calling convention the caller expects nothing of the vector registers
 * then, so a thread that waits in here needs none of them saved (sched.c).
 */
	.file	"call.S"
	.text

/* call_enter(a, b, c, d, e, f, number): makes a system call. */
	.globl	call_enter
call_enter:
	movq	8(%rsp), %rax
	movq	%rcx, %r10
	jmp	enter

/* __syscall_cp_asm(cancel, number, argument...): one that pthread_cancel() may end. The C library looks whether
 * it was interrupted between __cp_begin and __cp_end, that is, before it has had an effect. */
	.globl	__syscall_cp_asm, __cp_begin, __cp_end, __cp_cancel
__syscall_cp_asm:
__cp_begin:
	movl	(%rdi), %eax
	testl	%eax, %eax
	jnz	__cp_cancel
	movq	%rsi, %rax
	movq	%rdx, %rdi
	movq	%rcx, %rsi
	movq	%r8, %rdx
	movq	%r9, %r10
	movq	8(%rsp), %r8
	movq	16(%rsp), %r9
enter:				/* number and arguments are where SYSCALL wants them */
	leaq	call_return(%rip), %rcx
	pushfq
	popq	%r11
	cli
	jmp	syscall_entry
__cp_end:
	.globl	call_return
call_return:
	ret
__cp_cancel:
	jmp	__cancel
	.weak	__cancel		/* there if the application uses pthread_cancel */
	.section .note.GNU-stack, "", @progbits
