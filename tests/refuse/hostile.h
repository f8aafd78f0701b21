/* SPDX-License-Identifier: MIT */
/*
 * hostile.h: a forger of layouts. Each holds a good kernel, good:1.0, published as usual, and bad:1.0, made
 * by hand with one lie.
 *
 * A forge is a kernel in pieces, all of them honest; a case changes one of them. What is put together
 * afterwards is consistent in everything else, so that a refusal is for the lie and for nothing beside it.
 *
 * Shape    header only: layouts.c tests the cache with all cases, make_layout.c writes one for tests of the
 * mount
 */
#ifndef TEST_REFUSE_HOSTILE_H
#define TEST_REFUSE_HOSTILE_H

#include "cache/artifact.h"
#include "cache/base/io.h"
#include "cache/layer.h"
#include "cache/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OK_TEXT	  "int ok;\n"
#define IMAGE_LEN 10000u
#define CHUNK_LEN 4096u
#define PREFIX	  "io.github.containers.zstd-chunked."

enum outcome {
	REFUSED,    /* no view: (err), and the words hold (words) */
	READ_FAILS, /* a view, in which reading (path) fails with (err) */
	HARMLESS,   /* a view, in which (path) is not there (err) or is (0) */
};

struct forge {
	int dirfd;	   /* of the layout */
	struct buf frames; /* the source layer, up to its table */
	struct buf entries;
	uint64_t ok_off, ok_end; /* of ok.c's frame */

	/* whole pieces; where NULL they are made of the rest */
	char *toc, *config, *manifest, *index_entries;
	char *notes;	 /* more annotations of the source layer, ",\"k\":\"v\"" */
	char *position;	 /* manifest-position */
	char *files;	 /* the config's files[] without brackets */
	char *launch;	 /* members of boot[0] */
	char *name;	 /* the config's name as JSON */
	bool good_image; /* the image is good:1.0's */
	int64_t config_size, layer_size, readme_size; /* added to what descriptors say */
	bool no_notes, lie_in_footer;
	/* after all is written: blobs to damage or remove */
	bool break_manifest, break_config, break_readme, break_toc, break_ok, break_image;
	bool remove_manifest, remove_config, fifo_config;

	struct digest config_digest, readme_digest, layer_digest, image_digest, manifest_digest;
	uint64_t toc_at;
};

/* --- blobs ------------------------------------------------------------------------------------ */

static inline char *hex_of(const void *data, size_t len)
{
	struct digest d;
	char *hex = xmalloc(DIGEST_HEX_LEN + 1);
	digest_of(data, len, &d);
	digest_hex(&d, hex);
	return hex;
}

static inline char *blob_path(const struct digest *d)
{
	char hex[DIGEST_HEX_LEN + 1];
	digest_hex(d, hex);
	return xasprintf("blobs/sha256/%s", hex);
}

static inline void must_be(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "the forge failed: %s: %s\n", what, strerror(errno));
	abort();
}

static inline void put_blob(struct forge *f, const void *data, size_t len, struct digest *d)
{
	digest_of(data, len, d);
	autofree char *path = blob_path(d);
	must_be(io_write_file(f->dirfd, path, data, len, 0644, false) == 0, path);
}

static inline void flip_blob(struct forge *f, const struct digest *d, uint64_t where)
{
	autofree char *path = blob_path(d);
	autoclose int fd = openat(f->dirfd, path, O_RDWR);
	char c;
	must_be(fd >= 0 && pread(fd, &c, 1, (off_t)where) == 1, path);
	c ^= 1;
	must_be(pwrite(fd, &c, 1, (off_t)where) == 1, path);
}

/* Of good:1.0 (0) and of bad:1.0 (1). */
static inline void image_bytes(char *data, size_t len, unsigned whose)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (char)(i * 7 + i / 256 + whose);
}

/* --- entries of the table of contents ----------------------------------------------------------- */

static inline void raw_entry(struct forge *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline void raw_entry(struct forge *f, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	if (f->entries.len)
		buf_puts(&f->entries, ",");
	buf_vprintf(&f->entries, fmt, ap);
	va_end(ap);
}

/* A frame of (data): where it begins and ends in the blob. */
static inline void put_frame(struct forge *f, const void *data, size_t len, uint64_t *off, uint64_t *end)
{
	struct zstd_packer *p = zstd_packer_new(3);
	*off = f->frames.len;
	zstd_pack(p, data, len, &f->frames);
	*end = f->frames.len;
	zstd_packer_free(p);
}

static inline void reg(
	struct forge *f, const char *name, const char *text, uint64_t size, uint64_t off, uint64_t end)
{
	autofree char *hex = hex_of(text, strlen(text));
	raw_entry(f,
		"{\"type\":\"reg\",\"name\":\"%s\",\"mode\":420,\"size\":%llu,\"digest\":\"sha256:%s\","
		"\"offset\":%llu,"
		"\"endOffset\":%llu}",
		name, (unsigned long long)size, hex, (unsigned long long)off, (unsigned long long)end);
}

/* An honest file. */
static inline void add_file(struct forge *f, const char *name, const char *text)
{
	uint64_t off, end;
	put_frame(f, text, strlen(text), &off, &end);
	reg(f, name, text, strlen(text), off, end);
}

static inline void add_typed(struct forge *f, const char *type, const char *name, const char *target)
{
	if (target)
		raw_entry(f, "{\"type\":\"%s\",\"name\":\"%s\",\"linkName\":\"%s\",\"mode\":511}", type, name,
			target);
	else
		raw_entry(f, "{\"type\":\"%s\",\"name\":\"%s\",\"mode\":493}", type, name);
}

static inline char *repeat(const char *s, size_t n)
{
	struct buf b = { 0 };
	for (size_t i = 0; i < n; i++)
		buf_puts(&b, s);
	return buf_steal(&b);
}

/* --- putting it together ------------------------------------------------------------------------ */

static inline void skippable(struct buf *blob, const void *data, size_t len)
{
	const uint8_t head[8] = { 0x50, 0x2a, 0x4d, 0x18, (uint8_t)len, (uint8_t)(len >> 8),
		(uint8_t)(len >> 16), (uint8_t)(len >> 24) };
	buf_append(blob, head, sizeof(head));
	buf_append(blob, data, len);
}

/* Writes the source layer and returns its descriptor. */
static inline char *forge_layer(struct forge *f)
{
	struct buf blob = { 0 }, packed = { 0 };
	autofree char *toc =
		f->toc ? xstrdup(f->toc) : xasprintf("{\"version\":1,\"entries\":[%s]}", f->entries.data);
	struct zstd_packer *p = zstd_packer_new(3);
	zstd_pack(p, toc, strlen(toc), &packed);
	zstd_packer_free(p);
	buf_append(&blob, f->frames.data, f->frames.len);
	f->toc_at = blob.len + 8;
	skippable(&blob, packed.data, packed.len);
	uint64_t footer[8] = { f->toc_at, packed.len, strlen(toc), 1, 0, 0, 0, 0 };
	memcpy(&footer[7], "GNUlInUx", 8);
	if (f->lie_in_footer)
		footer[0] = footer[1] = footer[2] = UINT64_MAX;
	skippable(&blob, footer, sizeof(footer));
	put_blob(f, blob.data, blob.len, &f->layer_digest);

	char text[DIGEST_TEXT_LEN + 1];
	digest_text(&f->layer_digest, text);
	autofree char *sum = hex_of(packed.data, packed.len);
	autofree char *position = f->position ? xstrdup(f->position)
					      : xasprintf("%llu:%zu:%zu:1", (unsigned long long)f->toc_at,
							packed.len, strlen(toc));
	autofree char *notes = f->no_notes
				       ? xstrdup("")
				       : xasprintf(",\"" PREFIX "manifest-checksum\":\"sha256:%s\",\"" PREFIX
						   "manifest-position\":\"%s\"%s",
						 sum, position, f->notes ? f->notes : "");
	char *out = xasprintf("{\"mediaType\":\"" MT_TAR_ZSTD
			      "\",\"digest\":\"%s\",\"size\":%lld,\"annotations\":{\"" NOTE_TITLE
			      "\":\"src.tar.zst\"%s}}",
		text, (long long)blob.len + f->layer_size, notes);
	buf_free(&blob);
	buf_free(&packed);
	return out;
}

/* (chunks): a list of hexadecimal digests, or "=" and a table in base64. */
static inline char *file_member(
	const char *path, const char *digest, uint64_t size, unsigned chunk, const char *chunks)
{
	bool table = *chunks == '=';
	return xasprintf("{\"path\":\"%s\",\"digest\":\"%s\",\"size\":%llu,\"mode\":493,\"chunk_size\":%u,"
			 "\"chunks\":%s%s%s}",
		path, digest, (unsigned long long)size, chunk, table ? "\"" : "[", chunks + table,
		table ? "\"" : "]");
}

static inline char *image_chunks(void)
{
	static char data[IMAGE_LEN];
	struct buf b = { 0 };
	image_bytes(data, sizeof(data), 1);
	for (size_t at = 0; at < IMAGE_LEN; at += CHUNK_LEN) {
		autofree char *hex =
			hex_of(data + at, IMAGE_LEN - at < CHUNK_LEN ? IMAGE_LEN - at : CHUNK_LEN);
		buf_printf(&b, "%s\"%s\"", at ? "," : "", hex);
	}
	return buf_steal(&b);
}

static inline void forge_image(struct forge *f)
{
	static char data[IMAGE_LEN];
	image_bytes(data, sizeof(data), !f->good_image);
	put_blob(f, data, sizeof(data), &f->image_digest);
}

static inline char *image_member(struct forge *f, const char *path, const char *chunks)
{
	char text[DIGEST_TEXT_LEN + 1];
	forge_image(f);
	digest_text(&f->image_digest, text);
	return file_member(path, text, IMAGE_LEN, CHUNK_LEN, chunks);
}

static inline char *forge_config(struct forge *f)
{
	autofree char *chunks = image_chunks();
	autofree char *member = f->files ? xstrdup(f->files) : image_member(f, "images/kernel.elf", chunks);
	autofree char *text =
		f->config ? xstrdup(f->config)
			  : xasprintf("{\"schema\":1,\"name\":%s,\"version\":\"1.0\",\"arch\":\"x86_64\","
				      "\"modes\":[\"fullVM\"],"
				      "\"boot\":[{%s}],\"files\":[%s]}",
				    f->name ? f->name : "\"bad\"",
				    f->launch ? f->launch : "\"image\":\"images/kernel.elf\"", member);
	put_blob(f, text, strlen(text), &f->config_digest);
	char digest[DIGEST_TEXT_LEN + 1];
	digest_text(&f->config_digest, digest);
	return xasprintf("{\"mediaType\":\"" MT_CONFIG "\",\"digest\":\"%s\",\"size\":%lld}", digest,
		(long long)strlen(text) + f->config_size);
}

static inline void forge_manifest(struct forge *f)
{
	static const char readme[] = "# bad\n";
	char readme_text[DIGEST_TEXT_LEN + 1], image_text[DIGEST_TEXT_LEN + 1];
	forge_image(f);
	put_blob(f, readme, strlen(readme), &f->readme_digest);
	autofree char *layer = forge_layer(f), *config = forge_config(f);
	digest_text(&f->readme_digest, readme_text);
	digest_text(&f->image_digest, image_text);
	autofree char *text = xasprintf("{\"schemaVersion\":2,\"mediaType\":\"" MT_MANIFEST
					"\",\"artifactType\":\"" MT_KERNEL "\",\"config\":%s,"
					"\"layers\":[{\"mediaType\":\"" MT_README
					"\",\"digest\":\"%s\",\"size\":%lld,\"annotations\":{\"" NOTE_TITLE
					"\":\"README.md\"}},%s,{\"mediaType\":\"" MT_IMAGE
					"\",\"digest\":\"%s\",\"size\":%u,\"annotations\":{\"" NOTE_TITLE
					"\":\"images/kernel.elf\"}}]}",
		config, readme_text, (long long)strlen(readme) + f->readme_size, layer, image_text,
		IMAGE_LEN);
	const char *bytes = f->manifest ? f->manifest : text;
	put_blob(f, bytes, strlen(bytes), &f->manifest_digest);
}

static inline void break_things(struct forge *f)
{
	autofree char *manifest = blob_path(&f->manifest_digest), *config = blob_path(&f->config_digest);
	if (f->break_manifest)
		flip_blob(f, &f->manifest_digest, 30);
	if (f->break_config)
		flip_blob(f, &f->config_digest, 20);
	if (f->break_readme)
		flip_blob(f, &f->readme_digest, 2);
	if (f->break_toc)
		flip_blob(f, &f->layer_digest, f->toc_at + 12);
	if (f->break_ok)
		flip_blob(f, &f->layer_digest, f->ok_off + 10);
	if (f->break_image)
		flip_blob(f, &f->image_digest, CHUNK_LEN + 1);
	if (f->remove_manifest)
		must_be(unlinkat(f->dirfd, manifest, 0) == 0, manifest);
	if (f->remove_config || f->fifo_config)
		must_be(unlinkat(f->dirfd, config, 0) == 0, config);
	if (f->fifo_config)
		must_be(mkfifoat(f->dirfd, config, 0644) == 0, config);
}

static inline void add_to_index(struct forge *f, const char *entry)
{
	struct buf text = { 0 };
	must_be(io_read_file(f->dirfd, "index.json", 1 << 20, &text) == 0, "index.json");
	char *end = memrchr(text.data, ']', text.len);
	must_be(end != NULL, "index.json");
	autofree char *all = xasprintf("%.*s,%s]}", (int)(end - text.data), text.data, entry);
	must_be(io_write_file(f->dirfd, "index.json", all, strlen(all), 0644, false) == 0, "index.json");
	buf_free(&text);
}

static inline char *index_entry(const struct forge *f, const char *type, const char *ref)
{
	char digest[DIGEST_TEXT_LEN + 1];
	autofree char *path = blob_path(&f->manifest_digest);
	struct stat st = { 0 };
	fstatat(f->dirfd, path, &st, 0);
	digest_text(&f->manifest_digest, digest);
	return xasprintf("{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%lld,\"annotations\":{\"" NOTE_REF
			 "\":\"%s\"}}",
		type, digest, (long long)st.st_size, ref);
}

/* --- the lies ----------------------------------------------------------------------------------- */

#define CASE(name) static inline void name(struct forge *f)

CASE(manifest_digest)
{
	f->break_manifest = true;
}
CASE(config_digest)
{
	f->break_config = true;
}
CASE(readme_digest)
{
	f->break_readme = true;
}
CASE(toc_digest)
{
	f->break_toc = true;
}
CASE(chunk_digest)
{
	f->break_ok = true;
}
CASE(image_chunk_digest)
{
	f->break_image = true;
}
CASE(manifest_missing)
{
	f->remove_manifest = true;
}
CASE(config_missing)
{
	f->remove_config = true;
}
CASE(config_fifo)
{
	f->fifo_config = true;
}
CASE(config_size)
{
	f->config_size = 1;
}
CASE(config_size_huge)
{
	f->config_size = INT64_C(1) << 50;
}
CASE(readme_size)
{
	f->readme_size = -1;
}
CASE(layer_size)
{
	f->layer_size = 5;
}

CASE(file_larger)
{
	reg(f, "liar", OK_TEXT, 100, f->ok_off, f->ok_end);
}
CASE(file_smaller)
{
	reg(f, "liar", OK_TEXT, 3, f->ok_off, f->ok_end);
}
CASE(bomb)
{
	size_t len = 64u << 20;
	char *zeros = xcalloc(len, 1);
	uint64_t off, end;
	put_frame(f, zeros, len, &off, &end);
	free(zeros);
	reg(f, "liar", OK_TEXT, strlen(OK_TEXT), off, end);
}
CASE(not_zstd)
{
	uint64_t off = f->frames.len;
	buf_puts(&f->frames, "this is no frame");
	reg(f, "liar", OK_TEXT, strlen(OK_TEXT), off, f->frames.len);
}
CASE(file_enormous)
{
	reg(f, "liar", OK_TEXT, UINT64_C(1) << 52, f->ok_off, f->ok_end);
}
CASE(chunk_enormous)
{
	reg(f, "liar", OK_TEXT, 100u << 20, f->ok_off, f->ok_end);
}
CASE(toc_bomb)
{
	autofree char *blanks = repeat(" ", 1 << 20);
	f->toc = xasprintf("{%s\"version\":1,\"entries\":[]}", blanks);
	f->position = xasprintf("%llu:%d:100:1", (unsigned long long)f->frames.len + 8, 100);
}
CASE(toc_bomb_honest_sum) /* the packed bytes are as promised, the raw length is not */
{
	autofree char *blanks = repeat(" ", 1 << 20);
	struct buf packed = { 0 };
	struct zstd_packer *p = zstd_packer_new(3);
	f->toc = xasprintf("{%s\"version\":1,\"entries\":[]}", blanks);
	zstd_pack(p, f->toc, strlen(f->toc), &packed);
	f->position = xasprintf("%llu:%zu:100:1", (unsigned long long)f->frames.len + 8, packed.len);
	zstd_packer_free(p);
	buf_free(&packed);
}
CASE(toc_huge)
{
	f->position = xstrdup("8:100:200000000:1");
}
CASE(toc_outside)
{
	f->position = xstrdup("900000:100:200:1");
}
CASE(toc_overflow)
{
	f->position = xstrdup("9999999999999999:9999999:200:1");
}
CASE(toc_position_words)
{
	f->position = xstrdup("8:-1:0x10:1");
}
CASE(toc_of_unknown_type)
{
	f->position = xasprintf("%llu:100:100:2", (unsigned long long)f->frames.len + 8);
}
CASE(toc_truncated)
{
	f->toc = xasprintf("{\"version\":1,\"entries\":[%s", f->entries.data);
}
CASE(toc_trailing)
{
	f->toc = xasprintf("{\"version\":1,\"entries\":[%s]}{}", f->entries.data);
}
CASE(toc_version)
{
	f->toc = xasprintf("{\"version\":2,\"entries\":[%s]}", f->entries.data);
}
CASE(toc_twice)
{
	f->toc = xasprintf("{\"version\":1,\"entries\":[%s],\"entries\":[]}", f->entries.data);
}
CASE(toc_double_key)
{
	f->toc = xasprintf("{\"version\":1,\"version\":1,\"entries\":[%s]}", f->entries.data);
}
CASE(toc_no_list)
{
	f->toc = xstrdup("{\"version\":1,\"entries\":{}}");
}
CASE(toc_garbage)
{
	f->toc = xstrdup("not json at all \x01\x02");
}
CASE(toc_empty)
{
	f->toc = xstrdup(" ");
}
CASE(no_annotations)
{
	f->no_notes = true;
}
CASE(wrong_footer)
{
	f->lie_in_footer = true;
}
CASE(two_tables)
{
	f->notes = xstrdup(",\"containerd.io/snapshot/stargz/toc.digest\":\"sha256:00\"");
}

CASE(dotdot)
{
	add_file(f, "../evil", "x");
}
CASE(dotdot_middle)
{
	add_file(f, "a/../../evil", "x");
}
CASE(dotdot_dir)
{
	add_typed(f, "dir", "..", NULL);
}
CASE(dot_middle)
{
	add_file(f, "a/./evil", "x");
}
CASE(empty_component)
{
	add_file(f, "a//evil", "x");
}
CASE(absolute_name)
{
	add_file(f, "/etc/evil", "x");
}
CASE(nul_in_name)
{
	add_file(f, "evil\\u0000.c", "x");
}
CASE(bad_utf8)
{
	add_file(f, "evil\xff", "x");
}
CASE(long_name)
{
	autofree char *n = repeat("n", 256);
	add_file(f, n, "x");
}
CASE(long_path)
{
	autofree char *n = repeat("nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn/", 110);
	add_file(f, n, "x");
}
CASE(deep_path)
{
	autofree char *dirs = repeat("d/", 300);
	autofree char *n = xasprintf("%sx", dirs);
	add_file(f, n, "x");
}
CASE(duplicate_file)
{
	add_file(f, "evil", "one");
	add_file(f, "./evil", "two");
}
CASE(duplicate_directory)
{
	add_typed(f, "dir", "twice/", NULL);
	add_file(f, "twice/x", "x");
	add_typed(f, "dir", "twice", NULL);
}
CASE(directory_then_file)
{
	add_file(f, "evil/x", "x");
	add_file(f, "evil", "x");
}
CASE(file_as_parent)
{
	add_file(f, "evil", "x");
	add_file(f, "evil/x", "x");
}
CASE(link_as_parent)
{
	add_typed(f, "symlink", "evil", "/tmp");
	add_file(f, "evil/x", "x");
}
CASE(device_as_parent)
{
	add_typed(f, "char", "evil", NULL);
	add_file(f, "evil/x", "x");
}
CASE(hardlink_to_nothing)
{
	add_typed(f, "hardlink", "evil", "nothing");
}
CASE(hardlink_to_directory)
{
	add_typed(f, "dir", "d/", NULL);
	add_typed(f, "hardlink", "evil", "d");
}
CASE(hardlink_out)
{
	add_typed(f, "hardlink", "evil", "../../../etc/passwd");
}
CASE(hardlink_to_itself)
{
	add_typed(f, "hardlink", "evil", "evil");
}
CASE(hardlink_circle)
{
	add_typed(f, "hardlink", "evil", "evil2");
	add_typed(f, "hardlink", "evil2", "evil");
}
CASE(hardlink_to_symlink)
{
	add_typed(f, "symlink", "l", "/etc/passwd");
	add_typed(f, "hardlink", "evil", "l");
}
CASE(hardlink_before_file) /* allowed: a table need not be in the order of its tar */
{
	add_typed(f, "hardlink", "early", "later");
	add_file(f, "later", "x");
}
CASE(hardlink_without_target)
{
	add_typed(f, "hardlink", "evil", NULL);
}
CASE(symlink_absolute)
{
	add_typed(f, "symlink", "passwd", "/etc/passwd");
}
CASE(symlink_out)
{
	add_typed(f, "symlink", "passwd", "../../../../../../etc/passwd");
}
CASE(symlink_loop)
{
	add_typed(f, "symlink", "loop", "loop2");
	add_typed(f, "symlink", "loop2", "loop");
}
CASE(symlink_empty)
{
	add_typed(f, "symlink", "evil", "");
}
CASE(device_char)
{
	raw_entry(f, "{\"type\":\"char\",\"name\":\"evil\",\"mode\":438,\"devMajor\":1,\"devMinor\":3}");
}
CASE(device_block)
{
	raw_entry(f, "{\"type\":\"block\",\"name\":\"evil\",\"mode\":438,\"devMajor\":8}");
}
CASE(device_fifo)
{
	add_typed(f, "fifo", "evil", NULL);
}
CASE(type_unknown)
{
	add_typed(f, "socket", "evil", NULL);
}
CASE(set_id)
{
	raw_entry(f, "{\"type\":\"reg\",\"name\":\"setuid\",\"mode\":4095,\"uid\":0}");
}
CASE(whiteout)
{
	add_file(f, "d/.wh.ok.c", "x");
}
CASE(whiteout_opaque)
{
	add_file(f, "d/.wh..wh..opq", "x");
}

CASE(overlap)
{
	reg(f, "evil", OK_TEXT, strlen(OK_TEXT), f->ok_off + 1, f->ok_end);
}
CASE(shared_extent)
{
	reg(f, "copy.c", OK_TEXT, strlen(OK_TEXT), f->ok_off, f->ok_end);
}
CASE(extent_outside)
{
	reg(f, "evil", OK_TEXT, strlen(OK_TEXT), 1000000, 1000010);
}
CASE(extent_in_table)
{
	reg(f, "evil", OK_TEXT, strlen(OK_TEXT), f->frames.len, f->frames.len + 20);
}
CASE(extent_backwards)
{
	reg(f, "evil", OK_TEXT, strlen(OK_TEXT), f->ok_end, f->ok_off);
}
CASE(extent_empty)
{
	reg(f, "evil", OK_TEXT, strlen(OK_TEXT), f->ok_end, f->ok_end);
}
CASE(extent_overflow)
{
	reg(f, "evil", OK_TEXT, strlen(OK_TEXT), UINT64_MAX - 5, 5);
}
CASE(extent_missing)
{
	raw_entry(f, "{\"type\":\"reg\",\"name\":\"evil\",\"size\":5}");
}
CASE(size_float)
{
	raw_entry(f, "{\"type\":\"reg\",\"name\":\"evil\",\"size\":8.0,\"offset\":0,\"endOffset\":20}");
}
CASE(size_negative)
{
	raw_entry(f, "{\"type\":\"reg\",\"name\":\"evil\",\"size\":-8,\"offset\":0,\"endOffset\":20}");
}
CASE(size_text)
{
	raw_entry(f, "{\"type\":\"reg\",\"name\":\"evil\",\"size\":\"8\",\"offset\":0,\"endOffset\":20}");
}
CASE(entry_double_key)
{
	raw_entry(f, "{\"type\":\"dir\",\"name\":\"evil\",\"name\":\"other\"}");
}
CASE(entry_not_object)
{
	raw_entry(f, "[\"reg\"]");
}
CASE(entry_deep)
{
	autofree char *open = repeat("[", 100000);
	raw_entry(f, "{\"type\":\"dir\",\"name\":\"evil\",\"xattrs\":%s", open);
}
CASE(chunk_alone)
{
	raw_entry(f, "{\"type\":\"chunk\",\"name\":\"evil\",\"offset\":0,\"chunkSize\":1}");
}

/* A file of two chunks, the second one as told. */
static inline void two_chunks(struct forge *f, const char *second)
{
	autofree char *hex = hex_of(OK_TEXT OK_TEXT, 2 * strlen(OK_TEXT)),
		      *part = hex_of(OK_TEXT, strlen(OK_TEXT));
	uint64_t a, b, end;
	put_frame(f, OK_TEXT, strlen(OK_TEXT), &a, &b);
	put_frame(f, OK_TEXT, strlen(OK_TEXT), &b, &end);
	raw_entry(f,
		"{\"type\":\"reg\",\"name\":\"two\",\"size\":16,\"digest\":\"sha256:%s\",\"offset\":%llu,"
		"\"endOffset\":%llu,"
		"\"chunkSize\":8,\"chunkDigest\":\"sha256:%s\"}",
		hex, (unsigned long long)a, (unsigned long long)end, part);
	raw_entry(f, "{\"type\":\"chunk\",\"name\":\"two\",\"offset\":%llu,\"chunkDigest\":\"sha256:%s\",%s}",
		(unsigned long long)b, part, second);
}
CASE(chunk_gap)
{
	two_chunks(f, "\"chunkSize\":4,\"chunkOffset\":12");
}
CASE(chunk_twice)
{
	two_chunks(f, "\"chunkSize\":8,\"chunkOffset\":0");
}
CASE(chunk_beyond)
{
	two_chunks(f, "\"chunkSize\":80,\"chunkOffset\":8");
}
CASE(chunk_short)
{
	two_chunks(f, "\"chunkSize\":4,\"chunkOffset\":8");
}
CASE(chunk_unknown)
{
	two_chunks(f, "\"chunkSize\":8,\"chunkOffset\":8,\"chunkType\":\"lies\"");
}
CASE(chunk_false_zeros)
{
	two_chunks(f, "\"chunkSize\":8,\"chunkOffset\":8,\"chunkType\":\"zeros\"");
}

CASE(json_deep)
{
	autofree char *open = repeat("[", 200), *close = repeat("]", 200);
	f->manifest = xasprintf("{\"schemaVersion\":2,\"config\":%s%s}", open, close);
}
CASE(json_double_key)
{
	f->manifest = xstrdup("{\"schemaVersion\":2,\"schemaVersion\":2,\"config\":{},\"layers\":[]}");
}
CASE(json_trailing)
{
	f->manifest = xstrdup("{\"schemaVersion\":2,\"config\":{},\"layers\":[]} x");
}
CASE(json_float_size)
{
	f->manifest = xstrdup(
		"{\"schemaVersion\":2,\"config\":{\"mediaType\":\"" MT_CONFIG
		"\",\"digest\":\"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\","
		"\"size\":2.0},\"layers\":[]}");
}
CASE(json_nul)
{
	f->name = xstrdup("\"b\\u0000d\"");
}
CASE(json_huge_number)
{
	f->launch = xstrdup("\"memory\":99999999999999999999999");
}
CASE(not_json)
{
	f->manifest = xstrdup("\x7f"
			      "ELF");
}
CASE(not_a_kernel)
{
	f->manifest = xstrdup(
		"{\"schemaVersion\":2,\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\","
		"\"digest\":\"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\","
		"\"size\":2},\"layers\":[]}");
}
CASE(manifest_and_index)
{
	f->manifest = xstrdup("{\"schemaVersion\":2,\"config\":{},\"layers\":[],\"manifests\":[]}");
}
CASE(type_mismatch)
{
	f->manifest =
		xstrdup("{\"schemaVersion\":2,\"mediaType\":\"" MT_INDEX "\",\"config\":{},\"layers\":[]}");
}
CASE(index_of_nothing)
{
	f->manifest = xstrdup("{\"schemaVersion\":2,\"manifests\":[]}");
}
CASE(index_of_other_machine)
{
	f->manifest = xstrdup(
		"{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"" MT_MANIFEST
		"\",\"digest\":\"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\","
		"\"size\":2,\"platform\":{\"architecture\":\"arm64\",\"os\":\"linux\"}}]}");
}
CASE(index_in_index)
{
	static const char inner[] =
		"{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"" MT_MANIFEST
		"\",\"digest\":\"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\","
		"\"size\":2}]}";
	struct digest d;
	char text[DIGEST_TEXT_LEN + 1];
	put_blob(f, inner, strlen(inner), &d);
	digest_text(&d, text);
	f->manifest = xasprintf("{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"" MT_MANIFEST
				"\",\"digest\":\"%s\",\"size\":%zu}]}",
		text, strlen(inner));
}
CASE(manifest_huge)
{
	autofree char *blanks = repeat(" ", 5 << 20);
	f->manifest = xasprintf("{%s\"schemaVersion\":2,\"config\":{},\"layers\":[]}", blanks);
}
CASE(config_huge)
{
	autofree char *blanks = repeat(" ", 2 << 20);
	f->config = xasprintf("{%s}", blanks);
}
CASE(config_list)
{
	f->config = xstrdup("[]");
}
CASE(conf_name)
{
	f->name = xstrdup("\"../../etc\"");
}
CASE(conf_image_out)
{
	f->launch = xstrdup("\"image\":\"../../../etc/passwd\"");
}
CASE(conf_cmdline_lines)
{
	f->launch = xstrdup("\"cmdline\":\"a\\nmemory = 1T\"");
}
CASE(conf_memory)
{
	f->launch = xstrdup("\"memory\":1");
}
CASE(image_out)
{
	autofree char *chunks = image_chunks();
	f->files = image_member(f, "images/../../evil", chunks);
}
CASE(image_elsewhere)
{
	autofree char *chunks = image_chunks();
	f->files = image_member(f, "src/evil", chunks);
}
CASE(image_twice)
{
	autofree char *chunks = image_chunks();
	autofree char *one = image_member(f, "images/evil", chunks);
	f->files = xasprintf("%s,%s", one, one);
}
CASE(image_as_parent)
{
	autofree char *chunks = image_chunks();
	autofree char *one = image_member(f, "images/evil", chunks),
		      *two = image_member(f, "images/evil/x", chunks);
	f->files = xasprintf("%s,%s", one, two);
}
CASE(image_chunks_missing)
{
	f->files = image_member(f, "images/evil", "");
}
CASE(image_chunk_words)
{
	f->files = image_member(f, "images/evil", "\"x\",\"y\",\"z\"");
}
/* Three digests take 128 characters. */
static inline void forge_table(struct forge *f, const char *last)
{
	char text[130];
	memset(text, 'A', sizeof(text));
	text[0] = '=';
	memcpy(text + 129 - strlen(last), last, strlen(last) + 1);
	f->files = image_member(f, "images/evil", text);
}
CASE(image_table_short)
{
	f->files = image_member(f, "images/evil", "=AAAA");
}
CASE(image_table_blank)
{
	forge_table(f, " AA");
}
CASE(image_table_padded)
{
	forge_table(f, "A==");
}
CASE(image_table_nul)
{
	forge_table(f, "\\u0000");
}
CASE(image_of_nothing)
{
	f->files = file_member("images/evil",
		"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", 2, 4096,
		"\"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\"");
}
CASE(image_size)
{
	char text[DIGEST_TEXT_LEN + 1];
	autofree char *chunks = image_chunks();
	forge_image(f);
	digest_text(&f->image_digest, text);
	f->files = file_member("images/evil", text, IMAGE_LEN + 1, CHUNK_LEN, chunks);
}
CASE(image_chunk_zero)
{
	char text[DIGEST_TEXT_LEN + 1];
	forge_image(f);
	digest_text(&f->image_digest, text);
	f->files = file_member("images/evil", text, IMAGE_LEN, 0, "");
}
/* The image that good:1.0 has too, with digests of other bytes: good must not be touched by it. */
CASE(image_poison)
{
	autofree char *hex = hex_of("evil", 4);
	autofree char *chunks = xasprintf("\"%s\",\"%s\",\"%s\"", hex, hex, hex);
	f->good_image = true;
	f->files = image_member(f, "images/kernel.elf", chunks);
}

static inline void two_entries(struct forge *f, const char *ref)
{
	f->index_entries = xstrdup(ref);
}
CASE(two_tags)
{
	two_entries(f, "bad:2.0");
}
CASE(ref_dotdot)
{
	two_entries(f, "../../evil:1.0");
}
CASE(ref_dots)
{
	two_entries(f, "..:..");
}
CASE(ref_upper)
{
	two_entries(f, "EVIL:1.0");
}
CASE(ref_long)
{
	autofree char *n = repeat("n", 300);
	two_entries(f, n);
}
CASE(ref_signature)
{
	two_entries(f, "bad:sha256-44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a.sig");
}

static const struct hostile {
	const char *name;
	void (*make)(struct forge *f);
	enum outcome outcome;
	int err;
	const char *tells; /* REFUSED: words of the error; else the path */
} hostile_cases[] = {
	/* each link of the chain of digests */
	{ "manifest-digest", manifest_digest, REFUSED, -EILSEQ, "manifest" },
	{ "config-digest", config_digest, REFUSED, -EILSEQ, "config" },
	{ "readme-digest", readme_digest, REFUSED, -EILSEQ, "README" },
	{ "toc-digest", toc_digest, REFUSED, -EILSEQ, "table of contents" },
	{ "chunk-digest", chunk_digest, READ_FAILS, -EILSEQ, "src/ok.c" },
	{ "image-chunk-digest", image_chunk_digest, READ_FAILS, -EILSEQ, "images/kernel.elf" },
	{ "manifest-missing", manifest_missing, REFUSED, -EBADMSG, "has not the blob" },
	{ "config-missing", config_missing, REFUSED, -EBADMSG, "has not the blob" },
	{ "config-fifo", config_fifo, REFUSED, -EBADMSG, "not a regular file" },
	/* sizes */
	{ "config-size", config_size, REFUSED, -EILSEQ, "descriptor says" },
	{ "config-size-huge", config_size_huge, REFUSED, -EFBIG, "at most" },
	{ "readme-size", readme_size, REFUSED, -EILSEQ, "descriptor says" },
	{ "layer-size", layer_size, REFUSED, -EILSEQ, "descriptor says" },
	{ "file-larger", file_larger, READ_FAILS, -EILSEQ, "src/liar" },
	{ "file-smaller", file_smaller, READ_FAILS, -EILSEQ, "src/liar" },
	{ "file-enormous", file_enormous, REFUSED, -EFBIG, "size" },
	{ "chunk-enormous", chunk_enormous, REFUSED, -EFBIG, "impossible size" },
	{ "decompression-bomb", bomb, READ_FAILS, -EILSEQ, "src/liar" },
	{ "not-zstd", not_zstd, READ_FAILS, -EILSEQ, "src/liar" },
	/* the table of contents as a whole */
	{ "toc-bomb", toc_bomb, REFUSED, -EILSEQ, "table of contents" },
	{ "toc-bomb-honest-sum", toc_bomb_honest_sum, REFUSED, -EILSEQ, "table of contents" },
	{ "toc-huge", toc_huge, REFUSED, -EFBIG, "larger than" },
	{ "toc-outside", toc_outside, REFUSED, -EBADMSG, "outside" },
	{ "toc-overflow", toc_overflow, REFUSED, -EBADMSG, "outside" },
	{ "toc-position-words", toc_position_words, REFUSED, -EBADMSG, "malformed" },
	{ "toc-of-unknown-type", toc_of_unknown_type, REFUSED, -EBADMSG, "malformed" },
	{ "toc-truncated", toc_truncated, REFUSED, -EBADMSG, "JSON" },
	{ "toc-trailing", toc_trailing, REFUSED, -EBADMSG, "follows" },
	{ "toc-version", toc_version, REFUSED, -EBADMSG, "version" },
	{ "toc-twice", toc_twice, REFUSED, -EBADMSG, "JSON" },
	{ "toc-double-key", toc_double_key, REFUSED, -EBADMSG, "duplicate" },
	{ "toc-no-list", toc_no_list, REFUSED, -EBADMSG, "JSON" },
	{ "toc-garbage", toc_garbage, REFUSED, -EBADMSG, "JSON" },
	{ "toc-empty", toc_empty, REFUSED, -EBADMSG, "JSON" },
	{ "no-annotations", no_annotations, REFUSED, -EBADMSG, "annotations" },
	{ "two-tables", two_tables, REFUSED, -EBADMSG, "two tables" },
	{ "wrong-footer", wrong_footer, HARMLESS, 0, "src/ok.c" },
	/* names */
	{ "dotdot", dotdot, REFUSED, -EBADMSG, "\"..\"" },
	{ "dotdot-middle", dotdot_middle, REFUSED, -EBADMSG, "\"..\"" },
	{ "dotdot-directory", dotdot_dir, REFUSED, -EBADMSG, "\"..\"" },
	{ "dot-middle", dot_middle, REFUSED, -EBADMSG, "\".\"" },
	{ "empty-component", empty_component, REFUSED, -EBADMSG, "empty name" },
	{ "absolute-name", absolute_name, HARMLESS, 0, "src/etc/evil" },
	{ "nul-in-name", nul_in_name, REFUSED, -EBADMSG, "JSON" },
	{ "bad-utf8", bad_utf8, REFUSED, -EBADMSG, "JSON" },
	{ "long-name", long_name, REFUSED, -EBADMSG, "longer than 255" },
	{ "long-path", long_path, REFUSED, -EBADMSG, "longer than 4096" },
	{ "deep-path", deep_path, REFUSED, -EBADMSG, "deeper" },
	{ "duplicate-file", duplicate_file, REFUSED, -EBADMSG, "twice" },
	{ "duplicate-directory", duplicate_directory, HARMLESS, 0, "src/twice/x" },
	{ "directory-then-file", directory_then_file, REFUSED, -EBADMSG, "twice" },
	{ "file-as-parent", file_as_parent, REFUSED, -EBADMSG, "no directory" },
	{ "link-as-parent", link_as_parent, REFUSED, -EBADMSG, "no directory" },
	{ "device-as-parent", device_as_parent, REFUSED, -EBADMSG, "no directory" },
	/* links */
	{ "hardlink-to-nothing", hardlink_to_nothing, REFUSED, -EBADMSG, "no file" },
	{ "hardlink-to-directory", hardlink_to_directory, REFUSED, -EBADMSG, "no file" },
	{ "hardlink-out", hardlink_out, REFUSED, -EBADMSG, "no file" },
	{ "hardlink-to-itself", hardlink_to_itself, REFUSED, -EBADMSG, "no file" },
	{ "hardlink-circle", hardlink_circle, REFUSED, -EBADMSG, "no file" },
	{ "hardlink-to-symlink", hardlink_to_symlink, REFUSED, -EBADMSG, "no file" },
	{ "hardlink-without-target", hardlink_without_target, REFUSED, -EBADMSG, "target" },
	{ "hardlink-before-file", hardlink_before_file, HARMLESS, 0, "src/early" },
	{ "symlink-absolute", symlink_absolute, HARMLESS, 0, "src/passwd" },
	{ "symlink-out", symlink_out, HARMLESS, 0, "src/passwd" },
	{ "symlink-loop", symlink_loop, HARMLESS, 0, "src/loop" },
	{ "symlink-empty", symlink_empty, REFUSED, -EBADMSG, "empty" },
	/* kinds of files */
	{ "device-char", device_char, HARMLESS, -ENOENT, "src/evil" },
	{ "device-block", device_block, HARMLESS, -ENOENT, "src/evil" },
	{ "device-fifo", device_fifo, HARMLESS, -ENOENT, "src/evil" },
	{ "type-unknown", type_unknown, REFUSED, -EBADMSG, "unknown type" },
	{ "set-id", set_id, HARMLESS, 0, "src/setuid" },
	{ "whiteout", whiteout, REFUSED, -EBADMSG, "whiteout" },
	{ "whiteout-opaque", whiteout_opaque, REFUSED, -EBADMSG, "whiteout" },
	/* extents and chunks */
	{ "overlap", overlap, REFUSED, -EBADMSG, "overlap" },
	{ "shared-extent", shared_extent, HARMLESS, 0, "src/copy.c" },
	{ "extent-outside", extent_outside, REFUSED, -EBADMSG, "outside" },
	{ "extent-in-table", extent_in_table, REFUSED, -EBADMSG, "outside" },
	{ "extent-backwards", extent_backwards, REFUSED, -EBADMSG, "not in order" },
	{ "extent-empty", extent_empty, REFUSED, -EBADMSG, "outside" },
	{ "extent-overflow", extent_overflow, REFUSED, -EBADMSG, "JSON" },
	{ "extent-missing", extent_missing, REFUSED, -EBADMSG, "missing" },
	{ "size-float", size_float, REFUSED, -EBADMSG, "integer" },
	{ "size-negative", size_negative, REFUSED, -EBADMSG, "range" },
	{ "size-text", size_text, REFUSED, -EBADMSG, "integer" },
	{ "entry-double-key", entry_double_key, REFUSED, -EBADMSG, "duplicate" },
	{ "entry-not-object", entry_not_object, REFUSED, -EBADMSG, "object" },
	{ "entry-deep", entry_deep, REFUSED, -EBADMSG, "JSON" },
	{ "chunk-alone", chunk_alone, REFUSED, -EBADMSG, "follow" },
	{ "chunk-gap", chunk_gap, REFUSED, -EBADMSG, "gap" },
	{ "chunk-twice", chunk_twice, REFUSED, -EBADMSG, "gap" },
	{ "chunk-beyond", chunk_beyond, REFUSED, -EBADMSG, "exceed" },
	{ "chunk-short", chunk_short, REFUSED, -EBADMSG, "claims" },
	{ "chunk-unknown", chunk_unknown, REFUSED, -EBADMSG, "unknown type" },
	{ "chunk-false-zeros", chunk_false_zeros, READ_FAILS, -EILSEQ, "src/two" },
	/* JSON, manifests, indexes */
	{ "json-deep", json_deep, REFUSED, -EFBIG, "deeper" },
	{ "json-double-key", json_double_key, REFUSED, -EBADMSG, "duplicate" },
	{ "json-trailing", json_trailing, REFUSED, -EBADMSG, "JSON" },
	{ "json-float-size", json_float_size, REFUSED, -EBADMSG, "integer" },
	{ "json-nul", json_nul, REFUSED, -EBADMSG, "JSON" },
	{ "json-huge-number", json_huge_number, REFUSED, -EBADMSG, "JSON" },
	{ "not-json", not_json, REFUSED, -EBADMSG, "JSON" },
	{ "not-a-kernel", not_a_kernel, REFUSED, -EBADMSG, "not a kernel artifact" },
	{ "manifest-and-index", manifest_and_index, REFUSED, -EBADMSG, "both" },
	{ "type-mismatch", type_mismatch, REFUSED, -EBADMSG, "type" },
	{ "index-of-nothing", index_of_nothing, REFUSED, -EBADMSG, "x86_64" },
	{ "index-of-other-machine", index_of_other_machine, REFUSED, -EBADMSG, "x86_64" },
	{ "index-in-index", index_in_index, REFUSED, -EBADMSG, "index inside" },
	{ "manifest-huge", manifest_huge, REFUSED, -EFBIG, "larger" },
	{ "config-huge", config_huge, REFUSED, -EFBIG, "larger" },
	{ "config-list", config_list, REFUSED, -EBADMSG, "object" },
	/* the config */
	{ "conf-name", conf_name, REFUSED, -EBADMSG, "repository name" },
	{ "conf-image-out", conf_image_out, REFUSED, -EBADMSG, "plain path" },
	{ "conf-cmdline-lines", conf_cmdline_lines, REFUSED, -EBADMSG, "control characters" },
	{ "conf-memory", conf_memory, REFUSED, -EBADMSG, "memory" },
	{ "image-out", image_out, REFUSED, -EBADMSG, "\"..\"" },
	{ "image-elsewhere", image_elsewhere, REFUSED, -EBADMSG, "below images/" },
	{ "image-twice", image_twice, REFUSED, -EBADMSG, "twice" },
	{ "image-as-parent", image_as_parent, REFUSED, -EBADMSG, "no directory" },
	{ "image-chunks-missing", image_chunks_missing, REFUSED, -EBADMSG, "SHA-256" },
	{ "image-chunk-words", image_chunk_words, REFUSED, -EBADMSG, "SHA-256" },
	{ "image-table-short", image_table_short, REFUSED, -EBADMSG, "SHA-256" },
	{ "image-table-blank", image_table_blank, REFUSED, -EBADMSG, "SHA-256" },
	{ "image-table-padded", image_table_padded, REFUSED, -EBADMSG, "SHA-256" },
	{ "image-table-nul", image_table_nul, REFUSED, -EBADMSG, "NUL" },
	{ "image-of-nothing", image_of_nothing, REFUSED, -EBADMSG, "no layer" },
	{ "image-size", image_size, REFUSED, -EBADMSG, "in the config" },
	{ "image-chunk-zero", image_chunk_zero, REFUSED, -EBADMSG, "4096 bytes" },
	{ "image-poison", image_poison, READ_FAILS, -EILSEQ, "images/kernel.elf" },
	/* names in index.json: left out of listings; bad:1.0 is honest */
	{ "two-tags", two_tags, HARMLESS, 0, "src/ok.c" },
	{ "ref-dotdot", ref_dotdot, HARMLESS, 0, "src/ok.c" },
	{ "ref-dots", ref_dots, HARMLESS, 0, "src/ok.c" },
	{ "ref-upper", ref_upper, HARMLESS, 0, "src/ok.c" },
	{ "ref-long", ref_long, HARMLESS, 0, "src/ok.c" },
	{ "ref-signature", ref_signature, HARMLESS, 0, "src/ok.c" },
};
#define HOSTILE_COUNT (sizeof(hostile_cases) / sizeof(*hostile_cases))

/* --- a layout ----------------------------------------------------------------------------------- */

/* good:1.0. Its src/ holds one file more: packs are named by content, so it would share bad's. */
static inline int put_good(const char *layout, struct why *why)
{
	static const char conf[] =
		"name = good\nversion = 1.0\narch = x86_64\nmodes = fullVM\nimage = images/kernel.elf\n";
	static char data[IMAGE_LEN];
	char digest[DIGEST_TEXT_LEN + 1];
	autofree char *dir = xasprintf("%s.good", layout);
	int err = io_mkdirs(AT_FDCWD, dir, 0755);
	autoclose int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return why_fail_errno(why, err ? err : -errno, "%s", dir);
	image_bytes(data, sizeof(data), 0);
	io_mkdirs(fd, "src", 0755);
	io_mkdirs(fd, "images", 0755);
	io_write_file(fd, "kernel.conf", conf, strlen(conf), 0644, false);
	io_write_file(fd, "README.md", "# good\n", 7, 0644, false);
	io_write_file(fd, "src/ok.c", OK_TEXT, strlen(OK_TEXT), 0644, false);
	io_write_file(fd, "src/good.c", "good\n", 5, 0644, false);
	io_write_file(fd, "images/kernel.elf", data, sizeof(data), 0644, false);
	err = publish_directory(dir, layout, NULL, NULL, NULL, NULL, digest, why);
	io_remove_tree(AT_FDCWD, dir);
	return err;
}

static inline void forge_end(struct forge *f)
{
	char *const texts[] = { f->toc, f->config, f->manifest, f->index_entries, f->notes, f->position,
		f->files, f->launch, f->name };
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		free(texts[i]);
	buf_free(&f->frames);
	buf_free(&f->entries);
	close(f->dirfd);
}

/* Writes the layout of a case into (layout), which need not be there. */
static inline int hostile_make(const struct hostile *h, const char *layout, struct why *why)
{
	struct forge f = { .dirfd = -1 };
	int err = put_good(layout, why);
	if (err)
		return err;
	f.dirfd = open(layout, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must_be(f.dirfd >= 0, layout);
	put_frame(&f, OK_TEXT, strlen(OK_TEXT), &f.ok_off, &f.ok_end);
	reg(&f, "ok.c", OK_TEXT, strlen(OK_TEXT), f.ok_off, f.ok_end);
	h->make(&f);
	forge_manifest(&f);
	autofree char *entry = index_entry(&f, MT_MANIFEST, "bad:1.0");
	add_to_index(&f, entry);
	if (f.index_entries) {
		autofree char *more = index_entry(&f, MT_MANIFEST, f.index_entries);
		add_to_index(&f, more);
	}
	break_things(&f);
	forge_end(&f);
	return 0;
}

#endif
