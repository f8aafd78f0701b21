/* SPDX-License-Identifier: MIT */
/* publish_layout.c: see publish_layout.h. */
#include "cache/publish_layout.h"

#include "cache/artifact.h"
#include "cache/base/io.h"
#include "cache/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static const char version[] = "{\"imageLayoutVersion\":\"1.0.0\"}";

int layout_out_open(struct layout_out *o, const char *path, struct why *why)
{
	*o = (struct layout_out){ path, -1, -1 };
	int err = io_mkdirs(AT_FDCWD, path, 0755);
	if (err < 0)
		return why_fail_errno(why, err, "cannot make the layout %s", path);
	o->dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (o->dirfd < 0)
		return why_fail_errno(why, -errno, "layout %s", path);
	err = io_mkdirs(o->dirfd, "blobs/sha256", 0755);
	if (err < 0)
		return why_fail_errno(why, err, "cannot make %s/blobs/sha256", path);
	o->blobs_fd = openat(o->dirfd, "blobs/sha256", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (o->blobs_fd < 0)
		return why_fail_errno(why, -errno, "%s/blobs/sha256", path);
	if (faccessat(o->dirfd, "oci-layout", F_OK, 0) < 0)
		err = io_write_file(o->dirfd, "oci-layout", version, strlen(version), 0644, true);
	return err < 0 ? why_fail_errno(why, err, "cannot write %s/oci-layout", path) : 0;
}

void layout_out_close(struct layout_out *o)
{
	if (o->blobs_fd >= 0)
		close(o->blobs_fd);
	if (o->dirfd >= 0)
		close(o->dirfd);
}

int layout_blob_begin(const struct layout_out *o, struct blob_out *b, struct why *why)
{
	uint64_t random = 0;
	if (getrandom(&random, sizeof(random), 0) < 0)
		random = clock_mono_ns();
	snprintf(b->temp, sizeof(b->temp), ".tmp-%016llx", (unsigned long long)random);
	b->fd = openat(o->blobs_fd, b->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	return b->fd < 0 ? why_fail_errno(why, -errno, "cannot write into the layout %s", o->path) : 0;
}

void layout_blob_drop(const struct layout_out *o, struct blob_out *b)
{
	if (b->fd < 0)
		return;
	close(b->fd);
	b->fd = -1;
	unlinkat(o->blobs_fd, b->temp, 0);
}

int layout_blob_end(const struct layout_out *o, struct blob_out *b, const struct digest *d, struct why *why)
{
	char name[DIGEST_HEX_LEN + 1];
	digest_hex(d, name);
	int err = fsync(b->fd) < 0 || renameat(o->blobs_fd, b->temp, o->blobs_fd, name) < 0 ? -errno : 0;
	if (!err) {
		close(b->fd);
		b->fd = -1;
		return 0;
	}
	layout_blob_drop(o, b);
	return why_fail_errno(why, err, "cannot write a blob of %s", o->path);
}

int layout_blob_put(
	const struct layout_out *o, const void *data, size_t len, struct digest *d, struct why *why)
{
	char name[DIGEST_HEX_LEN + 1];
	digest_of(data, len, d);
	digest_hex(d, name);
	int err = io_write_file(o->blobs_fd, name, data, len, 0644, true);
	return err < 0 ? why_fail_errno(why, err, "cannot write a blob of %s", o->path) : 0;
}

/* --- the tag ---------------------------------------------------------------------------------- */

static json_t *empty_index(void)
{
	json_t *o = json_object();
	json_object_set_new(o, "schemaVersion", json_integer(2));
	json_object_set_new(o, "mediaType", json_string(MT_INDEX));
	json_object_set_new(o, "manifests", json_array());
	return o;
}

static int read_index(const struct layout_out *o, json_t **out, json_t **list, struct why *why)
{
	autobuf struct buf text = { 0 };
	int err = io_read_file(o->dirfd, "index.json", MAX_LAYOUT_INDEX, &text);
	if (err == -ENOENT)
		*out = empty_index();
	else if (err < 0)
		return why_fail_errno(why, err, "%s/index.json", o->path);
	else
		err = strict_load(text.data ? text.data : "", text.len, "index.json", out, why);
	return *out ? strict_list(*out, "manifests", REQUIRED, MAX_CHUNKS, list, why) : err;
}

static const char *ref_of(const json_t *descriptor)
{
	return json_string_value(json_object_get(json_object_get(descriptor, "annotations"), NOTE_REF));
}

/* Puts (fresh) where the tag was, or at the end; true if that changed anything. */
static bool replace_ref(json_t *list, const char *ref, json_t *fresh)
{
	bool placed = false, changed = false;
	for (size_t i = 0; i < json_array_size(list);) {
		json_t *d = json_array_get(list, i);
		const char *have = ref_of(d);
		if (!have || strcmp(have, ref) != 0) {
			i++;
		} else if (placed) {
			changed = true;
			json_array_remove(list, i);
		} else {
			placed = true;
			if (!json_equal(d, fresh)) {
				changed = true;
				json_array_set(list, i, fresh);
			}
			i++;
		}
	}
	if (!placed)
		json_array_append(list, fresh);
	return changed || !placed;
}

static int update_index(const struct layout_out *o, const char *ref, json_t *fresh, struct why *why)
{
	autojson json_t *index = NULL;
	json_t *list = NULL;
	int err = read_index(o, &index, &list, why);
	if (err)
		return err;
	if (!replace_ref(list, ref, fresh))
		return 0;
	autobuf struct buf text = { 0 };
	strict_dump(index, &text);
	err = io_write_file(o->dirfd, "index.json", text.data, text.len, 0644, true);
	return err < 0 ? why_fail_errno(why, err, "cannot write %s/index.json", o->path) : 0;
}

int layout_find(const struct layout_out *o, const char *ref, struct digest *d, struct why *why)
{
	autojson json_t *index = NULL;
	json_t *list = NULL;
	struct descriptor found;
	int err = read_index(o, &index, &list, why);
	for (size_t i = 0; !err && i < json_array_size(list); i++) {
		const char *is = ref_of(json_array_get(list, i));
		if (!is || strcmp(is, ref) != 0)
			continue;
		err = descriptor_read(json_array_get(list, i), &found, why);
		*d = found.digest;
		return err;
	}
	return err ? err : -ENOENT;
}

int layout_lock(const struct layout_out *o, struct why *why)
{
	int lock = openat(o->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = lock < 0 ? -errno : 0;
	while (!err && flock(lock, LOCK_EX) < 0)
		err = errno == EINTR ? 0 : -errno;
	if (!err)
		return lock;
	if (lock >= 0)
		close(lock);
	return why_fail_errno(why, err, "cannot lock %s", o->path);
}

int layout_tag_locked(
	const struct layout_out *o, const char *ref, const struct digest *d, uint64_t size, struct why *why)
{
	autojson json_t *fresh = descriptor_new(MT_MANIFEST, d, size);
	json_object_set_new(fresh, "annotations", json_pack("{s:s}", NOTE_REF, ref));
	if (fsync(o->blobs_fd) < 0) /* the blobs' names before the tag that leads to them */
		return why_fail_errno(why, -errno, "%s/blobs", o->path);
	return update_index(o, ref, fresh, why);
}

int layout_tag(
	const struct layout_out *o, const char *ref, const struct digest *d, uint64_t size, struct why *why)
{
	autoclose int lock = layout_lock(o, why);
	return lock < 0 ? lock : layout_tag_locked(o, ref, d, size, why);
}
