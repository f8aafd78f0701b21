/* SPDX-License-Identifier: MIT */
/*
 * layout.c: what lies where in the partition. The image from the beginning on (a kernel with the HRT header: where it was
 * linked); what the loader needs at the end, so that the kernel's own memory is in one piece.
 */
#include "deployers/cokernel/agent/parts.h"
#include "deployers/cokernel/agent/tables.h"

#include <errno.h>

#define GIB	      (1ull << 30)
#define CONSOLE_BYTES (64u * 1024)
#define SMALL_BYTES   4096u

static const uint32_t ring_bytes[GUEST_RINGS] = {
	[GUEST_CONSOLE_OUT] = CONSOLE_BYTES,
	[GUEST_CONSOLE_IN] = SMALL_BYTES,
	[GUEST_MESSAGES_OUT] = SMALL_BYTES,
	[GUEST_MESSAGES_IN] = SMALL_BYTES,
};

static uint64_t up(uint64_t n, uint64_t to)
{
	return (n + to - 1) & ~(to - 1);
}

/* Enough for the direct map in 2 MiB pages and for the image in whatever pages. */
static uint64_t table_pages(const struct layout *at, const struct image *i)
{
	uint64_t n = 1 + at->mapped / (512 * GIB) + 2 + at->mapped / GIB + 2;

	for (size_t s = 0; s < i->count; s++)
		n += i->segments[s].bytes / (2 * MIB) + i->segments[s].bytes / GIB + 8;
	return n;
}

static void lay_out_area(struct layout *at)
{
	uint32_t bytes = (uint32_t)up(sizeof(struct guest_cokernel), 4096);

	at->slots = GUEST_SLOTS_MAX;
	at->slots_offset = bytes;
	bytes += at->slots * (uint32_t)sizeof(struct guest_slot);
	at->counts_offset = bytes;
	bytes += GUEST_CALLS * (uint32_t)sizeof(struct guest_count);
	at->area_bytes = bytes; /* the rings follow */
	for (int r = 0; r < GUEST_RINGS; r++)
		at->area_bytes += ring_bytes[r];
}

static uint64_t take(uint64_t *next, uint64_t bytes)
{
	uint64_t at = *next;

	*next = up(at + bytes, 4096);
	return at;
}

static int place_image(struct hrt *h)
{
	const struct image *i = &h->image;
	uint64_t address = h->lease.address, end = h->at.begin;

	if (!i->has_header)
		h->at.distance = address - (i->lowest & ~(2 * MIB - 1));
	uint64_t first = i->lowest + h->at.distance, last = i->highest + h->at.distance;
	if (first < address || last < first || last > end) {
		if (i->has_header)
			return fail(-ENOMEM,
				"the image is linked at physical %#llx to %#llx, and the kernel has %#llx to "
				"%#llx: set memory or ros_memory so that it fits",
				(unsigned long long)first, (unsigned long long)last,
				(unsigned long long)address, (unsigned long long)end);
		return fail(-ENOMEM, "the image needs %llu MiB and the kernel has %llu: give it more memory",
			(unsigned long long)((last - first) / MIB + 1),
			(unsigned long long)((end - address) / MIB));
	}
	return 0;
}

int layout_make(struct hrt *h)
{
	struct layout *at = &h->at;
	uint64_t partition_end = h->lease.address + h->lease.bytes, next = 0, bytes;

	*at = (struct layout){ .mapped = up(partition_end > 4 * GIB ? partition_end : 4 * GIB, 2 * MIB) };
	if (h->image.direct_map + at->mapped < h->image.direct_map)
		return fail(-ENOEXEC, "the image wants physical memory at %#llx, where %llu GiB do not fit",
			(unsigned long long)h->image.direct_map, (unsigned long long)(at->mapped / GIB));
	lay_out_area(at);
	at->tables = take(&next, table_pages(at, &h->image) * 4096);
	at->tables_end = next;
	at->cpus = take(&next, h->lease.cpus * CPU_BYTES);
	at->idt = take(&next, 4096);
	at->handlers = take(&next, 4096);
	at->info = take(&next, 2 * 4096);
	at->comm = take(&next, 4096);
	at->area = take(&next, at->area_bytes);
	bytes = up(next, 64 * 1024);
	if (bytes > h->lease.bytes)
		return fail(-ENOMEM,
			"the kernel's memory of %llu MiB is too small: the loader alone needs %llu",
			(unsigned long long)(h->lease.bytes / MIB), (unsigned long long)(bytes / MIB + 1));
	at->begin = partition_end - bytes;
	at->end = partition_end;
	for (uint64_t *p = &at->tables; p <= &at->area; p++)
		*p += at->begin;
	at->next_table = at->tables;
	return place_image(h);
}

int area_make(struct hrt *h)
{
	struct layout *at = &h->at;
	struct guest_cokernel *a = hrt_at(h, at->area);
	uint32_t offset = at->counts_offset + GUEST_CALLS * (uint32_t)sizeof(struct guest_count);

	h->area = a;
	h->slots = (struct guest_slot *)((uint8_t *)a + at->slots_offset);
	h->counts = (struct guest_count *)((uint8_t *)a + at->counts_offset);
	a->magic = GUEST_COKERNEL_MAGIC;
	a->rev = GUEST_REV;
	a->memory = h->lease.address;
	a->memory_bytes = h->lease.bytes;
	a->cpus = h->lease.cpus;
	a->x2apic = h->info.x2apic;
	a->slots = at->slots;
	a->slots_offset = at->slots_offset;
	a->counts_offset = at->counts_offset;
	a->ros_vector = h->info.ros_vector;
	a->ros_apic = h->info.ros_apic;
	a->tsc_khz = h->info.tsc_khz;
	wall_now(&a->wall_ns, &a->wall_tsc);
	a->rings_asleep = 1;
	for (uint32_t n = 0; n < at->slots; n++)
		h->slots[n].agent_asleep = 1; /* nobody serves it yet */
	for (int r = 0; r < GUEST_RINGS; r++) {
		a->rings[r].offset = offset;
		a->rings[r].bytes = ring_bytes[r];
		offset += ring_bytes[r];
	}
	return 0;
}
