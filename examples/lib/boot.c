/* SPDX-License-Identifier: MIT */
/*
 * boot.c: the command line and the memory map, as PVH and Multiboot give them, copied to where the heap
 * cannot overwrite them.
 */
#include "lib.h"

struct pvh_start_info {
	uint32_t magic, version, flags, modules;
	uint64_t modules_address, cmdline, rsdp;
	uint64_t memory_map; /* from version 1 on */
	uint32_t memory_map_entries, reserved;
};
struct pvh_memory {
	uint64_t address, len;
	uint32_t type, reserved;
};

struct multiboot_info {
	uint32_t flags; /* which fields are there: 2 cmdline, 6 memory map */
	uint32_t memory_lower, memory_upper, boot_device, cmdline, modules, modules_address, symbols[4];
	uint32_t memory_map_len, memory_map;
};
struct multiboot_memory {
	uint32_t size; /* of what follows */
	uint64_t address, len;
	uint32_t type;
} __attribute__((packed));

#define MEMORY_USABLE 1 /* the type in both, after the PC's e820 */

struct boot boot;

static void add_cmdline(uint64_t address)
{
	const char *s = at_physical(address);
	size_t len = address ? strlen(s) : 0;

	if (len >= sizeof(boot.cmdline))
		panic("the command line has %zu bytes, more than %zu", len, sizeof(boot.cmdline) - 1);
	memcpy(boot.cmdline, s, len);
}

static void add_memory(uint32_t type, uint64_t address, uint64_t len)
{
	if (type != MEMORY_USABLE || address + len < address || boot.ranges == BOOT_RANGES)
		return;
	boot.memory[boot.ranges++] = (struct range){ address, address + len };
}

static void read_pvh(const struct pvh_start_info *info)
{
	const struct pvh_memory *map = at_physical(info->memory_map);

	add_cmdline(info->cmdline);
	boot.rsdp = info->rsdp;
	for (uint32_t i = 0; info->version >= 1 && i < info->memory_map_entries; i++)
		add_memory(map[i].type, map[i].address, map[i].len);
}

static void read_multiboot(const struct multiboot_info *info)
{
	uint64_t at = info->memory_map, end = at + info->memory_map_len;

	if (info->flags & 1 << 2)
		add_cmdline(info->cmdline);
	while (info->flags & 1 << 6 && at + sizeof(struct multiboot_memory) <= end) {
		const struct multiboot_memory *m = at_physical(at);

		add_memory(m->type, m->address, m->len);
		at += sizeof(m->size) + m->size;
	}
}

void boot_read(uint32_t magic, const void *info)
{
	const struct pvh_start_info *pvh = info;

	if (magic == GUEST_MULTIBOOT_ENTERED)
		read_multiboot(info);
	else if (magic == GUEST_PVH_START_MAGIC && pvh->magic == magic)
		read_pvh(pvh);
	else
		panic("entered by an unknown boot protocol (%x)", magic);
	if (!boot.ranges)
		panic("the loader gave no memory map");
}
