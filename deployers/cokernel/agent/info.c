/* SPDX-License-Identifier: MIT */
/* info.c: the boot information, as Multiboot 2 has it, with the tags of guest.h. */
#include "deployers/cokernel/agent/parts.h"

#include <errno.h>
#include <string.h>

#define INFO_BYTES  8192u
#define TAG_CMDLINE 1u
#define TAG_MAP	    6u

struct writer {
	uint8_t *at;
	uint32_t used;
};

static void *put(struct writer *w, const void *data, uint32_t bytes)
{
	uint8_t *to = w->at + w->used;

	memcpy(to, data, bytes);
	w->used += (bytes + 7) & ~7u;
	return to;
}

static void put_cmdline(struct writer *w, const char *line)
{
	uint32_t head[2] = { TAG_CMDLINE, (uint32_t)(8 + strlen(line) + 1) };
	uint8_t tag[8 + GUEST_CMDLINE_MAX + 1];

	memcpy(tag, head, 8);
	memcpy(tag + 8, line, strlen(line) + 1);
	put(w, tag, head[1]);
}

static void put_map(struct writer *w, const struct hrt *h)
{
	struct region {
		uint64_t base, bytes;
		uint32_t type, zero;
	};
	struct {
		uint32_t type, size, entry_size, version;
		struct region regions[3];
	} tag = { TAG_MAP, sizeof(tag), sizeof(struct region), 0,
		{ { 0, h->lease.address, 2, 0 }, { h->lease.address, h->at.begin - h->lease.address, 1, 0 },
			{ h->at.begin, h->at.end - h->at.begin, 2, 0 } } };

	put(w, &tag, sizeof(tag));
}

static void put_hrt(struct writer *w, const struct hrt *h)
{
	struct guest_tag_hrt tag = {
		.type = GUEST_TAG_HRT,
		.size = sizeof(tag),
		.apics = h->lease.first_apic + h->lease.cpus,
		.first_apic = h->lease.first_apic,
		.tsc_khz = h->info.tsc_khz,
		.flags = 0x200, /* 2 MiB pages */
		.mapped = h->at.mapped,
		.memory = h->lease.address,
		.boot_state = h->at.tables,
		.offset = h->image.direct_map,
		.comm = h->at.comm,
		.vector = h->image.header.vector,
	};

	put(w, &tag, sizeof(tag));
}

int info_make(struct hrt *h)
{
	struct writer w = { hrt_at(h, h->at.info), 8 };
	struct guest_tag_cokernel area = { GUEST_TAG_COKERNEL, sizeof(area), h->at.area, h->at.area_bytes,
		h->at.distance };
	static const uint32_t end[2] = { 0, 8 };

	put_cmdline(&w, h->config->cmdline);
	put_map(&w, h);
	put_hrt(&w, h);
	put(&w, &area, sizeof(area));
	put(&w, end, sizeof(end));
	memcpy(w.at, &w.used, sizeof(w.used));
	return w.used <= INFO_BYTES ? 0 : fail(-E2BIG, "the boot information is too long");
}
