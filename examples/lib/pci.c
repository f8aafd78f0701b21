/* SPDX-License-Identifier: MIT */
/* pci.c: configuration space of bus 0 through the ports 0xcf8 and 0xcfc. The firmware has placed the regions.
 */
#include "virtio.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA    0xcfc
#define REG_BAR	       0x10

uint32_t pci_read(uint8_t slot, uint8_t reg)
{
	out32(CONFIG_ADDRESS, 0x80000000u | (uint32_t)slot << 11 | (reg & 0xfcu));
	return in32(CONFIG_DATA);
}

void pci_write(uint8_t slot, uint8_t reg, uint32_t value)
{
	out32(CONFIG_ADDRESS, 0x80000000u | (uint32_t)slot << 11 | (reg & 0xfcu));
	out32(CONFIG_DATA, value);
}

bool pci_find(uint16_t vendor, uint16_t device, uint8_t *slot)
{
	for (*slot = 0; *slot < 32; ++*slot)
		if (pci_read(*slot, 0) == (vendor | (uint32_t)device << 16))
			return true;
	return false;
}

uint64_t pci_bar(uint8_t slot, unsigned bar)
{
	uint32_t low = pci_read(slot, (uint8_t)(REG_BAR + 4 * bar));

	if (bar > 5 || low & 1) /* 1: I/O ports */
		return 0;
	if ((low & 6) != 4)
		return low & ~15u;
	return (low & ~15u) | (uint64_t)pci_read(slot, (uint8_t)(REG_BAR + 4 * bar + 4)) << 32;
}
