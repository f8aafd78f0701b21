/* SPDX-License-Identifier: MIT */
/* ops_inner.h: between ops.c (requests) and reply.c (answers); nobody else includes it. */
#ifndef FS_OPS_INNER_H
#define FS_OPS_INNER_H

#include "fs/ops.h"

struct statvfs;

struct listing {
	fuse_req_t req;
	bool plus;
	bool kept;
	size_t size, used;
	char *data;
};

/* The class that answers for (n); without functions if there is none. */
const struct node_ops *ops_class(struct node n);

/* For what takes no answer. */
void reply_none(fuse_req_t req);
void reply_statfs(fuse_req_t req, const struct statvfs *st);

#endif
