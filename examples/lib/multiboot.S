/* SPDX-License-Identifier: MIT */
/*
 * The Multiboot 1 header: linked, in place of the PVH note, into images made with `make MULTIBOOT=1`.
 *
 * One image does not carry both: QEMU looks for this header first and would never use the note.
 * Flag 16 gives the addresses here instead of in the ELF headers, because loaders (QEMU among them) refuse 64-bit ELF.
 */
#ifndef IMAGE_OFFSET
#define IMAGE_OFFSET 0	/* from physical to virtual addresses */
#endif
	.file	"multiboot.S"
#define MAGIC 0x1badb002
#define FLAGS 0x00010002	/* 1: we want a memory map; 16: the addresses below are valid */

	.section .multiboot, "a"
	.p2align 2
header:
	.long	MAGIC
	.long	FLAGS
	.long	-(MAGIC + FLAGS)
	.long	header - IMAGE_OFFSET		/* where this header is loaded */
	.long	image_start - IMAGE_OFFSET
	.long	image_data_end - IMAGE_OFFSET	/* the file goes this far */
	.long	image_end - IMAGE_OFFSET	/* zeroed this far */
	.long	entry_multiboot - IMAGE_OFFSET

	.section .note.GNU-stack, "", @progbits
