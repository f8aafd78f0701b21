/* SPDX-License-Identifier: MIT */
/*
 * paging.c: from virtual to physical addresses. The map of the upper half:
 *   DIRECT_MAP    all RAM and all devices, one to one, in pieces of 2 MiB: the kernel's heap and stacks are seen here
 *   REGION_BASE   demand-paged regions (region.c), in pages of 4 KiB, or of 2 MiB where they fit
 *   IMAGE_OFFSET  the image in pages: code cannot be written nor data executed, and below the first stack is a hole
 * The lower half is for programs; the kernel has but the page there from which other CPUs start.
 *
 * Who changes entries holds region.c's lock, but for the direct map, which only grows.
 */
#include "cokernel.h"

#define PRESENT 1ull
#define LARGE	0x80ull
#define ADDRESS 0x000ffffffffff000ull

extern uint64_t page_root[], page_pointers[], page_dirs[], image_pointers[], image_dir[];
uint64_t image_moved;

static void flush_page(uint64_t a)
{
	__asm__ volatile("invlpg (%0)" ::"r"(a) : "memory");
}

void *at_physical(uint64_t address)
{
	return (void *)(DIRECT_MAP + address);
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
			*e = physical(fresh) | PRESENT | MAP_WRITE;
		}
		table = at_physical(*e & ADDRESS);
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

	if ((uint64_t)((int64_t)(address << 16) >> 16) != address)
		return false;
	e = entry_for(address, 1, false, &level);
	return e && *e & PRESENT;
}

bool paging_mapped(uint64_t address)
{
	int level;
	uint64_t *e = entry_for(address, 1, false, &level);

	return e && *e;
}

/* Pages of the kernel by arithmetic, others as they are mapped; one that is not has none. */
uint64_t physical(const volatile void *p)
{
	uint64_t a = (uint64_t)p, *e;
	int level;

	if (a >= IMAGE_OFFSET)
		return a - IMAGE_OFFSET + image_moved;
	if (a >= DIRECT_MAP && a < REGION_BASE)
		return a - DIRECT_MAP;
	e = entry_for(a, 1, false, &level);
	if (!e || !(*e & PRESENT))
		panic("the address %p is given to a device, but there is no memory", p);
	return (*e & ADDRESS) + a % (level == 2 ? PAGE_2M : PAGE);
}

/* The image in pages, where boot.S has it in pieces of 2 MiB: we run on it meanwhile. */
static void map_image(void)
{
	char *piece = (char *)IMAGE_OFFSET;

	for (uint64_t d = 0; d < 512; d++, piece += PAGE_2M) {
		uint64_t *table = piece < image_end ? page_alloc(0) : NULL;

		if (piece < image_end && !table)
			panic("no memory for the first page tables");
		for (char *p = piece; table && p < piece + PAGE_2M; p += PAGE)
			table[(p - piece) / PAGE] =
				p < image_start || p >= image_end || p == stack_guard
					? 0
					: physical(p) | PRESENT |
						  (p < image_text_end ? 0 : MAP_WRITE | MAP_NX);
		image_dir[d] = table ? physical(table) | PRESENT | MAP_WRITE : 0;
	}
}

void paging_init(void)
{
	map_image();
	for (uint64_t i = 0; i < 4 * 512ull; i++)
		page_dirs[i] |= MAP_NX;
	page_root[0] = 0;
	if (!cokernel && paging_map(AP_PAGE, AP_PAGE, false, MAP_WRITE))
		panic("no memory for the first page tables");
	paging_use();
}

uint64_t paging_root(void)
{
	return physical(page_root);
}

void paging_use(void)
{
	__asm__ volatile("mov %0, %%cr3" ::"r"(paging_root()) : "memory");
}

/* What boot.S does, for a CPU that was entered in 64-bit mode on other tables. */
void paging_prepare(void)
{
	for (uint64_t i = 0; i < 4 * 512; i++)
		page_dirs[i] = i * PAGE_2M | PRESENT | MAP_WRITE | LARGE;
	for (uint64_t i = 0; i < 4; i++)
		page_pointers[i] = physical(page_dirs + 512 * i) | PRESENT | MAP_WRITE;
	image_pointers[510] = physical(image_dir) | PRESENT | MAP_WRITE;
	page_root[256] = physical(page_pointers) | PRESENT | MAP_WRITE;
	page_root[511] = physical(image_pointers) | PRESENT | MAP_WRITE;
}

void *map_device(uint64_t address, size_t len)
{
	for (uint64_t a = address & ~(PAGE_2M - 1); a < address + len; a += PAGE_2M)
		if (!paging_present(DIRECT_MAP + a) &&
			paging_map(DIRECT_MAP + a, a, true, MAP_WRITE | MAP_NX))
			panic("no memory to map a device");
	return at_physical(address);
}

/* A piece of 2 MiB of which only a part is meant becomes 512 pages. */
static void split(uint64_t *e)
{
	uint64_t *table = page_alloc(0), old = *e;

	if (!table)
		panic("no memory to split a large page");
	for (uint64_t i = 0; i < 512; i++)
		table[i] = (old & ~LARGE) + i * PAGE;
	*e = physical(table) | PRESENT | MAP_WRITE;
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

/* The addresses of entries that the ROS had used (guest.h section 7) and that are no more, or say less. */
static uint64_t shared_start = UINT64_MAX, shared_end;

static uint64_t replace(uint64_t *e, uint64_t a, int level, uint64_t new)
{
	uint64_t old = __atomic_exchange_n(e, new, __ATOMIC_SEQ_CST); /* the ROS may mark it meanwhile */

	flush_page(a);
	if (old & GUEST_PTE_SHARED) {
		uint64_t end = a + (level == 2 ? PAGE_2M : PAGE);

		shared_start = a < shared_start ? a : shared_start;
		shared_end = end > shared_end ? end : shared_end;
	}
	return old;
}

void paging_shared(uint64_t *start, uint64_t *end)
{
	*start = shared_start;
	*end = shared_end;
	shared_start = UINT64_MAX;
	shared_end = 0;
}

static void unmap(uint64_t *e, uint64_t a, int level, uint64_t arg)
{
	void *page = at_physical(replace(e, a, level, 0) & ADDRESS);

	(void)arg;
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
	replace(e, a, level, (*e & ADDRESS) | (*e & LARGE) | flags);
}

/* Pages of (from) to (to). False: no memory for a page table; some may have been moved. */
bool paging_move(uint64_t from, uint64_t to, uint64_t len)
{
	for (uint64_t at = 0, step; at < len; at += step) {
		int level;
		uint64_t *e = entry_for(from + at, 1, false, &level);

		step = e ? PAGE : PAGE_2M - (from + at) % PAGE_2M;
		if (!e || !*e)
			continue;
		if (level == 2 && ((from + at) % PAGE_2M || (to + at) % PAGE_2M || len - at < PAGE_2M)) {
			split(e);
			e = entry_for(from + at, 1, false, &level);
		}
		step = level == 2 ? PAGE_2M : PAGE;
		if (paging_map(to + at, *e & ADDRESS, level == 2, *e & (MAP_WRITE | MAP_NX)))
			return false;
		replace(e, from + at, level, 0);
	}
	return true;
}

void paging_protect(uint64_t start, uint64_t end, uint64_t flags, bool none)
{
	each(start, end, protect, none ? MAP_NX : flags | PRESENT);
}
