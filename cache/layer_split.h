/* SPDX-License-Identifier: MIT */
/*
 * layer_split.h: tar-split, the bytes of a tar that are not content, so that others can rebuild it exactly.
 *
 * Shape    zstd of JSON lines: {"type":2,"payload":base64 of raw bytes,...} and {"type":1,...} for
 *          a file, whose payload is its CRC-64 (ISO), big endian; null where it is empty
 * Source   vbatts/tar-split; FORMATS.md 4.3. We never read it; containers/storage does not pull by
 *          parts without it
 */
#ifndef CACHE_LAYER_SPLIT_H
#define CACHE_LAYER_SPLIT_H

#include "cache/base/buf.h"

#include <stddef.h>
#include <stdint.h>

struct tar_split;
struct tar_split *tar_split_new(int level);
void tar_split_free(struct tar_split *s);
/* Raw bytes; neighbours are joined. */
void tar_split_bytes(struct tar_split *s, const void *data, size_t len);
void tar_split_file(struct tar_split *s, const char *name, uint64_t size, uint64_t crc);
/* The packed bytes, which belong to (s), and their unpacked length. */
const struct buf *tar_split_end(struct tar_split *s, uint64_t *raw);

/* CRC-64 ISO of more bytes; begins with 0. */
uint64_t tar_split_crc(uint64_t crc, const void *data, size_t len);

#endif
