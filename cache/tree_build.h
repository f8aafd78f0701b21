/* SPDX-License-Identifier: MIT */
/*
 * tree_build.h: entries come in any order, from any source; a checked tree file goes out.
 *
 * Refused  names that are no file names, paths that climb, the same path twice (directories excepted),
 *          a file as a parent, hard links to nothing or in circles, whiteouts, extents that overlap or
 *          leave the blob, too much
 * Errors   -EBADMSG or -EFBIG with words that name the entry
 * Threads  any one at a time
 */
#ifndef CACHE_TREE_BUILD_H
#define CACHE_TREE_BUILD_H

#include "cache/tree.h"

struct tree_build;

#define TREE_ROOT 0u

enum item_kind {
	ITEM_DIR,
	ITEM_FILE,
	ITEM_LINK,
	ITEM_HARD,
	ITEM_HIDDEN, /* devices, fifos, sockets: occupies its name, and is left out in the end */
};

struct tree_item {
	enum item_kind kind;
	uint32_t mode; /* as in the archive; what is kept is 0444 or 0555 */
	uint64_t size;
	int64_t mtime;
	const char *target; /* links; of a hard link the path below the same (base) */
};

struct tree_build *tree_build_new(void);
void tree_build_free(struct tree_build *b);

/* Adds (path) below directory (base); missing parents are made. (*out) is its number here. */
int tree_add(struct tree_build *b, uint32_t base, const char *path, const struct tree_item *item,
	uint32_t *out, struct why *why);
/* A small file of the root whose bytes are kept in the tree itself. */
int tree_add_inline(struct tree_build *b, const char *name, const void *data, size_t len, struct why *why);

/* Later chunks are of this layer. Extents must end at or before (limit) and begin at or after (start). */
int tree_add_layer(struct tree_build *b, const struct digest *blob, uint64_t blob_size, uint64_t start,
	uint64_t limit, struct why *why);
struct chunk_item {
	enum chunk_kind kind;
	uint64_t blob_off, packed, raw, inner;
	struct digest digest;
};
/* The next chunk of (file), which is the file that was added last. */
int tree_add_chunk(struct tree_build *b, uint32_t file, const struct chunk_item *chunk, struct why *why);

/* Checks what can only be checked at the end, and appends the file to (out). */
int tree_build_finish(struct tree_build *b, const struct digest *manifest, struct buf *out, struct why *why);

#endif
