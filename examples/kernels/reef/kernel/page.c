/* SPDX-License-Identifier: MIT */
/*
 * page.c: physical memory, by the buddy method: free pieces are PAGE << order long and aligned to it; two that were
 * split from one become one again. A byte a page says whether a free piece begins there, and its order.
 */
#include "kernel.h"

#define ORDERS	 19 /* up to 1 GiB */
#define IS_FREE	 0x80
#define FOUR_GIB (1ull << 32)

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

/* Where the table of states goes: behind the image, or at the start of a range that is large enough. */
static uint64_t place_state(uint64_t len)
{
	uint64_t used = (physical(image_end) + PAGE - 1) & ~(PAGE - 1);

	for (unsigned i = 0; i < boot.ranges; i++) {
		struct range *r = &boot.memory[i];
		uint64_t start = r->start < used ? used : (r->start + PAGE - 1) & ~(PAGE - 1);

		if (r->end <= FOUR_GIB && r->end > start && r->end - start >= len + PAGE)
			return start;
	}
	panic("no room for the page table of %lu bytes", len);
}

static void add_range(struct range r, uint64_t table, uint64_t table_end)
{
	uint64_t used = (physical(image_end) + PAGE - 1) & ~(PAGE - 1);
	uint64_t start = r.start < used ? used : (r.start + PAGE - 1) & ~(PAGE - 1),
		 end = r.end & ~(PAGE - 1);

	if (table >= start && table < end)
		start = table_end; /* it is at the start of its range */
	if (start >= end)
		return;
	total += end - start;
	give_range(start, end);
}

void page_init(void)
{
	uint64_t top = 0, table, len;

	for (unsigned i = 0; i < boot.ranges; i++)
		if (boot.memory[i].end > top)
			top = boot.memory[i].end;
	pages = top / PAGE;
	len = (pages + PAGE - 1) & ~(PAGE - 1);
	table = place_state(len);
	state = at_physical(table);
	page_zero(state, len);
	for (unsigned i = 0; i < boot.ranges; i++) {
		struct range r = boot.memory[i];

		if (r.end > FOUR_GIB) { /* not mapped yet; the tables come from the RAM below */
			uint64_t from = r.start < FOUR_GIB ? FOUR_GIB : r.start & ~(PAGE_2M - 1);

			r.end = r.start < FOUR_GIB ? FOUR_GIB : r.start;
			add_range(r, table, table + len);
			for (; from < boot.memory[i].end; from += PAGE_2M)
				paging_map(DIRECT_MAP + from, from, true, MAP_WRITE | MAP_NX);
			r = boot.memory[i];
			r.start = r.start < FOUR_GIB ? FOUR_GIB : r.start;
		}
		add_range(r, table, table + len);
	}
}
