/* SPDX-License-Identifier: MIT */
/*
 * registry.h: where kernels come from, as a table of functions. registry_layout.c is the first kind.
 *
 * Threads  all members are called in the pool, several at once, and may wait for the disk. A kind
 *          that waits for a network must not wait in the pool: it will add members that answer on
 *          the loop, beside these
 * Trust    what they return is not verified: whoever asked compares it with a digest
 * Errors   -ENOENT not there, -EHOSTUNREACH the registry cannot answer now, -EBADMSG, -EILSEQ,
 *          -EFBIG; with words
 */
#ifndef CACHE_REGISTRY_H
#define CACHE_REGISTRY_H

#include "cache/digest.h"
#include "cache/names.h"

struct registry;

struct registry_ops {	  /* all required */
	const char *kind; /* for `status` */
	/* What it lists now: one reference, and the same snapshot as long as nothing changed. */
	int (*list)(struct registry *r, struct names **out, struct why *why);
	/* Appends a manifest or index, at most MAX_MANIFEST bytes. */
	int (*manifest)(struct registry *r, const char *repository, const struct digest *d, struct buf *out,
		struct why *why);
	/* Exactly (len) bytes at (off) of a blob of (size) bytes. */
	int (*blob)(struct registry *r, const char *repository, const struct digest *d, uint64_t size,
		uint64_t off, void *buf, size_t len, struct why *why);
	void (*close)(struct registry *r);
};

struct registry { /* every kind begins with this */
	const struct registry_ops *ops;
	char *where;
};

/* (where) is a path; it need not be there yet. Errors only for what can never be a registry. */
int registry_open(const char *where, struct registry **out, struct why *why);
/* For an OCI image layout in a directory. */
int registry_layout_open(const char *path, struct registry **out, struct why *why);

#endif
