/* SPDX-License-Identifier: MIT */
/*
 * layer_toc.c: the table of contents of a zstd:chunked layer, entry by entry: a table of 150 MiB never
 * becomes a tree of JSON objects in memory.
 */
#include "cache/layer_toc.h"
#include "cache/layer.h"

#include "cache/limits.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* --- where it is ------------------------------------------------------------------------------ */

/* Debian 12's writers still use the older prefix. */
static const char *annotation(const json_t *a, const char *key)
{
	static const char *const prefixes[] = { "io.github.containers.zstd-chunked.",
		"io.containers.zstd-chunked." };
	for (size_t i = 0; i < 2; i++) {
		autofree char *name = xasprintf("%s%s", prefixes[i], key);
		const char *v = json_string_value(json_object_get(a, name));
		if (v)
			return v;
	}
	return NULL;
}

/* Decimal numbers separated by colons, all of them. */
static int numbers(const char *text, uint64_t *out, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		char *end;
		if (!isdigit((unsigned char)*text) || strspn(text, "0123456789") > 16)
			return -EINVAL;
		out[i] = strtoull(text, &end, 10);
		if (*end != (i + 1 < count ? ':' : 0))
			return -EINVAL;
		text = end + 1;
	}
	return 0;
}

bool layer_toc_is_chunked(const json_t *annotations)
{
	return annotation(annotations, "manifest-position") || annotation(annotations, "manifest-checksum");
}

int layer_toc_place(const json_t *annotations, uint64_t blob_size, struct toc_place *out, struct why *why)
{
	const char *position = annotation(annotations, "manifest-position");
	const char *checksum = annotation(annotations, "manifest-checksum");
	uint64_t v[4];
	if (!position || !checksum)
		return why_fail(why, -EBADMSG,
			"the source layer has no zstd:chunked annotations, so it cannot be read file by "
			"file");
	if (json_object_get(annotations, "containerd.io/snapshot/stargz/toc.digest"))
		return why_fail(why, -EBADMSG, "the source layer names two tables of contents");
	if (numbers(position, v, 4) < 0 || v[3] != 1)
		return why_fail(why, -EBADMSG, "the position of the table of contents is malformed: %.100s",
			position);
	if (digest_parse(checksum, &out->digest) < 0)
		return why_fail(why, -EBADMSG, "the checksum of the table of contents is malformed: %.100s",
			checksum);
	if (v[1] > MAX_TOC || v[2] > MAX_TOC)
		return why_fail(why, -EFBIG, "the table of contents is larger than %u bytes", MAX_TOC);
	if (v[0] < 8 || v[1] == 0 || v[0] > blob_size || v[1] > blob_size - v[0])
		return why_fail(why, -EBADMSG, "the table of contents lies outside of its layer");
	out->off = v[0];
	out->packed = v[1];
	out->raw = v[2];
	return 0;
}

/* --- one entry -------------------------------------------------------------------------------- */

struct reader {
	struct tree_build *b;
	uint32_t base;
	uint32_t file;	     /* the reg that chunks may follow; UINT32_MAX: none */
	char *name;	     /* its name */
	uint64_t end;	     /* its endOffset */
	struct digest whole; /* its digest: what a lone chunk must have */
	bool waiting;	     /* its last chunk is known but for where it ends */
	struct chunk_item last;
	uint64_t size, covered; /* of the file; by chunks, the last included */
};

static int two_digits(const char *s)
{
	if (!isdigit((unsigned char)s[0]) || !isdigit((unsigned char)s[1]))
		return -1;
	return (s[0] - '0') * 10 + s[1] - '0';
}

/* RFC 3339; what is not understood is 1970: a time is no reason to refuse a file. */
static int64_t parse_time(const char *s)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:dd";
	for (size_t i = 0; i < sizeof(shape) - 1; i++)
		if (shape[i] == 'd' ? !isdigit((unsigned char)s[i]) : s[i] != shape[i])
			return 0;
	struct tm tm = {
		.tm_year = two_digits(s) * 100 + two_digits(s + 2) - 1900,
		.tm_mon = two_digits(s + 5) - 1,
		.tm_mday = two_digits(s + 8),
		.tm_hour = two_digits(s + 11),
		.tm_min = two_digits(s + 14),
		.tm_sec = two_digits(s + 17),
	};
	int64_t t = timegm(&tm);
	s += sizeof(shape) - 1;
	if (*s == '.')
		s += 1 + strspn(s + 1, "0123456789");
	if (*s != '+' && *s != '-')
		return t;
	int h = two_digits(s + 1), m = h >= 0 && s[3] == ':' ? two_digits(s + 4) : -1;
	if (m < 0)
		return 0;
	return *s == '+' ? t - (h * 60 + m) * 60 : t + (h * 60 + m) * 60;
}

int toc_digest(const json_t *e, const char *key, struct digest *out, struct why *why)
{
	const char *text = NULL;
	int err = strict_text(e, key, REQUIRED, &text, why);
	if (err)
		return err;
	if (digest_parse(text, out) < 0)
		return why_fail(why, -EBADMSG, "\"%s\" is not a SHA-256 digest", key);
	return 0;
}

/* The chunk that waits ends at (end), where the next one begins or the file does. */
static int flush_chunk(struct reader *r, uint64_t end, struct why *why)
{
	if (!r->waiting)
		return 0;
	r->waiting = false;
	if (end < r->last.blob_off)
		return why_fail(why, -EBADMSG, "the chunks of \"%s\" are not in order", r->name);
	r->last.packed = end - r->last.blob_off;
	return tree_add_chunk(r->b, r->file, &r->last, why);
}

static int end_file(void *arg, struct why *why)
{
	struct reader *r = arg;
	if (r->file == UINT32_MAX)
		return 0;
	int err = flush_chunk(r, r->end, why);
	if (!err && r->covered != r->size)
		err = why_fail(why, -EBADMSG, "\"%s\" claims %llu bytes, and its chunks are %llu", r->name,
			(unsigned long long)r->size, (unsigned long long)r->covered);
	r->file = UINT32_MAX;
	free(r->name);
	r->name = NULL;
	return err;
}

/* A chunk, of a reg entry (the first) or of a chunk entry. */
static int begin_chunk(struct reader *r, const json_t *e, struct why *why)
{
	uint64_t size = 0, at = 0, off = 0;
	const char *type = NULL;
	int err = strict_number(e, "offset", REQUIRED, MAX_BLOB, &off, why);
	if (!err)
		err = strict_number(e, "chunkSize", OPTIONAL, MAX_LAYER_RAW, &size, why);
	if (!err)
		err = strict_number(e, "chunkOffset", OPTIONAL, MAX_LAYER_RAW, &at, why);
	if (!err)
		err = strict_text(e, "chunkType", OPTIONAL, &type, why);
	if (!err)
		err = flush_chunk(r, off, why);
	if (err)
		return err;
	if (at != r->covered || size > r->size - r->covered)
		return why_fail(why, -EBADMSG, "the chunks of \"%s\" leave a gap or exceed it", r->name);
	bool lone = size == 0 && at == 0;
	if (size == 0)
		size = r->size - r->covered; /* "to the end of the file" */
	r->last = (struct chunk_item){ .kind = CHUNK_ZSTD, .blob_off = off, .raw = size, .digest = r->whole };
	if (type && strcmp(type, "zeros") == 0)
		r->last.kind = CHUNK_ZEROS;
	else if (type && *type)
		return why_fail(why, -EBADMSG, "\"%s\" has a chunk of an unknown type", r->name);
	r->covered += size;
	r->waiting = true;
	if (lone && !json_object_get(e, "chunkDigest"))
		return 0;
	return toc_digest(e, "chunkDigest", &r->last.digest, why);
}

static int add_reg(
	struct reader *r, const json_t *e, const char *name, struct tree_item *item, struct why *why)
{
	uint32_t node;
	int err = strict_number(e, "size", OPTIONAL, MAX_LAYER_RAW, &item->size, why);
	if (!err)
		err = tree_add(r->b, r->base, name, item, &node, why);
	if (err || item->size == 0)
		return err;
	r->file = node;
	r->name = xstrdup(name);
	r->size = item->size;
	r->covered = 0;
	r->waiting = false;
	err = strict_number(e, "endOffset", REQUIRED, MAX_BLOB, &r->end, why);
	if (!err)
		err = toc_digest(e, "digest", &r->whole, why);
	return err ? err : begin_chunk(r, e, why);
}

static const struct kind {
	const char *type;
	enum item_kind kind;
} kinds[] = {
	{ "reg", ITEM_FILE },
	{ "dir", ITEM_DIR },
	{ "symlink", ITEM_LINK },
	{ "hardlink", ITEM_HARD },
	{ "char", ITEM_HIDDEN },
	{ "block", ITEM_HIDDEN },
	{ "fifo", ITEM_HIDDEN },
};

int toc_item(const json_t *e, const char *type, struct tree_item *out, struct why *why)
{
	const char *when = NULL;
	uint64_t mode = 0;
	size_t i = 0;
	*out = (struct tree_item){ 0 };
	while (i < sizeof(kinds) / sizeof(*kinds) && strcmp(kinds[i].type, type) != 0)
		i++;
	if (i == sizeof(kinds) / sizeof(*kinds))
		return why_fail(why, -EBADMSG, "an entry of the unknown type \"%.40s\"", type);
	int err = strict_number(e, "mode", OPTIONAL, UINT32_MAX, &mode, why);
	if (!err)
		err = strict_text(e, "modtime", OPTIONAL, &when, why);
	if (!err)
		err = strict_text(e, "linkName", OPTIONAL, &out->target, why);
	if (err)
		return err;
	out->kind = kinds[i].kind;
	out->mode = (uint32_t)mode & 0777; /* set-id and sticky bits mean nothing here */
	out->mtime = when ? parse_time(when) : 0;
	return 0;
}

static int add_plain(struct reader *r, const json_t *e, const char *type, const char *name, struct why *why)
{
	struct tree_item item;
	uint32_t node;
	int err = toc_item(e, type, &item, why);
	if (err)
		return err;
	if (item.kind == ITEM_FILE)
		return add_reg(r, e, name, &item, why);
	return tree_add(r->b, r->base, name, &item, &node, why);
}

static int add_entry(void *arg, const json_t *e, struct why *why)
{
	struct reader *r = arg;
	const char *type = NULL, *name = NULL;
	int err = strict_text(e, "type", REQUIRED, &type, why);
	if (!err)
		err = strict_text(e, "name", REQUIRED, &name, why);
	if (err)
		return err;
	if (strcmp(type, "chunk") != 0) {
		err = end_file(r, why);
		return err ? err : add_plain(r, e, type, name, why);
	}
	if (r->file == UINT32_MAX || strcmp(name, r->name) != 0)
		return why_fail(why, -EBADMSG, "a chunk of \"%.80s\" does not follow its file", name);
	return begin_chunk(r, e, why);
}

/* --- the document ----------------------------------------------------------------------------- */

struct text {
	const char *p;
	size_t len;
};

static void skip_blank(struct text *t)
{
	while (t->len && (*t->p == ' ' || *t->p == '\t' || *t->p == '\n' || *t->p == '\r'))
		t->p++, t->len--;
}

static bool take(struct text *t, char c)
{
	skip_blank(t);
	if (!t->len || *t->p != c)
		return false;
	t->p++, t->len--;
	return true;
}

static int malformed(struct why *why)
{
	return why_fail(why, -EBADMSG, "the table of contents is not acceptable JSON");
}

static int read_entries(const struct toc_visitor *v, struct text *t, struct why *why)
{
	uint32_t n = 0;
	if (!take(t, '['))
		return malformed(why);
	if (take(t, ']'))
		return 0;
	do {
		autojson json_t *e = NULL;
		skip_blank(t);
		size_t len = strict_span(t->p, t->len);
		if (len == 0)
			return malformed(why);
		int err = strict_load(t->p, len, "table of contents", &e, why);
		if (!err)
			err = ++n > MAX_CHUNKS ? why_fail(why, -EFBIG, "more than %u entries", MAX_CHUNKS)
					       : v->entry(v->arg, e, why);
		if (err)
			return err;
		t->p += len, t->len -= len;
	} while (take(t, ','));
	return take(t, ']') ? v->end(v->arg, why) : malformed(why);
}

/* The members around the list are few: they are collected into a small document for the strict reader. */
static int read_document(const struct toc_visitor *v, struct text *t, struct why *why)
{
	autobuf struct buf rest = { 0 };
	bool seen = false;
	buf_puts(&rest, "{");
	if (!take(t, '{'))
		return malformed(why);
	do {
		skip_blank(t);
		size_t key = t->len && *t->p == '"' ? strict_span(t->p, t->len) : 0;
		if (key == 0)
			return malformed(why);
		bool entries = key == 9 && memcmp(t->p, "\"entries\"", 9) == 0;
		buf_printf(&rest, "%s%.*s:", rest.len > 1 ? "," : "", (int)key, t->p);
		t->p += key, t->len -= key;
		if (key > MAX_PATH_LEN || !take(t, ':'))
			return malformed(why);
		skip_blank(t);
		if (entries) {
			int err = seen ? malformed(why) : read_entries(v, t, why);
			if (err)
				return err;
			seen = true;
			buf_puts(&rest, "[]");
			continue;
		}
		size_t len = strict_span(t->p, t->len);
		if (len == 0 || rest.len + len > MAX_CONFIG)
			return malformed(why);
		buf_append(&rest, t->p, len);
		t->p += len, t->len -= len;
	} while (take(t, ','));
	if (!take(t, '}'))
		return malformed(why);
	skip_blank(t);
	if (t->len)
		return why_fail(why, -EBADMSG, "data follows the table of contents");
	buf_puts(&rest, "}");

	autojson json_t *doc = NULL;
	uint64_t version = 0;
	int err = strict_load(rest.data, rest.len, "table of contents", &doc, why);
	if (!err)
		err = strict_number(doc, "version", REQUIRED, MAX_JSON_INT, &version, why);
	if (err)
		return err;
	if (version != 1 || !seen)
		return why_fail(
			why, -EBADMSG, "a table of contents of an unknown version, or without entries");
	return 0;
}

int toc_read(const char *text, size_t len, const struct toc_visitor *v, struct why *why)
{
	struct text t = { text, len };
	return read_document(v, &t, why);
}

int layer_toc_add(struct tree_build *b, uint32_t base, const struct digest *blob, uint64_t blob_size,
	const struct toc_place *place, const void *packed, struct why *why)
{
	struct digest is;
	digest_of(packed, place->packed, &is);
	if (!digest_equal(&is, &place->digest))
		return why_fail(why, -EILSEQ, "the table of contents does not match its checksum");
	autobuf struct buf raw = { 0 };
	buf_reserve(&raw, place->raw);
	int err = zstd_unpack(packed, place->packed, raw.data, place->raw, why);
	if (err) {
		why_prefix(why, "the table of contents");
		return err;
	}
	raw.len = place->raw;
	/* the skippable header before the table is its own: frames end before it */
	err = tree_add_layer(b, blob, blob_size, 0, place->off - 8, why);
	if (err)
		return err;
	struct reader r = { .b = b, .base = base, .file = UINT32_MAX };
	err = toc_read(raw.data, raw.len, &(struct toc_visitor){ add_entry, end_file, &r }, why);
	free(r.name);
	return err;
}
