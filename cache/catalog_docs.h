/* SPDX-License-Identifier: MIT */
/*
 * catalog_docs.h: what kernels say of themselves, as a full-text index (FTS5) in the catalog.
 *
 * Shape    a document for each (repository name, digest): name, description, keywords, README, mode, arch, license,
 *          family. One that is only listed is there with its name and not known
 * Threads  the pool's; serialised inside
 * Errors   as catalog.h: what cannot be written is a line in the log
 */
#ifndef CACHE_CATALOG_DOCS_H
#define CACHE_CATALOG_DOCS_H

#include "cache/catalog.h"

struct doc {
	const char *name, *digest; /* the key */
	const char *description, *keywords, *readme, *mode, *arch, *license, *family;
};

bool catalog_knows(struct catalog *c, const char *name, const char *digest);
void catalog_put_doc(struct catalog *c, const struct doc *d);
/* Adds those that are not there yet, by their names only. Calls (unknown) with the index of each that is not known. */
typedef void catalog_unknown_fn(void *arg, uint32_t i);
void catalog_add_names(struct catalog *c, const struct names *names, catalog_unknown_fn *unknown, void *arg);
/* Best first, at most (max); (match) is an FTS5 expression of search_words.h. */
typedef void catalog_hit_fn(void *arg, const char *name, const char *digest);
void catalog_find(struct catalog *c, const char *match, uint32_t max, catalog_hit_fn *hit, void *arg);

#endif
