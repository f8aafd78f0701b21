// SPDX-License-Identifier: GPL-2.0
/*
 * memory.c: the partition. Memory that the firmware calls RAM and that Linux was told not to use (mem=, memmap=). Whatever
 * else was asked for would overwrite Linux or a device, so each page is looked at, and the range is claimed in the tree of
 * resources, so that nobody else gets it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <asm/e820/api.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/mm.h>

#include "cok.h"

static bool is_ram(u64 address, u64 bytes)
{
	u64 at;

	for (at = address; at < address + bytes; at += PAGE_SIZE)
		if (!e820__mapped_raw_any(at, at + PAGE_SIZE, E820_TYPE_RAM))
			return false;
	return true;
}

int memory_take(struct lease *l, u64 address, u64 bytes)
{
	u64 limit = 1ull << boot_cpu_data.x86_phys_bits;

	if (!bytes || (address | bytes) & (PMD_SIZE - 1) || address < 1 << 20 || address >= limit ||
		bytes > limit - address)
		return -EINVAL;
	if (region_intersects(address, bytes, IORESOURCE_SYSTEM_RAM, IORES_DESC_NONE) != REGION_DISJOINT) {
		pr_err("%llx bytes at %llx: Linux uses memory there\n", bytes, address);
		return -EBUSY;
	}
	if (!is_ram(address, bytes)) {
		pr_err("%llx bytes at %llx: not all of it is memory\n", bytes, address);
		return -ENXIO;
	}
	l->region = __request_region(&iomem_resource, address, bytes, KBUILD_MODNAME, 0);
	if (!l->region) {
		pr_err("%llx bytes at %llx: somebody has claimed it\n", bytes, address);
		return -EBUSY;
	}
	l->memory = memremap(address, bytes, MEMREMAP_WB);
	if (!l->memory) {
		__release_region(&iomem_resource, address, bytes);
		l->region = NULL;
		return -ENOMEM;
	}
	l->address = address;
	l->bytes = bytes;
	return 0;
}

void memory_give(struct lease *l)
{
	if (!l->region)
		return;
	memunmap(l->memory);
	__release_region(&iomem_resource, l->address, l->bytes);
	l->region = NULL;
	l->memory = NULL;
	l->bytes = 0;
}

int memory_map(struct lease *l, struct vm_area_struct *vma)
{
	u64 offset = ((u64)vma->vm_pgoff << PAGE_SHIFT) - COKERNEL_MEMORY;
	u64 bytes = vma->vm_end - vma->vm_start;
	int err = -EINVAL;

	mutex_lock(&l->lock);
	if (l->region && offset <= l->bytes && bytes <= l->bytes - offset)
		err = remap_pfn_range(
			vma, vma->vm_start, (l->address + offset) >> PAGE_SHIFT, bytes, vma->vm_page_prot);
	mutex_unlock(&l->lock);
	return err;
}
