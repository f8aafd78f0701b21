/* SPDX-License-Identifier: MIT */
/*
 * buf.h: bytes that grow.
 *
 * Shape    data[0 .. len); data[len] is always NUL, so text may be used as a string
 * Owns     a buf owns its data; zero-initialise (struct buf b = {0}) and end with buf_free
 * Errors   memory is not expected to run out: then the program says so and aborts
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	char *data;
	size_t len;
	size_t cap;
};

void buf_free(struct buf *b);
/* Makes room for (more) bytes after len, and returns a pointer to them; then set len. */
char *buf_reserve(struct buf *b, size_t more);
void buf_append(struct buf *b, const void *data, size_t len);
void buf_puts(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* (s) as one word of a shell: in single quotes, if it is not plain. */
void buf_put_word(struct buf *b, const char *s);
/* Forgets the first (n) bytes and moves the rest down. */
void buf_consume(struct buf *b, size_t n);
void buf_clear(struct buf *b);
/* Hands the data over to the caller, who frees it; (b) is empty afterwards. Never NULL. */
char *buf_steal(struct buf *b);

/* malloc and friends that abort with a sentence when memory is out. */
void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Cleanup attributes: `autofree char *p = ...;` and `autobuf struct buf b = {0};` */
void cleanup_free(void *p);
#define autofree __attribute__((cleanup(cleanup_free)))
#define autobuf  __attribute__((cleanup(buf_free)))

#endif
