/* SPDX-License-Identifier: MIT */
/* calls_memory.c: mmap and its family. */
#include "syscall.h"

#define MAP_FIXED     0x10u
#define MAP_ANONYMOUS 0x20u

static uint64_t whole_pages(uint64_t len)
{
	return (len + PAGE - 1) & ~(PAGE - 1);
}

CALL(mmap)
{
	uint64_t a, len = whole_pages(ARG2);

	if (!(ARG4 & MAP_ANONYMOUS) || !len || len < ARG2)
		return -EINVAL;
	if (ARG4 & MAP_FIXED)
		return region_add_at(ARG1, len, (unsigned)ARG3) ? -ENOMEM : (long)ARG1;
	a = region_add(len, (unsigned)ARG3);
	return a ? (long)a : -ENOMEM;
}

CALL(munmap)
{
	return region_remove(ARG1, whole_pages(ARG2)) ? -EINVAL : 0;
}

CALL(mprotect)
{
	return region_protect(ARG1, whole_pages(ARG2), (unsigned)ARG3) ? -ENOMEM : 0;
}

CALL(brk)
{
	return process_brk(ARG1);
}

CALL(madvise)
{
	(void)f;
	return 0;
}
