/* SPDX-License-Identifier: MIT */
/* hrt.c: takes CPUs and memory, puts an image and what it is entered with there, and starts the CPUs. */
#include "deployers/cokernel/agent/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static int take(struct hrt *h)
{
	h->lease = (struct cokernel_reserve){ .cpus = h->config->cpus,
		.address = h->config->address,
		.bytes = h->config->memory & ~(2 * MIB - 1) };
	if (ioctl(h->device, COKERNEL_INFO, &h->info) < 0)
		return fail(-errno, "%s: %s", COKERNEL_DEVICE, strerror(errno));
	if (!ioctl(h->device, COKERNEL_RESERVE, &h->lease))
		return 0;
	return fail(-errno,
		"%u CPUs (%u can be had) and %llu MiB at %#llx cannot be taken: %s; ros.console may say more",
		h->lease.cpus, h->info.cpus, (unsigned long long)(h->lease.bytes / MIB),
		(unsigned long long)h->lease.address, strerror(errno));
}

static void copy_image(struct hrt *h)
{
	for (size_t n = 0; n < h->image.count; n++) {
		const struct segment *s = &h->image.segments[n];
		uint8_t *to = hrt_at(h, s->physical + h->at.distance);

		memcpy(to, h->image.bytes + s->file, s->file_bytes);
		memset(to + s->file_bytes, 0, s->bytes - s->file_bytes);
	}
}

int hrt_load(struct hrt *h, const uint8_t *image, size_t size, const struct config *c)
{
	struct cokernel_share share;
	int err = image_parse(image, size, &h->image);

	h->config = c;
	if (err || (err = take(h)))
		return err;
	h->memory = mmap(
		NULL, h->lease.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, h->device, (off_t)COKERNEL_MEMORY);
	if (h->memory == MAP_FAILED)
		return fail(-errno, "the kernel's memory cannot be mapped: %s", strerror(errno));
	err = layout_make(h);
	if (err)
		return err;
	memset(hrt_at(h, h->at.begin), 0, h->at.end - h->at.begin);
	err = tables_make(h);
	if (!err)
		err = info_make(h);
	if (!err)
		err = area_make(h);
	if (err)
		return err;
	copy_image(h);
	share = (struct cokernel_share){ h->at.area - h->lease.address,
		h->at.area - h->lease.address + h->at.slots_offset, h->at.slots, 0 };
	if (ioctl(h->device, COKERNEL_SHARE, &share) < 0)
		return fail(-errno, "the shared area is refused: %s", strerror(errno));
	return 0;
}

int hrt_boot(struct hrt *h)
{
	for (uint32_t cpu = 0; cpu < h->lease.cpus; cpu++) {
		struct cokernel_boot b;

		cpu_boot(h, cpu, &b);
		if (ioctl(h->device, COKERNEL_BOOT, &b) < 0)
			return fail(-errno, "CPU %u of the kernel does not start: %s", cpu, strerror(errno));
	}
	return 0;
}

void hrt_kick(struct hrt *h, uint32_t apic)
{
	struct cokernel_kick k = { apic, __atomic_load_n(&h->area->hrt_vector, __ATOMIC_RELAXED) };

	if (k.vector)
		ioctl(h->device, COKERNEL_KICK, &k); /* numbers that are wrong are the HRT's loss */
}
