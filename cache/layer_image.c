/* SPDX-License-Identifier: MIT */
/*
 * layer_image.c: an image is a blob as it is; the config says the digest of each chunk of it, so that a part
 * can be believed without the rest.
 */
#include "cache/layer.h"

#include "cache/limits.h"

#include <errno.h>
#include <string.h>

#define SMALLEST_CHUNK (128u << 10)
#define MANY_CHUNKS    8192u /* 67 bytes each in the config, which may have MAX_CONFIG */

/* 1 GiB gets chunks of 128 KiB, 4 GiB of 512 KiB. */
uint64_t layer_image_chunk_size(uint64_t total)
{
	uint64_t size = SMALLEST_CHUNK;
	while (total / size > MANY_CHUNKS && size < MAX_CHUNK)
		size *= 2;
	return size;
}

static int add_chunks(struct tree_build *b, uint32_t node, const json_t *list, uint64_t size, uint64_t chunk,
	const char *path, struct why *why)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		uint64_t at = i * chunk;
		struct chunk_item c = { .kind = CHUNK_RAW, .blob_off = at };
		c.packed = c.raw = size - at < chunk ? size - at : chunk;
		const char *hex = json_string_value(json_array_get(list, i));
		if (digest_parse_hex(hex, &c.digest) < 0)
			return why_fail(why, -EBADMSG, "chunk %zu of \"%s\" has no SHA-256 digest", i, path);
		int err = tree_add_chunk(b, node, &c, why);
		if (err)
			return err;
	}
	return 0;
}

int layer_image_add(
	struct tree_build *b, const json_t *file, const struct digest *blob, uint64_t size, struct why *why)
{
	const char *path = NULL;
	uint64_t chunk = 0, claimed = 0, mode = 0;
	json_t *list = NULL;
	uint32_t node;
	int err = strict_text(file, "path", REQUIRED, &path, why);
	if (!err)
		err = strict_number(file, "size", REQUIRED, MAX_LAYER_RAW, &claimed, why);
	if (!err)
		err = strict_number(file, "mode", OPTIONAL, UINT32_MAX, &mode, why);
	if (!err)
		err = strict_number(file, "chunk_size", REQUIRED, MAX_CHUNK, &chunk, why);
	if (!err)
		err = strict_list(file, "chunks", REQUIRED, MAX_CHUNKS, &list, why);
	if (err)
		return err;
	if (strncmp(path, "images/", 7) != 0 || !path[7])
		return why_fail(why, -EBADMSG, "files[]: \"%.80s\" is not below images/", path);
	if (claimed != size)
		return why_fail(why, -EBADMSG, "\"%s\" is %llu bytes in the config and %llu in the manifest",
			path, (unsigned long long)claimed, (unsigned long long)size);
	if (chunk < 4096 || json_array_size(list) != (size + chunk - 1) / chunk)
		return why_fail(why, -EBADMSG, "\"%s\" has not as many chunk digests as chunks", path);
	err = tree_add_layer(b, blob, size, 0, size, why);
	if (!err)
		err = tree_add(b, TREE_ROOT, path,
			&(struct tree_item){ .kind = ITEM_FILE, .mode = (uint32_t)mode & 0777, .size = size },
			&node, why);
	return err ? err : add_chunks(b, node, list, size, chunk, path, why);
}
