/* SPDX-License-Identifier: MIT */
/*
 * tree.h: what a view shows, as one immutable file that is mapped and searched in place.
 *
 * Shape    header, entries, chunks, layers, strings; native little endian. Entries are in breadth-
 *          first order, so the children of a directory are neighbours, sorted by name: a lookup is
 *          a binary search, and nothing is allocated for an entry (100,000 files cost about 13 MB
 *          of page cache and no heap)
 * Units    bytes; 64-bit where a file may be large
 * Trust    made by tree_build.c from verified bytes only; the XXH3 in the header is against power
 *          loss and rot, not against forgers: who can write the cache directory is who runs
 *          diverfs
 * Threads  the mapping is read-only: any. tree_ref and tree_unref: the loop's, or whoever holds
 *          the only reference
 */
#ifndef CACHE_TREE_H
#define CACHE_TREE_H

#include "cache/base/buf.h"
#include "cache/cache.h"
#include "cache/digest.h"

#include <stdint.h>

#define TREE_MAGIC   "DIVETREE"
#define TREE_VERSION 1u

struct tree_header {
	char magic[8];
	uint32_t version;
	uint32_t entry_count;
	uint64_t size;	/* of the file */
	uint64_t check; /* XXH3 of everything after this field */
	struct digest manifest;
	uint32_t chunk_count;
	uint32_t layer_count;
	uint64_t entries_at, chunks_at, layers_at, strings_at; /* from the beginning of the file */
	uint64_t strings_len;
	uint64_t content; /* bytes of all files that come from layers */
};

enum tree_flag {
	TREE_HARD = 1,	 /* a hard link: first is the index of the file */
	TREE_INLINE = 2, /* the content is in the strings, at first */
};

struct tree_entry {
	uint32_t name; /* offset in the strings */
	uint32_t parent;
	uint32_t first; /* directory: first child; file: first chunk, or see the flags; link: target in the
			   strings */
	uint32_t count; /* directory: children; file: chunks */
	uint64_t size;
	int64_t mtime;
	uint32_t nlink;
	uint16_t mode;
	uint8_t type; /* enum entry_type */
	uint8_t flags;
};
_Static_assert(sizeof(struct tree_entry) == 40, "in files; raise TREE_VERSION with any change");

enum chunk_kind {
	CHUNK_RAW,
	CHUNK_ZSTD,  /* a frame */
	CHUNK_ZEROS, /* nowhere in the blob, as is */
	CHUNK_WHOLE, /* somewhere in an archive without an index: layer_archive.h */
	CHUNK_GZIP,  /* from (inner) on in a row of gzip members that is cut off: layer_estargz.c */
};
static inline bool chunk_has_extent(enum chunk_kind kind)
{
	return kind == CHUNK_RAW || kind == CHUNK_ZSTD || kind == CHUNK_GZIP;
}

/* The chunks of a layer are neighbours, and those of a file, in order. */
struct tree_chunk {
	uint64_t blob_off;
	uint64_t pack_off;
	uint32_t packed; /* bytes in the blob */
	uint32_t raw;	 /* bytes of content */
	uint16_t layer;
	uint16_t kind;
	uint32_t inner; /* CHUNK_GZIP: bytes to pass over */
	struct digest digest; /* of the content */
};
_Static_assert(sizeof(struct tree_chunk) == 64, "in files; raise TREE_VERSION with any change");

struct tree_layer {
	struct digest blob;
	struct digest pack; /* pack.h says why it is not the blob's */
	uint64_t blob_size;
	uint64_t pack_size;
	uint32_t first_chunk;
	uint32_t chunk_count;
};

struct tree {
	const struct tree_header *head;
	const struct tree_entry *entries;
	const struct tree_chunk *chunks;
	const struct tree_layer *layers;
	const char *strings;
	char *heap; /* the file's bytes, where they could not be written to disk; else NULL */
	unsigned refs;
};

/* 0, -ENOENT, or -EILSEQ for a file that is damaged or of another version (make it anew). */
int tree_open(int dirfd, const char *path, const struct digest *manifest, struct tree **out);
/* A tree of bytes in memory, which it takes over. */
int tree_open_heap(struct buf *bytes, const struct digest *manifest, struct tree **out);
struct tree *tree_ref(struct tree *t);
void tree_unref(struct tree *t); /* NULL is fine */

int tree_get(const struct tree *t, uint32_t index, struct entry *out);
int tree_lookup(const struct tree *t, uint32_t dir, const char *name, struct entry *out);
int tree_path(const struct tree *t, const char *path, struct entry *out);

/* The file behind (index), hard links followed; NULL if it is none. */
const struct tree_entry *tree_file(const struct tree *t, uint32_t index);
/* The chunk of file (f) that holds the byte at (off), which must lie in the file. */
uint32_t tree_chunk_at(const struct tree *t, const struct tree_entry *f, uint64_t off);

#endif
