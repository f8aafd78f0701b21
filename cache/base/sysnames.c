/* SPDX-License-Identifier: MIT */
/*
 * sysnames.c: names[number], from asm/unistd_64.h (Makefile).
 */
#include "cache/base/sysnames.h"

#include <stddef.h>
#include <string.h>

static const char *const names[] = {
#include "sysnames.inc"
};
#define COUNT (sizeof(names) / sizeof(names[0]))

const char *sysname_of(unsigned number)
{
	return number < COUNT ? names[number] : NULL;
}

int sysname_number(const char *name)
{
	for (size_t i = 0; i < COUNT; i++)
		if (names[i] && !strcmp(names[i], name))
			return (int)i;
	return -1;
}
