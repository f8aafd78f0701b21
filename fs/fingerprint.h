/* SPDX-License-Identifier: MIT */
/*
 * fingerprint.h: XXH3 of a directory: names, kinds, x bits, contents, targets of links. Times and owners do
 * not count, nor the order of the directory. For deciding whether a build can be reused; against accidents,
 * not forgers.
 *
 * Shape    feed_*: what difference.c, too, is made of
 * Threads  any; waits for the disk
 */
#ifndef FS_FINGERPRINT_H
#define FS_FINGERPRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <xxhash.h>

/* Of dirfd/name. (*empty): there is no entry in it, or no such directory. 0 or -errno. */
int fingerprint_tree(int dirfd, const char *name, uint64_t *hash, bool *empty);
/* Of strings, each with its length, so that no two lists of them look alike. (NULL)-terminated. */
uint64_t fingerprint_strings(uint64_t seed, const char *const *strings);

/* The names in a directory, sorted by strcmp, without "." and "..": 0 or -errno. */
struct dir_names {
	char **at;
	size_t n;
};
int dir_names_read(int fd, struct dir_names *l);
void dir_names_free(struct dir_names *l);
/* A piece with its length before it. */
void feed(XXH3_state_t *h, const void *data, size_t len);
/* A file's x bit and content. 0 or -errno. */
int feed_file(XXH3_state_t *h, int dirfd, const char *name, const struct stat *st);

#endif
