/* SPDX-License-Identifier: MIT */
/*
 * layer_write.c: writes zstd:chunked, in one pass.
 *
 * Every file that is not empty begins a frame, and so does each LAYER_CHUNK of it; what lies between
 * (headers, padding, empty files) shares the frame before the next file. Fixed chunks compress some percent
 * worse than one frame a file and need no rolling checksum; small files, which are nearly all of a source
 * tree, are one chunk either way.
 */
#include "cache/layer.h"

#include "cache/base/io.h"
#include "cache/layer_split.h"
#include "cache/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "io.github.containers.zstd-chunked."

struct layer_writer {
	int fd;
	uint64_t at; /* bytes of the blob so far */
	struct hasher *hash;
	struct zstd_packer *packer;
	struct buf between; /* tar bytes that await a frame */
	struct buf frame, chunk;
	struct buf toc;
	struct tar_split *split;
	uint32_t entries;
};

struct layer_writer *layer_writer_new(int fd, int level)
{
	struct layer_writer *w = xcalloc(1, sizeof(*w));
	w->fd = fd;
	w->hash = hasher_new();
	w->packer = zstd_packer_new(level);
	w->split = tar_split_new(level);
	buf_puts(&w->toc, "{\"version\":1,\"entries\":[");
	return w;
}

void layer_writer_free(struct layer_writer *w)
{
	if (!w)
		return;
	hasher_free(w->hash);
	zstd_packer_free(w->packer);
	tar_split_free(w->split);
	buf_free(&w->between);
	buf_free(&w->frame);
	buf_free(&w->chunk);
	buf_free(&w->toc);
	free(w);
}

static int put_bytes(struct layer_writer *w, const void *data, size_t len, struct why *why)
{
	int err = io_write_full(w->fd, data, len);
	if (err < 0)
		return why_fail_errno(why, err, "cannot write the layer");
	hasher_add(w->hash, data, len);
	w->at += len;
	return 0;
}

static int put_frame(struct layer_writer *w, const void *raw, size_t len, struct why *why)
{
	if (len == 0)
		return 0;
	buf_clear(&w->frame);
	zstd_pack(w->packer, raw, len, &w->frame);
	return put_bytes(w, w->frame.data, w->frame.len, why);
}

static int put_skippable(
	struct layer_writer *w, const void *data, size_t len, uint64_t *payload, struct why *why)
{
	uint8_t head[8] = { 0x50, 0x2a, 0x4d, 0x18 };
	if (len > UINT32_MAX)
		return why_fail(why, -EFBIG, "the table of contents is larger than 4 GiB");
	for (int i = 0; i < 4; i++)
		head[4 + i] = (uint8_t)(len >> 8 * i);
	int err = put_bytes(w, head, sizeof(head), why);
	*payload = w->at;
	return err ? err : put_bytes(w, data, len, why);
}

static void toc_entry(struct layer_writer *w, json_t *e)
{
	if (w->toc.data[w->toc.len - 1] != '[')
		buf_puts(&w->toc, ",");
	strict_dump(e, &w->toc);
	json_decref(e);
}

static json_t *new_entry(
	struct layer_writer *w, const char *type, const struct tar_member *m, struct why *why)
{
	size_t plain = strlen(m->path) - (m->type == '5');
	const char *base = memrchr(m->path, '/', plain);
	size_t name = plain - (base ? (size_t)(base + 1 - m->path) : 0);
	if (plain > MAX_PATH_LEN - 16 || name > MAX_NAME_LEN || w->entries >= MAX_ENTRIES) {
		why_fail(why, -EFBIG, "%s: the name is too long, or there are too many files", m->path);
		return NULL;
	}
	json_t *e = json_object();
	int bad = json_object_set_new(e, "type", json_string(type));
	bad |= json_object_set_new(e, "name", json_string(m->path));
	if (m->target)
		bad |= json_object_set_new(e, "linkName", json_string(m->target));
	bad |= json_object_set_new(e, "mode", json_integer(m->mode));
	if (bad) {
		json_decref(e);
		why_fail(why, -EILSEQ, "%s: its name, or what it links to, is not UTF-8; rename it", m->path);
		return NULL;
	}
	buf_clear(&w->frame);
	tar_header(&w->frame, m);
	buf_append(&w->between, w->frame.data, w->frame.len);
	tar_split_bytes(w->split, w->frame.data, w->frame.len);
	w->entries++;
	return e;
}

static int put_plain(struct layer_writer *w, const char *type, const struct tar_member *m, struct why *why)
{
	json_t *e = new_entry(w, type, m, why);
	if (!e)
		return why && why->err ? why->err : -EILSEQ;
	toc_entry(w, e);
	tar_split_file(w->split, m->path, 0, 0);
	/* a million empty files must not become one frame that is held in memory */
	if (w->between.len < (4u << 20))
		return 0;
	int err = put_frame(w, w->between.data, w->between.len, why);
	buf_clear(&w->between);
	return err;
}

int layer_put_dir(struct layer_writer *w, const char *path, struct why *why)
{
	autofree char *slash = xasprintf("%s/", path);
	return put_plain(w, "dir", &(struct tar_member){ .path = slash, .type = '5', .mode = 0755 }, why);
}

int layer_put_link(struct layer_writer *w, const char *path, const char *target, struct why *why)
{
	return put_plain(w, "symlink",
		&(struct tar_member){ .path = path, .target = target, .type = '2', .mode = 0777 }, why);
}

int layer_put_hard(struct layer_writer *w, const char *path, const char *target, struct why *why)
{
	return put_plain(w, "hardlink",
		&(struct tar_member){ .path = path, .target = target, .type = '1', .mode = 0644 }, why);
}

struct file_state {
	json_t *first;	/* the reg entry, completed at the end */
	json_t *chunks; /* the chunk entries that follow it */
	struct hasher *whole;
	uint64_t done, crc;
};

static void set_digest(json_t *e, const char *key, const struct digest *d)
{
	char text[DIGEST_TEXT_LEN + 1];
	digest_text(d, text);
	json_object_set_new(e, key, json_string(text));
}

static int put_chunk(struct layer_writer *w, struct file_state *s, const char *path, size_t n, uint64_t size,
	struct why *why)
{
	uint64_t at = w->at;
	struct digest d;
	hasher_add(s->whole, w->chunk.data, n);
	s->crc = tar_split_crc(s->crc, w->chunk.data, n);
	int err = put_frame(w, w->chunk.data, n, why);
	if (err)
		return err;
	json_t *e = s->first;
	if (s->done > 0) {
		e = json_object();
		json_object_set_new(e, "type", json_string("chunk"));
		json_object_set_new(e, "name", json_string(path));
		json_array_append_new(s->chunks, e);
	}
	json_object_set_new(e, "offset", json_integer((json_int_t)at));
	if (size > LAYER_CHUNK) {
		digest_of(w->chunk.data, n, &d);
		json_object_set_new(e, "chunkSize", json_integer((json_int_t)n));
		if (s->done > 0)
			json_object_set_new(e, "chunkOffset", json_integer((json_int_t)s->done));
		set_digest(e, "chunkDigest", &d);
	}
	s->done += n;
	return 0;
}

static int put_content(struct layer_writer *w, struct file_state *s, const char *path, int fd, uint64_t size,
	struct why *why)
{
	int err = put_frame(w, w->between.data, w->between.len, why);
	buf_clear(&w->between);
	buf_clear(&w->chunk);
	buf_reserve(&w->chunk, LAYER_CHUNK);
	while (!err && s->done < size) {
		size_t n = size - s->done < LAYER_CHUNK ? (size_t)(size - s->done) : LAYER_CHUNK;
		ssize_t got = io_read_full(fd, w->chunk.data, n);
		if (got < 0)
			return why_fail_errno(why, (int)got, "%s", path);
		if ((size_t)got != n)
			return why_fail(
				why, -EBUSY, "%s became shorter while it was read; publish again", path);
		err = put_chunk(w, s, path, n, size, why);
	}
	return err;
}

int layer_put_file(
	struct layer_writer *w, const char *path, bool executable, int fd, uint64_t size, struct why *why)
{
	struct tar_member m = { .path = path, .type = '0', .mode = executable ? 0755 : 0644, .size = size };
	if (size == 0)
		return put_plain(w, "reg", &m, why);
	if (size > MAX_LAYER_RAW)
		return why_fail(
			why, -EFBIG, "%s is larger than %llu bytes", path, (unsigned long long)MAX_LAYER_RAW);
	struct file_state s = { .first = new_entry(w, "reg", &m, why) };
	if (!s.first)
		return why && why->err ? why->err : -EILSEQ;
	s.chunks = json_array();
	s.whole = hasher_new();
	json_object_set_new(s.first, "size", json_integer((json_int_t)size));
	int err = put_content(w, &s, path, fd, size, why);
	struct digest d;
	hasher_end(s.whole, &d);
	hasher_free(s.whole);
	set_digest(s.first, "digest", &d);
	json_object_set_new(s.first, "endOffset", json_integer((json_int_t)w->at));
	toc_entry(w, s.first);
	for (size_t i = 0; i < json_array_size(s.chunks); i++)
		toc_entry(w, json_incref(json_array_get(s.chunks, i)));
	json_decref(s.chunks);

	static const char zeros[512];
	size_t pad = (512 - size % 512) % 512;
	tar_split_file(w->split, path, size, s.crc);
	buf_append(&w->between, zeros, pad);
	tar_split_bytes(w->split, zeros, pad);
	return err;
}

static void put_le64(uint8_t *to, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		to[i] = (uint8_t)(v >> 8 * i);
}

static int put_footer(struct layer_writer *w, const uint64_t v[7], struct why *why)
{
	uint8_t footer[64];
	uint64_t at;
	for (int i = 0; i < 7; i++)
		put_le64(footer + 8 * i, v[i]);
	memcpy(footer + 56, "GNUlInUx", 8);
	return put_skippable(w, footer, sizeof(footer), &at, why);
}

static void annotate(json_t *a, const char *key, char *value)
{
	autofree char *name = xasprintf(PREFIX "%s", key);
	json_object_set_new(a, name, json_string(value));
	free(value);
}

static int put_tables(struct layer_writer *w, json_t *annotations, struct why *why)
{
	autobuf struct buf packed = { 0 };
	struct digest d;
	char text[DIGEST_TEXT_LEN + 1];
	uint64_t toc_at, split_at, split_raw;
	const struct buf *split = tar_split_end(w->split, &split_raw);

	digest_of(split->data, split->len, &d);
	digest_text(&d, text);
	buf_printf(&w->toc, "],\"tarSplitDigest\":\"%s\"}", text);
	if (w->toc.len > MAX_TOC)
		return why_fail(why, -EFBIG, "the table of contents is larger than %u bytes", MAX_TOC);
	zstd_pack(w->packer, w->toc.data, w->toc.len, &packed);
	digest_of(packed.data, packed.len, &d);
	digest_text(&d, text);
	int err = put_skippable(w, packed.data, packed.len, &toc_at, why);
	if (!err)
		err = put_skippable(w, split->data, split->len, &split_at, why);
	if (!err)
		err = put_footer(w,
			(uint64_t[]){ toc_at, packed.len, w->toc.len, 1, split_at, split->len, split_raw },
			why);
	if (err)
		return err;
	annotate(annotations, "manifest-checksum", xstrdup(text));
	annotate(annotations, "manifest-position",
		xasprintf("%llu:%zu:%zu:1", (unsigned long long)toc_at, packed.len, w->toc.len));
	annotate(annotations, "tarsplit-position",
		xasprintf("%llu:%zu:%llu", (unsigned long long)split_at, split->len,
			(unsigned long long)split_raw));
	return 0;
}

int layer_writer_finish(struct layer_writer *w, struct layer_written *out, struct why *why)
{
	static const char end[1024]; /* two blocks of zeros end a tar */
	buf_append(&w->between, end, sizeof(end));
	tar_split_bytes(w->split, end, sizeof(end));
	int err = put_frame(w, w->between.data, w->between.len, why);
	json_t *annotations = json_object();
	if (!err)
		err = put_tables(w, annotations, why);
	if (err) {
		json_decref(annotations);
		return err;
	}
	hasher_end(w->hash, &out->digest);
	out->size = w->at;
	out->entries = w->entries;
	out->annotations = annotations;
	return 0;
}
