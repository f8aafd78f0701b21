/* SPDX-License-Identifier: MIT */
/*
 * image.h: what kind of boot image a file is, by its content (guest.h section 1).
 *
 * Trust    none: every offset and size in the file is checked before it is used
 * Errors   -ENOEXEC with words: what the file looks like instead, and what can be booted
 */
#ifndef DEPLOYERS_IMAGE_H
#define DEPLOYERS_IMAGE_H

#include "cache/base/log.h"

#include <stdbool.h>
#include <stdint.h>

enum image_kind { IMAGE_PVH, IMAGE_LINUX, IMAGE_MULTIBOOT };

struct image {
	enum image_kind kind;
	int elf_bits;		  /* 32, 64; 0: no ELF */
	int64_t multiboot_offset; /* of the Multiboot header's magic, also in an image of another kind; -1:
				     none */
	uint64_t size_bytes;
	uint64_t end_address; /* of what it occupies in memory, zeroed parts too; 0: not known */
	uint32_t cmdline_max; /* bytes of command line that it takes */
};

/* (path) is for the words only. */
int image_recognise(int fd, const char *path, struct image *out, struct why *why);
const char *image_kind_name(enum image_kind kind);

#endif
