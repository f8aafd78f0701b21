/* SPDX-License-Identifier: MIT */
/*
 * tree.h: node numbers. A node is a class and two numbers; its inode number is computed from them and back,
 * so that the daemon keeps no state per inode (PERF.md F) and a forget costs nothing.
 *
 *     63..60 class   59..32 a (28 bits)   31..0 b
 *
 * Numbers are never used again within a mount: a view and an instance get the next `a`, whatever becomes of
 * the old one (PITFALLS 6).
 */
#ifndef FS_TREE_H
#define FS_TREE_H

#include <stdint.h>

enum node_class {
	NODE_FIXED, /* a = 0, b = enum fixed_node: the root and its files */
	NODE_NAMES, /* a = 0, b = directory of kernels/ (0 is kernels/ itself) */
	NODE_VIEW,  /* a = view, b = entry; VIEW_EXTRA + n for what is not in the artifact: run, cached */
	NODE_RUN,   /* a = instance's serial (0: run/ itself), b = enum run_file */
	NODE_SRC,   /* a = workspace, b = inode in it (1 is its root) */
	NODE_CACHE, /* a = 0, b = file of cache/, 0 itself */
	NODE_SEARCH, /* a = search (0: search/ itself), b = 0, or 1 + number of a result */
	NODE_CLASSES
};

#define NODE_A_MAX ((1u << 28) - 1)
#define VIEW_EXTRA 0xf0000000u

struct node {
	enum node_class class;
	uint32_t a, b;
};

enum fixed_node { FIXED_ROOT = 1, FIXED_README, FIXED_MODES, FIXED_STATUS, FIXED_LOG };

uint64_t node_ino(struct node n);
/* Any number gives a node; one that never was gives a class or number that lookups refuse. */
struct node node_of(uint64_t ino);

#endif
