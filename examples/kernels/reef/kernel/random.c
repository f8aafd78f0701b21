/* SPDX-License-Identifier: MIT */
/*
 * random.c: numbers that are hard to guess: the host's, where there is an entropy device, and the CPU's RDRAND, where it
 * has that, mixed with the jitter of the TSC; with neither the jitter alone, which is no good for keys.
 */
#include "device.h"

static bool rdrand(uint64_t *value)
{
	bool ok = false;

	for (int i = 0; i < 10 && !ok; i++)
		__asm__ volatile("rdrand %0; setc %1" : "=r"(*value), "=qm"(ok)::"cc");
	return ok;
}

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

void random_bytes(void *buf, size_t len)
{
	static uint64_t pool;
	bool have = cpuid(1, 0).c >> 30 & 1;
	uint8_t *p = buf;
	const uint8_t *host_end = p + entropy_read(buf, len);

	while (len) {
		uint64_t word = 0, n = len < 8 ? len : 8;

		if (!have || !rdrand(&word))
			word = 0;
		word ^= mix(
			__atomic_add_fetch(&pool, 0x9e3779b97f4a7c15ull, __ATOMIC_RELAXED) ^ mix(read_tsc()));
		for (uint64_t i = 0; i < n; i++, p++)
			*p = (uint8_t)((p < host_end ? *p : 0) ^ word >> 8 * i);
		len -= n;
	}
}
