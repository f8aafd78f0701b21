/* SPDX-License-Identifier: MIT */
/*
 * layer_image.c: an image is a blob as it is; the config says the digest of each chunk of it, so that a part
 * can be believed without the rest: in base64, one behind the other, or as a list of hexadecimal texts, which
 * takes half as much again and is what the first artifacts had.
 */
#include "cache/layer.h"

#include "cache/limits.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define SMALLEST_CHUNK (128u << 10)
#define MAX_TABLES     (MAX_CONFIG / 4 * 3)
#define PER_CHUNK      43 /* characters of base64 for a digest */

/* Who reads a little of an image pays for its table and one chunk: the sum is least where the table is twice the
 * chunk. 512 MiB get chunks of 128 KiB, 1 GiB of 256 KiB (the sum is 427 KiB), 4 GiB of 512 KiB. */
uint64_t layer_image_chunk_size(uint64_t total)
{
	uint64_t size = SMALLEST_CHUNK, table;
	while ((table = total / size * PER_CHUNK) > 2 * size || table > MAX_TABLES) {
		if (size >= MAX_CHUNK)
			break;
		size *= 2;
	}
	return size;
}

json_t *layer_image_table(const struct digest *list, size_t count)
{
	size_t len = count * sizeof(*list);
	autofree char *text = xmalloc((len + 2) / 3 * 4 + 1);
	EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)list, (int)len);
	return json_string(text);
}

/* What layer_image_table gives, and nothing else. NULL if it is not (count) digests. */
static struct digest *read_table(const char *text, size_t count)
{
	size_t len = count * sizeof(struct digest), pad = (3 - len % 3) % 3, coded = (len + pad) / 3 * 4;
	if (strlen(text) != coded ||
		strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") !=
			coded - pad ||
		strspn(text + coded - pad, "=") != pad)
		return NULL;
	struct digest *list = xmalloc(len + pad + 1);
	if (EVP_DecodeBlock((unsigned char *)list, (const unsigned char *)text, (int)coded) ==
		(int)(len + pad))
		return list;
	free(list);
	return NULL;
}

static struct digest *read_list(const json_t *texts, size_t count)
{
	struct digest *list = json_array_size(texts) == count ? xcalloc(count + 1, sizeof(*list)) : NULL;
	for (size_t i = 0; list && i < count; i++) {
		if (digest_parse_hex(json_string_value(json_array_get(texts, i)), &list[i]) == 0)
			continue;
		free(list);
		return NULL;
	}
	return list;
}

static int read_digests(
	const json_t *file, const char *path, size_t count, struct digest **out, struct why *why)
{
	const json_t *table = json_object_get(file, "chunks");
	*out = NULL;
	if (json_is_string(table) && count <= MAX_CHUNKS)
		*out = read_table(json_string_value(table), count);
	else if (json_is_array(table) && count <= MAX_CHUNKS)
		*out = read_list(table, count);
	if (*out)
		return 0;
	return why_fail(
		why, -EBADMSG, "\"%s\" has not a SHA-256 digest for each of its %zu chunks", path, count);
}

static int add_chunks(struct tree_build *b, uint32_t node, const struct digest *digests, uint64_t size,
	uint64_t chunk, struct why *why)
{
	for (uint64_t i = 0, at = 0; at < size; i++, at += chunk) {
		struct chunk_item c = { .kind = CHUNK_RAW, .blob_off = at, .digest = digests[i] };
		c.packed = c.raw = size - at < chunk ? size - at : chunk;
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
	autofree struct digest *digests = NULL;
	uint32_t node;
	int err = strict_text(file, "path", REQUIRED, &path, why);
	if (!err)
		err = strict_number(file, "size", REQUIRED, MAX_LAYER_RAW, &claimed, why);
	if (!err)
		err = strict_number(file, "mode", OPTIONAL, UINT32_MAX, &mode, why);
	if (!err)
		err = strict_number(file, "chunk_size", REQUIRED, MAX_CHUNK, &chunk, why);
	if (err)
		return err;
	if (strncmp(path, "images/", 7) != 0 || !path[7])
		return why_fail(why, -EBADMSG, "files[]: \"%.80s\" is not below images/", path);
	if (claimed != size)
		return why_fail(why, -EBADMSG, "\"%s\" is %llu bytes in the config and %llu in the manifest",
			path, (unsigned long long)claimed, (unsigned long long)size);
	if (chunk < 4096)
		return why_fail(why, -EBADMSG, "\"%s\" has chunks of less than 4096 bytes", path);
	err = read_digests(file, path, (size_t)((size + chunk - 1) / chunk), &digests, why);
	if (!err)
		err = tree_add_layer(b, blob, size, 0, size, why);
	if (!err)
		err = tree_add(b, TREE_ROOT, path,
			&(struct tree_item){ .kind = ITEM_FILE, .mode = (uint32_t)mode & 0777, .size = size },
			&node, why);
	return err ? err : add_chunks(b, node, digests, size, chunk, why);
}
