/* SPDX-License-Identifier: MIT */
/*
 * tree_nodes.h: what tree_build.c and tree_order.c share; nobody else includes it.
 *
 * Shape    node 0 is the root; a parent always has a smaller number than its children
 */
#ifndef CACHE_TREE_NODES_H
#define CACHE_TREE_NODES_H

#include "cache/tree_build.h"

#include <stdbool.h>
#include <stdint.h>

#define NO_NODE UINT32_MAX

struct node {
	uint32_t name;	 /* in strings */
	uint32_t target; /* links: in strings */
	uint32_t parent;
	uint32_t first; /* files: first chunk, or where inlined bytes are; hard links: the base of the target,
			   then the file */
	uint32_t count; /* files: chunks */
	uint32_t nlink;
	uint64_t size;
	uint64_t have; /* files: sum of the chunks' sizes */
	int64_t mtime;
	uint16_t mode;
	uint8_t kind; /* enum item_kind */
	bool implicit, inlined;
};

struct layer_limit {
	uint64_t start, end;
};

struct tree_build {
	struct node *nodes;
	uint32_t node_count, node_cap;
	uint32_t *table; /* open addressing; 0 is an empty slot */
	uint64_t table_size;
	struct tree_chunk *chunks;
	uint32_t chunk_count, chunk_cap;
	struct tree_layer *layers;
	struct layer_limit *limits; /* beside layers */
	uint32_t layer_count, layer_cap;
	struct buf strings;
};

/* The node of a path below (base), or NO_NODE. */
uint32_t node_find(const struct tree_build *b, uint32_t base, const char *path);

#endif
