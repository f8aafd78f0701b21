/* SPDX-License-Identifier: MIT */
/*
 * layer.h: layers into entries and chunks, and a directory into a layer.
 *
 * Shape    zstd:chunked: frames that decompress to a tar, then a table of contents, tar-split and a footer in
 *          skippable frames. Raw images: the blob is the file, its chunk digests are in the config
 * Trust    the table's digest comes from the manifest's annotations; the footer is never believed
 * Errors   -EBADMSG, -EILSEQ, -EFBIG with words
 * Threads  any
 * Source   containers/storage pkg/chunked; FORMATS.md 4
 */
#ifndef CACHE_LAYER_H
#define CACHE_LAYER_H

#include "cache/json.h"
#include "cache/tree_build.h"

/* --- one frame (layer_zstd.c) ---------------------------------------------------------------- */

/* Exactly (raw) bytes must come out; a bomb is stopped there. */
int zstd_unpack(const void *packed, size_t packed_len, void *raw, size_t raw_len, struct why *why);

struct zstd_packer;
struct zstd_packer *zstd_packer_new(int level);
void zstd_packer_free(struct zstd_packer *p);
/* Appends one frame with a content checksum. */
void zstd_pack(struct zstd_packer *p, const void *raw, size_t len, struct buf *out);

struct tree_chunk;
/* The content of a chunk that lies in its blob, out of the (c->packed) bytes there. */
int chunk_unpack(const struct tree_chunk *c, const void *packed, void *raw, struct why *why);

/* --- reading (layer_toc.c, layer_image.c) ---------------------------------------------------- */

struct toc_place { /* where a layer's table of contents is, and what it must hash to */
	uint64_t off, packed, raw;
	struct digest digest;
};
/* Do annotations promise such a table? */
bool layer_toc_is_chunked(const json_t *annotations);
/* From the annotations of a layer of (blob_size) bytes: 0, or -EBADMSG if it cannot be read file by file. */
int layer_toc_place(const json_t *annotations, uint64_t blob_size, struct toc_place *out, struct why *why);
/* Adds what the packed table (place->packed bytes) says below (base). */
int layer_toc_add(struct tree_build *b, uint32_t base, const struct digest *blob, uint64_t blob_size,
	const struct toc_place *place, const void *packed, struct why *why);

/* One element of the config's files[]; (size) is the layer's. */
int layer_image_add(
	struct tree_build *b, const json_t *file, const struct digest *blob, uint64_t size, struct why *why);
/* How large the chunks of images of (total) bytes together are: small enough to read 4 KiB cheaply, large
 * enough to keep the table of their digests small. */
uint64_t layer_image_chunk_size(uint64_t total);
/* The table, as files[] has it. The caller's. */
json_t *layer_image_table(const struct digest *list, size_t count);

/* --- writing (layer_write.c, layer_tar.c) ----------------------------------------------------- */

#define LAYER_CHUNK (128u << 10) /* what one read-ahead of FUSE asks for: one request, one frame */

struct layer_writer;
/* Writes the blob to (fd) from its beginning. (fd) stays the caller's. */
struct layer_writer *layer_writer_new(int fd, int level);
void layer_writer_free(struct layer_writer *w);
/* Paths are relative, without a trailing slash; parents must have come before. */
int layer_put_dir(struct layer_writer *w, const char *path, struct why *why);
int layer_put_file(
	struct layer_writer *w, const char *path, bool executable, int fd, uint64_t size, struct why *why);
int layer_put_link(struct layer_writer *w, const char *path, const char *target, struct why *why);
int layer_put_hard(struct layer_writer *w, const char *path, const char *target, struct why *why);
struct layer_written {
	struct digest digest;
	uint64_t size;
	uint32_t entries;
	json_t *annotations; /* the caller's */
};
int layer_writer_finish(struct layer_writer *w, struct layer_written *out, struct why *why);

struct tar_member {
	const char *path;   /* directories end in '/' */
	const char *target; /* NULL where there is none */
	char type;	    /* '0' file, '1' hard link, '2' symbolic link, '5' directory */
	uint32_t mode;
	uint64_t size;
};
/* Appends the header block(s): ustar, with a pax header before it where ustar is too narrow. */
void tar_header(struct buf *out, const struct tar_member *m);

#endif
