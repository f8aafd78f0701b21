/* SPDX-License-Identifier: MIT */
/* cache_digest.c: SHA-256 of two texts at once is that of each alone, whatever their length and place in memory. */
#include "cache/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MOST 300000u

static char one[MOST], two[MOST];

static void compare(size_t at, size_t len)
{
	struct digest a, b, first, second;
	digest_of_two(one + at, two + MOST - len, len, &first, &second);
	digest_of(one + at, len, &a);
	digest_of(two + MOST - len, len, &b);
	assert_true(digest_equal(&a, &first));
	assert_true(digest_equal(&b, &second));
}

static void test_two(void **state)
{
	(void)state;
	for (size_t i = 0; i < MOST; i++) {
		one[i] = (char)rand();
		two[i] = (char)rand();
	}
	for (size_t len = 0; len < 400; len++)
		compare(len % 61, len);
	for (size_t len = 65535; len < 65600; len += 3)
		compare(5, len);
	compare(0, MOST);
	compare(0, 256u << 10);
}

static void test_known(void **state)
{
	struct digest a, b, abc, empty;
	(void)state;
	/* FIPS 180-4's example, and of nothing */
	assert_int_equal(
		digest_parse_hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", &abc),
		0);
	assert_int_equal(
		digest_parse_hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", &empty),
		0);
	digest_of_two("abc", "abd", 3, &a, &b);
	assert_true(digest_equal(&a, &abc));
	assert_false(digest_equal(&b, &abc));
	digest_of_two("", "", 0, &a, &b);
	assert_true(digest_equal(&a, &empty));
	assert_true(digest_equal(&b, &empty));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_two), cmocka_unit_test(test_known) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
