/* SPDX-License-Identifier: MIT */
/*
 * sysnames.h: the system calls of x86-64 Linux by name. The table is made from the C library's headers when this
 * is built.
 *
 * Threads  any
 */
#ifndef BASE_SYSNAMES_H
#define BASE_SYSNAMES_H

/* NULL for a number without a name. */
const char *sysname_of(unsigned number);
/* -1 for a name that there is not. */
int sysname_number(const char *name);

#endif
