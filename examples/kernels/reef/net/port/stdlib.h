/* SPDX-License-Identifier: MIT */
/* stdlib.h: for lwIP, the kernel's heap. */
#ifndef STDLIB_H
#define STDLIB_H

#include <stddef.h>

void *malloc(size_t len);
void *calloc(size_t n, size_t len);
void free(void *p);
int atoi(const char *s); /* stack.c */

#endif
