/* SPDX-License-Identifier: MIT */
/*
 * registry.h: where kernels come from, as tables of functions.
 *
 *     local    registry_layout.c: an OCI image layout in a directory. Its functions are called in the pool,
 *              several at once, and may wait for the disk
 *     remote   registry_remote.c: a server, which is a registry (registry_oci.c) or a layout served as files
 *              (registry_static.c), found out by what it answers. Its functions are called on the loop and
 *              return at once; their callbacks come on the loop, once, never before they have returned
 *
 * Trust    what they give is not verified: whoever asked compares it with a digest
 * Errors   -ENOENT not there, -EHOSTUNREACH the registry cannot answer now, -EACCES, -EBADMSG, -EILSEQ,
 *          -EFBIG; with words. -EOPNOTSUPP from ask: this server does not serve parts of files
 */
#ifndef CACHE_REGISTRY_H
#define CACHE_REGISTRY_H

#include "cache/digest.h"
#include "cache/names.h"

struct registry;
struct fetcher;

struct registry_part { /* of a manifest or blob; texts and pointers are copied, what they point to is not */
	const char *repository;
	struct digest digest;
	struct buf *manifest; /* set: all of a manifest or index, at most MAX_MANIFEST bytes, is appended */
	uint64_t size, off;   /* else exactly (len) bytes at (off) of a blob of (size) bytes, to (to) */
	size_t len;
	void *to;
	bool ahead;				 /* nobody waits for it yet */
	void (*some)(void *arg, size_t have); /* NULL, or told how many bytes of (to) are there */
};

typedef void registry_names_fn(void *arg, int err, const struct why *why, struct names *names);
typedef void registry_tag_fn(
	void *arg, int err, const struct why *why, const struct digest *digest, struct buf *manifest);
typedef void registry_done_fn(void *arg, int err, const struct why *why);

struct registry_ops {
	const char *kind; /* for `status` */
	bool served_files; /* nothing can be published to it */

	/* local kinds; NULL in others */
	/* What it lists now: one reference, and the same snapshot as long as nothing changed. */
	int (*list)(struct registry *r, struct names **out, struct why *why);
	/* Appends a manifest or index, at most MAX_MANIFEST bytes. */
	int (*manifest)(struct registry *r, const char *repository, const struct digest *d, struct buf *out,
		struct why *why);
	/* Exactly (len) bytes at (off) of a blob of (size) bytes. */
	int (*blob)(struct registry *r, const char *repository, const struct digest *d, uint64_t size,
		uint64_t off, void *buf, size_t len, struct why *why);

	/* remote kinds; NULL in others */
	void (*ask_names)(struct registry *r, registry_names_fn *done, void *arg);
	/* What a tag is now, for registries that list names without digests. (known): what it was, or NULL. The
	 * callback may take (manifest)'s bytes, which are of that digest; empty if it still is (known). */
	void (*ask_tag)(struct registry *r, const char *repository, const char *tag, const struct digest *known,
		registry_tag_fn *done, void *arg);
	void (*ask)(struct registry *r, const struct registry_part *p, registry_done_fn *done, void *arg);

	/* Remote kinds: what is under way ends with -ECANCELED before it returns, and so does what is asked later. */
	void (*stop)(struct registry *r);
	void (*close)(struct registry *r);
};

struct registry { /* every kind begins with this */
	const struct registry_ops *ops; /* a remote's changes once: when it is known what it is */
	char *where;
};

static inline bool registry_is_remote(const struct registry *r)
{
	return r->ops->ask != NULL;
}

struct registry_options { /* texts are copied */
	struct loop *loop;
	struct pool *pool;
	struct fetcher *fetcher;
	const char *ca_file, *auth_file; /* NULL: the usual */
	const char *const *names;	 /* NULL, or the repositories of a registry that does not list them */
	bool insecure, offline;
};

/* Is it an address, and not a path? */
bool registry_is_address(const char *where);
/* For an address. Errors only for what can never be a registry. */
int registry_remote_open(
	const char *where, const struct registry_options *o, struct registry **out, struct why *why);
/* For an OCI image layout in a directory, which need not be there yet. */
int registry_layout_open(const char *path, struct registry **out, struct why *why);

/* What the files of a layout say (registry_layout.c). Any thread. */
int layout_version(const char *text, size_t len, struct why *why);
int layout_names(const char *text, size_t len, const char *where, struct names **out, struct why *why);

#endif
