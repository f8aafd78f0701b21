/* SPDX-License-Identifier: MIT */
/*
 * conf_value.c: what a value means: a size, a number, yes or no, one of some words. A number that is
 * not exactly what was written is refused, never rounded.
 */
#include "cache/base/conf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SHOWN 80 /* bytes of a value that an error repeats */

static const char units[] = "KMGT"; /* powers of 1024: K is 1024^1 */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Decimal digits at (*s); false if there are none or too many. Moves (*s) past them. */
static bool digits(const char **s, uint64_t *out)
{
	if (!is_digit(**s))
		return false;
	*out = 0;
	for (; is_digit(**s); ++*s) {
		if (__builtin_mul_overflow(*out, (uint64_t)10, out) ||
			__builtin_add_overflow(*out, (uint64_t)(**s - '0'), out))
			return false;
	}
	return true;
}

/* ".5": digits after the point as (num)/(den); true also if there is no point. At most 18 digits, which
 * fit 64 bits and are more than any exact size has use for. */
static bool fraction(const char **s, uint64_t *num, uint64_t *den)
{
	const char *from;

	*num = 0;
	*den = 1;
	if (**s != '.')
		return true;
	from = ++*s;
	if (!digits(s, num) || *s - from > 18)
		return false;
	for (; from < *s; from++)
		*den *= 10;
	return true;
}

/* K, KiB and k, and so on; nothing is bytes. KB is refused: some read it as 1000. */
static bool unit(const char *s, uint64_t *out)
{
	const char *u;

	*out = 1;
	if (!*s)
		return true;
	u = strchr(units, *s >= 'a' && *s <= 'z' ? *s - 'a' + 'A' : *s);
	if (!u)
		return false;
	*out <<= 10 * (u - units + 1);
	return s[1] == '\0' || strcmp(s + 1, "iB") == 0;
}

static bool parse_size(const char *s, uint64_t *out)
{
	uint64_t whole, num, den, mul;
	unsigned __int128 part;

	if (!digits(&s, &whole) || !fraction(&s, &num, &den) || !unit(s, &mul))
		return false;
	part = (unsigned __int128)num * mul;
	return part % den == 0 && !__builtin_mul_overflow(whole, mul, out) &&
	       !__builtin_add_overflow(*out, (uint64_t)(part / den), out);
}

static int not_a(const char *key, const char *value, const char *what, const char *example, struct why *why)
{
	if (!*value)
		return why_fail(why, -EINVAL, "%s: the value is missing (try %s)", key, example);
	return why_fail(why, -EINVAL, "%s: %.*s is not %s (try %s)", key, SHOWN, value, what, example);
}

int conf_size(const char *key, const char *value, uint64_t min, uint64_t max, uint64_t *out, struct why *why)
{
	autobuf struct buf limit = { 0 };
	uint64_t n;

	if (!parse_size(value, &n))
		return not_a(key, value, "a size", "64M", why);
	if (n >= min && n <= max) {
		*out = n;
		return 0;
	}
	conf_put_size(&limit, n < min ? min : max);
	return why_fail(why, -EINVAL, "%s: %.*s is %s; the %s is %s", key, SHOWN, value,
		n < min ? "too little" : "too much", n < min ? "least" : "most", limit.data);
}

int conf_number(
	const char *key, const char *value, uint64_t min, uint64_t max, uint64_t *out, struct why *why)
{
	const char *s = value;
	char example[24];
	uint64_t n;

	snprintf(example, sizeof(example), "%llu", (unsigned long long)(min > 1 || max < 1 ? min : 1));
	if (!digits(&s, &n) || *s)
		return not_a(key, value, "a number", example, why);
	if (n < min || n > max)
		return why_fail(why, -EINVAL, "%s: %.*s is not between %llu and %llu", key, SHOWN, value,
			(unsigned long long)min, (unsigned long long)max);
	*out = n;
	return 0;
}

int conf_bool(const char *key, const char *value, bool *out, struct why *why)
{
	static const char *const words[] = { "off", "on", "no", "yes", "false", "true", "0", "1", NULL };

	for (int i = 0; words[i]; i++) {
		if (strcmp(value, words[i]) == 0) {
			*out = i & 1;
			return 0;
		}
	}
	return not_a(key, value, "on or off", "on", why);
}

int conf_word(const char *key, const char *value, const char *const *words, struct why *why)
{
	autobuf struct buf list = { 0 };

	for (int i = 0; words[i]; i++)
		if (strcmp(value, words[i]) == 0)
			return i;
	for (int i = 0; words[i]; i++)
		buf_printf(&list, "%s%s", i ? ", " : "", words[i]);
	if (!*value)
		return why_fail(why, -EINVAL, "%s: the value is missing (one of %s)", key, list.data);
	return why_fail(why, -EINVAL, "%s: %.*s is not one of %s", key, SHOWN, value, list.data);
}

/* "1.5" of (unit) into (text), or false if it takes more than three decimals. */
static bool exact(uint64_t bytes, unsigned shift, char letter, char *text, size_t size)
{
	uint64_t whole = bytes >> shift, rest = bytes & ((UINT64_C(1) << shift) - 1);
	uint64_t thousandths;
	int len;

	if (whole == 0 || (unsigned __int128)rest * 1000 & ((UINT64_C(1) << shift) - 1))
		return false;
	thousandths = (uint64_t)((unsigned __int128)rest * 1000 >> shift);
	len = snprintf(text, size, "%llu.%03llu", (unsigned long long)whole, (unsigned long long)thousandths);
	while (text[len - 1] == '0')
		len--;
	if (text[len - 1] == '.')
		len--;
	text[len++] = letter;
	text[len] = '\0';
	return true;
}

void conf_put_size(struct buf *out, uint64_t bytes)
{
	char best[32], text[32];

	snprintf(best, sizeof(best), "%llu", (unsigned long long)bytes);
	for (unsigned i = 0; units[i]; i++)
		if (exact(bytes, 10 * (i + 1), units[i], text, sizeof(text)) && strlen(text) < strlen(best))
			memcpy(best, text, sizeof(best));
	buf_puts(out, best);
}
