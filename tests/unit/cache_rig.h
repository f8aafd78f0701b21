/* SPDX-License-Identifier: MIT */
/*
 * cache_rig.h: what tests of the cache share: kernels to publish, and a cache on a real loop and pool whose
 * answers are waited for.
 *
 * Owns     a rig is ended by rig_close; what rig_view gives is put by the test
 */
#ifndef TEST_CACHE_RIG_H
#define TEST_CACHE_RIG_H

#include "base_tmp.h"

#include "cache/cache.h"
#include "cache/publish.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* --- files ------------------------------------------------------------------------------------ */

/* The path of (name) in the test's directory; valid until it was called eight times more. */
static inline const char *at(const char *name)
{
	static char paths[8][8192];
	static unsigned next;
	char *p = paths[next++ % 8];
	snprintf(p, sizeof(paths[0]), "%s/%s", tmp_path, name);
	return p;
}

static inline void put_bytes(const char *name, const void *data, size_t len)
{
	const char *slash = strrchr(name, '/');
	if (slash) {
		autofree char *dir = xstrndup(name, (size_t)(slash - name));
		assert_int_equal(io_mkdirs(tmp_dir, dir, 0755), 0);
	}
	assert_int_equal(io_write_file(tmp_dir, name, data, len, 0644, false), 0);
}

static inline void put_text(const char *name, const char *text)
{
	put_bytes(name, text, strlen(text));
}

/* Bytes that do not compress, told apart by (seed). */
static inline char *noise(size_t len, unsigned seed)
{
	char *data = xmalloc(len + 1);
	uint64_t x = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
	for (size_t i = 0; i < len; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		data[i] = (char)(x >> 32);
	}
	return data;
}

static inline void put_noise(const char *name, size_t len, unsigned seed)
{
	autofree char *data = noise(len, seed);
	put_bytes(name, data, len);
}

#define IMAGE_SIZE 700001u
#define BIG_SIZE   400000u
#define MAIN_C	   "int main(void)\n{\n\treturn 0;\n}\n"

static inline const char *in(const char *dir, const char *name)
{
	static char path[4096];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

/* A kernel directory (dir) called (name); different seeds, different bytes. */
static inline void make_kernel(const char *dir, const char *name, unsigned seed)
{
	autofree char *conf =
		xasprintf("name = %s\nversion = 1.0\ndescription = A test.\narch = x86_64\n"
			  "modes = fullVM\nimage = images/kernel.elf\nmemory = 16M\ntemplate = app\n",
			name);
	autofree char *readme = xasprintf("# %s %u\n", name, seed);
	put_text(in(dir, "kernel.conf"), conf);
	put_text(in(dir, "README.md"), readme);
	put_text(in(dir, "src/app/main.c"), MAIN_C);
	put_noise(in(dir, "src/big.bin"), BIG_SIZE, seed);
	put_text(in(dir, "src/empty"), "");
	put_text(in(dir, "src/run.sh"), "#!/bin/sh\n");
	chmod(at(in(dir, "src/run.sh")), 0755);
	if (symlink("app/main.c", at(in(dir, "src/link"))) < 0)
		assert_int_equal(errno, EEXIST);
	if (link(at(in(dir, "src/app/main.c")), at(in(dir, "src/hard.c"))) < 0)
		assert_int_equal(errno, EEXIST);
	put_noise(in(dir, "images/kernel.elf"), IMAGE_SIZE, seed + 100);
	put_text(in(dir, "images/small"), "an initrd\n");
}

static inline void publish_to(
	const char *dir, const char *layout, const char *ref, char digest[DIGEST_TEXT_LEN + 1])
{
	struct why why = { 0 };
	char ignored[DIGEST_TEXT_LEN + 1];
	autofree char *from = xstrdup(at(dir)), *to = xstrdup(at(layout));
	int err = publish_directory(from, to, ref, NULL, NULL, NULL, digest ? digest : ignored, &why);
	assert_string_equal(why.text, "");
	assert_int_equal(err, 0);
}

/* --- a cache ---------------------------------------------------------------------------------- */

struct rig {
	struct loop *loop;
	struct pool *pool;
	struct cache *cache;
	bool waiting;
	int err; /* of the last answer */
	struct why why;
	struct names *names;
	struct view *view;
	struct buf data;
};

static inline void rig_open(struct rig *r, const char *cache_dir, const char *layout)
{
	struct why why = { 0 };
	memset(r, 0, sizeof(*r));
	r->loop = loop_new();
	r->pool = pool_new(r->loop, 2);
	autofree char *dir = xstrdup(at(cache_dir));
	struct cache_options o = { .dir = dir, .loop = r->loop, .pool = r->pool };
	assert_int_equal(cache_open(&o, &r->cache, &why), 0);
	if (layout)
		assert_int_equal(cache_add_registry(r->cache, at(layout), &why), 0);
	assert_string_equal(why.text, "");
}

static inline void rig_close(struct rig *r)
{
	names_put(r->names);
	cache_close(r->cache);
	pool_free(r->pool);
	loop_free(r->loop);
	buf_free(&r->data);
}

static inline void rig_answered(struct rig *r, int err, const struct why *why)
{
	assert_true(r->waiting); /* once, and not before the call has returned */
	r->waiting = false;
	r->err = err;
	memset(&r->why, 0, sizeof(r->why));
	if (err) {
		assert_non_null(why);
		assert_int_not_equal(why->text[0], 0); /* errors come with words */
		r->why = *why;
	}
	loop_stop(r->loop);
}

static inline int rig_wait(struct rig *r)
{
	r->waiting = true;
	loop_run(r->loop);
	assert_false(r->waiting);
	return r->err;
}

static inline void rig_on_names(void *arg, int err, const struct why *why, struct names *names)
{
	struct rig *r = arg;
	names_put(r->names);
	r->names = names;
	rig_answered(r, err, why);
}

static inline int rig_names(struct rig *r)
{
	cache_names(r->cache, rig_on_names, r);
	return rig_wait(r);
}

static inline void rig_on_view(void *arg, int err, const struct why *why, struct view *view)
{
	struct rig *r = arg;
	r->view = view;
	rig_answered(r, err, why);
}

static inline int rig_view(struct rig *r, const char *name, const char *ref, struct view **out)
{
	cache_view(r->cache, name, ref, rig_on_view, r);
	int err = rig_wait(r);
	*out = r->view;
	return err;
}

static inline void rig_on_read(void *arg, int err, const struct why *why, const void *data, size_t len)
{
	struct rig *r = arg;
	buf_clear(&r->data);
	if (!err)
		buf_append(&r->data, data, len);
	rig_answered(r, err, why);
}

static inline int rig_read(struct rig *r, struct view *v, uint32_t index, uint64_t off, size_t len)
{
	view_read(v, index, off, len, rig_on_read, r);
	return rig_wait(r);
}

static inline uint32_t index_of(const struct view *v, const char *path)
{
	struct entry e;
	assert_int_equal(view_path(v, path, &e), 0);
	return e.index;
}

/* The whole of a file is in r->data. */
static inline int rig_cat(struct rig *r, struct view *v, const char *path)
{
	return rig_read(r, v, index_of(v, path), 0, 1u << 30);
}

static inline void rig_on_done(void *arg, int err, const struct why *why)
{
	rig_answered(arg, err, why);
}

static inline int rig_export(struct rig *r, struct view *v, const char *path, const char *name)
{
	view_export(v, index_of(v, path), tmp_dir, name, rig_on_done, r);
	return rig_wait(r);
}

static inline int rig_checkout(struct rig *r, struct view *v, const char *path, const char *name)
{
	view_checkout(v, index_of(v, path), tmp_dir, name, rig_on_done, r);
	return rig_wait(r);
}

/* The file (name) of the test's directory holds these bytes. */
static inline void holds(const char *name, const void *data, size_t len)
{
	autobuf struct buf b = { 0 };
	assert_int_equal(io_read_file(tmp_dir, name, 1u << 30, &b), 0);
	assert_int_equal(b.len, len);
	assert_memory_equal(b.data ? b.data : "", data, len);
}

/* The one blob of a layout that has this size. */
static inline void blob_of_size(const char *layout, off_t size, char *path, size_t room)
{
	autofree char *cmd = xasprintf("find %s/blobs -type f -size %lldc", at(layout), (long long)size);
	FILE *f = popen(cmd, "r");
	assert_non_null(f);
	assert_non_null(fgets(path, (int)room, f));
	path[strcspn(path, "\n")] = 0;
	pclose(f);
}

#define RUN(name, ...)                                                                                       \
	int main(void)                                                                                       \
	{                                                                                                    \
		const struct CMUnitTest tests[] = { __VA_ARGS__ };                                           \
		log_open("test", LOG_LEVEL_ERROR);                                                           \
		return cmocka_run_group_tests_name(name, tests, NULL, NULL);                                 \
	}

#endif
