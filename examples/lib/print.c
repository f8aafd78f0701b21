/* SPDX-License-Identifier: MIT */
/* print.c: printf and printk: one formatter, two places for the text to go. */
#include "lib.h"

struct sink {
	char buf[512];
	size_t len;
	void (*write)(const void *buf, size_t len);
};

struct spec { /* what stands between % and the letter */
	bool left, zero;
	unsigned width, longs;
};

static void flush(struct sink *s)
{
	if (s->len)
		s->write(s->buf, s->len);
	s->len = 0;
}

static void put(struct sink *s, char c)
{
	if (s->len == sizeof(s->buf))
		flush(s);
	s->buf[s->len++] = c;
}

static void pad(struct sink *s, char c, size_t have, size_t want)
{
	for (; have < want; have++)
		put(s, c);
}

static void put_text(struct sink *s, const struct spec *spec, const char *text, size_t len)
{
	if (!spec->left)
		pad(s, ' ', len, spec->width);
	for (size_t i = 0; i < len; i++)
		put(s, text[i]);
	if (spec->left)
		pad(s, ' ', len, spec->width);
}

static void put_number(struct sink *s, const struct spec *spec, uint64_t n, unsigned base, bool minus)
{
	char digits[24], *p = digits + sizeof(digits);
	size_t len;

	do
		*--p = "0123456789abcdef"[n % base];
	while (n /= base);
	if (minus && !spec->zero)
		*--p = '-';
	len = (size_t)(digits + sizeof(digits) - p);
	if (spec->zero && !spec->left) {
		if (minus)
			put(s, '-');
		pad(s, '0', len + minus, spec->width);
		put_text(s, &(struct spec){ 0 }, p, len);
		return;
	}
	put_text(s, spec, p, len);
}

static const char *parse_spec(const char *f, struct spec *spec)
{
	*spec = (struct spec){ 0 };
	for (; *f == '-' || *f == '0'; f++)
		*(*f == '-' ? &spec->left : &spec->zero) = true;
	if (spec->left)
		spec->zero = false;
	for (; *f >= '0' && *f <= '9'; f++)
		spec->width = spec->width * 10 + (unsigned)(*f - '0');
	for (; *f == 'l' || *f == 'z'; f++)
		spec->longs++;
	return f;
}

static void format(struct sink *s, const char *f, va_list args)
{
	struct spec spec;
	const char *text;
	int64_t n;
	char c;

	for (; *f; f++) {
		if (*f != '%') {
			put(s, *f);
			continue;
		}
		f = parse_spec(f + 1, &spec);
		switch (*f) {
		case 'd':
		case 'i':
			n = spec.longs ? va_arg(args, int64_t) : va_arg(args, int);
			put_number(s, &spec, n < 0 ? -(uint64_t)n : (uint64_t)n, 10, n < 0);
			break;
		case 'u':
		case 'x':
			put_number(s, &spec, spec.longs ? va_arg(args, uint64_t) : va_arg(args, unsigned),
				*f == 'u' ? 10 : 16, false);
			break;
		case 'p':
			put_number(s, &spec, (uint64_t)va_arg(args, void *), 16, false);
			break;
		case 's':
			text = va_arg(args, const char *);
			text = text ? text : "(null)";
			put_text(s, &spec, text, strlen(text));
			break;
		case 'c':
			c = (char)va_arg(args, int);
			put_text(s, &spec, &c, 1);
			break;
		case '\0': /* a lone % at the end */
			f--;
			break;
		default:
			put(s, *f);
		}
	}
	flush(s);
}

void vprintk(const char *fmt, va_list args)
{
	struct sink s;

	s.len = 0;
	s.write = console_write;
	format(&s, fmt, args);
}

static struct {
	char *at;
	size_t left;
} words;

static void add_words(const void *buf, size_t len)
{
	size_t n = len < words.left ? len : words.left;

	memcpy(words.at, buf, n);
	words.at += n;
	words.left -= n;
}

void format_words(char *to, size_t room, const char *fmt, va_list args)
{
	struct sink s;

	s.len = 0;
	s.write = add_words;
	words.at = to;
	words.left = room - 1;
	format(&s, fmt, args);
	*words.at = '\0';
}

void printk(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vprintk(fmt, args);
	va_end(args);
}

void printf(const char *fmt, ...)
{
	struct sink s;
	va_list args;

	s.len = 0;
	s.write = write_stdout;
	va_start(args, fmt);
	format(&s, fmt, args);
	va_end(args);
}
