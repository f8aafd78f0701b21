/* SPDX-License-Identifier: MIT */
/*
 * scrub.c: trees say which packs there should be and what is in them, so trees come first. A pack that no tree shows
 * cannot be checked; it is what gc removes.
 */
#include "cache/scrub.h"

#include "cache/base/io.h"
#include "cache/limits.h"
#include "cache/object.h"
#include "cache/pins.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct list {
	struct digest *at;
	size_t count, cap;
};

struct scrub {
	struct cache *cache;
	enum scrub_kind kind;
	struct list trees, objects, packs; /* packs: those that trees show */
	size_t next;			   /* tree, then object */
	struct pack_scrub chunks;
	uint64_t bad, removed;
};

static void list_add(struct list *l, const struct digest *d)
{
	if (l->count == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 64;
		l->at = xrealloc(l->at, l->cap * sizeof(*l->at));
	}
	l->at[l->count++] = *d;
}

static bool list_has(const struct list *l, const struct digest *d)
{
	for (size_t i = 0; i < l->count; i++)
		if (digest_equal(&l->at[i], d))
			return true;
	return false;
}

static void list_dir(struct list *l, int at, const char *suffix)
{
	int fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		if (fd >= 0)
			close(fd);
		return;
	}
	for (struct dirent *e; (e = readdir(d));) {
		char hex[DIGEST_HEX_LEN + 1];
		struct digest is;
		if (strlen(e->d_name) < DIGEST_HEX_LEN || strcmp(e->d_name + DIGEST_HEX_LEN, suffix) != 0)
			continue;
		memcpy(hex, e->d_name, DIGEST_HEX_LEN);
		hex[DIGEST_HEX_LEN] = 0;
		if (digest_parse_hex(hex, &is) == 0)
			list_add(l, &is);
	}
	closedir(d);
}

static void tree_name(const struct digest *d, char name[DIGEST_HEX_LEN + 16])
{
	digest_hex(d, name);
	snprintf(name + DIGEST_HEX_LEN, 16, "-v%u", TREE_VERSION);
}

struct scrub *scrub_new(struct cache *c, enum scrub_kind kind)
{
	struct scrub *s = xcalloc(1, sizeof(*s));
	s->cache = c;
	s->kind = kind;
	return s;
}

static void begin(struct scrub *s)
{
	char suffix[16];
	snprintf(suffix, sizeof(suffix), "-v%u", TREE_VERSION);
	list_dir(&s->trees, s->cache->trees_fd, suffix);
	if (s->kind != SCRUB_GC)
		list_dir(&s->objects, s->cache->objects_fd, "");
}

static bool pack_is_there(const struct scrub *s, const struct digest *d)
{
	char name[DIGEST_HEX_LEN + 8];
	digest_hex(d, name);
	strcat(name, ".have");
	return faccessat(s->cache->packs_fd, name, F_OK, 0) == 0;
}

static void scrub_layer(struct scrub *s, const struct tree *t, const struct tree_layer *l)
{
	if (list_has(&s->packs, &l->pack))
		return;
	list_add(&s->packs, &l->pack);
	if (s->kind == SCRUB_GC || !pack_is_there(s, &l->pack))
		return;
	struct pack *p = pack_open(s->cache->packs_fd, NULL, l);
	pack_scrub(p, t->chunks + l->first_chunk, s->kind == SCRUB_FULL, &s->cache->closing, &s->chunks);
	pack_close(p);
}

static void scrub_tree(struct scrub *s, const struct digest *d)
{
	char name[DIGEST_HEX_LEN + 16];
	struct tree *t;
	tree_name(d, name);
	int err = tree_open(s->cache->trees_fd, name, d, &t);
	if (err == -EILSEQ) {
		log_warn("cache: tree %s is damaged; it is dropped and made again", name);
		unlinkat(s->cache->trees_fd, name, 0);
		s->bad++;
	}
	if (err)
		return;
	for (uint32_t i = 0; i < t->head->layer_count; i++)
		scrub_layer(s, t, &t->layers[i]);
	tree_unref(t);
}

/* object_get drops what is bad, and says so. */
static void scrub_object(struct scrub *s, const struct digest *d)
{
	autobuf struct buf bytes = { 0 };
	char name[DIGEST_HEX_LEN + 1];
	struct stat st;
	digest_hex(d, name);
	if (fstatat(s->cache->objects_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (object_get(s->cache->objects_fd, d, MAX_README, &bytes) < 0)
		s->bad++;
	struct timespec t[2] = { { .tv_nsec = UTIME_OMIT },
		st.st_mtim }; /* to look after it is not to use it */
	utimensat(s->cache->objects_fd, name, t, AT_SYMLINK_NOFOLLOW);
}

/* What deploys of kernels that are gone have read. */
static void remove_learned(struct scrub *s)
{
	struct list learned = { 0 };
	autoclose int dir = openat(s->cache->dirfd, "learned", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[DIGEST_HEX_LEN + 1];
	if (dir < 0)
		return;
	list_dir(&learned, dir, "");
	for (size_t i = 0; i < learned.count; i++) {
		digest_hex(&learned.at[i], name);
		if (!list_has(&s->trees, &learned.at[i]))
			unlinkat(dir, name, 0);
	}
	free(learned.at);
}

static void remove_unshown(struct scrub *s)
{
	struct list packs = { 0 };
	struct pins *pins = pins_load(s->cache->dirfd);
	list_dir(&packs, s->cache->packs_fd, "");
	for (size_t i = 0; i < packs.count; i++)
		if (!list_has(&s->packs, &packs.at[i]) && !pins_has(pins, PART_PACKS, &packs.at[i]))
			s->removed += room_drop(s->cache->room, &packs.at[i]) == 0;
	pins_free(pins);
	free(packs.at);
}

bool scrub_step(struct scrub *s)
{
	if (s->cache->closing)
		return false;
	if (!s->trees.at && !s->next)
		begin(s);
	if (s->next < s->trees.count) {
		scrub_tree(s, &s->trees.at[s->next++]);
		return true;
	}
	for (unsigned i = 0; i < 256 && s->next < s->trees.count + s->objects.count; i++)
		scrub_object(s, &s->objects.at[s->next++ - s->trees.count]);
	if (s->next < s->trees.count + s->objects.count)
		return true;
	if (s->kind == SCRUB_GC) {
		remove_unshown(s);
		remove_learned(s);
	}
	room_sweep(s->cache->room);
	return false;
}

void scrub_tell(const struct scrub *s, struct buf *out)
{
	uint64_t bad = s->bad + s->chunks.bad;
	if (s->kind == SCRUB_GC) {
		buf_printf(
			out, "gc: %llu packs that no kernel shows are gone", (unsigned long long)s->removed);
		return;
	}
	buf_printf(out,
		"verify%s: %zu trees, %zu objects, %llu chunks: ", s->kind == SCRUB_FULL ? " full" : "",
		s->trees.count, s->objects.count, (unsigned long long)(s->chunks.good + s->chunks.bad));
	if (bad)
		buf_printf(out,
			"%llu were damaged and are dropped; they are fetched again when they are read",
			(unsigned long long)bad);
	else
		buf_puts(out, "all are good");
}

void scrub_free(struct scrub *s)
{
	free(s->trees.at);
	free(s->objects.at);
	free(s->packs.at);
	free(s);
}
