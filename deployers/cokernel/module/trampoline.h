/* SPDX-License-Identifier: GPL-2.0 */
/* trampoline.h: the words behind the trampoline's code, by their offsets. */
#ifndef TRAMPOLINE_H
#define TRAMPOLINE_H

#define TRAMPOLINE_DATA 0x200 /* in the page */

#define T_ALIVE	  0x00 /* u32: 1: the CPU was here */
#define T_PARK	  0x04 /* u32: 1: halt at once */
#define T_PASSING 0x08 /* u32: physical address of the passing page table */
#define T_FAR	  0x0c /* u32, u16: where 64-bit code begins, and its selector */
#define T_TR	  0x14 /* u32 */
#define T_DIRECT  0x18 /* u64 from here on */
#define T_CR3	  0x20
#define T_RSP	  0x28
#define T_ENTRY	  0x30
#define T_RAX	  0x38
#define T_RBX	  0x40
#define T_RCX	  0x48
#define T_RDX	  0x50
#define T_GDT	  0x58 /* u16 limit, u64 base */
#define T_IDT	  0x62
#define T_BYTES	  0x80

#endif
