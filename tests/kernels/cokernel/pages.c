/* SPDX-License-Identifier: MIT */
/*
 * pages.c: a program's page table, and what the agent does with it: pages are there when it asks for them, read-only ones are
 * made writable when it writes, entries that it used are marked, and are forgotten when it is told.
 */
#include "kernel.h"

#define PRESENT	 1ull
#define WRITE	 2ull
#define LARGE	 0x80ull
#define ADDRESS	 0xffffffffff000ull
#define PROGRAM	 0x400000ull
#define READONLY 0x7d0000000000ull
#define BIG	 0x40000000ull

static uint64_t next, root;
static unsigned wanted, wanted_write;

/* Memory behind the kernel, which takes little: from 8 MiB into the partition on. */
static uint64_t page_new(void)
{
	uint64_t page = next;

	next += 4096;
	for (unsigned i = 0; i < 512; i++)
		((uint64_t *)at(page))[i] = 0;
	return page;
}

void pages_begin(void)
{
	next = area->memory + (8 << 20);
	root = page_new();
	__atomic_store_n(&area->program_cr3, root, __ATOMIC_SEQ_CST);
}

static uint64_t *entry_for(uint64_t address, int make)
{
	uint64_t *table = at(root);

	for (unsigned shift = 39; shift > 12; shift -= 9) {
		uint64_t *entry = &table[address >> shift & 511];

		if (!(*entry & PRESENT)) {
			if (!make)
				return 0;
			*entry = page_new() | PRESENT | WRITE;
		}
		table = at(*entry & ADDRESS);
	}
	return &table[address >> 12 & 511];
}

uint64_t *page_entry(uint64_t address)
{
	return entry_for(address, 0);
}

int64_t page_wanted(uint64_t address, int write)
{
	uint64_t *entry;

	wanted++;
	wanted_write += write != 0;
	if (address >= 0x600000 && address < 0x700000) /* a hole of the program */
		return -14;
	entry = entry_for(address, 1);
	if (!(*entry & PRESENT))
		__atomic_store_n(entry, page_new() | PRESENT | (address < READONLY || write ? WRITE : 0),
			__ATOMIC_SEQ_CST);
	else if (write)
		__atomic_store_n(entry, *entry | WRITE, __ATOMIC_SEQ_CST);
	return 0;
}

static void check(const char *what, int good)
{
	print(good ? "ok " : "not ok ");
	print(what);
	print("\n");
}

static char *byte_at(uint64_t address)
{
	return (char *)at(*page_entry(address) & ADDRESS) + (address & 4095);
}

/* With the zero, across pages. */
void page_put(uint64_t address, const char *text)
{
	do {
		page_wanted(address, 1);
		*byte_at(address++) = *text;
	} while (*text++);
}

enum { READ = 0, WRITE_ = 1, PIPE = 22, UNAME = 63, GETCWD = 79 };

static void fault_in(void)
{
	unsigned before = wanted;

	check("uname fills a page that was not there", call(UNAME, PROGRAM + 0x10000, 0, 0, 0) == 0);
	check("it was asked for, to be written", wanted == before + 1 && wanted_write);
	check("Linux is there", same(byte_at(PROGRAM + 0x10000), "Linux"));
	check("the entry is marked", *page_entry(PROGRAM + 0x10000) & GUEST_PTE_SHARED);
	check("a call on a hole gets EFAULT", call(UNAME, 0x600000, 0, 0, 0) == -14);
	check("one on a kernel address too", call(UNAME, (uint64_t)at(0x100000), 0, 0, 0) == -14);
	check("one across two pages",
		call(UNAME, PROGRAM + 0x21000 - 40, 0, 0, 0) == 0 && *byte_at(PROGRAM + 0x21000 - 40) == 'L');
}

static void forget(void)
{
	uint64_t at_ = PROGRAM + 0x10000, *entry = page_entry(at_), old = *entry & ADDRESS;

	*entry = 0;
	check("forget", call(GUEST_CALL_FORGET, at_, 4096, 0, 0) == 0);
	*(char *)at(old) = 'x';
	check("the address has another page then", call(UNAME, at_, 0, 0, 0) == 0 &&
							   *(char *)at(old) == 'x' && *byte_at(at_) == 'L' &&
							   (*entry & ADDRESS) != old);
}

static void read_only(void)
{
	unsigned before = wanted_write;
	uint64_t *entry;

	/* A path there is read: the page comes read-only. */
	check("chdir by an empty page", call(80, READONLY, 0, 0, 0) == -2);
	entry = page_entry(READONLY);
	check("it is read-only and marked", entry && !(*entry & WRITE) && *entry & GUEST_PTE_SHARED);
	check("writing asks again", call(UNAME, READONLY, 0, 0, 0) == 0 && wanted_write == before + 1);
	check("and it was written", *byte_at(READONLY) == 'L');
}

static void big(void)
{
	uint64_t *table = at(root), *middle;
	uint64_t page = (area->memory + (16 << 20)) | PRESENT | WRITE | LARGE;

	entry_for(BIG - (1 << 21), 1);
	table = at(table[BIG >> 39 & 511] & ADDRESS);
	table[BIG >> 30 & 511] = page_new() | PRESENT | WRITE;
	middle = at(table[BIG >> 30 & 511] & ADDRESS);
	middle[0] = page;
	check("a call into a large page", call(UNAME, BIG + 0x123456, 0, 0, 0) == 0);
	check("it is the right place in it", ((char *)at(area->memory + (16 << 20)))[0x123456] == 'L');
	check("the large entry is marked", middle[0] & GUEST_PTE_SHARED);
	middle[0] = 0x100000000000ull | PRESENT | WRITE | LARGE;
	call(GUEST_CALL_FORGET, BIG, 2 << 20, 0, 0);
	check("a page outside the partition is refused", call(UNAME, BIG, 0, 0, 0) == -14);
	middle[0] = (area->memory - (2 << 20)) | PRESENT | WRITE | LARGE;
	check("one of Linux's too", call(UNAME, BIG, 0, 0, 0) == -14);
	middle[0] = (area->memory - 4096) | PRESENT | WRITE;
	check("and a table of Linux's", call(UNAME, BIG, 0, 0, 0) == -14);
}

static void through_a_pipe(void)
{
	uint32_t *ends;
	int good = 1;

	check("pipe", call(PIPE, PROGRAM, 0, 0, 0) == 0);
	ends = (uint32_t *)byte_at(PROGRAM);
	for (unsigned i = 0; i < 16; i++) /* 64 KiB, each page of it new */
		page_put(0x10000000 + i * 4096, "page");
	check("64 KiB into a pipe", call(WRITE_, ends[1], 0x10000000, 65536, 0) == 65536);
	check("and out, to pages that are not there", call(READ, ends[0], 0x20000000, 65536, 0) == 65536);
	for (unsigned i = 0; i < 16; i++)
		good &= *byte_at(0x20000000 + i * 4096) == 'p';
	check("each as it was", good);
}

void test_pages(void)
{
	pages_begin();
	fault_in();
	forget();
	read_only();
	big();
	through_a_pipe();
}
