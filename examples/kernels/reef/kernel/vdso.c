/* SPDX-License-Identifier: MIT */
/* vdso.c: gives a program the library that is in vdso.S. */
#include "elf.h"
#include "syscall.h"

extern const char vdso[], vdso_terms[], vdso_end[];

uint64_t vdso_add(void)
{
	uint64_t a = region_add(REGION_PROGRAM, PAGE, REGION_READ | REGION_WRITE);
	struct clock_terms terms = clock_terms();

	if (!a)
		return 0;
	if (copy_out((void *)a, vdso, (size_t)(vdso_end - vdso)) ||
		copy_out((void *)(a + (uint64_t)(vdso_terms - vdso)), &terms, sizeof(terms))) {
		region_remove(a, PAGE);
		return 0;
	}
	region_protect(a, PAGE, REGION_READ | REGION_EXEC);
	return a;
}
