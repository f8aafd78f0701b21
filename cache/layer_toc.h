/* SPDX-License-Identifier: MIT */
/*
 * layer_toc.h: what the two kinds of tables of contents share (layer_toc.c, layer_estargz.c): the document, and the
 * entries that are not content.
 *
 * Threads  any
 */
#ifndef CACHE_LAYER_TOC_H
#define CACHE_LAYER_TOC_H

#include "cache/json.h"
#include "cache/tree_build.h"

struct toc_visitor {
	int (*entry)(void *arg, const json_t *e, struct why *why);
	int (*end)(void *arg, struct why *why); /* after the last entry */
	void *arg;
};
/* Entry by entry, so that a large table never is a tree of JSON objects in memory. */
int toc_read(const char *text, size_t len, const struct toc_visitor *v, struct why *why);

/* Kind, mode, time and target of an entry of (type). */
int toc_item(const json_t *e, const char *type, struct tree_item *out, struct why *why);
int toc_digest(const json_t *e, const char *key, struct digest *out, struct why *why);

#endif
