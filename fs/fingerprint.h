/* SPDX-License-Identifier: MIT */
/*
 * fingerprint.h: XXH3 of a directory: names, kinds, x bits, contents, targets of links. Times and owners do
 * not count, nor the order of the directory. For deciding whether a build can be reused; against accidents,
 * not forgers.
 *
 * Threads  any; waits for the disk
 */
#ifndef FS_FINGERPRINT_H
#define FS_FINGERPRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of dirfd/name. (*empty): there is no entry in it, or no such directory. 0 or -errno. */
int fingerprint_tree(int dirfd, const char *name, uint64_t *hash, bool *empty);
/* Of strings, each with its length, so that no two lists of them look alike. (NULL)-terminated. */
uint64_t fingerprint_strings(uint64_t seed, const char *const *strings);

#endif
