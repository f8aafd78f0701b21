/* SPDX-License-Identifier: MIT */
/*
 * ending.h: how a machine or a build ended, as its deployer told it: the text of FRAME_EXIT and of the file `end`
 * (deployers/deploy.h).
 *
 * Owns     error is the ending's: ending_clear frees it. Zero-initialise
 * Trust    values out of range are ignored; a text that cannot be read is a failure that says so
 */
#ifndef FS_ENDING_H
#define FS_ENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ending {
	bool failed;
	int status;    /* 0..255 */
	int err;       /* 0 or -errno */
	uint64_t peak; /* bytes of memory, 0 unknown */
	char how[32];  /* "" unknown */
	char cpu[32];  /* seconds; "" unknown */
	char *error;   /* words or NULL */
};

void ending_parse(struct ending *e, const char *text, size_t len);
/* The deployer could not say it itself: (words) are copied. */
void ending_lost(struct ending *e, const char *words);
void ending_clear(struct ending *e);

#endif
