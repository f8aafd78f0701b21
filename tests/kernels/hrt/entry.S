/* SPDX-License-Identifier: MIT */
/* entry.S: the Multiboot 2 header with Nautilus' HRT tag, and an entry as such kernels have it. The rest is ../cokernel. */
	.section .mb, "a"
	.balign 8
header:	.long	0xe85250d6, 0, header_end - header, -(0xe85250d6 + (header_end - header))
	.short	0xf00d, 1			/* struct guest_hrt_header */
	.long	56
	.quad	0x200, 0x200000000, 0xffff800000000000, entry, 0x1fffff000
	.byte	0x40
	.fill	7, 1, 0
	.short	0, 0
	.long	8
header_end:

#define HRT_HEADER
#include "../cokernel/entry.S"
