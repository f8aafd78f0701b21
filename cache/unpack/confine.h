/* SPDX-License-Identifier: MIT */
/*
 * confine.h: a process gives up all but reading its input and writing its output.
 *
 * Threads  the only one
 */
#ifndef CACHE_UNPACK_CONFINE_H
#define CACHE_UNPACK_CONFINE_H

/* No descriptors but 0, 1 and 2, no user, limits on memory and time, a filter on system calls. Exits with words on
 * stderr where that cannot be had. */
void confine(void);

#endif
