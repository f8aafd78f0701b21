/* SPDX-License-Identifier: MIT */
/*
 * paging.c: from virtual to physical addresses. All RAM and all devices are mapped one to one in pieces of 2 MiB, so
 * the kernel's pointers are physical addresses. Only the first 2 MiB, which hold the image, are cut: page 0 and the
 * guard below the first stack are left out, code cannot be written nor data executed. Demand-paged regions lie far
 * above (region.c), in pages of 4 KiB, or of 2 MiB where they fit.
 *
 * Who changes entries holds region.c's lock, but for the one-to-one map, which only grows.
 */
#include "kernel.h"

#define PRESENT 1ull
#define LARGE	0x80ull
#define ADDRESS 0x000ffffffffff000ull

extern uint64_t page_root[], page_dirs[];

static void flush_page(uint64_t a)
{
	__asm__ volatile("invlpg (%0)" ::"r"(a) : "memory");
}

static void flush_all(void)
{
	__asm__ volatile("mov %%cr3, %%rax; mov %%rax, %%cr3" ::: "rax", "memory");
}

void paging_init(void)
{
	uint64_t cut = ((uint64_t)image_end + PAGE_2M - 1) / PAGE_2M;

	for (uint64_t d = 0; d < cut; d++) {
		uint64_t *table = page_alloc(0);

		if (!table)
			panic("no memory for the first page tables");
		for (uint64_t i = 0; i < 512; i++) {
			char *page = (char *)(d * PAGE_2M + i * PAGE);
			bool text = page >= image_start && page < image_text_end;

			table[i] = (uint64_t)page | PRESENT | (text ? 0 : MAP_WRITE | MAP_NX);
			if (page == stack_guard || !page ||
				page == (char *)0x8000) /* 0x8000: APs start there */
				table[i] = page == (char *)0x8000 ? 0x8000 | PRESENT | MAP_WRITE : 0;
		}
		page_dirs[d] = (uint64_t)table | PRESENT | MAP_WRITE;
	}
	for (uint64_t i = cut; i < 4 * 512ull; i++)
		page_dirs[i] |= MAP_NX;
	flush_all();
}

/* The entry for (a) at (level): 1 pages, 2 pieces of 2 MiB. NULL: no table for it, and none wanted or to be had. A
 * large entry on the way down is returned for level 1, too; (found) says the level. */
static uint64_t *entry_for(uint64_t a, int level, bool make, int *found)
{
	uint64_t *table = page_root;

	for (int l = 4;; l--) {
		uint64_t *e = &table[a >> (12 + 9 * (l - 1)) & 511];

		*found = l;
		if (l == level || (l == 2 && *e & LARGE))
			return e;
		if (!*e) {
			void *fresh = make ? page_alloc(0) : NULL;

			if (!fresh)
				return NULL;
			page_zero(fresh, PAGE);
			*e = (uint64_t)fresh | PRESENT | MAP_WRITE;
		}
		table = (uint64_t *)(*e & ADDRESS);
	}
}

int paging_map(uint64_t address, uint64_t physical, bool large, uint64_t flags)
{
	int level;
	uint64_t *e = entry_for(address, large ? 2 : 1, true, &level);

	if (!e || level != (large ? 2 : 1) || *e)
		return -1;
	*e = physical | flags | PRESENT | (large ? LARGE : 0);
	return 0;
}

bool paging_present(uint64_t address)
{
	int level;
	uint64_t *e;

	if (address >> 47)
		return false;
	e = entry_for(address, 1, false, &level);
	return e && *e & PRESENT;
}

void *map_device(uint64_t address, size_t len)
{
	for (uint64_t a = address & ~(PAGE_2M - 1); a < address + len; a += PAGE_2M)
		if (!paging_present(a) && paging_map(a, a, true, MAP_WRITE | MAP_NX))
			panic("no memory to map a device");
	return (void *)address;
}

/* A piece of 2 MiB of which only a part is meant becomes 512 pages. */
static void split(uint64_t *e)
{
	uint64_t *table = page_alloc(0), old = *e;

	if (!table)
		panic("no memory to split a large page");
	for (uint64_t i = 0; i < 512; i++)
		table[i] = (old & ~LARGE) + i * PAGE;
	*e = (uint64_t)table | PRESENT | MAP_WRITE;
}

/* Calls for each entry that maps something in the range. */
static void each(uint64_t start, uint64_t end,
	void (*change)(uint64_t *e, uint64_t a, int level, uint64_t arg), uint64_t arg)
{
	for (uint64_t a = start, step; a < end; a += step) {
		int level;
		uint64_t *e = entry_for(a, 1, false, &level);

		step = e ? PAGE : PAGE_2M - a % PAGE_2M;
		if (!e || !*e)
			continue;
		if (level == 2 && (a % PAGE_2M || a + PAGE_2M > end)) {
			split(e);
			e = entry_for(a, 1, false, &level);
		}
		step = level == 2 ? PAGE_2M : PAGE;
		change(e, a, level, arg);
	}
}

/* What was unmapped may be freed only when all CPUs have forgotten it. Until then it is in these lists, by level,
 * linked by its first word. */
static void *limbo[2];
static uint64_t limbo_bytes;

static void unmap(uint64_t *e, uint64_t a, int level, uint64_t arg)
{
	void *page = (void *)(*e & ADDRESS);

	(void)arg;
	*e = 0;
	flush_page(a);
	*(void **)page = limbo[level - 1];
	limbo[level - 1] = page;
	limbo_bytes += level == 2 ? PAGE_2M : PAGE;
}

uint64_t paging_limbo(void *list[2])
{
	uint64_t bytes = limbo_bytes;

	if (list) {
		list[0] = limbo[0];
		list[1] = limbo[1];
		limbo[0] = limbo[1] = NULL;
		limbo_bytes = 0;
	}
	return bytes;
}

void paging_free(void *list[2])
{
	static const unsigned order[2] = { 0, ORDER_2M };

	for (int i = 0; i < 2; i++)
		while (list[i]) {
			void *p = list[i];

			list[i] = *(void **)p;
			page_free(p, order[i]);
		}
}

void paging_unmap(uint64_t start, uint64_t end)
{
	each(start, end, unmap, 0);
}

static void protect(uint64_t *e, uint64_t a, int level, uint64_t flags)
{
	(void)level;
	*e = (*e & ADDRESS) | (*e & LARGE) | flags;
	flush_page(a);
}

void paging_protect(uint64_t start, uint64_t end, uint64_t flags, bool none)
{
	each(start, end, protect, none ? MAP_NX : flags | PRESENT);
}
