/* SPDX-License-Identifier: MIT */
/*
 * user.c: memory that a program names. A fault between copy_begin and copy_end (entry.S) is no mistake of the kernel: trap.c
 * lets the copy end early, and it says so.
 */
#include "syscall.h"

/* entry.S: 0, or not all bytes were there. */
uint64_t copy_bytes(void *to, const void *from, size_t len);
uint64_t copy_touch(void *p);

long copy_in(void *to, const void *from_user, size_t len)
{
	return copy_bytes(to, from_user, len) ? -EFAULT : 0;
}

long copy_out(void *to_user, const void *from, size_t len)
{
	return copy_bytes(to_user, from, len) ? -EFAULT : 0;
}

static const char *next_page(const void *p)
{
	return (const char *)(((uint64_t)p & ~(PAGE - 1)) + PAGE);
}

long touch_in(const void *user, size_t len)
{
	const char *p = user, *end = p + len;
	char byte;

	for (; p < end; p = next_page(p))
		if (copy_bytes(&byte, p, 1))
			return -EFAULT;
	return end < (const char *)user ? -EFAULT : 0;
}

/* Who touches what another thread is writing to must not put an old byte back: this writes what is there, in one step. */
long touch_out(void *user, size_t len)
{
	const char *p = user, *end = p + len;

	for (; p < end; p = next_page(p))
		if (copy_touch((void *)p))
			return -EFAULT;
	return end < (const char *)user ? -EFAULT : 0;
}

long string_in(char *to, const char *from_user, size_t room)
{
	size_t n = 0;

	while (n < room) {
		size_t step = (size_t)(next_page(from_user + n) - (from_user + n));

		step = step < room - n ? step : room - n;
		if (copy_bytes(to + n, from_user + n, step))
			return -EFAULT;
		for (size_t end = n + step; n < end; n++)
			if (!to[n])
				return (long)n;
	}
	return -ENAMETOOLONG;
}
