/* SPDX-License-Identifier: MIT */
/*
 * registry_layout.c: an OCI image layout in a directory.
 *
 * Nothing is kept open, because the directory may be replaced or unmounted at any time. What is opened may be
 * anything: O_NONBLOCK and fstat see to it that a fifo does not hang us.
 */
#include "cache/artifact.h"
#include "cache/base/io.h"
#include "cache/limits.h"
#include "cache/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_UNNAMED 1000u /* each is compared with all that are named */

struct layout {
	struct registry base;
	pthread_mutex_t lock;  /* guards the rest */
	struct stat seen;      /* index.json when it was read */
	struct names *listing; /* NULL: not read yet */
};

static int open_regular(int dirfd, const char *path, struct stat *st, struct why *why)
{
	autoclose int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return why_fail_errno(why, -errno, "%s", path);
	if (fstat(fd, st) < 0)
		return why_fail_errno(why, -errno, "%s", path);
	if (!S_ISREG(st->st_mode))
		return why_fail(why, -EBADMSG, "%s is not a regular file", path);
	return io_steal(&fd);
}

/* Whatever is wrong with the layout as a whole means that it cannot answer: it must not look empty. */
static int unreachable(struct why *why, const char *where)
{
	if (why) {
		why_prefix(why, "registry %s cannot answer", where);
		why->err = -EHOSTUNREACH;
	}
	return -EHOSTUNREACH;
}

static int open_dir(const struct layout *l, struct why *why)
{
	int fd = open(l->base.where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return why_fail_errno(why, -errno, "%s", l->base.where);
	return fd;
}

int layout_version(const char *text, size_t len, struct why *why)
{
	autojson json_t *doc = NULL;
	const char *version = NULL;
	int err = strict_load(text, len, "oci-layout", &doc, why);
	if (!err)
		err = strict_text(doc, "imageLayoutVersion", REQUIRED, &version, why);
	if (!err && strncmp(version, "1.", 2) != 0)
		err = why_fail(why, -EBADMSG, "oci-layout: version %.20s is not known here", version);
	return err;
}

static int check_version(int dirfd, struct why *why)
{
	struct stat st;
	autoclose int fd = open_regular(dirfd, "oci-layout", &st, why);
	autobuf struct buf text = { 0 };
	if (fd < 0)
		return fd;
	int err = io_read_fd(fd, 4096, &text);
	if (err < 0)
		return why_fail_errno(why, err, "oci-layout");
	return layout_version(text.data ? text.data : "", text.len, why);
}

/* REF is split at the last ':' that comes after the last '/' (FORMATS.md 1). */
static bool add_ref(struct names_draft *d, const char *ref, const char *where, const char *digest)
{
	const char *slash = strrchr(ref, '/'), *colon = strrchr(ref, ':');
	if (colon && slash && colon < slash)
		colon = NULL;
	autofree char *name = xstrndup(ref, colon ? (size_t)(colon - ref) : strlen(ref));
	return names_add(d, name, colon ? colon + 1 : "latest", where, digest);
}

static const char *ref_of(const struct descriptor *d)
{
	const char *full = json_string_value(json_object_get(d->annotations, NOTE_IN_CTRD));
	return full ? full : json_string_value(json_object_get(d->annotations, NOTE_REF));
}

static bool is_listed_type(const struct descriptor *d)
{
	return strcmp(d->media_type, MT_MANIFEST) == 0 || strcmp(d->media_type, MT_INDEX) == 0;
}

static void add_named(struct names_draft *d, const json_t *list, const char *where)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct descriptor e;
		struct why why = { 0 };
		char digest[DIGEST_TEXT_LEN + 1];
		if (descriptor_read(json_array_get(list, i), &e, &why) < 0) {
			log_warn("registry %s: entry %zu of index.json is left out: %s", where, i, why.text);
			continue;
		}
		const char *ref = ref_of(&e);
		digest_text(&e.digest, digest);
		if (ref && is_listed_type(&e) && !add_ref(d, ref, where, digest))
			log_warn(
				"registry %s: \"%.300s\" is left out: not a name and tag of OCI", where, ref);
	}
}

/* skopeo leaves an entry without a name behind when it moves a tag; what is named elsewhere is not shown
 * twice. */
static void add_unnamed(struct names_draft *d, const json_t *list, const char *where)
{
	uint32_t named = d->count;
	for (size_t i = 0; i < json_array_size(list) && d->count - named < MAX_UNNAMED; i++) {
		struct descriptor e;
		char digest[DIGEST_TEXT_LEN + 1], tag[13];
		bool known = false;
		if (descriptor_read(json_array_get(list, i), &e, NULL) < 0 || ref_of(&e) ||
			!is_listed_type(&e))
			continue;
		digest_text(&e.digest, digest);
		for (uint32_t k = 0; k < named && !known; k++)
			known = strcmp(d->list[k].digest, digest) == 0;
		memcpy(tag, digest + 7, 12);
		tag[12] = 0;
		if (!known)
			names_add(d, UNNAMED, tag, where, digest);
	}
}

int layout_names(const char *text, size_t len, const char *where, struct names **out, struct why *why)
{
	autojson json_t *doc = NULL;
	json_t *list = NULL;
	struct names_draft draft = { 0 };
	int err = strict_load(text, len, "index.json", &doc, why);
	if (!err)
		err = strict_list(doc, "manifests", REQUIRED, MAX_CHUNKS, &list, why);
	if (err)
		return err;
	add_named(&draft, list, where);
	add_unnamed(&draft, list, where);
	*out = names_finish(&draft);
	return 0;
}

static int read_index(struct layout *l, int fd, struct why *why)
{
	autobuf struct buf text = { 0 };
	struct names *fresh;
	int err = io_read_fd(fd, MAX_LAYOUT_INDEX, &text);
	if (err < 0)
		return why_fail_errno(why, err, "index.json");
	err = layout_names(text.data ? text.data : "", text.len, l->base.where, &fresh, why);
	if (err)
		return err;
	if (l->listing && names_equal(fresh, l->listing)) {
		names_put(fresh);
		return 0;
	}
	names_put(l->listing);
	l->listing = fresh;
	return 0;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static int refresh(struct layout *l, struct why *why)
{
	struct stat st;
	autoclose int dirfd = open_dir(l, why);
	if (dirfd < 0)
		return dirfd;
	autoclose int fd = open_regular(dirfd, "index.json", &st, why);
	if (fd < 0)
		return fd;
	if (l->listing && same_file(&st, &l->seen))
		return 0;
	int err = check_version(dirfd, why);
	if (!err)
		err = read_index(l, fd, why);
	if (!err)
		l->seen = st;
	return err;
}

static int layout_list(struct registry *r, struct names **out, struct why *why)
{
	struct layout *l = (struct layout *)r;
	pthread_mutex_lock(&l->lock);
	int err = refresh(l, why);
	if (!err)
		*out = names_get(l->listing);
	pthread_mutex_unlock(&l->lock);
	return err ? unreachable(why, r->where) : 0;
}

static int open_blob(const struct layout *l, const struct digest *d, struct stat *st, struct why *why)
{
	char path[sizeof("blobs/sha256/") + DIGEST_HEX_LEN] = "blobs/sha256/";
	struct why in = { 0 };
	autoclose int dirfd = open_dir(l, why);
	if (dirfd < 0)
		return unreachable(why, l->base.where);
	digest_hex(d, path + strlen(path));
	int fd = open_regular(dirfd, path, st, &in);
	if (fd < 0)
		return why_fail(why, fd, "registry %s has not the blob: %s", l->base.where, in.text);
	return fd;
}

static int layout_manifest(
	struct registry *r, const char *repository, const struct digest *d, struct buf *out, struct why *why)
{
	(void)repository; /* blobs of a layout lie in one place */
	struct stat st;
	autoclose int fd = open_blob((struct layout *)r, d, &st, why);
	if (fd < 0)
		return fd;
	int err = io_read_fd(fd, MAX_MANIFEST, out);
	if (err == -EFBIG)
		return why_fail(why, err, "a manifest larger than %u bytes", MAX_MANIFEST);
	return err < 0 ? why_fail_errno(why, err, "cannot read a manifest of %s", r->where) : 0;
}

static int layout_blob(struct registry *r, const char *repository, const struct digest *d, uint64_t size,
	uint64_t off, void *buf, size_t len, struct why *why)
{
	(void)repository;
	struct stat st;
	autoclose int fd = open_blob((struct layout *)r, d, &st, why);
	if (fd == -ENOENT && why)
		why->err = -EBADMSG;
	if (fd < 0)
		return fd == -ENOENT ? -EBADMSG
				     : fd; /* -ENOENT is for names; a layout that lacks a blob is broken */
	if ((uint64_t)st.st_size != size)
		return why_fail(why, -EILSEQ,
			"registry %s: a blob has %lld bytes where its descriptor says %llu", r->where,
			(long long)st.st_size, (unsigned long long)size);
	ssize_t n = io_pread_full(fd, buf, len, off);
	if (n < 0)
		return why_fail_errno(why, (int)n, "registry %s: reading a blob", r->where);
	if ((size_t)n != len)
		return why_fail(why, -EILSEQ, "registry %s: a blob ends too early", r->where);
	return 0;
}

static void layout_close(struct registry *r)
{
	struct layout *l = (struct layout *)r;
	names_put(l->listing);
	pthread_mutex_destroy(&l->lock);
	free(l->base.where);
	free(l);
}

static const struct registry_ops layout_ops = {
	.kind = "OCI layout",
	.list = layout_list,
	.manifest = layout_manifest,
	.blob = layout_blob,
	.close = layout_close,
};

int registry_layout_open(const char *path, struct registry **out, struct why *why)
{
	struct stat st;
	if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
		return why_fail(
			why, -ENOTDIR, "registry %s: an OCI layout is a directory, and this is not", path);
	struct layout *l = xcalloc(1, sizeof(*l));
	l->base.ops = &layout_ops;
	l->base.where = realpath(path, NULL);
	if (!l->base.where && path[0] == '/')
		l->base.where = xstrdup(path);
	if (!l->base.where) { /* not there yet: the daemon's directory changes, the meaning of the path must
				 not */
		autofree char *cwd = getcwd(NULL, 0);
		l->base.where = xasprintf("%s/%s", cwd ? cwd : "", path);
	}
	pthread_mutex_init(&l->lock, NULL);
	*out = &l->base;
	return 0;
}
