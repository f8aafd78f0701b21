// SPDX-License-Identifier: GPL-2.0
/*
 * trampoline.c: starts and stops a CPU that Linux does not run.
 *
 * One page below 1 MiB, which Linux leaves alone (it reserves the first MiB for itself and the firmware, and uses few pages
 * of it), serves all CPUs one after another. It is held from the first start to the last stop, and then as it was.
 *
 * An INIT that was sent is not yet an INIT that was obeyed. So a CPU is stopped by INIT and a STARTUP that makes it say that it
 * was here and halt: what it ran before is surely over then.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <asm/apic.h>
#include <asm/e820/api.h>
#include <asm/pgtable.h>
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/string.h>

#include "cok.h"
#include "compat.h"
#include "trampoline.h"

extern const u8 trampoline_begin[], trampoline_end[], trampoline_long[], trampoline_gdt_base[];

#define FIRST_PAGE 0x8000u
#define LAST_PAGE  0xf000u
#define ANSWER	   (15 * HZ) /* a host that is busy may not run the CPU for a while */

/* Held by the callers' lock, cpus_lock. */
static unsigned int users;
static u32 page_at;
static u8 *page, *saved;
static u64 *passing; /* top, then the two levels below it that map the first 2 MiB where they are */

static void set32(unsigned int offset, u32 value)
{
	WRITE_ONCE(*(u32 *)(page + TRAMPOLINE_DATA + offset), value);
}

static void set64(unsigned int offset, u64 value)
{
	memcpy(page + TRAMPOLINE_DATA + offset, &value, sizeof(value));
}

static void set_table(unsigned int offset, u16 limit, u64 base)
{
	memcpy(page + TRAMPOLINE_DATA + offset, &limit, sizeof(limit));
	memcpy(page + TRAMPOLINE_DATA + offset + 2, &base, sizeof(base));
}

static bool answered(void)
{
	return READ_ONCE(*(u32 *)(page + TRAMPOLINE_DATA + T_ALIVE)) != 0;
}

static u32 find_page(void)
{
	u32 at;

	for (at = FIRST_PAGE; at <= LAST_PAGE; at += PAGE_SIZE)
		if (e820__mapped_raw_any(at, at + PAGE_SIZE, E820_TYPE_RAM))
			return at;
	return 0;
}

static int make_passing(void)
{
	u64 physical;

	passing = (u64 *)__get_free_pages(GFP_KERNEL | GFP_DMA32 | __GFP_ZERO, 2);
	if (!passing)
		return -ENOMEM;
	physical = virt_to_phys(passing);
	passing[0] = (physical + PAGE_SIZE) | _PAGE_PRESENT | _PAGE_RW;
	passing[512] = (physical + 2 * PAGE_SIZE) | _PAGE_PRESENT | _PAGE_RW;
	passing[1024] = _PAGE_PRESENT | _PAGE_RW | _PAGE_PSE;
	return 0;
}

int trampoline_take(void)
{
	u32 base;

	if (users++)
		return 0;
	page_at = find_page();
	page = page_at ? memremap(page_at, PAGE_SIZE, MEMREMAP_WB) : NULL;
	saved = kmalloc(PAGE_SIZE, GFP_KERNEL);
	if (!page || !saved || make_passing())
		goto fail;
	memcpy(saved, page, PAGE_SIZE);
	memcpy(page, trampoline_begin, trampoline_end - trampoline_begin);
	base = page_at + *(const u32 *)trampoline_gdt_base;
	memcpy(page + (trampoline_gdt_base - trampoline_begin), &base, sizeof(base));
	set32(T_PASSING, (u32)virt_to_phys(passing));
	set32(T_FAR, page_at + (u32)(trampoline_long - trampoline_begin));
	set32(T_FAR + 4, 0x08);
	return 0;

fail:
	pr_err("no page below 1 MiB, or no memory\n");
	kfree(saved);
	if (page)
		memunmap(page);
	page = saved = NULL;
	users--;
	return -ENOMEM;
}

void trampoline_drop(void)
{
	if (--users)
		return;
	memcpy(page, saved, PAGE_SIZE);
	memunmap(page);
	kfree(saved);
	free_pages((unsigned long)passing, 2);
	page = saved = NULL;
}

static void send(u32 apic_id, u32 what)
{
	unsigned long flags;

	local_irq_save(flags);
	apic_order(what, apic_id);
	safe_apic_wait_icr_idle();
	local_irq_restore(flags);
}

/* INIT, then STARTUP at the page, twice as the processors' manuals say. */
static int start(u32 apic_id)
{
	unsigned long until = jiffies + ANSWER;

	set32(T_ALIVE, 0);
	mb();
	send(apic_id, APIC_INT_LEVELTRIG | APIC_INT_ASSERT | APIC_DM_INIT);
	udelay(200);
	send(apic_id, APIC_INT_LEVELTRIG | APIC_DM_INIT);
	udelay(200);
	send(apic_id, APIC_DM_STARTUP | page_at >> 12);
	usleep_range(200, 300);
	if (!answered())
		send(apic_id, APIC_DM_STARTUP | page_at >> 12);
	while (!answered() && time_before(jiffies, until))
		usleep_range(50, 100);
	return answered() ? 0 : -ETIMEDOUT;
}

int trampoline_start(u32 apic_id, const struct lease *l, const struct cokernel_boot *b)
{
	set32(T_PARK, 0);
	set32(T_TR, b->tr);
	set64(T_DIRECT, b->direct_map);
	set64(T_CR3, b->cr3);
	set64(T_RSP, b->rsp);
	set64(T_ENTRY, b->entry);
	set64(T_RAX, b->rax);
	set64(T_RBX, b->rbx);
	set64(T_RCX, b->rcx);
	set64(T_RDX, b->rdx);
	set_table(T_GDT, (u16)b->gdt_limit, b->gdt);
	set_table(T_IDT, (u16)b->idt_limit, b->idt);
	memcpy(passing + 256, l->memory + (b->cr3 - l->address) + 2048, 2048);
	return start(apic_id);
}

int trampoline_park(u32 apic_id)
{
	int err;

	set32(T_PARK, 1);
	err = start(apic_id);
	if (!err) /* from the halt to the state in which it waits for a STARTUP, where no interrupt wakes it */
		send(apic_id, APIC_INT_LEVELTRIG | APIC_INT_ASSERT | APIC_DM_INIT);
	return err;
}
