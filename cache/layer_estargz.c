/* SPDX-License-Identifier: MIT */
/*
 * layer_estargz.c: an entry says where its first byte is, never where its last one is: an extent ends where the next
 * larger offset of the table begins. So the table is read twice.
 */
#include "cache/layer_estargz.h"

#include "cache/layer_toc.h"
#include "cache/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define TOC_NAME  "stargz.index.json"
#define INNER_MAX (64u << 20)

/* --- gzip ------------------------------------------------------------------------------------- */

/* One stretch of output; 1 if the input ended before. */
static int inflate_some(z_stream *z, void *to, size_t len)
{
	z->next_out = to;
	z->avail_out = (uInt)len;
	while (z->avail_out > 0) {
		int r = inflate(z, Z_NO_FLUSH);
		if (r == Z_STREAM_END && z->avail_in > 0)
			r = inflateReset(z); /* the next member */
		if (r == Z_BUF_ERROR || (r == Z_STREAM_END && z->avail_out > 0))
			return 1;
		if (r != Z_OK && r != Z_STREAM_END)
			return -EILSEQ;
	}
	return 0;
}

int gzip_unpack(
	const void *packed, size_t packed_len, uint64_t inner, void *raw, size_t raw_len, struct why *why)
{
	char drop[4096];
	z_stream z = { .next_in = (Bytef *)(uintptr_t)packed, .avail_in = (uInt)packed_len };
	if (packed_len > MAX_TOC || raw_len > MAX_TOC || inner > INNER_MAX ||
		inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
		return why_fail(why, -EFBIG, "cannot be decompressed: it is too large");
	int r = 0;
	for (; r == 0 && inner > 0; inner -= inner < sizeof(drop) ? inner : sizeof(drop))
		r = inflate_some(&z, drop, inner < sizeof(drop) ? (size_t)inner : sizeof(drop));
	if (r == 0)
		r = inflate_some(&z, raw, raw_len);
	inflateEnd(&z);
	return r ? why_fail(why, -EILSEQ, "cannot be decompressed to %zu bytes%s", raw_len,
			   r > 0 ? ": it ends too early" : "")
		 : 0;
}

int chunk_unpack(const struct tree_chunk *c, const void *packed, void *raw, struct why *why)
{
	if (c->kind == CHUNK_ZSTD)
		return zstd_unpack(packed, c->packed, raw, c->raw, why);
	if (c->kind == CHUNK_GZIP)
		return gzip_unpack(packed, c->packed, c->inner, raw, c->raw, why);
	memcpy(raw, packed, c->raw);
	return 0;
}

/* --- where the table is ----------------------------------------------------------------------- */

bool layer_estargz_digest(const json_t *annotations, struct digest *out)
{
	const char *text =
		json_string_value(json_object_get(annotations, "containerd.io/snapshot/stargz/toc.digest"));
	return text && digest_parse(text, out) == 0;
}

int layer_estargz_place(const void *footer, uint64_t blob_size, uint64_t *off, struct why *why)
{
	static const uint8_t head[] = { 0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 26, 0, 'S', 'G', 22, 0 };
	const uint8_t *f = footer;
	char hex[17];
	memcpy(hex, f + sizeof(head), 16);
	hex[16] = 0;
	if (memcmp(f, head, sizeof(head)) != 0 || strspn(hex, "0123456789abcdefABCDEF") != 16 ||
		memcmp(f + sizeof(head) + 16, "STARGZ", 6) != 0)
		return why_fail(why, -EBADMSG, "the layer has no footer of eStargz");
	*off = strtoull(hex, NULL, 16);
	if (*off == 0 || *off >= blob_size - ESTARGZ_FOOTER || blob_size - *off > MAX_TOC)
		return why_fail(
			why, -EBADMSG, "the table of contents lies outside of its layer, or is too large");
	return 0;
}

/* The table is a file in a tar in gzip. Its size is in the tar's header. */
static int unpack_toc(const void *packed, size_t len, struct buf *out, struct why *why)
{
	char header[512], size[12];
	int err = gzip_unpack(packed, len, 0, header, sizeof(header), why);
	if (err)
		return err;
	memcpy(size, header + 124, 11);
	size[11] = 0;
	uint64_t n = strtoull(size, NULL, 8);
	if (strncmp(header, TOC_NAME, 100) != 0 || n == 0 || n > MAX_TOC)
		return why_fail(why, -EBADMSG, "the table of contents is not where the footer says");
	err = gzip_unpack(packed, len, 512, buf_reserve(out, n), n, why);
	out->len = err ? 0 : n;
	return err;
}

/* --- entries ---------------------------------------------------------------------------------- */

struct stargz {
	struct tree_build *b;
	uint32_t base, file; /* UINT32_MAX: none that chunks may follow */
	char *name;
	uint64_t size, covered;
	struct digest whole;
	bool has_whole;
	uint64_t *offs; /* sorted, the table's own as the last */
	size_t count, cap;
};

static int note_offset(void *arg, const json_t *e, struct why *why)
{
	struct stargz *s = arg;
	uint64_t off = 0;
	int err = strict_number(e, "offset", OPTIONAL, MAX_BLOB, &off, why);
	if (err || off == 0)
		return err;
	if (s->count + 1 >= s->cap) {
		s->cap = s->cap ? 2 * s->cap : 256;
		s->offs = xrealloc(s->offs, s->cap * sizeof(*s->offs));
	}
	s->offs[s->count++] = off;
	return 0;
}

static int nothing(void *arg, struct why *why)
{
	(void)arg, (void)why;
	return 0;
}

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

/* The next larger offset. */
static uint64_t end_of(const struct stargz *s, uint64_t off)
{
	size_t lo = 0, hi = s->count;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (s->offs[mid] <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->count ? s->offs[lo] : off;
}

static int end_file(void *arg, struct why *why)
{
	struct stargz *s = arg;
	int err = 0;
	if (s->file != UINT32_MAX && s->covered != s->size)
		err = why_fail(why, -EBADMSG, "\"%s\" claims %llu bytes, and its chunks are %llu", s->name,
			(unsigned long long)s->size, (unsigned long long)s->covered);
	s->file = UINT32_MAX;
	free(s->name);
	s->name = NULL;
	return err;
}

static int add_chunk(struct stargz *s, const json_t *e, struct why *why)
{
	struct chunk_item c = { .kind = CHUNK_GZIP };
	uint64_t at = 0, size = 0;
	int err = strict_number(e, "offset", REQUIRED, MAX_BLOB, &c.blob_off, why);
	if (!err)
		err = strict_number(e, "innerOffset", OPTIONAL, INNER_MAX, &c.inner, why);
	if (!err)
		err = strict_number(e, "chunkOffset", OPTIONAL, MAX_LAYER_RAW, &at, why);
	if (!err)
		err = strict_number(e, "chunkSize", OPTIONAL, MAX_LAYER_RAW, &size, why);
	if (err)
		return err;
	if (at != s->covered || size > s->size - s->covered)
		return why_fail(why, -EBADMSG, "the chunks of \"%s\" leave a gap or exceed it", s->name);
	c.raw = size ? size : s->size - s->covered; /* "to the end of the file" */
	c.packed = end_of(s, c.blob_off) - c.blob_off;
	if (json_object_get(e, "chunkDigest") || !s->has_whole || c.raw != s->size)
		err = toc_digest(e, "chunkDigest", &c.digest, why);
	else
		c.digest = s->whole;
	s->covered += c.raw;
	return err ? err : tree_add_chunk(s->b, s->file, &c, why);
}

static int add_file(
	struct stargz *s, const json_t *e, const char *name, struct tree_item *item, struct why *why)
{
	uint32_t node;
	int err = strict_number(e, "size", OPTIONAL, MAX_LAYER_RAW, &item->size, why);
	if (!err)
		err = tree_add(s->b, s->base, name, item, &node, why);
	if (err || item->size == 0)
		return err;
	s->file = node;
	s->name = xstrdup(name);
	s->size = item->size;
	s->covered = 0;
	s->has_whole = json_object_get(e, "digest") != NULL;
	if (s->has_whole)
		err = toc_digest(e, "digest", &s->whole, why);
	return err ? err : add_chunk(s, e, why);
}

/* What the format needs for itself. */
static bool is_own(const char *name)
{
	static const char *const own[] = { TOC_NAME, ".prefetch.landmark", ".no.prefetch.landmark" };
	for (size_t i = 0; i < 3; i++)
		if (strcmp(name, own[i]) == 0)
			return true;
	return false;
}

static int add_entry(void *arg, const json_t *e, struct why *why)
{
	struct stargz *s = arg;
	const char *type = NULL, *name = NULL;
	struct tree_item item;
	uint32_t node;
	int err = strict_text(e, "type", REQUIRED, &type, why);
	if (!err)
		err = strict_text(e, "name", REQUIRED, &name, why);
	if (err)
		return err;
	if (strcmp(type, "chunk") == 0) {
		if (s->file == UINT32_MAX || strcmp(name, s->name) != 0)
			return why_fail(why, -EBADMSG, "a chunk of \"%.80s\" does not follow its file", name);
		return add_chunk(s, e, why);
	}
	err = end_file(s, why);
	if (!err)
		err = toc_item(e, type, &item, why);
	if (err || is_own(name))
		return err;
	return item.kind == ITEM_FILE ? add_file(s, e, name, &item, why)
				      : tree_add(s->b, s->base, name, &item, &node, why);
}

int layer_estargz_add(struct tree_build *b, uint32_t base, const struct digest *blob, uint64_t blob_size,
	uint64_t off, const struct digest *toc, const void *packed, struct why *why)
{
	autobuf struct buf text = { 0 };
	struct stargz s = { .b = b, .base = base, .file = UINT32_MAX };
	struct digest is;
	int err = unpack_toc(packed, blob_size - ESTARGZ_FOOTER - off, &text, why);
	if (err) {
		why_prefix(why, "the table of contents");
		return err;
	}
	digest_of(text.data, text.len, &is);
	if (!digest_equal(&is, toc))
		return why_fail(why, -EILSEQ, "the table of contents does not match its digest");
	err = tree_add_layer(b, blob, blob_size, 0, off, why);
	if (!err)
		err = toc_read(text.data, text.len, &(struct toc_visitor){ note_offset, nothing, &s }, why);
	if (!err) {
		s.offs = xrealloc(s.offs, (s.count + 1) * sizeof(*s.offs));
		s.offs[s.count++] = off;
		qsort(s.offs, s.count, sizeof(*s.offs), by_size);
		err = toc_read(text.data, text.len, &(struct toc_visitor){ add_entry, end_file, &s }, why);
	}
	free(s.name);
	free(s.offs);
	return err;
}
