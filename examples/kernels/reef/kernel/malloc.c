/* SPDX-License-Identifier: MIT */
/*
 * malloc.c: the heap, for the kernel and for the application, whose C library's malloc it replaces.
 *
 * Small blocks come in 32 classes of size, each cut from chunks of 32 KiB; every CPU keeps a list of free blocks of each
 * class, so that malloc and free are a few instructions without a lock. Preemption is off meanwhile, interrupts
 * stay on: interrupts do not allocate. Larger blocks are pages, the largest are demand-paged regions; every CPU keeps
 * the one that was freed last, because who needs such a block often needs it again.
 *
 * A chunk or large block begins with a header at a multiple of 32 KiB; it is found from a pointer by clearing bits.
 */
#include "kernel.h"

#define CHUNK_ORDER 3
#define CHUNK	    (PAGE << CHUNK_ORDER)
#define SMALL_MAX   8192
#define HEADER	    64
#define ALIGN_MAX   16384
#define REGION_FROM 0x100000ull /* this large: a region */
#define SPARE_PART  32		/* of all memory may be spare blocks */
#define BATCH	    32		/* blocks moved between a CPU's list and the common one */

enum kind { KIND_SMALL = 0x7ee1, KIND_PAGES, KIND_REGION };
struct header {
	uint32_t kind, class; /* class of a large one: 1 if it may not be zeroes */
	uint64_t len;	      /* of the whole */
	uint64_t offset;      /* of the large block's first byte */
};

struct block {
	struct block *next;
};

static struct {
	struct lock lock;
	struct block *list;
} common[CLASSES];

void *memalign(size_t align, size_t len);
void *aligned_alloc(size_t align, size_t len);
int posix_memalign(void **out, size_t align, size_t len);
size_t malloc_usable_size(void *p);

/* Steps of 16 to 128, then four a doubling: 160 192 224 256 320 ... 8192. */
static unsigned class_of(size_t len)
{
	unsigned log;

	if (len <= 128)
		return len ? (unsigned)(len - 1) / 16 : 0;
	log = 63 - (unsigned)__builtin_clzll(len - 1);
	return 8 + (log - 7) * 4 + (unsigned)((len - 1) >> (log - 2) & 3);
}

static size_t class_len(unsigned class)
{
	if (class < 8)
		return (class + 1) * 16;
	return (size_t)(5 + (class - 8) % 4) << (5 + (class - 8) / 4);
}

static struct header *header_of(const void *p)
{
	return (struct header *)((uint64_t)p & ~(CHUNK - 1));
}

/* More blocks of a class into the common list, whose lock is held. */
static bool new_chunk(unsigned class)
{
	struct header *h = page_alloc(CHUNK_ORDER);
	size_t len = class_len(class);

	if (!h)
		return false;
	*h = (struct header){ KIND_SMALL, class, CHUNK, 0 };
	for (size_t at = HEADER; at + len <= CHUNK; at += len) {
		struct block *b = (struct block *)((char *)h + at);

		b->next = common[class].list;
		common[class].list = b;
	}
	return true;
}

/* Preemption is off. */
static void refill(struct cpu *c, unsigned class)
{
	uint64_t flags;

	stack_touch();
	flags = lock_save(&common[class].lock);
	if (common[class].list || new_chunk(class))
		for (unsigned i = 0; i < BATCH && common[class].list; i++) {
			struct block *b = common[class].list;

			common[class].list = b->next;
			b->next = c->cache[class].list;
			c->cache[class].list = b;
			c->cache[class].count++;
		}
	lock_restore(&common[class].lock, flags);
}

static void drain(struct cpu *c, unsigned class)
{
	uint64_t flags = lock_save(&common[class].lock);

	for (unsigned i = 0; i < BATCH; i++) {
		struct block *b = c->cache[class].list;

		c->cache[class].list = b->next;
		c->cache[class].count--;
		b->next = common[class].list;
		common[class].list = b;
	}
	lock_restore(&common[class].lock, flags);
}

static void give_back(struct header *h)
{
	bool region = h->kind == KIND_REGION;

	h->kind = 0;
	if (region)
		region_remove((uint64_t)h, h->len);
	else
		page_free_len(h, h->len);
}

/* Puts (h) in the place of this CPU's spare block and returns what was there. */
static struct header *swap_spare(struct header *h)
{
	struct header *old;
	struct cpu *c;

	preempt_disable();
	c = this_cpu();
	old = c->spare;
	c->spare = h;
	preempt_enable();
	return old;
}

/* The spare block, if it is of (kind) and of (len), or not much larger. */
static struct header *spare(enum kind kind, uint64_t len)
{
	struct header *h = swap_spare(NULL);

	if (h && h->kind == (uint32_t)kind && h->len >= len && h->len / 2 <= len)
		return h;
	if (h)
		give_back(h);
	return NULL;
}

static void free_large(struct header *h)
{
	struct header *old = h;

	h->class = 1;
	if (h->len <= page_total() / SPARE_PART / cpu_count)
		old = swap_spare(h);
	if (old)
		give_back(old);
}

/* Whole pages with the header in front; the block begins (offset) behind it. */
static void *large(size_t len, size_t offset)
{
	uint64_t whole = (len + offset + PAGE - 1) & ~(PAGE - 1);
	struct header *h;
	bool region = whole >= REGION_FROM;

	if (whole < len || whole > REGION_END - REGION_BASE)
		return NULL;
	if (region)
		whole = (whole + PAGE_2M - 1) & ~(PAGE_2M - 1); /* aligned to it, and so to a chunk's size */
	else if (whole < CHUNK)
		whole = CHUNK;
	h = spare(region ? KIND_REGION : KIND_PAGES, whole);
	if (h) {
		h->offset = offset;
		return (char *)h + offset;
	}
	/* what can never be had is refused here, not by a fault later */
	h = !region		? page_alloc_len(whole)
	    : len > page_left() ? NULL
				: (void *)region_add(REGION_KERNEL, whole, REGION_READ | REGION_WRITE);
	if (!h)
		return NULL;
	*h = (struct header){ region ? KIND_REGION : KIND_PAGES, !region, whole, offset };
	return (char *)h + offset;
}

void *malloc(size_t len)
{
	unsigned class;
	struct cpu *c;
	struct block *b;

	if (len > SMALL_MAX)
		return large(len, HEADER);
	class = class_of(len);
	preempt_disable();
	c = this_cpu();
	if (!c->cache[class].list)
		refill(c, class);
	b = c->cache[class].list;
	if (b) {
		c->cache[class].list = b->next;
		c->cache[class].count--;
	}
	preempt_enable();
	return b;
}

void free(void *p)
{
	struct header *h = header_of(p);
	struct block *b = p;
	struct cpu *c;

	if (!p)
		return;
	if (h->kind == KIND_PAGES || h->kind == KIND_REGION) {
		free_large(h);
	} else if (h->kind == KIND_SMALL) {
		preempt_disable();
		c = this_cpu();
		b->next = c->cache[h->class].list;
		c->cache[h->class].list = b;
		if (++c->cache[h->class].count > 2 * BATCH)
			drain(c, h->class);
		preempt_enable();
	} else {
		panic("free of %p, which malloc did not give", p);
	}
}

size_t malloc_usable_size(void *p)
{
	struct header *h = header_of(p);

	if (!p)
		return 0;
	return h->kind == KIND_SMALL ? class_len(h->class) : h->len - h->offset;
}

void *calloc(size_t n, size_t len)
{
	size_t all;
	void *p;

	if (__builtin_mul_overflow(n, len, &all))
		return NULL;
	p = malloc(all);
	if (p && (header_of(p)->kind != KIND_REGION || header_of(p)->class))
		memset(p, 0, all);
	return p;
}

void *realloc(void *p, size_t len)
{
	size_t have = malloc_usable_size(p);
	void *q;

	if (p && len <= have && (len > have / 2 || have <= 128))
		return p;
	q = malloc(len);
	if (q && p) {
		memcpy(q, p, have < len ? have : len);
		free(p);
	}
	return q;
}

/* NULL also for alignments above 16 KiB. */
void *memalign(size_t align, size_t len)
{
	if (align <= 16)
		return malloc(len);
	if (align & (align - 1) || align > ALIGN_MAX)
		return NULL;
	return large(len, align < HEADER ? HEADER : align);
}

void *aligned_alloc(size_t align, size_t len)
{
	return memalign(align, len);
}

int posix_memalign(void **out, size_t align, size_t len)
{
	void *p = memalign(align, len);

	if (!p)
		return align & (align - 1) ? 22 /* EINVAL */ : 12 /* ENOMEM */;
	*out = p;
	return 0;
}
