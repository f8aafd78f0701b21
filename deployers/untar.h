/* SPDX-License-Identifier: MIT */
/*
 * untar.h: an archive from a stranger, piece by piece, into a directory.
 *
 * Reads    ustar, GNU long names, pax (path, linkpath, size). Files, directories, symbolic links, hard links to
 *          files that came before; other kinds are skipped and counted
 * Trust    none: nothing is written outside the directory whatever names and links say; bounded in bytes, entries,
 *          depth. Set-id bits, owners and times are left out. A symbolic link that leads out of the directory is skipped
 * Errors   the first one ends it: -EBADMSG no archive, -EFBIG beyond the bounds, or -errno of the disk; words say which
 * Threads  one
 */
#ifndef DEPLOYERS_UNTAR_H
#define DEPLOYERS_UNTAR_H

#include "cache/base/buf.h"
#include "cache/base/log.h"

#include <stdbool.h>
#include <stdint.h>

#define UNTAR_NAME_MAX	  4096u
#define UNTAR_DEPTH_MAX	  64u
#define UNTAR_ENTRIES_MAX 100000u

struct untar {
	int dirfd; /* not owned */
	uint64_t bytes_left;
	uint32_t entries, skipped;
	struct buf head;   /* an unfinished block of 512 */
	struct buf text;   /* a long name or pax record that is being read */
	char *name, *link; /* for the next entry, from such */
	bool sized;	   /* and its size */
	uint64_t size;
	int fd;		    /* the file being written; -1 none */
	uint64_t left, pad; /* of the present entry's bytes, and up to the next block */
	char text_kind;	    /* what (text) is: 'L' 'K' 'x', or 0 */
	unsigned zeroes;    /* blocks of zeroes: two end it */
	bool ended;
};

void untar_begin(struct untar *u, int dirfd, uint64_t bytes_max);
int untar_feed(struct untar *u, const void *data, size_t len, struct why *why);
/* Whether no entry is left half read. */
bool untar_whole(const struct untar *u);
void untar_end(struct untar *u);

#endif
