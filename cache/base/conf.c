/* SPDX-License-Identifier: MIT */
/*
 * conf.c: reads and writes lines of key = value. Reading is strict: what is not understood is refused
 * with its line, because a value that was half understood would be worse.
 */
#include "cache/base/conf.h"

#include "cache/base/utf8.h"

#include <errno.h>
#include <string.h>

/* A stretch of the text; the line under work, or what is left of it. */
struct span {
	const char *s;
	size_t len;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void skip_blanks(struct span *p)
{
	while (p->len && is_blank(p->s[0])) {
		p->s++;
		p->len--;
	}
}

static int check_bytes(const struct span *p, struct why *why)
{
	for (size_t i = 0; i < p->len;) {
		unsigned char c = (unsigned char)p->s[i];
		size_t n = utf8_len(p->s + i, p->len - i);

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return why_fail(why, -EINVAL,
				"byte 0x%02x is a control character; write it as \\x%02x in quotes", c, c);
		if (n == 0)
			return why_fail(why, -EINVAL, "byte 0x%02x is not UTF-8; save the file as UTF-8", c);
		i += n;
	}
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* What follows a backslash. Returns the byte and moves (p) past it, or -EINVAL. */
static int unescape(struct span *p, struct why *why)
{
	int hi, lo, c = p->len ? p->s[0] : 0;

	if (p->len) {
		p->s++;
		p->len--;
	}
	switch (c) {
	case '"':
	case '\\':
		return c;
	case 'n':
		return '\n';
	case 't':
		return '\t';
	case 'x':
		hi = p->len > 0 ? hex_digit(p->s[0]) : -1;
		lo = p->len > 1 ? hex_digit(p->s[1]) : -1;
		if (hi < 0 || lo < 0)
			return why_fail(why, -EINVAL, "\\x wants two hexadecimal digits");
		if (hi == 0 && lo == 0)
			return why_fail(why, -EINVAL, "\\x00: a value cannot hold a NUL byte");
		p->s += 2;
		p->len -= 2;
		return hi * 16 + lo;
	default:
		return why_fail(why, -EINVAL, "a backslash in quotes is followed by one of \" \\ n t xHH");
	}
}

/* (p) stands after the opening quote. */
static int parse_quoted(struct span *p, struct buf *value, struct why *why)
{
	bool blank;

	for (;;) {
		char c;

		if (!p->len)
			return why_fail(why, -EINVAL, "the closing quote is missing");
		c = *p->s++;
		p->len--;
		if (c == '"')
			break;
		if (c == '\\') {
			int byte = unescape(p, why);

			if (byte < 0)
				return byte;
			c = (char)byte;
		}
		buf_append(value, &c, 1);
	}
	blank = p->len && is_blank(p->s[0]);
	skip_blanks(p);
	if (p->len && !(blank && p->s[0] == '#'))
		return why_fail(why, -EINVAL,
			"there is text after the closing quote; a quote inside is written \\\"");
	return 0;
}

/* (blank): there was one before (p), so that a '#' may begin a comment at once. */
static void parse_plain(struct span *p, bool blank, struct buf *value)
{
	size_t end = 0;

	for (; end < p->len && !(p->s[end] == '#' && blank); end++)
		blank = is_blank(p->s[end]);
	while (end && is_blank(p->s[end - 1]))
		end--;
	buf_append(value, p->s, end);
}

static bool key_char(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (!first && ((c >= '0' && c <= '9') || c == '_' || c == '.'));
}

static int parse_key(struct span *p, struct buf *key, struct why *why)
{
	size_t n = 0;

	while (n < p->len && key_char(p->s[n], n == 0))
		n++;
	buf_append(key, p->s, n);
	p->s += n;
	p->len -= n;
	skip_blanks(p);
	if (!p->len || p->s[0] != '=')
		return why_fail(
			why, -EINVAL, "this is not of the form key = value (a key has a-z, 0-9, _ and .)");
	if (!n)
		return why_fail(why, -EINVAL, "there is no key before the '='");
	p->s++;
	p->len--;
	return 0;
}

/* Splits one line. Returns 1 if it holds a key, 0 if it is blank or a comment. */
static int parse_line(struct span p, struct buf *key, struct buf *value, struct why *why)
{
	int err = check_bytes(&p, why);
	size_t before;

	if (err)
		return err;
	buf_clear(key);
	buf_clear(value);
	buf_reserve(value, 0); /* "" and not NULL, if nothing is added */
	skip_blanks(&p);
	if (!p.len || p.s[0] == '#')
		return 0;
	err = parse_key(&p, key, why);
	if (err)
		return err;
	before = p.len;
	skip_blanks(&p);
	if (p.len && p.s[0] == '"') {
		p.s++;
		p.len--;
		err = parse_quoted(&p, value, why);
		return err ? err : 1;
	}
	parse_plain(&p, p.len < before, value);
	return 1;
}

int conf_parse(const char *text, size_t len, conf_fn *fn, void *arg, struct why *why)
{
	autobuf struct buf key = { 0 }, value = { 0 };
	struct span rest = { text, len };

	for (unsigned line = 1; rest.len; line++) {
		const char *nl = memchr(rest.s, '\n', rest.len);
		struct span p = { rest.s, nl ? (size_t)(nl - rest.s) : rest.len };
		int r;

		rest.s += p.len + (nl ? 1 : 0);
		rest.len -= p.len + (nl ? 1 : 0);
		if (nl && p.len && p.s[p.len - 1] == '\r')
			p.len--;
		why_clear(why);
		r = parse_line(p, &key, &value, why);
		if (r > 0)
			r = fn(arg, line, key.data, value.data, why);
		if (r) {
			if (why && !why->err)
				why_fail(why, r, "%s: %s", key.data ? key.data : "", err_text(r));
			why_prefix(why, "line %u", line);
			return r;
		}
	}
	return 0;
}

static bool needs_quotes(const char *value, size_t len)
{
	if (len && (value[0] == '"' || value[0] == '#' || is_blank(value[0]) || is_blank(value[len - 1])))
		return true;
	for (size_t i = 0; i < len;) {
		size_t n = utf8_printable(value + i, len - i);

		if (n == 0 || (value[i] == '#' && is_blank(value[i - 1])))
			return true;
		i += n;
	}
	return false;
}

static void put_quoted(struct buf *out, const char *value, size_t len)
{
	buf_puts(out, "\"");
	for (size_t i = 0; i < len;) {
		size_t n = utf8_printable(value + i, len - i);

		if (value[i] == '"' || value[i] == '\\')
			buf_printf(out, "\\%c", value[i]);
		else if (n)
			buf_append(out, value + i, n);
		else if (value[i] == '\n')
			buf_puts(out, "\\n");
		else if (value[i] == '\t')
			buf_puts(out, "\\t");
		else
			buf_printf(out, "\\x%02x", (unsigned char)value[i]);
		i += n ? n : 1;
	}
	buf_puts(out, "\"");
}

void conf_put(struct buf *out, const char *key, const char *value)
{
	size_t len = strlen(value);

	buf_printf(out, "%s =%s", key, len ? " " : "");
	if (needs_quotes(value, len))
		put_quoted(out, value, len);
	else
		buf_append(out, value, len);
	buf_puts(out, "\n");
}

void conf_putf(struct buf *out, const char *key, const char *fmt, ...)
{
	autobuf struct buf value = { 0 };
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&value, fmt, ap);
	va_end(ap);
	conf_put(out, key, value.data);
}

char *conf_lower_keys(const char *text, size_t len)
{
	char *copy = xstrndup(text, len);
	bool in_key = true;

	for (size_t i = 0; copy[i]; i++) {
		if (copy[i] == '\n')
			in_key = true;
		else if (copy[i] == '=')
			in_key = false;
		if (in_key && copy[i] >= 'A' && copy[i] <= 'Z')
			copy[i] += 'a' - 'A';
	}
	return copy;
}
