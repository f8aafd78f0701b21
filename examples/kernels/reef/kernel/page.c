/* SPDX-License-Identifier: MIT */
/*
 * page.c: physical memory, by the buddy method: free pieces are PAGE << order long and aligned to it; two that were
 * split from one become one again. A byte a page says whether a free piece begins there, and its order.
 */
#include "cokernel.h"

#define ORDERS	 19 /* up to 1 GiB */
#define IS_FREE	 0x80
#define FOUR_GIB (1ull << 32)
#define LOW_MEMORY 0x100000ull /* the firmware's */

struct piece {
	struct piece *next, **link;
};

static struct lock lock; /* guards all below */
static struct piece *lists[ORDERS];
static uint8_t *state; /* of each page */
static uint64_t pages, left, total;

static void list_add(struct piece *p, unsigned order)
{
	p->next = lists[order];
	p->link = &lists[order];
	if (p->next)
		p->next->link = &p->next;
	lists[order] = p;
	state[physical(p) / PAGE] = (uint8_t)(IS_FREE | order);
}

static void list_remove(struct piece *p)
{
	*p->link = p->next;
	if (p->next)
		p->next->link = p->link;
	state[physical(p) / PAGE] = 0;
}

static void give(uint64_t a, unsigned order)
{
	left += PAGE << order;
	for (; order < ORDERS - 1; order++) {
		uint64_t buddy = a ^ PAGE << order;

		if (buddy / PAGE >= pages || state[buddy / PAGE] != (IS_FREE | order))
			break;
		list_remove(at_physical(buddy));
		a &= ~(PAGE << order);
	}
	list_add(at_physical(a), order);
}

/* In the largest pieces that it consists of. */
static void give_range(uint64_t a, uint64_t end)
{
	while (a < end) {
		unsigned order = 0;

		while (order < ORDERS - 1 && !(a & PAGE << order) && a + (PAGE << (order + 1)) <= end)
			order++;
		give(a, order);
		a += PAGE << order;
	}
}

void *page_alloc(unsigned order)
{
	uint64_t flags = lock_save(&lock);
	struct piece *p = NULL;
	unsigned o = order;

	while (o < ORDERS && !lists[o])
		o++;
	if (o < ORDERS) {
		p = lists[o];
		list_remove(p);
		while (o > order) {
			o--;
			list_add((struct piece *)((char *)p + (PAGE << o)), o);
		}
		left -= PAGE << order;
	}
	lock_restore(&lock, flags);
	return p;
}

void page_free(void *p, unsigned order)
{
	uint64_t flags = lock_save(&lock);

	give(physical(p), order);
	lock_restore(&lock, flags);
}

void *page_alloc_len(uint64_t len)
{
	unsigned order = 0;
	char *p;

	while (order < ORDERS && PAGE << order < len)
		order++;
	p = page_alloc(order);
	if (p && len < PAGE << order)
		page_free_len(p + len, (PAGE << order) - len);
	return p;
}

void page_free_len(void *p, uint64_t len)
{
	uint64_t flags = lock_save(&lock);

	give_range(physical(p), physical(p) + len);
	lock_restore(&lock, flags);
}

uint64_t page_total(void)
{
	return total;
}

uint64_t page_left(void)
{
	return left;
}

/* By eight words a turn: the loop itself costs most where QEMU translates code. */
void page_zero(void *p, uint64_t len)
{
	volatile uint64_t *w = p, *end = w + len / 8;

	for (; w + 8 <= end; w += 8)
		w[0] = w[1] = w[2] = w[3] = w[4] = w[5] = w[6] = w[7] = 0;
	while (w < end)
		*w++ = 0;
}

#define RESERVED 4
static struct range reserved[RESERVED];
static unsigned reserved_count;

static void reserve(uint64_t start, uint64_t end)
{
	if (start < end)
		reserved[reserved_count++] = (struct range){ start & ~(PAGE - 1), (end + PAGE - 1) & ~(PAGE - 1) };
}

static const struct range *in_the_way(uint64_t start, uint64_t end)
{
	for (unsigned i = 0; i < reserved_count; i++)
		if (start < reserved[i].end && reserved[i].start < end)
			return &reserved[i];
	return NULL;
}

/* Where the table of states goes: the first place that is large enough. */
static uint64_t place_state(uint64_t len)
{
	for (unsigned i = 0; i < boot.ranges; i++) {
		uint64_t start = (boot.memory[i].start + PAGE - 1) & ~(PAGE - 1);
		const struct range *r;

		while ((r = in_the_way(start, start + len)))
			start = r->end;
		if (start + len <= boot.memory[i].end && (cokernel || start + len <= FOUR_GIB))
			return start;
	}
	panic("no room for the page table of %lu bytes", len);
}

static void add_range(uint64_t start, uint64_t end)
{
	const struct range *r = start < end ? in_the_way(start, end) : NULL;

	if (r) {
		add_range(start, r->start);
		add_range(r->end, end);
		return;
	}
	start = (start + PAGE - 1) & ~(PAGE - 1);
	end &= ~(PAGE - 1);
	if (start >= end)
		return;
	total += end - start;
	give_range(start, end);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void page_init(void)
{
	uint64_t top = 0, table, len;

	for (unsigned i = 0; i < boot.ranges; i++)
		if (boot.memory[i].end > top)
			top = boot.memory[i].end;
	pages = top / PAGE;
	len = (pages + PAGE - 1) & ~(PAGE - 1);
	reserve(0, LOW_MEMORY);
	reserve(physical(image_start), physical(image_start) + (uint64_t)(image_end - image_start));
	reserve(boot.module.start, boot.module.end);
	table = place_state(len);
	reserve(table, table + len);
	state = at_physical(table);
	page_zero(state, len);
	for (unsigned i = 0; i < boot.ranges; i++)
		add_range(boot.memory[i].start, least(boot.memory[i].end, FOUR_GIB));
	for (unsigned i = 0; i < boot.ranges; i++) { /* not mapped yet; the tables come from the RAM below */
		uint64_t start = boot.memory[i].start < FOUR_GIB ? FOUR_GIB : boot.memory[i].start;

		for (uint64_t a = start & ~(PAGE_2M - 1); a < boot.memory[i].end; a += PAGE_2M)
			paging_map(DIRECT_MAP + a, a, true, MAP_WRITE | MAP_NX);
		add_range(start, boot.memory[i].end);
	}
	for (uint64_t a = FOUR_GIB; cokernel && a < cokernel_memory_end(); a += PAGE_2M) /* the loader's */
		if (!paging_present(DIRECT_MAP + a))
			paging_map(DIRECT_MAP + a, a, true, MAP_WRITE | MAP_NX);
}
