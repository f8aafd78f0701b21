/* SPDX-License-Identifier: MIT */
/* string.h: for lwIP, those functions of the kernel's library (lib/diver.h) that it calls. */
#ifndef STRING_H
#define STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t len);
void *memmove(void *to, const void *from, size_t len);
void *memset(void *p, int byte, size_t len);
int memcmp(const void *a, const void *b, size_t len);
int strncmp(const char *a, const char *b, size_t most); /* stack.c */
size_t strlen(const char *s);

#endif
