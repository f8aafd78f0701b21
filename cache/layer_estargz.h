/* SPDX-License-Identifier: MIT */
/*
 * layer_estargz.h: eStargz: a tar.gz of many gzip members, with a table of contents at its end.
 *
 * Trust    the footer says where the table is and is not believed further: the table's digest comes from the
 *          manifest's annotations. Each chunk has a digest
 * Errors   -EBADMSG, -EILSEQ, -EFBIG with words
 * Threads  any
 * Source   FORMATS.md 5
 */
#ifndef CACHE_LAYER_ESTARGZ_H
#define CACHE_LAYER_ESTARGZ_H

#include "cache/layer.h"

#define ESTARGZ_FOOTER 51u

/* The table's digest, if annotations have one. */
bool layer_estargz_digest(const json_t *annotations, struct digest *out);
/* From the last ESTARGZ_FOOTER bytes of a blob: where its table's gzip member begins; it ends at the footer. */
int layer_estargz_place(const void *footer, uint64_t blob_size, uint64_t *off, struct why *why);
/* Adds what the table says below (base); (packed) is the blob from (off) to the footer. */
int layer_estargz_add(struct tree_build *b, uint32_t base, const struct digest *blob, uint64_t blob_size,
	uint64_t off, const struct digest *toc, const void *packed, struct why *why);

/* (raw_len) bytes from (inner) on of what a row of gzip members, which may be cut off, unpacks to. */
int gzip_unpack(
	const void *packed, size_t packed_len, uint64_t inner, void *raw, size_t raw_len, struct why *why);

#endif
