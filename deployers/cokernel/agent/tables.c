/* SPDX-License-Identifier: MIT */
/* tables.c: the page table that the HRT is entered with, and for each CPU the descriptors, stacks and default handlers. */
#include "deployers/cokernel/agent/tables.h"

#include "deployers/cokernel/agent/parts.h"

#include <errno.h>
#include <string.h>
#include <time.h>

_Static_assert(offsetof(struct guest_cokernel, state) == AREA_STATE, "handlers.S");
_Static_assert(offsetof(struct guest_cokernel, panic) == AREA_PANIC, "handlers.S");
_Static_assert(offsetof(struct guest_panic, cr3) == PANIC_CR3 - AREA_PANIC, "handlers.S");

extern const uint8_t handlers_begin[], handlers_end[], handlers_area[], handlers_first[];

#define PRESENT 1ull
#define WRITE	2ull
#define LARGE	0x80ull
#define ADDRESS 0x000ffffffffff000ull

void wall_now(uint64_t *ns, uint64_t *tsc)
{
	struct timespec t;

	*tsc = tsc_now();
	clock_gettime(CLOCK_REALTIME, &t);
	*ns = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* The table below (entry), made if there is none. */
static uint64_t *below(struct hrt *h, uint64_t *entry)
{
	if (!(*entry & PRESENT)) {
		if (h->at.next_table == h->at.tables_end)
			return NULL;
		*entry = h->at.next_table | PRESENT | WRITE;
		h->at.next_table += 4096;
	}
	return *entry & LARGE ? NULL : hrt_at(h, *entry & ADDRESS);
}

/* One page of (1 << shift) bytes. What is mapped so already is as good; in a large page too. */
static int map_page(struct hrt *h, uint64_t virtual, uint64_t physical, unsigned shift)
{
	uint64_t *table = hrt_at(h, h->cr3), *entry = NULL;

	for (unsigned s = 39;; s -= 9) {
		entry = &table[virtual >> s & 511];
		if (s == shift)
			break;
		if (s == 21 && *entry & LARGE && (*entry & ADDRESS) + (virtual & (2 * MIB - 1)) == physical)
			return 0;
		table = below(h, entry);
		if (!table)
			return fail(
				-ENOEXEC, "the image wants two things at %#llx", (unsigned long long)virtual);
	}
	uint64_t value = physical | PRESENT | WRITE | (shift == 21 ? LARGE : 0);
	if (*entry & PRESENT && *entry != value)
		return fail(-ENOEXEC, "the image wants two things at %#llx", (unsigned long long)virtual);
	*entry = value;
	return 0;
}

static int map_segment(struct hrt *h, const struct segment *s)
{
	uint64_t physical = s->physical + h->at.distance, end = s->virtual + s->bytes;
	unsigned shift = (s->virtual ^ physical) & (2 * MIB - 1) ? 12 : 21;
	uint64_t step = 1ull << shift, virtual = s->virtual & ~(step - 1);
	int err = 0;

	physical &= ~(step - 1);
	for (; !err && virtual < end; virtual += step, physical += step)
		err = map_page(h, virtual, physical, shift);
	return err;
}

static int map_all(struct hrt *h)
{
	const struct image *i = &h->image;
	int err = 0;

	h->cr3 = h->at.next_table;
	h->at.next_table += 4096;
	for (uint64_t p = 0; !err && p < h->at.mapped; p += 2 * MIB)
		err = map_page(h, i->direct_map + p, p, 21);
	for (size_t s = 0; !err && s < i->count; s++)
		err = map_segment(h, &i->segments[s]);
	return err;
}

static void make_cpu(struct hrt *h, uint32_t cpu)
{
	uint64_t block = h->at.cpus + cpu * CPU_BYTES, tss = h->image.direct_map + block + CPU_TSS;
	uint64_t trap = h->image.direct_map + block + CPU_TRAP_TOP;
	uint8_t *at = hrt_at(h, block);
	uint64_t gdt[5] = { 0, 0x00af9b000000ffffull, 0x00cf93000000ffffull };

	gdt[3] = 103 | (tss & 0xffffff) << 16 | 0x89ull << 40 | (tss >> 24 & 0xff) << 56;
	gdt[4] = tss >> 32;
	memcpy(at, gdt, sizeof(gdt));
	memcpy(at + CPU_TSS + 36, &trap, sizeof(trap)); /* IST 1 */
	uint16_t no_ports = 104;
	memcpy(at + CPU_TSS + 102, &no_ports, sizeof(no_ports));
}

static void make_handlers(struct hrt *h)
{
	uint64_t direct = h->image.direct_map, area = direct + h->at.area;
	uint8_t *code = hrt_at(h, h->at.handlers);
	uint64_t *idt = hrt_at(h, h->at.idt);

	memcpy(code, handlers_begin, (size_t)(handlers_end - handlers_begin));
	memcpy(code + (handlers_area - handlers_begin), &area, sizeof(area));
	memcpy(code + (handlers_first - handlers_begin), &h->lease.first_apic, sizeof(h->lease.first_apic));
	for (unsigned v = 0; v < 32; v++) {
		uint64_t at = direct + h->at.handlers + v * HANDLER_STEP;

		idt[2 * v] = (at & 0xffff) | 0x08ull << 16 | 1ull << 32 | 0x8eull << 40 |
			     (at >> 16 & 0xffff) << 48;
		idt[2 * v + 1] = at >> 32;
	}
}

int tables_make(struct hrt *h)
{
	int err = map_all(h);

	for (uint32_t cpu = 0; !err && cpu < h->lease.cpus; cpu++)
		make_cpu(h, cpu);
	if (!err)
		make_handlers(h);
	return err;
}

void cpu_boot(struct hrt *h, uint32_t cpu, struct cokernel_boot *b)
{
	uint64_t direct = h->image.direct_map, block = direct + h->at.cpus + cpu * CPU_BYTES;

	*b = (struct cokernel_boot){
		.cpu = cpu,
		.tr = 0x18,
		.cr3 = h->cr3,
		.direct_map = direct,
		.gdt = block,
		.gdt_limit = 39,
		.idt = direct + h->at.idt,
		.idt_limit = 32 * 16 - 1,
		.entry = h->image.entry,
		.rsp = block + CPU_STACK_TOP,
		.rax = GUEST_MULTIBOOT2_ENTERED,
		.rbx = direct + h->at.info,
		.rcx = h->lease.first_apic + cpu,
		.rdx = cpu,
	};
}
