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

struct pvh_module {
	uint64_t address, len, cmdline, reserved;
};

struct multiboot_module {
	uint32_t start, end, cmdline, reserved;
};
struct multiboot_info {
	uint32_t flags; /* which fields are there: 2 cmdline, 3 modules, 6 memory map */
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

static void add_module(uint64_t address, uint64_t len)
{
	if (len && address + len > address)
		boot.module = (struct range){ address, address + len };
}

static void read_pvh(const struct pvh_start_info *info)
{
	const struct pvh_memory *map = at_physical(info->memory_map);

	add_cmdline(info->cmdline);
	boot.rsdp = info->rsdp;
	if (info->modules) {
		const struct pvh_module *m = at_physical(info->modules_address);

		add_module(m->address, m->len);
	}
	for (uint32_t i = 0; info->version >= 1 && i < info->memory_map_entries; i++)
		add_memory(map[i].type, map[i].address, map[i].len);
}

static void read_multiboot(const struct multiboot_info *info)
{
	uint64_t at = info->memory_map, end = at + info->memory_map_len;

	if (info->flags & 1 << 2)
		add_cmdline(info->cmdline);
	if (info->flags & 1 << 3 && info->modules) {
		const struct multiboot_module *m = at_physical(info->modules_address);

		add_module(m->start, m->end - m->start);
	}
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

bool boot_parameter(const char *name, char *value, size_t room)
{
	size_t len = strlen(name);
	const char *s = boot.cmdline;

	while (*s && memcmp(s, "-- ", 3)) {
		const char *end = s;
		size_t n;

		while (*end && *end != ' ')
			end++;
		n = (size_t)(end - s);
		if (n > len && !memcmp(s, name, len) && s[len] == '=' && n - len <= room) {
			memcpy(value, s + len + 1, n - len - 1);
			value[n - len - 1] = '\0';
			return true;
		}
		s = *end ? end + 1 : end;
	}
	return false;
}
