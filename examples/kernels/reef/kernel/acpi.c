/* SPDX-License-Identifier: MIT */
/*
 * acpi.c: how many CPUs there are, and their APIC ids. The MADT of the ACPI tables says so, found from the RSDP that
 * the loader told or that lies in the firmware's segment; without ACPI, QEMU's fw_cfg device knows the number.
 *
 * Source  ACPI 6.4: 5.2.5 RSDP, 5.2.12 MADT; QEMU docs/specs/fw_cfg.txt
 */
#include "kernel.h"

struct rsdp {
	char signature[8];
	uint8_t checksum, oem[6], revision;
	uint32_t rsdt, length;
	uint64_t xsdt;
} __attribute__((packed));
struct table {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum, oem[26];
} __attribute__((packed));
_Static_assert(sizeof(struct table) == 36, "ACPI's layout");

#define MADT_ENTRIES 44 /* offset of the first */
#define FOUR_GIB     (1ull << 32)

static bool adds_up(const void *p, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + ((const uint8_t *)p)[i]);
	return !sum;
}

static const struct rsdp *rsdp_at(uint64_t a)
{
	const struct rsdp *r = at_physical(a);

	return a && a < FOUR_GIB && !memcmp(r->signature, "RSD PTR ", 8) && adds_up(r, 20) ? r : NULL;
}

static const struct rsdp *find_rsdp(void)
{
	const struct rsdp *r = rsdp_at(boot.rsdp);

	for (uint64_t a = 0xe0000; !r && a < 0x100000; a += 16)
		r = rsdp_at(a);
	return r;
}

static const struct table *table_at(uint64_t a)
{
	const struct table *t = at_physical(a);

	/* the first 4 GiB are mapped, and tables of more than a MiB do not exist */
	return a >= 4096 && a < FOUR_GIB - 0x100000 && t->length >= sizeof(*t) && t->length < 0x100000 ? t
												       : NULL;
}

static const struct table *find_madt(void)
{
	const struct rsdp *r = find_rsdp();
	bool wide = r && r->revision >= 2 && r->xsdt;
	const struct table *root = r ? table_at(wide ? r->xsdt : r->rsdt) : NULL;
	unsigned step = wide ? 8 : 4;

	for (uint32_t at = sizeof(*root); root && at + step <= root->length; at += step) {
		uint64_t a = 0;

		memcpy(&a, (const char *)root + at, step);
		const struct table *t = table_at(a);

		if (t && !memcmp(t->signature, "APIC", 4))
			return t;
	}
	return NULL;
}

static unsigned madt_cpus(const struct table *madt, uint32_t *ids, unsigned max)
{
	unsigned n = 0;

	for (uint32_t at = MADT_ENTRIES; madt && at + 8 <= madt->length;) {
		const uint8_t *e = (const uint8_t *)madt + at;

		/* type 0: a CPU; byte 3 its APIC id, byte 4 bit 0: enabled */
		if (e[0] == 0 && e[4] & 1 && n < max)
			ids[n++] = e[3];
		if (e[1] < 2)
			break;
		at += e[1];
	}
	return n;
}

#define FW_SELECT    0x510
#define FW_DATA	     0x511
#define FW_SIGNATURE 0
#define FW_CPUS	     5

static uint32_t fw_read(uint16_t item, unsigned bytes)
{
	uint32_t value = 0;

	out16(FW_SELECT, item);
	for (unsigned i = 0; i < bytes; i++)
		value |= (uint32_t)in8(FW_DATA) << 8 * i;
	return value;
}

unsigned acpi_cpus(uint32_t *ids, unsigned max)
{
	unsigned n = madt_cpus(find_madt(), ids, max);

	if (n || fw_read(FW_SIGNATURE, 4) != 0x554d4551) /* "QEMU" */
		return n;
	n = fw_read(FW_CPUS, 2);
	n = n < max ? n : max;
	for (unsigned i = 0; i < n; i++)
		ids[i] = i;
	return n;
}
