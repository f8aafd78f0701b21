/* SPDX-License-Identifier: MIT */
/*
 * string.c: memory and strings. The compiler calls memcpy, memmove, memset and memcmp by itself, so they must
 * exist. Sixteen bytes at a time: `rep movsb` is as good on a CPU but slow where QEMU translates code.
 */
#include "lib.h"

typedef long long chunk __attribute__((vector_size(16), aligned(1), may_alias));

void *memcpy(void *restrict to, const void *restrict from, size_t len)
{
	uint8_t *t = to;
	const uint8_t *f = from;

	for (; len >= 64; len -= 64, t += 64, f += 64) {
		chunk a = ((const chunk *)f)[0], b = ((const chunk *)f)[1];
		chunk c = ((const chunk *)f)[2], d = ((const chunk *)f)[3];

		((chunk *)t)[0] = a;
		((chunk *)t)[1] = b;
		((chunk *)t)[2] = c;
		((chunk *)t)[3] = d;
	}
	for (; len >= 16; len -= 16, t += 16, f += 16)
		*(chunk *)t = *(const chunk *)f;
	while (len--)
		*t++ = *f++;
	return to;
}

void *memmove(void *to, const void *from, size_t len)
{
	uint8_t *t = to;
	const uint8_t *f = from;

	if (t <= f || t >= f + len) { /* upwards: each byte is read before it is overwritten */
		for (; len >= 16; len -= 16, t += 16, f += 16)
			*(chunk *)t = *(const chunk *)f;
		while (len--)
			*t++ = *f++;
		return to;
	}
	for (; len >= 16; len -= 16)
		*(chunk *)(t + len - 16) = *(const chunk *)(f + len - 16);
	while (len--)
		t[len] = f[len];
	return to;
}

void *memset(void *p, int byte, size_t len)
{
	uint8_t *t = p;
	long long pattern = (uint8_t)byte * 0x0101010101010101LL;

	for (; len >= 16; len -= 16, t += 16)
		*(chunk *)t = (chunk){ pattern, pattern };
	while (len--)
		*t++ = (uint8_t)byte;
	return p;
}

int memcmp(const void *a, const void *b, size_t len)
{
	const uint8_t *x = a, *y = b;

	for (; len; len--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

/* Eight bytes at a time: a byte of x is zero where the byte looked for is, and only then can the subtraction
 * borrow into the top bit of a byte that had it clear. */
void *memchr(const void *p, int byte, size_t len)
{
	typedef uint64_t word __attribute__((aligned(1), may_alias));
	const uint64_t ones = 0x0101010101010101, tops = 0x8080808080808080;
	const uint8_t *s = p;

	for (; len >= 8; len -= 8, s += 8) {
		uint64_t x = *(const word *)s ^ ones * (uint8_t)byte;

		x = (x - ones) & ~x & tops; /* its lowest bit is exact, the others need not be */
		if (x)
			return (void *)(s + __builtin_ctzll(x) / 8);
	}
	for (; len; len--, s++)
		if (*s == (uint8_t)byte)
			return (void *)s;
	return NULL;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

int strcmp(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		;
	return (uint8_t)*a - (uint8_t)*b;
}
