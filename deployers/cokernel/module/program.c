// SPDX-License-Identifier: GPL-2.0
/*
 * program.c: the program that runs on the HRT, in the agent's address space, at the same addresses. One mapping that is
 * empty at first. When Linux or the agent touches a page, the HRT's page table is walked, each step checked to stay in the
 * partition, and the page is inserted as that table allows. If it is not there yet, the HRT is asked for it, through
 * the slot that the thread serves.
 *
 * An entry that was used gets GUEST_PTE_SHARED (sync_: see bell.c), so that the HRT knows when it must have pages forgotten.
 * Walking and inserting hold (pages) for reading and forgetting holds it for writing: who has forgotten can be sure.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <asm/pgtable.h>
#include <linux/atomic.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "cok.h"
#include "compat.h"

#define ASK_LIMIT (30 * HZ) /* the HRT may read a file for it */
#define SPIN_NS	  20000
#define LOOKS	  400 /* before the clock is read, which may leave the VM */
#define AROUND	  (64ul << 10)

struct found {
	unsigned long pfn;
	bool writable;
};

/* The entry for (address) in the table at (table), or NULL if that is not the partition's. */
static u64 *entry_of(struct lease *l, u64 table, unsigned long address, unsigned int shift)
{
	table &= PTE_PFN_MASK;
	if (!memory_has(l, table, PAGE_SIZE))
		return NULL;
	return (u64 *)(l->memory + (table - l->address)) + (address >> shift & 511);
}

/* Looks (address) up. 0; -ENOENT: not there, or not writable and (write); -EFAULT: the tables are wrong; -EAGAIN: changed just now. */
static int walk(struct lease *l, unsigned long address, bool write, struct found *f)
{
	u64 table = READ_ONCE(l->area->program_cr3), value, *entry;
	unsigned int shift;

	if (!table)
		return -ENOENT;
	f->writable = true;
	for (shift = 39;; shift -= 9) {
		entry = entry_of(l, table, address, shift);
		if (!entry)
			return -EFAULT;
		value = READ_ONCE(*entry);
		if (!(value & _PAGE_PRESENT))
			return -ENOENT;
		f->writable &= !!(value & _PAGE_RW);
		if (shift == 12 || (shift <= 30 && value & _PAGE_PSE))
			break;
		table = value;
	}
	if (write && !f->writable)
		return -ENOENT;
	f->pfn = ((value & PTE_PFN_MASK & ~((1ull << shift) - 1)) | (address & ((1ull << shift) - 1))) >>
		 PAGE_SHIFT;
	if (!memory_has(l, (u64)f->pfn << PAGE_SHIFT, PAGE_SIZE))
		return -EFAULT;
	if (!(value & GUEST_PTE_SHARED) && sync_cmpxchg(entry, value, value | GUEST_PTE_SHARED) != value)
		return -EAGAIN;
	return 0;
}

static int look_up(struct lease *l, unsigned long address, bool write, struct found *f)
{
	int tries, err = -EAGAIN;

	for (tries = 0; tries < 100 && err == -EAGAIN; tries++)
		err = walk(l, address, write, f);
	return err;
}

static bool is_answered(struct lease *l, struct guest_slot *slot)
{
	return smp_load_acquire(&slot->state) != GUEST_SLOT_FAULT || READ_ONCE(l->stopped);
}

/* Asks the HRT to have (address) in its table. The caller may be killed meanwhile, not interrupted: a call that was begun
 * must find its memory. */
static int ask(struct lease *l, unsigned long address, bool write)
{
	struct waiter *w;
	struct guest_slot *slot = bell_slot(l, &w);
	u64 until = ktime_get_ns() + SPIN_NS;
	u32 apic, vector, state, looks;

	if (!slot || READ_ONCE(l->stopped))
		return -EFAULT;
	state = READ_ONCE(slot->state);
	if (state != GUEST_SLOT_REQUEST && state != GUEST_SLOT_FAULTED) /* it is in no call of the HRT's */
		return -EFAULT;
	slot->fault = address;
	slot->fault_flags = write;
	smp_store_release(&slot->state, GUEST_SLOT_FAULT);
	smp_mb();
	apic = READ_ONCE(slot->apic);
	vector = READ_ONCE(l->area->hrt_vector);
	if (READ_ONCE(slot->hrt_asleep) && vector)
		cpus_kick(l, apic, vector);
	for (looks = 0; !is_answered(l, slot); looks++)
		if (looks % LOOKS == 0 && (ktime_get_ns() >= until || need_resched()))
			break;
	if (!is_answered(l, slot)) {
		WRITE_ONCE(slot->agent_asleep, 1); /* till the agent answers */
		smp_mb();
		if (wait_event_killable_timeout(w->queue, is_answered(l, slot), ASK_LIMIT) <= 0)
			return -EFAULT;
	}
	if (READ_ONCE(slot->state) != GUEST_SLOT_FAULTED || READ_ONCE(l->stopped))
		return -EFAULT;
	return READ_ONCE(slot->result) ? -EFAULT : 0;
}

/* The mapping's lock is dropped while the HRT thinks, if that is allowed: it may make calls meanwhile that need it. */
static vm_fault_t ask_and_retry(struct vm_fault *vmf, struct lease *l, bool write)
{
	struct mm_struct *mm = vmf->vma->vm_mm;
	bool drop = vmf->flags & FAULT_FLAG_ALLOW_RETRY && !(vmf->flags & FAULT_FLAG_RETRY_NOWAIT);
	struct file *file = get_file(vmf->vma->vm_file);
	int err;

	if (vmf->flags & FAULT_FLAG_ALLOW_RETRY && !drop) {
		fput(file);
		return VM_FAULT_RETRY;
	}
	if (drop)
		mmap_read_unlock(mm);
	err = ask(l, vmf->address & PAGE_MASK, write);
	fput(file);
	if (!drop)
		return err ? VM_FAULT_SIGBUS : VM_FAULT_NOPAGE;
	if (!err)
		return VM_FAULT_RETRY;
	mmap_read_lock(mm); /* an error is returned with the lock held */
	return VM_FAULT_SIGBUS;
}

static vm_fault_t insert_one(struct vm_area_struct *vma, unsigned long address, const struct found *f)
{
	unsigned long flags = vma->vm_flags;

	if (!f->writable)
		flags &= ~(VM_WRITE | VM_SHARED);
	return vmf_insert_pfn_prot(vma, address & PAGE_MASK, f->pfn, vm_get_page_prot(flags));
}

/* With the page come those behind it that are there, up to the next multiple of AROUND: buffers are read in order. */
static vm_fault_t insert(struct vm_fault *vmf, struct lease *l, bool write, int *err)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long at = vmf->address & PAGE_MASK, end = min(round_down(at, AROUND) + AROUND, vma->vm_end);
	vm_fault_t fault = VM_FAULT_NOPAGE;
	struct found f;

	down_read(&l->pages);
	*err = look_up(l, at, write, &f);
	if (!*err)
		fault = insert_one(vma, at, &f);
	if (!*err && fault == VM_FAULT_NOPAGE)
		for (at += PAGE_SIZE; at < end && !look_up(l, at, false, &f); at += PAGE_SIZE)
			if (insert_one(vma, at, &f) != VM_FAULT_NOPAGE)
				break;
	up_read(&l->pages);
	return fault;
}

static vm_fault_t program_fault(struct vm_fault *vmf)
{
	struct lease *l = vmf->vma->vm_file->private_data;
	bool write = vmf->flags & FAULT_FLAG_WRITE;
	vm_fault_t fault;
	int err;

	if (!smp_load_acquire(&l->area) || READ_ONCE(l->stopped))
		return VM_FAULT_SIGBUS;
	fault = insert(vmf, l, write, &err);
	if (!err)
		return fault;
	if (err != -ENOENT)
		return VM_FAULT_SIGBUS;
	return ask_and_retry(vmf, l, write);
}

/* A page that was inserted read-only is to be written. Then it may have to be another page: it is looked up afresh, by the
 * fault that follows. */
static vm_fault_t program_mkwrite(struct vm_fault *vmf)
{
	zap_vma_ptes(vmf->vma, vmf->address & PAGE_MASK, PAGE_SIZE);
	return VM_FAULT_NOPAGE;
}

static const struct vm_operations_struct program_operations = {
	.fault = program_fault,
	.pfn_mkwrite = program_mkwrite,
};

static bool in_program(u64 start, u64 bytes)
{
	return start >= GUEST_PROGRAM_START && start < GUEST_PROGRAM_END &&
	       bytes <= GUEST_PROGRAM_END - start;
}

int program_map(struct lease *l, struct vm_area_struct *vma)
{
	if ((u64)vma->vm_pgoff << PAGE_SHIFT != vma->vm_start ||
		!in_program(vma->vm_start, vma->vm_end - vma->vm_start) || vma->vm_flags & VM_EXEC)
		return -EINVAL;
	vm_flags_mod(vma, VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP | VM_DONTCOPY | VM_NORESERVE, VM_MAYEXEC);
	vma->vm_ops = &program_operations;
	return 0;
}

int program_forget(struct lease *l, const struct cokernel_range *r)
{
	u64 start = round_down(r->start, PAGE_SIZE), end = r->start + r->bytes;

	if (end < r->start || end > 1ull << 47)
		return -EINVAL;
	end = round_up(end, PAGE_SIZE);
	if (end == start)
		return 0;
	down_write(&l->pages);
	unmap_mapping_range(l->mapping, (loff_t)start, (loff_t)(end - start), 1);
	up_write(&l->pages);
	return 0;
}

/* A piece at a time, each to the end of a page at most, so that what can be had is. */
int program_copy(const struct cokernel_copy *c)
{
	u64 done = 0, part;
	u8 *buffer;
	int err = 0;

	if (!in_program(c->from, c->bytes) || c->bytes > INT_MAX)
		return -EFAULT;
	buffer = kmalloc(PAGE_SIZE, GFP_KERNEL);
	if (!buffer)
		return -ENOMEM;
	for (; done < c->bytes && !err; done += err ? 0 : part) {
		part = min_t(u64, c->bytes - done, PAGE_SIZE - ((c->from + done) & ~PAGE_MASK));
		if (copy_from_user(buffer, (void __user *)(c->from + done), part) ||
			copy_to_user((void __user *)(c->to + done), buffer, part))
			err = -EFAULT;
	}
	kfree(buffer);
	return done ? (int)done : err;
}
