/* SPDX-License-Identifier: MIT */
/*
 * memory.c: the map from virtual to physical addresses, and the heap.
 *
 * entry.S mapped the first 4 GiB one to one in pieces of 2 MiB. Here the first piece, which holds the image,
 * is cut into pages of 4 KiB: the zero page and the guard below the stack are left out, so that a null
 * pointer or a stack that overflows is an exception, and code cannot be written nor data executed. RAM and
 * devices above 4 GiB are mapped as they turn up.
 *
 * The heap is a list of free blocks in the order of their addresses, at first one for each range of RAM.
 * malloc takes the first that is large enough; free joins neighbours. Every block, free or not, starts with
 * its size.
 */
#include "lib.h"

#define PRESENT	   1ull
#define WRITABLE   2ull
#define LARGE	   0x80ull /* 2 MiB */
#define NO_EXECUTE (1ull << 63)
#define ADDRESS	   0x000ffffffffff000ull

#define PAGE	 4096ull
#define LARGE_2M 0x200000ull

extern uint64_t page_root[], page_dirs[];

struct block {
	size_t size; /* in bytes, with this header; a multiple of 16 */
	struct block *next;
};
static struct block *heap; /* the free ones */

static void protect_image(void)
{
	static uint64_t table[512] __attribute__((aligned(4096)));

	for (uint64_t i = 1; i < 512; i++) {
		char *page = (char *)(i * PAGE);
		bool text = page >= image_start && page < image_text_end;

		if (page != stack_guard)
			table[i] = i * PAGE | PRESENT | (text ? 0 : WRITABLE | NO_EXECUTE);
	}
	page_dirs[0] = (uint64_t)table | PRESENT | WRITABLE;
	for (uint64_t i = 1; i < 4 * 512; i++)
		if (i * LARGE_2M >= (uint64_t)image_text_end)
			page_dirs[i] |= NO_EXECUTE;
	__asm__ volatile("mov %%cr3, %%rax; mov %%rax, %%cr3" ::: "rax", "memory"); /* forget the old */
}

/* The next table down, made if it is missing. */
static uint64_t *descend(uint64_t *entry)
{
	if (!(*entry & PRESENT)) {
		char *p = malloc(2 * PAGE);

		if (!p)
			panic("no memory for a page table");
		p = (char *)(((uint64_t)p + PAGE - 1) & ~(PAGE - 1));
		memset(p, 0, PAGE);
		*entry = (uint64_t)p | PRESENT | WRITABLE;
	}
	return (uint64_t *)(*entry & ADDRESS);
}

static void map(uint64_t start, uint64_t end)
{
	for (uint64_t a = start & ~(LARGE_2M - 1); a < end; a += LARGE_2M) {
		uint64_t *pointers = descend(&page_root[a >> 39 & 511]);
		uint64_t *dir = descend(&pointers[a >> 30 & 511]);

		if (!(dir[a >> 21 & 511] & PRESENT))
			dir[a >> 21 & 511] = a | PRESENT | WRITABLE | LARGE | NO_EXECUTE;
	}
}

void *map_device(uint64_t address, size_t len)
{
	map(address, address + len);
	return (void *)address;
}

uint64_t physical(const volatile void *p)
{
	return (uint64_t)p;
}

void *at_physical(uint64_t address)
{
	return (void *)address;
}

/* Puts a block back in its place and joins it with the neighbours that it touches. */
static void release(struct block *b)
{
	struct block **at = &heap, *before = NULL;

	while (*at && *at < b) {
		before = *at;
		at = &before->next;
	}
	b->next = *at;
	*at = b;
	if (b->next && (char *)b + b->size == (char *)b->next) {
		b->size += b->next->size;
		b->next = b->next->next;
	}
	if (before && (char *)before + before->size == (char *)b) {
		before->size += b->size;
		before->next = b->next;
	}
}

static void add_range(uint64_t start, uint64_t end)
{
	struct block *b;

	start = (start + 15) & ~15ull;
	end &= ~15ull;
	if (end <= start || end - start < PAGE)
		return;
	b = (struct block *)start;
	b->size = end - start;
	release(b);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void memory_init(void)
{
	uint64_t used = (uint64_t)image_end, four_gib = 1ull << 32;

	protect_image();
	for (unsigned i = 0; i < boot.ranges; i++) { /* RAM below the image belongs to the firmware */
		struct range *r = &boot.memory[i];

		add_range(r->start < used ? used : r->start, least(r->end, four_gib));
	}
	for (unsigned i = 0; i < boot.ranges; i++) { /* its page tables come from the RAM below */
		struct range *r = &boot.memory[i];
		uint64_t start = r->start < four_gib ? four_gib : (r->start + LARGE_2M - 1) & ~(LARGE_2M - 1);

		if (r->end <= start)
			continue;
		map(start, r->end);
		add_range(start, r->end);
	}
}

void *malloc(size_t len)
{
	size_t size = (len + sizeof(struct block) + 15) & ~15ull;

	if (size < len)
		return NULL;
	for (struct block **at = &heap; *at; at = &(*at)->next) {
		struct block *b = *at;

		if (b->size < size)
			continue;
		if (b->size - size < 64) { /* too small to be of use by itself */
			*at = b->next;
		} else {
			struct block *rest = (struct block *)((char *)b + size);

			rest->size = b->size - size;
			rest->next = b->next;
			*at = rest;
			b->size = size;
		}
		return b + 1;
	}
	return NULL;
}

void *malloc_largest(size_t *len)
{
	size_t most = sizeof(struct block);

	for (struct block *b = heap; b; b = b->next)
		if (b->size > most)
			most = b->size;
	*len = most - sizeof(struct block);
	return *len ? malloc(*len) : NULL;
}

void free(void *p)
{
	if (p)
		release((struct block *)p - 1);
}

void *realloc(void *p, size_t len)
{
	size_t have = p ? ((struct block *)p - 1)->size - sizeof(struct block) : 0;
	void *q;

	if (len <= have)
		return p;
	q = malloc(len);
	if (q && p) {
		memcpy(q, p, have);
		free(p);
	}
	return q;
}
