/* SPDX-License-Identifier: MIT */
/*
 * tree.c: node numbers, computed both ways.
 *
 * The layout is chosen so that FUSE's root, inode 1, is {NODE_FIXED, 0, FIXED_ROOT} without a special case.
 */
#include "fs/tree.h"

_Static_assert(NODE_FIXED == 0 && FIXED_ROOT == 1, "FUSE calls the root inode 1");
_Static_assert(NODE_CLASSES <= 16, "a class has four bits");

uint64_t node_ino(struct node n)
{
	return (uint64_t)n.class << 60 | (uint64_t)(n.a & NODE_A_MAX) << 32 | n.b;
}

struct node node_of(uint64_t ino)
{
	return (struct node){ .class = ino >> 60, .a = ino >> 32 & NODE_A_MAX, .b = (uint32_t)ino };
}
