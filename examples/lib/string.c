/* SPDX-License-Identifier: MIT */
/*
 * string.c: memory and strings. The compiler calls memcpy, memmove, memset and memcmp by itself, so they must
 * exist. Sixteen bytes at a time: `rep movsb` is as good on a CPU but slow where QEMU translates code.
 */
#include "lib.h"

typedef long long chunk __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint64_t word __attribute__((aligned(1), may_alias));
typedef uint32_t half __attribute__((aligned(1), may_alias));

#define AT(type, p, offset) (*(type *)((uint8_t *)(p) + (offset)))

/* Up to 32 bytes: everything is read before anything is written, in two parts that may overlap. */
static inline void copy_few(void *to, const void *from, size_t len)
{
	if (len >= 16) {
		chunk a = AT(const chunk, from, 0), b = AT(const chunk, from, len - 16);

		AT(chunk, to, 0) = a;
		AT(chunk, to, len - 16) = b;
	} else if (len >= 8) {
		uint64_t a = AT(const word, from, 0), b = AT(const word, from, len - 8);

		AT(word, to, 0) = a;
		AT(word, to, len - 8) = b;
	} else if (len >= 4) {
		uint32_t a = AT(const half, from, 0), b = AT(const half, from, len - 4);

		AT(half, to, 0) = a;
		AT(half, to, len - 4) = b;
	} else if (len) {
		uint8_t a = AT(const uint8_t, from, 0), b = AT(const uint8_t, from, len / 2);
		uint8_t c = AT(const uint8_t, from, len - 1);

		AT(uint8_t, to, 0) = a;
		AT(uint8_t, to, len / 2) = b;
		AT(uint8_t, to, len - 1) = c;
	}
}

/* The end is read before it can be overwritten, and written last. */
static void *copy_up(void *to, const void *from, size_t len)
{
	chunk end = AT(const chunk, from, len - 16);
	size_t at = 0;

	for (; at + 64 <= len; at += 64) {
		chunk a = AT(const chunk, from, at), b = AT(const chunk, from, at + 16);
		chunk c = AT(const chunk, from, at + 32), d = AT(const chunk, from, at + 48);

		AT(chunk, to, at) = a;
		AT(chunk, to, at + 16) = b;
		AT(chunk, to, at + 32) = c;
		AT(chunk, to, at + 48) = d;
	}
	for (; at + 16 < len; at += 16)
		AT(chunk, to, at) = AT(const chunk, from, at);
	AT(chunk, to, len - 16) = end;
	return to;
}

/* And here the beginning. */
static void *copy_down(void *to, const void *from, size_t len)
{
	chunk begin = AT(const chunk, from, 0);
	size_t at = len;

	for (; at > 16; at -= 16)
		AT(chunk, to, at - 16) = AT(const chunk, from, at - 16);
	AT(chunk, to, 0) = begin;
	return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t len)
{
	if (len > 32)
		return copy_up(to, from, len);
	copy_few(to, from, len);
	return to;
}

void *memmove(void *to, const void *from, size_t len)
{
	if (len > 32) /* upwards unless the end of what is read would be overwritten first */
		return (uintptr_t)to - (uintptr_t)from >= len ? copy_up(to, from, len) : copy_down(to, from, len);
	copy_few(to, from, len);
	return to;
}

void *memset(void *p, int byte, size_t len)
{
	uint64_t pattern = (uint8_t)byte * 0x0101010101010101ull;
	chunk both = { (long long)pattern, (long long)pattern };

	if (len >= 16) {
		for (size_t at = 0; at + 16 < len; at += 16)
			AT(chunk, p, at) = both;
		AT(chunk, p, len - 16) = both;
	} else if (len >= 8) {
		AT(word, p, 0) = AT(word, p, len - 8) = pattern;
	} else if (len >= 4) {
		AT(half, p, 0) = AT(half, p, len - 4) = (uint32_t)pattern;
	} else {
		for (size_t at = 0; at < len; at++)
			AT(uint8_t, p, at) = (uint8_t)byte;
	}
	return p;
}

int memcmp(const void *a, const void *b, size_t len)
{
	const uint8_t *x = a, *y = b;

	for (; len >= 8; len -= 8, x += 8, y += 8) {
		uint64_t v = __builtin_bswap64(*(const word *)x), w = __builtin_bswap64(*(const word *)y);

		if (v != w) /* the first byte counts most */
			return v < w ? -1 : 1;
	}
	for (; len; len--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

/* Eight bytes at a time: a byte of x is zero where the byte looked for is, and only then can the subtraction
 * borrow into the top bit of a byte that had it clear. */
void *memchr(const void *p, int byte, size_t len)
{
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
