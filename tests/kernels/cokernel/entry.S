/* SPDX-License-Identifier: MIT */
/* entry.S: guest.h section 5. RBX information, RCX APIC id, RDX number of this CPU; the stack is there. */
#ifndef HRT_HEADER
	.section .note.diverfs, "a", @note
	.balign 4
	.long	2f - 1f, 4f - 3f, 1
1:	.asciz	"diverfs"
2:	.balign 4
3:	.long	2, 0				/* GUEST_REV, flags */
	.quad	entry
	.quad	0xffff800000000000
4:
#endif
	.text
	.globl	entry
entry:	movq	%rbx, %rdi
	movq	%rcx, %rsi
	call	kernel_main
1:	cli
	hlt
	jmp	1b

	.globl	on_doorbell
on_doorbell:
	incq	doorbells(%rip)
	pushq	%rax
	movq	apic_at(%rip), %rax
	movl	$0, 0xb0(%rax)
	popq	%rax
	iretq
	.globl	on_stray
on_stray:
	incq	strays(%rip)
	pushq	%rax
	movq	apic_at(%rip), %rax
	movl	$0, 0xb0(%rax)
	popq	%rax
	iretq
	.section .note.GNU-stack,"",@progbits
