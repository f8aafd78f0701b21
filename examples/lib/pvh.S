/* SPDX-License-Identifier: MIT */
/*
 * The PVH note: an ELF note that tells the loader the physical address to jump to. Linked into ordinary images.
 * The address has 8 bytes because QEMU reads as many from a 64-bit ELF file.
 */
#ifndef IMAGE_OFFSET
#define IMAGE_OFFSET 0	/* from physical to virtual addresses */
#endif
	.file	"pvh.S"
	.section .note.pvh, "a", @note
	.p2align 2
	.long	4		/* length of the owner's name with its NUL */
	.long	8		/* length of the address */
	.long	18		/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.quad	entry_pvh - IMAGE_OFFSET

	.section .note.GNU-stack, "", @progbits
