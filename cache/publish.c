/* SPDX-License-Identifier: MIT */
/*
 * publish.c: the order of events: read and check, write blobs, read all of it back as a stranger would, and
 * only then move the tag.
 */
#include "cache/publish.h"

#include "cache/artifact.h"
#include "cache/base/io.h"
#include "cache/kernel_raw.h"
#include "cache/layer.h"
#include "cache/limits.h"
#include "cache/publish_check.h"
#include "cache/publish_layout.h"
#include "cache/publish_sign.h"
#include "cache/publish_source.h"
#include "cache/publish_walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Level 19 takes a second for 4 MiB or for 2,000 files; a tree of the size of Linux would take minutes. */
#define SMALL_BYTES (8u << 20)
#define SMALL_FILES 4000
#define LEVEL_SMALL 19
#define LEVEL_LARGE 9

struct publishing {
	const char *dir, *sign_key;
	int dirfd;
	struct layout_out out;
	struct kernel_raw raw;
	struct kernel_conf conf;
	json_t *layers, *files; /* of the manifest; of the config */
	uint64_t chunk_size;	/* of images */
	bool small_source;
	struct publish_sums sums;
	struct publish_meter meter;
};

/* --- reading what there is -------------------------------------------------------------------- */

static int read_conf(struct publishing *p, struct why *why)
{
	autobuf struct buf text = { 0 };
	int err = io_read_file(p->dirfd, "kernel.conf", MAX_KERNEL_CONF, &text);
	if (err < 0)
		return why_fail_errno(
			why, err, "%s/kernel.conf (what it must say is in diverfs(8), KERNEL.CONF)", p->dir);
	err = kernel_raw_parse(&p->raw, text.data ? text.data : "", text.len, true, why);
	if (!err)
		err = kernel_conf_parse(&p->conf, text.data ? text.data : "", text.len, true, why);
	if (err)
		why_prefix(why, "%s/kernel.conf", p->dir);
	return err;
}

static int need_image(const struct publishing *p, const char *key, const char *path, struct why *why)
{
	struct stat st;
	if (!*path)
		return 0;
	if (strncmp(path, "images/", 7) != 0)
		return why_fail(
			why, -EINVAL, "%s/kernel.conf: %s: %s is not below images/", p->dir, key, path);
	if (fstatat(p->dirfd, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return why_fail(why, -ENOENT, "%s/kernel.conf: %s: there is no file %s/%s; build it first",
			p->dir, key, p->dir, path);
	return 0;
}

static int check_files(const struct publishing *p, struct why *why)
{
	struct stat st;
	int err = 0;
	for (int m = 0; m < MODE_COUNT && !err; m++) {
		const struct kernel_launch *l = &p->conf.launch[m];
		if (!l->supported)
			continue;
		err = need_image(p, "image", l->image, why);
		if (!err)
			err = need_image(p, "initrd", l->initrd, why);
	}
	if (err || !*p->conf.template_dir)
		return err;
	autofree char *path = xasprintf("src/%s", p->conf.template_dir);
	if (fstatat(p->dirfd, path, &st, 0) < 0 || !S_ISDIR(st.st_mode))
		return why_fail(why, -ENOENT, "%s/kernel.conf: template: there is no directory %s/%s", p->dir,
			p->dir, path);
	return 0;
}

/* --- layers ----------------------------------------------------------------------------------- */

static void add_layer(struct publishing *p, const char *type, const char *title, const struct digest *d,
	uint64_t size, json_t *annotations)
{
	json_t *layer = descriptor_new(type, d, size);
	json_t *notes = json_object();
	json_object_set_new(notes, NOTE_TITLE, json_string(title));
	if (annotations)
		json_object_update(notes, annotations);
	json_object_set_new(layer, "annotations", notes);
	json_array_append_new(p->layers, layer);
}

static int put_readme(struct publishing *p, struct why *why)
{
	autobuf struct buf text = { 0 };
	struct digest d;
	int err = io_read_file(p->dirfd, "README.md", MAX_README, &text);
	if (err < 0)
		return why_fail_errno(why, err, "%s/README.md (a kernel says what it is for)", p->dir);
	err = layout_blob_put(&p->out, text.data ? text.data : "", text.len, &d, why);
	if (!err)
		add_layer(p, MT_README, "README.md", &d, text.len, NULL);
	return err;
}

static int put_source(struct publishing *p, struct why *why)
{
	struct blob_out blob;
	struct layer_written done;
	struct stat st;
	if (fstatat(p->dirfd, "src", &st, 0) < 0 && errno == ENOENT)
		return 0; /* a kernel of which there are only images */
	int err = layout_blob_begin(&p->out, &blob, why);
	if (err)
		return err;
	err = publish_source(p->dirfd, blob.fd, p->small_source ? LEVEL_SMALL : LEVEL_LARGE, &p->sums,
		&p->meter, &done, why);
	if (err) {
		layout_blob_drop(&p->out, &blob);
		return err;
	}
	err = layout_blob_end(&p->out, &blob, &done.digest, why);
	if (!err)
		add_layer(p, MT_TAR_ZSTD, "src.tar.zst", &done.digest, done.size, done.annotations);
	json_decref(done.annotations);
	return err;
}

/* Copies the image into the blob and notes the digest of each chunk. */
static int copy_image(struct publishing *p, int from, int to, uint64_t size, const char *path,
	struct buf *chunks, struct digest *whole, struct why *why)
{
	autofree char *data = xmalloc(p->chunk_size);
	struct hasher *h = hasher_new();
	int err = 0;
	for (uint64_t at = 0; at < size && !err;) {
		size_t n = size - at < p->chunk_size ? (size_t)(size - at) : (size_t)p->chunk_size;
		ssize_t got = io_read_full(from, data, n);
		struct digest d;
		if (got != (ssize_t)n) {
			err = got < 0 ? why_fail_errno(why, (int)got, "%s", path)
				      : why_fail(why, -EBUSY, "%s became shorter while it was read", path);
			break;
		}
		err = io_write_full(to, data, n);
		if (err < 0)
			why_fail_errno(why, err, "cannot write into %s", p->out.path);
		hasher_add(h, data, n);
		digest_of(data, n, &d);
		buf_append(chunks, &d, sizeof(d));
		at += n;
		publish_meter_add(&p->meter, path, n);
	}
	hasher_end(h, whole);
	hasher_free(h);
	return err;
}

static void note_file(struct publishing *p, const char *path, const struct stat *st, const struct digest *d,
	const struct buf *chunks)
{
	char text[DIGEST_TEXT_LEN + 1];
	json_t *f = json_object();
	digest_text(d, text);
	json_object_set_new(f, "path", json_string(path));
	json_object_set_new(f, "digest", json_string(text));
	json_object_set_new(f, "size", json_integer(st->st_size));
	json_object_set_new(f, "mode", json_integer(st->st_mode & 0111 ? 0755 : 0644));
	json_object_set_new(f, "chunk_size", json_integer((json_int_t)p->chunk_size));
	json_object_set_new(f, "chunks",
		layer_image_table((const struct digest *)chunks->data, chunks->len / sizeof(struct digest)));
	json_array_append_new(p->files, f);
	add_layer(p, MT_IMAGE, path, d, (uint64_t)st->st_size, NULL);
}

static int put_image(void *arg, const struct walk_item *item, struct why *why)
{
	struct publishing *p = arg;
	struct blob_out blob;
	struct digest d;
	if (S_ISDIR(item->st.st_mode))
		return 0;
	if (!S_ISREG(item->st.st_mode))
		return why_fail(why, -EINVAL, "%s: only files and directories can be images", item->path);
	autoclose int fd = openat(item->dirfd, item->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return why_fail_errno(why, -errno, "%s", item->path);
	autobuf struct buf chunks = { 0 };
	autofree char *path = xasprintf("images/%s", item->path);
	json_t *utf8 = json_string(path);
	if (!utf8)
		return why_fail(why, -EILSEQ, "%s: the name is not UTF-8; rename it", item->path);
	json_decref(utf8);
	int err = layout_blob_begin(&p->out, &blob, why);
	if (err)
		return err;
	err = copy_image(p, fd, blob.fd, (uint64_t)item->st.st_size, path, &chunks, &d, why);
	if (err) {
		layout_blob_drop(&p->out, &blob);
		return err;
	}
	err = layout_blob_end(&p->out, &blob, &d, why);
	if (!err)
		note_file(p, path, &item->st, &d, &chunks);
	publish_sums_add(&p->sums, 'f', path, (uint64_t)item->st.st_size);
	return err;
}

struct amount {
	uint64_t files, bytes;
};

static int sum_sizes(void *arg, const struct walk_item *item, struct why *why)
{
	struct amount *a = arg;
	(void)why;
	if (S_ISREG(item->st.st_mode)) {
		a->files++;
		a->bytes += (uint64_t)item->st.st_size;
	}
	return 0;
}

static int put_layers(struct publishing *p, struct why *why)
{
	struct amount images = { 0 }, source = { 0 };
	int err = walk_directory(p->dirfd, "images", sum_sizes, &images, why);
	if (!err)
		err = walk_directory(p->dirfd, "src", sum_sizes, &source, why);
	p->chunk_size = layer_image_chunk_size(images.bytes);
	p->meter.total = images.bytes + source.bytes;
	p->small_source = source.bytes <= SMALL_BYTES && source.files <= SMALL_FILES;
	if (!err)
		err = put_readme(p, why);
	if (!err)
		err = put_source(p, why);
	if (!err)
		err = walk_directory(p->dirfd, "images", put_image, p, why);
	return err;
}

/* --- manifest --------------------------------------------------------------------------------- */

static void note(json_t *notes, const char *key, const char *value)
{
	if (*value)
		json_object_set_new(notes, key, json_string(value));
}

static json_t *manifest_notes(const struct kernel_conf *k)
{
	json_t *n = json_object();
	note(n, NOTE_TITLE, k->name);
	note(n, OCI_NOTE "version", k->version);
	note(n, OCI_NOTE "description", k->description);
	note(n, OCI_NOTE "licenses", k->license);
	note(n, OCI_NOTE "url", k->homepage);
	return n;
}

static int put_json(const struct publishing *p, const json_t *doc, size_t max, const char *what,
	struct digest *d, uint64_t *size, struct why *why)
{
	autobuf struct buf text = { 0 };
	strict_dump(doc, &text);
	*size = text.len;
	if (text.len > max)
		return why_fail(
			why, -EFBIG, "the %s becomes larger than %zu bytes: too many images", what, max);
	return layout_blob_put(&p->out, text.data, text.len, d, why);
}

/* (created) is left out of the annotations: the same input is to give the same digest. */
static int put_manifest(struct publishing *p, struct digest *d, uint64_t *size, struct why *why)
{
	autojson json_t *config = kernel_raw_to_json(&p->raw);
	autojson json_t *m = json_object();
	struct digest config_digest;
	uint64_t config_size;
	json_object_set(config, "files", p->files);
	int err = put_json(p, config, MAX_CONFIG, "config", &config_digest, &config_size, why);
	if (err)
		return err;
	json_object_set_new(m, "schemaVersion", json_integer(2));
	json_object_set_new(m, "mediaType", json_string(MT_MANIFEST));
	json_object_set_new(m, "artifactType", json_string(MT_KERNEL));
	json_object_set_new(m, "config", descriptor_new(MT_CONFIG, &config_digest, config_size));
	json_object_set(m, "layers", p->layers);
	json_object_set_new(m, "annotations", manifest_notes(&p->conf));
	return put_json(p, m, MAX_MANIFEST, "manifest", d, size, why);
}

/* --- all of it -------------------------------------------------------------------------------- */

/* NAME:TAG; what (reference) leaves out, kernel.conf says. */
static int make_ref(const struct publishing *p, const char *reference, char **ref, struct why *why)
{
	const char *colon = reference ? strrchr(reference, ':') : NULL;
	autofree char *name =
		!reference ? xstrdup(p->conf.name)
			   : xstrndup(reference, colon ? (size_t)(colon - reference) : strlen(reference));
	const char *tag = colon ? colon + 1 : p->conf.version;
	if (!name_is_repository(name) || !name_is_tag(tag))
		return why_fail(why, -EINVAL,
			"\"%s\" is not NAME:TAG (names: [a-z0-9]+ with . _ - and /; tags: letters, "
			"digits, . _ -)",
			reference ? reference : name);
	*ref = xasprintf("%s:%s", name, tag);
	return 0;
}

static int publish_all(
	struct publishing *p, const char *layout, const char *reference, char *digest, struct why *why)
{
	autofree char *ref = NULL;
	struct digest d;
	uint64_t size;
	int err = read_conf(p, why);
	if (!err)
		err = check_files(p, why);
	if (!err)
		err = make_ref(p, reference, &ref, why);
	if (!err)
		err = layout_out_open(&p->out, layout, why);
	if (!err)
		err = put_layers(p, why);
	if (!err)
		err = put_manifest(p, &d, &size, why);
	if (!err)
		err = publish_check(layout, p->conf.name, &d, &p->sums, why);
	if (!err && p->sign_key) { /* before the tag: nobody who wants a signature finds it without */
		autofree char *repository = xstrndup(ref, (size_t)(strrchr(ref, ':') - ref));
		err = publish_signature(&p->out, p->sign_key, repository, &d, why);
	}
	if (!err)
		err = layout_tag(&p->out, ref, &d, size, why);
	if (!err)
		digest_text(&d, digest);
	return err;
}

int publish_directory(const char *dir, const char *layout, const char *reference, const char *sign_key,
	publish_progress_fn *progress, void *arg, char *digest, struct why *why)
{
	struct publishing p = {
		.dir = dir, .sign_key = sign_key, .out = { layout, -1, -1 }, .meter = { progress, arg, 0, 0 }
	};
	autoclose int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return why_fail_errno(why, -errno, "%s", dir);
	p.dirfd = fd;
	p.layers = json_array();
	p.files = json_array();
	int err = publish_all(&p, layout, reference, digest, why);
	layout_out_close(&p.out);
	kernel_raw_free(&p.raw);
	kernel_conf_free(&p.conf);
	publish_sums_free(&p.sums);
	json_decref(p.layers);
	json_decref(p.files);
	return err;
}
