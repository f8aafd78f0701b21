/* SPDX-License-Identifier: GPL-2.0 */
/*
 * compat.h: what differs between the kernels that this is built for: 6.1 and 6.12 are tried.
 *
 * What 6.1 has not goes by its later name. The local APIC is driven through Linux's driver for it, because the functions around that
 * are not for modules from 6.6 on.
 */
#ifndef COK_COMPAT_H
#define COK_COMPAT_H

#include <asm/apic.h>
#include <linux/mm.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_mod(struct vm_area_struct *vma, vm_flags_t set, vm_flags_t clear)
{
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
}
#endif

/* Sends (what) to the CPU with this APIC id. Interrupts are off. */
static inline void apic_order(u32 what, u32 apic_id)
{
	apic->icr_write(what, apic_id);
}

#endif
