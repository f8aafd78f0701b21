/* SPDX-License-Identifier: MIT */
/*
 * vdso.S: a small shared library that each program finds among its own addresses (AT_SYSINFO_EHDR), as on Linux: C libraries
 * ask it what time it is, without a system call. It is written out here, since it is no more than a page: header, what to load,
 * names, three functions, and the terms of the clock, which vdso.c fills in.
 *
 * Source  the ELF format (System V ABI); names and version as in Linux, vdso(7). Versions are left out: then any is right.
 */
	.file	"vdso.S"

#define AT(label)	((label) - vdso)
#define SECOND		1000000000
#define CLOCK_GETTIME	228

.macro SYMBOL name, function, end
	.long	\name - strings
	.byte	0x12, 0			/* a function, global */
	.short	1			/* defined */
	.quad	AT(\function), \end - \function
.endm

	.section .rodata.vdso, "a"
	.p2align 4
	.globl	vdso, vdso_terms, vdso_end
vdso:	.byte	0x7f, 'E', 'L', 'F', 2, 1, 1, 0
	.quad	0
	.short	3, 62			/* shared, x86-64 */
	.long	1
	.quad	0, AT(headers), 0
	.long	0
	.short	64, 56, 2, 64, 0, 0
headers:
	.long	1, 5			/* PT_LOAD, to be read and executed: all of it */
	.quad	0, 0, 0, AT(vdso_end), AT(vdso_end), 4096
	.long	2, 4			/* PT_DYNAMIC */
	.quad	AT(dynamic), AT(dynamic), AT(dynamic), symbols - dynamic, symbols - dynamic, 8
dynamic:
	.quad	14, soname - strings	/* DT_SONAME */
	.quad	4, AT(hash)
	.quad	5, AT(strings)
	.quad	6, AT(symbols)
	.quad	10, strings_end - strings
	.quad	11, 24			/* DT_SYMENT */
	.quad	0, 0
symbols:
	.fill	24, 1, 0
	SYMBOL	name_clock, clock, clock_end
	SYMBOL	name_day, day, day_end
	SYMBOL	name_time, time, time_end
hash:	.long	1, 4			/* one bucket, with all symbols */
	.long	1
	.long	0, 2, 3, 0
strings:
	.byte	0
soname:	.asciz	"linux-vdso.so.1"
name_clock: .asciz "__vdso_clock_gettime"
name_day: .asciz "__vdso_gettimeofday"
name_time: .asciz "__vdso_time"
strings_end:

	.p2align 3
vdso_terms:				/* struct clock_terms */
start:	.quad	0
mult:	.quad	0
wall:	.quad	0

	.p2align 4
ns:					/* rax = nanoseconds since the start; rcx, rdx are used */
	rdtsc
	shlq	$32, %rdx
	orq	%rdx, %rax
	subq	start(%rip), %rax
	mulq	mult(%rip)
	shrdq	$32, %rdx, %rax
	ret

clock:					/* clock_gettime(edi = clock, rsi = timespec) */
	cmpl	$11, %edi
	ja	1f
	movl	$0x821, %eax		/* 0, 5, 11: since 1970 */
	btl	%edi, %eax
	jc	2f
	movl	$0x0d2, %eax		/* 1, 4, 6, 7: since the start */
	btl	%edi, %eax
	jc	3f
1:	movl	$CLOCK_GETTIME, %eax
	syscall
	ret
2:	call	ns
	addq	wall(%rip), %rax
	jmp	4f
3:	call	ns
4:	xorl	%edx, %edx
	movl	$SECOND, %ecx
	divq	%rcx
	movq	%rax, (%rsi)
	movq	%rdx, 8(%rsi)
	xorl	%eax, %eax
	ret
clock_end:

day:					/* gettimeofday(rdi = timeval or 0, rsi = time zone or 0) */
	testq	%rsi, %rsi
	jz	1f
	movq	$0, (%rsi)
1:	testq	%rdi, %rdi
	jz	2f
	call	ns
	addq	wall(%rip), %rax
	xorl	%edx, %edx
	movl	$1000, %ecx
	divq	%rcx
	xorl	%edx, %edx
	movl	$1000000, %ecx
	divq	%rcx
	movq	%rax, (%rdi)
	movq	%rdx, 8(%rdi)
2:	xorl	%eax, %eax
	ret
day_end:

time:					/* time(rdi = where to, or 0) */
	call	ns
	addq	wall(%rip), %rax
	xorl	%edx, %edx
	movl	$SECOND, %ecx
	divq	%rcx
	testq	%rdi, %rdi
	jz	1f
	movq	%rax, (%rdi)
1:	ret
time_end:
	.org	vdso + 4096		/* vdso.c has one page for it */
vdso_end:
	.section .note.GNU-stack, "", @progbits
