/* SPDX-License-Identifier: MIT */
/*
 * region.c: demand-paged memory, which mmap and the heap's largest blocks get: a sorted table of address ranges with
 * their protection. Memory comes with the first touch, as a page of zeroes; or as 2 MiB at once, if the region has
 * all of it and memory is plenty. A region costs no memory before, so it may be far larger than all there is.
 *
 * There are two spaces: one in the upper half for the kernel and an application linked with it, one in the lower half
 * for a program (elf.c). In each, addresses are handed out upwards in a window and used again only when its end is
 * reached: so what was unmapped needs to be forgotten by the other CPUs (and, if a delegate has seen it, by the ROS) only now and
 * then, for many pages at once.
 */
#include "delegate.h"
#include "errors.h"
#include "kernel.h"

struct backing { /* what a region's memory is read from */
	struct file *file;
	unsigned regions;
	struct backing *next; /* of those that no region has any more */
};
struct region {
	uint64_t start, end;
	unsigned protection;
	struct backing *backing; /* NULL: zeroes */
	uint64_t offset;	 /* in its file, of (start) */
};

static struct space {
	const uint64_t start, base, end; /* base: addresses are handed out from here on */
	uint64_t next;
} spaces[] = {
	[REGION_KERNEL] = { REGION_BASE, REGION_BASE, REGION_END, REGION_BASE },
	[REGION_PROGRAM] = { GUEST_PROGRAM_START, PROGRAM_MMAP, GUEST_PROGRAM_END, PROGRAM_MMAP },
};

#define FAULT_WRITE   2u
#define FAULT_EXEC    16u
#define WINDOW	      64	 /* times the memory */
#define AROUND	      0x10000ull /* bytes that are read of a file at once */

static struct lock lock; /* guards all below, and the page tables of the regions */
static struct region *table;
static uint64_t count, bytes, table_len; /* that in bytes, whole pages */
static struct backing *unused;

/* The first region that ends after (a). */
static uint64_t find(uint64_t a)
{
	uint64_t low = 0, high = count;

	while (low < high) {
		uint64_t mid = (low + high) / 2;

		if (table[mid].end <= a)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool grow(void)
{
	uint64_t len = table_len ? 2 * table_len : PAGE;
	struct region *larger;

	if (count + 2 < table_len / sizeof(*table))
		return true;
	larger = page_alloc_len(len);
	if (!larger)
		return false;
	memcpy(larger, table, count * sizeof(*table));
	if (table_len)
		page_free_len(table, table_len);
	table = larger;
	table_len = len;
	return true;
}

static void insert(uint64_t at, uint64_t start, uint64_t end, unsigned protection)
{
	memmove(&table[at + 1], &table[at], (count - at) * sizeof(*table));
	table[at] = (struct region){ .start = start, .end = end, .protection = protection };
	count++;
	bytes += end - start;
}

/* With its neighbours, where they touch and are alike: programs protect page after page. */
static void join(uint64_t at)
{
	if (!at || at >= count || table[at - 1].end != table[at].start ||
		table[at - 1].protection != table[at].protection ||
		table[at - 1].backing != table[at].backing)
		return;
	if (table[at].backing) {
		if (table[at - 1].offset + (table[at - 1].end - table[at - 1].start) != table[at].offset)
			return;
		table[at].backing->regions--;
	}
	table[at - 1].end = table[at].end;
	memmove(&table[at], &table[at + 1], (count - at - 1) * sizeof(*table));
	count--;
}

static struct space *space_of(uint64_t start, uint64_t len)
{
	for (struct space *s = spaces; s < spaces + sizeof(spaces) / sizeof(*spaces); s++)
		if (start >= s->start && start < s->end && len <= s->end - start)
			return s;
	return NULL;
}

/* So that a region begins at (a), if one goes across it. */
static bool cut(uint64_t a)
{
	uint64_t at = find(a);

	if (at == count || table[at].start >= a)
		return true;
	if (!grow())
		return false;
	memmove(&table[at + 1], &table[at], (count - at) * sizeof(*table));
	count++;
	table[at].end = a;
	table[at + 1].start = a;
	if (table[at].backing) {
		table[at].backing->regions++;
		table[at + 1].offset += a - table[at].start;
	}
	return true;
}

static void flush(uint64_t flags)
{
	void *list[2];
	uint64_t start, end;

	paging_limbo(list);
	paging_shared(&start, &end);
	lock_restore(&lock, flags);
	smp_flush();
	if (start < end)
		delegate_forget(start, end - start);
	paging_free(list);
}

/* A gap of (len) from (from) on, with an unmapped page before and behind it. */
static uint64_t gap(const struct space *s, uint64_t from, uint64_t len, uint64_t align)
{
	uint64_t a = (from + PAGE + align - 1) & ~(align - 1);

	for (uint64_t i = find(from); i < count; i++) {
		if (a + len + PAGE <= table[i].start)
			break;
		a = (table[i].end + PAGE + align - 1) & ~(align - 1);
	}
	return a + len < s->end ? a : 0;
}

uint64_t region_add(enum region_space which, uint64_t len, unsigned protection)
{
	uint64_t align = len >= PAGE_2M ? PAGE_2M : PAGE, flags, a;
	struct space *s = &spaces[which];

	stack_touch();
	if (!len || len > s->end - s->base)
		return 0;
	flags = lock_save(&lock);
	if (s->next > s->base + WINDOW * page_total()) {
		s->next = s->base;
		flush(flags);
		flags = lock_save(&lock);
	}
	a = grow() ? gap(s, s->next, len, align) : 0;
	if (a) {
		insert(find(a), a, a + len, protection);
		s->next = a + len;
	}
	lock_restore(&lock, flags);
	return a;
}

static bool range_ok(uint64_t start, uint64_t len)
{
	return !(start % PAGE) && !(len % PAGE) && len && space_of(start, len);
}

bool region_free(uint64_t start, uint64_t len)
{
	uint64_t flags, i;
	bool is;

	stack_touch();
	if (!range_ok(start, len))
		return false;
	flags = lock_save(&lock);
	i = find(start);
	is = i == count || table[i].start >= start + len;
	lock_restore(&lock, flags);
	return is;
}

static bool remove_range(uint64_t start, uint64_t end)
{
	uint64_t first, last;

	if (!cut(start) || !cut(end))
		return false;
	first = find(start);
	for (last = first; last < count && table[last].end <= end; last++) {
		struct backing *b = table[last].backing;

		if (b && !--b->regions) {
			b->next = unused;
			unused = b;
		}
		bytes -= table[last].end - table[last].start;
		paging_unmap(table[last].start, table[last].end);
	}
	memmove(&table[first], &table[last], (count - last) * sizeof(*table));
	count -= last - first;
	return true;
}

int region_remove(uint64_t start, uint64_t len)
{
	uint64_t flags;
	bool ok;

	stack_touch();
	if (!range_ok(start, len))
		return -1;
	flags = lock_save(&lock);
	ok = remove_range(start, start + len);
	if (paging_limbo(NULL) > page_total() / 64)
		flush(flags);
	else
		lock_restore(&lock, flags);
	return ok ? 0 : -1;
}

int region_add_at(uint64_t start, uint64_t len, unsigned protection)
{
	uint64_t flags;

	stack_touch();
	if (!range_ok(start, len))
		return -1;
	flags = lock_save(&lock);
	if (!remove_range(start, start + len) || !grow()) {
		lock_restore(&lock, flags);
		return -1;
	}
	insert(find(start), start, start + len, 0); /* not to be touched before the old is forgotten */
	if (paging_limbo(NULL))
		flush(flags);
	else
		lock_restore(&lock, flags);
	return region_protect(start, len, protection);
}

static uint64_t entry_flags(unsigned protection)
{
	return (protection & REGION_WRITE ? MAP_WRITE : 0) | (protection & REGION_EXEC ? 0 : MAP_NX);
}

int region_protect(uint64_t start, uint64_t len, unsigned protection)
{
	uint64_t flags, covered = start, first, i;
	bool less = false;

	stack_touch();
	if (!range_ok(start, len))
		return -1;
	flags = lock_save(&lock);
	if (!cut(start) || !cut(start + len)) {
		lock_restore(&lock, flags);
		return -1;
	}
	for (first = i = find(start); i < count && table[i].start < start + len; i++) {
		less = less || table[i].protection & ~protection;
		table[i].protection = protection;
		paging_protect(table[i].start, table[i].end, entry_flags(protection), !protection);
		if (table[i].start == covered)
			covered = table[i].end;
	}
	for (i++; i > first; i--)
		join(i - 1);
	if (less)
		flush(flags);
	else
		lock_restore(&lock, flags);
	return covered == start + len ? 0 : -1;
}

/* Its memory goes, the addresses stay: what is touched next is zero. */
int region_discard(uint64_t start, uint64_t len)
{
	uint64_t flags;

	stack_touch();
	if (!range_ok(start, len))
		return -1;
	flags = lock_save(&lock);
	paging_unmap(start, start + len);
	flush(flags); /* another CPU would go on with the old page */
	return 0;
}

/* Moves what is mapped at (from) to (to), a region of (len) bytes of which nothing was touched. (from) is then empty. */
int region_move(uint64_t from, uint64_t to, uint64_t len)
{
	uint64_t flags;
	bool ok;

	stack_touch();
	if (!range_ok(from, len) || !range_ok(to, len))
		return -1;
	flags = lock_save(&lock);
	ok = paging_move(from, to, len);
	flush(flags);
	return ok ? 0 : -1;
}

/* The protection of all of it; -1: it is not one region's. */
int region_protection(uint64_t start, uint64_t len)
{
	uint64_t flags, i;
	int protection = -1;

	stack_touch();
	if (!range_ok(start, len))
		return -1;
	flags = lock_save(&lock);
	i = find(start);
	if (i < count && table[i].start <= start && table[i].end >= start + len)
		protection = (int)table[i].protection;
	lock_restore(&lock, flags);
	return protection;
}

/* What a program sees as its map. (visit) must not sleep, nor touch memory that may not be there. */
void region_each(void (*visit)(const struct region_seen *r, void *arg), void *arg)
{
	uint64_t flags = lock_save(&lock);

	for (uint64_t i = 0; i < count; i++) {
		const struct region *r = &table[i];

		visit(&(struct region_seen){ r->start, r->end, r->protection,
			      r->backing ? r->backing->file : NULL, r->offset },
			arg);
	}
	lock_restore(&lock, flags);
}

static bool fill(const struct region *r, uint64_t a)
{
	uint64_t large = a & ~(PAGE_2M - 1);
	void *p;

	if (r->start <= large && r->end - large >= PAGE_2M && r->end > large &&
		page_left() > page_total() / 2 && page_total() > 16 * PAGE_2M && (p = page_alloc(ORDER_2M))) {
		page_zero(p, PAGE_2M);
		if (!paging_map(large, physical(p), true, entry_flags(r->protection)))
			return true;
		page_free(p, ORDER_2M); /* part of it is there already in small pages */
	}
	p = page_alloc(0);
	if (!p)
		return false;
	page_zero(p, PAGE);
	if (!paging_map(a & ~(PAGE - 1), physical(p), false, entry_flags(r->protection)))
		return true;
	page_free(p, 0);
	return paging_present(a); /* another CPU was faster */
}

/* On the page fault's stack, interrupts off. True: try again. */
bool region_fault(uint64_t a, uint64_t error)
{
	unsigned need = error & FAULT_EXEC ? REGION_EXEC : error & FAULT_WRITE ? REGION_WRITE : REGION_READ;
	bool ok = false;
	uint64_t i;

	if (!space_of(a, 1))
		return false;
	lock_take(&lock);
	i = find(a);
	if (i < count && table[i].start <= a && table[i].protection & need)
		ok = paging_present(a) || (!table[i].backing && fill(&table[i], a));
	lock_drop(&lock);
	/* an old translation may say less than the table now: the CPU forgets it when it faults */
	return ok;
}

bool region_backed(uint64_t a, uint64_t error)
{
	unsigned need = error & FAULT_EXEC ? REGION_EXEC : error & FAULT_WRITE ? REGION_WRITE : REGION_READ;
	uint64_t i;
	bool is;

	lock_take(&lock);
	i = find(a);
	is = i < count && table[i].start <= a && table[i].backing && table[i].protection & need;
	lock_drop(&lock);
	return is;
}

bool region_back(uint64_t start, uint64_t len, struct file *file, uint64_t offset)
{
	struct backing *b = malloc(sizeof(*b));
	uint64_t flags, i;
	bool ok;

	if (!b)
		return false;
	*b = (struct backing){ .file = file, .regions = 1 };
	flags = lock_save(&lock);
	i = find(start);
	ok = i < count && table[i].start <= start && table[i].end >= start + len && cut(start) &&
	     cut(start + len);
	if (ok) {
		i = find(start);
		table[i].backing = b;
		table[i].offset = offset;
	}
	lock_restore(&lock, flags);
	if (!ok)
		free(b);
	return ok;
}

void region_settle(void)
{
	struct backing *b;
	uint64_t flags = lock_save(&lock);

	b = unused;
	unused = NULL;
	lock_restore(&lock, flags);
	while (b) {
		struct backing *next = b->next;

		file_put(b->file);
		free(b);
		b = next;
	}
}

/* Gives what was read its addresses, where nothing is yet, page by page; the rest is free again. */
static bool put_pages(uint64_t start, uint64_t end, const struct backing *b, char *from)
{
	bool ok = true;
	uint64_t flags = lock_save(&lock);

	for (uint64_t a = start; a < end; a += PAGE, from += PAGE) {
		uint64_t i = find(a);
		bool ours = i < count && table[i].start <= a && table[i].backing == b &&
			    table[i].protection && !paging_mapped(a);

		if (ours && paging_map(a, physical(from), false, entry_flags(table[i].protection)))
			ours = ok = false;
		if (!ours)
			page_free(from, 0);
	}
	lock_restore(&lock, flags);
	return ok;
}

/* What lies behind the file's end is zero. */
static bool read_whole(struct file *file, char *buf, uint64_t len, uint64_t offset)
{
	uint64_t done = 0;

	while (done < len) {
		long n = file->ops->pread(file, buf + done, len - done, offset + done);

		if (n < 0)
			return false;
		if (!n)
			break;
		done += (uint64_t)n;
	}
	memset(buf + done, 0, len - done);
	return true;
}

bool region_page_in(uint64_t a)
{
	uint64_t flags = lock_save(&lock), i = find(a), start, end, offset;
	struct backing *b = i < count && table[i].start <= a ? table[i].backing : NULL;
	struct file *file;
	char *buf;
	bool ok = true;

	if (!b) { /* it has changed meanwhile: look again */
		lock_restore(&lock, flags);
		return true;
	}
	start = a & ~(AROUND - 1);
	start = start > table[i].start ? start : table[i].start;
	end = (a | (AROUND - 1)) + 1;
	end = end < table[i].end ? end : table[i].end;
	offset = table[i].offset + (start - table[i].start);
	file = file_ref(b->file);
	lock_restore(&lock, flags);
	buf = page_alloc_len(end - start);
	ok = buf && read_whole(file, buf, end - start, offset);
	if (ok)
		ok = put_pages(start, end, b, buf);
	else if (buf)
		page_free_len(buf, end - start);
	file_put(file);
	return ok;
}

uint64_t region_bytes(void)
{
	return bytes;
}
