/* SPDX-License-Identifier: MIT */
/* kernel_string.c: memory functions of examples/lib, which kernels and reef's applications use, against the host's. */
#include "base_tmp.h"

#include <stdlib.h>
#include <string.h>

#pragma GCC optimize("no-tree-loop-distribute-patterns")
#define memcpy	kernel_memcpy
#define memmove kernel_memmove
#define memset	kernel_memset
#define memcmp	kernel_memcmp
#define memchr	kernel_memchr
#define strlen	kernel_strlen
#define strcmp	kernel_strcmp
#define LIB_H	/* its header is for a kernel; what the file itself needs is here */
void *memcpy(void *restrict to, const void *restrict from, size_t len);
void *memmove(void *to, const void *from, size_t len);
void *memset(void *p, int byte, size_t len);
int memcmp(const void *a, const void *b, size_t len);
void *memchr(const void *p, int byte, size_t len);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
#include "examples/lib/string.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef memchr

#define SPACE 512

static uint8_t ours[SPACE], hosts[SPACE];

static void shuffle(void)
{
	for (size_t i = 0; i < SPACE; i++)
		ours[i] = hosts[i] = (uint8_t)rand();
}

static void check(size_t a, size_t b, size_t len)
{
	if (memcmp(ours, hosts, SPACE))
		fail_msg("from %zu to %zu, %zu bytes", a, b, len);
}

static void copies(void **state)
{
	(void)state;
	for (size_t len = 0; len < 200; len++)
		for (size_t at = 0; at < 17; at++) {
			shuffle();
			assert_ptr_equal(
				kernel_memcpy(ours + 256 + at, ours + 17 - at, len), ours + 256 + at);
			memcpy(hosts + 256 + at, hosts + 17 - at, len);
			check(17 - at, 256 + at, len);
		}
}

static void moves(void **state)
{
	(void)state;
	for (size_t len = 0; len < 200; len++)
		for (size_t to = 0; to < 200; to += to < 140 ? 5 : 1) {
			shuffle();
			assert_ptr_equal(kernel_memmove(ours + to, ours + 160, len), ours + to);
			memmove(hosts + to, hosts + 160, len);
			check(160, to, len);
		}
}

static void sets(void **state)
{
	(void)state;
	for (size_t len = 0; len < 200; len++)
		for (size_t at = 0; at < 17; at++) {
			shuffle();
			assert_ptr_equal(kernel_memset(ours + at, 0x1a5, len), ours + at);
			memset(hosts + at, 0x1a5, len);
			check(at, at, len);
		}
}

static int sign(int n)
{
	return (n > 0) - (n < 0);
}

static void compares_and_finds(void **state)
{
	(void)state;
	for (size_t len = 0; len < 100; len++)
		for (size_t at = 0; at <= len; at++) {
			shuffle();
			ours[7 + at] ^= (uint8_t)(at % 2 ? 0x80 : 1); /* just behind the end, too */
			assert_int_equal(sign(kernel_memcmp(ours + 7, hosts + 7, len)),
				sign(memcmp(ours + 7, hosts + 7, len)));
			assert_ptr_equal(
				kernel_memchr(ours + 7, (int)at, len), memchr(ours + 7, (int)at, len));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies),
		cmocka_unit_test(moves),
		cmocka_unit_test(sets),
		cmocka_unit_test(compares_and_finds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
