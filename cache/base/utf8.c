/* SPDX-License-Identifier: MIT */
/*
 * utf8.c: decode one character strictly, then ask whether showing it is harmless. Used where bytes of
 * strangers (names in a registry, a config file, a guest's words) end up in a terminal.
 */
#include "cache/base/utf8.h"

#include <stdbool.h>
#include <stdint.h>

/* How long a sequence is by its first byte, the bits that byte carries, and the least value allowed. */
static size_t lead(unsigned char c, uint32_t *bits, uint32_t *least)
{
	if (c < 0x80) {
		*bits = c;
		*least = 0;
		return 1;
	}
	if (c >= 0xc2 && c < 0xe0) {
		*bits = c & 0x1f;
		*least = 0x80;
		return 2;
	}
	if (c >= 0xe0 && c < 0xf0) {
		*bits = c & 0x0f;
		*least = 0x800;
		return 3;
	}
	if (c >= 0xf0 && c < 0xf5) {
		*bits = c & 0x07;
		*least = 0x10000;
		return 4;
	}
	return 0;
}

static size_t decode(const char *s, size_t len, uint32_t *out)
{
	uint32_t least;
	size_t n;

	if (len == 0)
		return 0;
	n = lead((unsigned char)s[0], out, &least);
	if (n == 0 || n > len)
		return 0;
	for (size_t i = 1; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if ((c & 0xc0) != 0x80)
			return 0;
		*out = *out << 6 | (c & 0x3f);
	}
	if (*out < least || *out > 0x10ffff || (*out >= 0xd800 && *out < 0xe000))
		return 0;
	return n;
}

size_t utf8_len(const char *s, size_t len)
{
	uint32_t c;

	return decode(s, len, &c);
}

static bool harmless(uint32_t c)
{
	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		return false;
	if (c == 0x2028 || c == 0x2029 || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069))
		return false;
	return c != 0x200e && c != 0x200f && c != 0x061c && c != 0xfeff;
}

size_t utf8_printable(const char *s, size_t len)
{
	uint32_t c;
	size_t n = decode(s, len, &c);

	return n && harmless(c) ? n : 0;
}
