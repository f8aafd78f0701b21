/* SPDX-License-Identifier: MIT */
/*
 * entry.h: level 2 of an image, as far as the file itself tells: the agent's own loader reads it.
 *
 * Errors   the file cannot be read, with words. What is wrong with it as a co-kernel is no error but (words)
 */
#ifndef CONFORM_ENTRY_H
#define CONFORM_ENTRY_H

#include "cache/base/log.h"

#include <stdbool.h>
#include <stdint.h>

struct entry {
	bool claimed;	     /* it has a note of guest.h or an HRT tag, well-formed or not */
	bool read;	     /* which gave both addresses: */
	bool header;	     /* the HRT header's; else the note's */
	bool loads;	     /* the loader takes the image */
	uint64_t entry;	     /* virtual */
	uint64_t direct_map; /* virtual address of physical 0 */
	char words[WHY_MAX]; /* what the loader says if it does not take it */
};

int entry_read(const char *path, struct entry *e, struct why *why);

#endif
