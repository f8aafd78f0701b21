/* SPDX-License-Identifier: MIT */
/*
 * utf8.h: which bytes may be shown as they are.
 *
 * Threads  any
 * Source   RFC 3629 (shortest forms only, no surrogates, up to U+10FFFF)
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stddef.h>

/* Length of the well-formed sequence that (s) begins with, 1 to 4; 0 if it is none. NUL counts. */
size_t utf8_len(const char *s, size_t len);
/* As utf8_len, but 0 also for what does not print or reorders a line: C0 and C1 controls, DEL,
 * line separators, bidirectional controls. */
size_t utf8_printable(const char *s, size_t len);
#endif
