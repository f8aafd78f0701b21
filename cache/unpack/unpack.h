/* SPDX-License-Identifier: MIT */
/*
 * unpack.h: between layer_archive.c, which starts it, and the program diverfs-unpack, which takes archives of strangers
 * apart and is trusted with nothing.
 *
 * Shape    stdin: the archive, to its end. stdout: records, each followed by its path, its target, and for a file by
 *          exactly (size) bytes; the last one is UNPACK_END, or UNPACK_ERROR with words for a path
 * Units    bytes; seconds since 1970; native integers: both ends are one machine's
 * Trust    the reader checks every field: the writer may have been taken over by what it reads
 */
#ifndef CACHE_UNPACK_UNPACK_H
#define CACHE_UNPACK_UNPACK_H

#include <stdint.h>

#define UNPACK_MAGIC 0x4b504e55u

enum unpack_type {
	UNPACK_FILE,
	UNPACK_DIR,
	UNPACK_LINK,
	UNPACK_HARD,
	UNPACK_OTHER,
	UNPACK_END,
	UNPACK_ERROR
};

struct unpack_record {
	uint32_t magic;
	uint32_t type; /* enum unpack_type */
	uint32_t mode;
	uint32_t path_len, target_len;
	uint32_t unused;
	uint64_t size;
	int64_t mtime;
};
_Static_assert(sizeof(struct unpack_record) == 40, "two programs rely on it");

#endif
