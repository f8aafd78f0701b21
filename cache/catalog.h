/* SPDX-License-Identifier: MIT */
/*
 * catalog.h: what the cache remembers of names and trees, in SQLite.
 *
 * Shape    names as each registry listed them last, so that one that cannot answer now does not
 *          look empty; trees that are here and when they were used last
 * Trust    a cache: if the file is damaged it is set aside and begun anew
 * Threads  the pool's; serialised inside. Several processes may share the file (WAL)
 * Errors   a catalog that cannot be written is a line in the log: nothing depends on it for
 *          correctness
 */
#ifndef CACHE_CATALOG_H
#define CACHE_CATALOG_H

#include "cache/names.h"

struct catalog;

int catalog_open(const char *path, struct catalog **out, struct why *why);
void catalog_close(struct catalog *c);

void catalog_put_names(struct catalog *c, const char *registry, const struct names *names);
/* The last list of (registry) and its time; NULL if it was never listed. */
struct names *catalog_get_names(struct catalog *c, const char *registry, int64_t *as_of);

/* What a tag of a registry was when it was asked for; for registries whose names come without digests. */
struct catalog_tag {
	char *name, *tag;
	struct digest digest;
};
void catalog_put_tag(struct catalog *c, const char *registry, const char *name, const char *tag,
	const struct digest *digest);
/* All of a registry; the array and its texts are the caller's. */
struct catalog_tag *catalog_get_tags(struct catalog *c, const char *registry, size_t *count);

void catalog_used_tree(struct catalog *c, const struct digest *d);

#endif
