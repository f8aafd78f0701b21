/* SPDX-License-Identifier: MIT */
/*
 * libs.c: where ld.so looks: RUNPATH with $ORIGIN, ldconfig's cache, the directories that it always knows. LD_LIBRARY_PATH is
 * nobody's business here.
 *
 * Source   ld.so(8); the cache as glibc's sysdeps/generic/dl-cache.h has it: "glibc-ld.so.cache1.1", count, length of
 *          the strings, 5 unused words, then entries of flags, key, value (offsets from the magic), os version, hwcap
 */
#include "deployers/root/root.h"

#include "cache/base/io.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CACHE_MAX    (16u << 20)
#define CACHE_MAGIC  "glibc-ld.so.cache1.1"
#define FLAGS_X86_64 0x0303 /* ELF, libc6, x86-64 */

static const char *const known[] = { "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64",
	"/usr/lib64", "/lib", "/usr/lib" };

struct cache_head {
	char magic[20];
	uint32_t count, strings, unused[5];
};
struct cache_entry {
	int32_t flags;
	uint32_t key, value, os;
	uint64_t hwcap;
};
_Static_assert(sizeof(struct cache_head) == 48 && sizeof(struct cache_entry) == 24, "glibc's");

void libs_open(struct libs *l)
{
	*l = (struct libs){ 0 };
	io_read_file(AT_FDCWD, "/etc/ld.so.cache", CACHE_MAX, &l->cache);
}

void libs_close(struct libs *l)
{
	buf_free(&l->cache);
}

/* A string of the cache at (offset); data[len] is NUL, so it ends. */
static const char *cache_string(const struct buf *c, uint32_t offset)
{
	return offset < c->len ? c->data + offset : "";
}

/* An old cache has a section of another form before the one that is wanted: the offsets count from the magic then, which we
 * leave to the directories. */
static bool from_cache(const struct libs *l, const char *name, char *out, size_t size)
{
	const struct buf *c = &l->cache;
	struct cache_head h;

	if (c->len < sizeof(h) || memcmp(c->data, CACHE_MAGIC, strlen(CACHE_MAGIC)))
		return false;
	memcpy(&h, c->data, sizeof(h));
	for (uint32_t i = 0; i < h.count; i++) {
		struct cache_entry e;
		size_t at = sizeof(h) + (size_t)i * sizeof(e);

		if (at + sizeof(e) > c->len)
			return false;
		memcpy(&e, c->data + at, sizeof(e));
		/* hwcap 0: not one that only some CPUs can run */
		if (e.flags != FLAGS_X86_64 || e.hwcap || strcmp(cache_string(c, e.key), name))
			continue;
		const char *path = cache_string(c, e.value);
		if (*path == '/' && access(path, R_OK) == 0) {
			snprintf(out, size, "%s", path);
			return true;
		}
	}
	return false;
}

/* The loader finds it without its cache. */
static bool is_known(const char *path)
{
	size_t len = (size_t)(strrchr(path, '/') - path);

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strlen(known[i]) == len && !memcmp(known[i], path, len))
			return true;
	return false;
}

static bool in_dir(const char *root, const char *dir, size_t len, const char *name, char *out, size_t size)
{
	autofree char *path = xasprintf("%.*s/%s", (int)len, dir, name);
	autofree char *real = xasprintf("%s%s", root, path);

	if (strlen(path) >= size || access(real, R_OK))
		return false;
	snprintf(out, size, "%s", path);
	return true;
}

/* RUNPATH: directories with colons between, $ORIGIN for where (origin) lies. */
static bool from_runpath(
	const char *root, const char *runpath, const char *origin, const char *name, char *out, size_t size)
{
	const char *slash = strrchr(origin, '/');
	int here = slash ? (int)(slash - origin) : 0;

	for (const char *s = runpath; *s;) {
		size_t n = strcspn(s, ":");
		size_t skip = !strncmp(s, "$ORIGIN", 7) ? 7 : !strncmp(s, "${ORIGIN}", 9) ? 9 : 0;
		autofree char *dir = skip && skip <= n
					     ? xasprintf("%.*s%.*s", here, origin, (int)(n - skip), s + skip)
					     : xstrndup(s, n);

		if (*dir == '/' && in_dir(root, dir, strlen(dir), name, out, size))
			return true;
		s += n + (s[n] == ':');
	}
	return false;
}

void libs_find(struct libs *l, const char *root, const char *name, const struct elf *of, const char *origin,
	char *out, size_t size)
{
	*out = 0;
	if (*name == '/') {
		in_dir(root, "", 0, name + 1, out, size);
		return;
	}
	if (strchr(name, '/') || (of->runpath && from_runpath(root, of->runpath, origin, name, out, size)))
		return;
	if (!*root && from_cache(l, name, out, size)) {
		l->cache_wanted |= !is_known(out);
		return;
	}
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (in_dir(root, known[i], strlen(known[i]), name, out, size))
			return;
}
