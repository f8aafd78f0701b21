/* SPDX-License-Identifier: MIT */
/*
 * cache.h: a name goes in, readable objects come out. The local mirror of the registries.
 *
 *     registry  a place that lists and serves artifacts (today an OCI image layout in a directory)
 *     names     what all registries list: (name, tag, digest), a snapshot
 *     view      one artifact, pinned by digest, as a read-only tree of entries:
 *                   kernel.conf  README.md  manifest  digest  src/...  images/...
 *     entry     a file, directory or symbolic link of a view, by index; 0 is the root. Indices of a digest
 *               never change, not even in another mount, so that node numbers can be computed.
 *
 * Threads  the loop's, but for what says otherwise. Functions that take a done callback return at once; the callback
 *          comes on the loop, exactly once, never before the function has returned. Nothing here waits in the loop;
 *          the network, the disk and decompression go to curl's sockets and the pool.
 * Units    bytes, 64-bit; times in seconds since 1970
 * Errors   -errno and words: -ENOENT no such name, -EILSEQ bytes disagree with their digest, -EBADMSG malformed
 *          artifact, -EFBIG beyond a limit (FORMATS.md 8), -EHOSTUNREACH the registry cannot answer, -ENOSPC
 * Trust    every byte that comes out was verified along the chain of SHA-256 digests that begins at the manifest.
 *          Names of entries are safe as file names: no '/', NUL, "." or "..", at most 255 bytes
 * Sharing  several processes may use one cache directory at the same time
 * Source   OCI image-spec (layout, manifest, descriptor); containers/storage's zstd:chunked; FORMATS.md 1, 3, 4, 8
 */
#ifndef CACHE_CACHE_H
#define CACHE_CACHE_H

#include "cache/base/buf.h"
#include "cache/base/log.h"
#include "cache/base/loop.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cache;
struct names;
struct view;

#define DIGEST_TEXT_LEN 71 /* "sha256:" and 64 lower-case hexadecimal digits */

struct cache_options {
	const char *dir; /* created if missing; objects, trees, packs, catalog.sqlite */
	struct loop *loop;
	struct pool *pool;
	const char *ca_file;   /* for all registries; NULL: the system's authorities */
	const char *auth_file; /* NULL: the files of docker and podman (auth_files.c) */
	bool insecure;	       /* plain HTTP to other machines, too */
	bool offline;	       /* no remote registry is asked anything */
	const char *
		unpacker; /* the program that reads archives (unpack/); NULL: layers without an index are refused */
	unsigned fresh_s; /* how old names and tags of a remote registry may be; 0: 30 */
	const char *const *
		verify_keys; /* NULL-terminated paths of public keys: only signed kernels are shown; or NULL */
	uint64_t quota;	     /* bytes that the directory may take; 0: a fifth of the file system */
};

int cache_open(const struct cache_options *options, struct cache **out, struct why *why);
/* All views must have been put. Waits for what runs in the pool. */
void cache_close(struct cache *c);

struct cache_registry {
	const char *where;	  /* a path, file://, http:// or https:// */
	const char *const *names; /* repositories, for a registry that does not list its own; or NULL */
	const char *ca_file;	  /* NULL: as for all */
	bool insecure;		  /* this one, too */
};

/* Registries are asked in the order in which they were added. An error only for what can never be a registry;
 * one that cannot answer now is told by cache_status and by what fails. */
int cache_add_registry(struct cache *c, const char *where, struct why *why);
int cache_add(struct cache *c, const struct cache_registry *r, struct why *why);
/* Whether the registry that was added as (n)th, from 0, is of a kind to which can be published: not a layout that is
 * served as files, and none on the network when offline. */
bool cache_can_take(const struct cache *c, uint32_t n);
/* name:tag was published to some registry: what this process knew of it, and of lists, is asked for anew. */
void cache_published(struct cache *c, const char *name, const char *tag);
/* Appends lines for `status`: one a registry (where, kind, reachable, as of when, names), then the cache (used, objects). */
void cache_status(struct cache *c, struct buf *out);

struct cache_usage {
	uint64_t used, quota; /* bytes on disk */
	uint64_t objects;     /* files */
	uint64_t fetched;     /* bytes that came from registries since cache_open */
};
/* Memory only: as of the last count, which is some seconds ago. */
void cache_usage(struct cache *c, struct cache_usage *out);

/* --- names ------------------------------------------------------------------------------------- */

struct name {
	const char *name; /* OCI repository name, may hold slashes */
	const char *tag;
	const char *registry;
	/* Of the manifest or index; "": the registry tells it only when the tag is looked up. */
	char digest[DIGEST_TEXT_LEN + 1];
};

typedef void cache_names_fn(void *arg, int err, const struct why *why, struct names *names);
/* The present snapshot, refreshed when it is older than a second and something has changed. On success the callback
 * owns one reference; the same snapshot is given again and again while nothing changes. */
void cache_names(struct cache *c, cache_names_fn *done, void *arg);
struct names *names_get(struct names *n);
void names_put(struct names *n);
/* Sorted by name, then tag (strcmp); no (name, tag) twice: the first registry that has the name wins. */
uint32_t names_count(const struct names *n);
const struct name *names_at(const struct names *n, uint32_t i);
/* NULL, or in words which registries could not tell their names: what is not in the list may be there. */
const char *names_missing(const struct names *n);

/* --- views ------------------------------------------------------------------------------------- */

typedef void cache_view_fn(void *arg, int err, const struct why *why, struct view *view);
/* (reference) is a tag or "sha256:...". For a tag the digest that it has at this moment is taken. Fetches metadata only:
 * manifest, config, README, table of contents. On success the callback owns one reference. */
void cache_view(struct cache *c, const char *name, const char *reference, cache_view_fn *done, void *arg);
struct view *view_get(struct view *v);
void view_put(struct view *v);

/* The same for who only looks: a kernel's sources or images may be missing from the view, where nothing but the whole of
 * a layer says what they are and that is not here. Nothing but metadata is fetched then. */
void cache_look(struct cache *c, const char *name, const char *reference, cache_view_fn *done, void *arg);
/* The same for who only wants to launch it: from a remote registry manifest and config are enough, which is half of what a
 * view takes. Such a view is brief: README.md is empty in it, and src. The root and what is in it have the index that other
 * views of the digest know them by, what is below has not. The rest is fetched some moments later, as cache_look would, so
 * that it is here when the registry is not; who wants it now asks cache_look for the digest. */
void cache_brief(struct cache *c, const char *name, const char *reference, cache_view_fn *done, void *arg);
bool view_is_brief(const struct view *v);
/* Is (dir) what is missing? cache_view for the view's digest gives a view that has it, where all entries of this one have
 * the index that they have here. */
bool view_lacks(const struct view *v, uint32_t dir);

const char *view_name(const struct view *v);
const char *view_tag(const struct view *v);    /* as it was asked for: a tag or a digest */
const char *view_digest(const struct view *v); /* of the image manifest that the tree shows */
/* What is here and what there is, bytes of content, for the file `cached`. */
void view_cached(const struct view *v, uint64_t *here, uint64_t *total);
/* A number that grows while anything comes from any registry. */
uint64_t cache_progress(const struct cache *c);
/* A number that grows while content of this view comes from its registry. */
uint64_t view_progress(const struct view *v);

enum entry_type { ENTRY_DIR, ENTRY_FILE, ENTRY_LINK };

struct entry {
	enum entry_type type;
	uint32_t index; /* its own, but for a hard link the index of the file that it is */
	uint32_t parent;
	uint32_t mode;	/* permission bits without write, set-id and sticky bits: 0444, 0555 */
	uint32_t nlink; /* hard links counted; 2 + subdirectories for a directory */
	uint32_t
		first_child; /* directories: the children's indices are [first_child, first_child + child_count), */
	uint32_t child_count; /* sorted by name */
	uint64_t size;	      /* files: bytes; links: length of the target */
	int64_t mtime;
	const char *name;   /* NUL-terminated, lives as long as the view; "" for the root */
	const char *target; /* links only, as written; never followed here */
};

/* What only looks things up (view_count to view_path) may be called in any thread while a reference is held.
 * Number of entries; valid indices are below it. */
uint32_t view_count(const struct view *v);
/* 0 or -ENOENT for an index that there is not. Memory only. */
int view_entry(const struct view *v, uint32_t index, struct entry *out);
/* The child of directory (dir): 0, -ENOENT, -ENOTDIR. Memory only. */
int view_lookup(const struct view *v, uint32_t dir, const char *name, struct entry *out);
/* A slash-separated path from the root, symbolic links not followed. */
int view_path(const struct view *v, const char *path, struct entry *out);

/* Somebody has the file open: what is here of it stays until view_let. */
void view_hold(struct view *v, uint32_t index);
void view_let(struct view *v, uint32_t index);

/* An instance of it is being deployed: what the last deploy of this digest read, and is not here, is fetched at once; what
 * this one reads is remembered when view_deployed says that it (ran). */
void view_deploy(struct view *v);
void view_deployed(struct view *v, bool ran);

/* A file that lies in the cache as it is, all of it here and known to be sound: a descriptor, the caller's, for reading by
 * whoever compares nothing. Its bytes stay while the view is held. -ENOENT: there is none; -EAGAIN: after view_ready. Does
 * not wait. */
int view_whole(struct view *v, uint32_t index);
typedef void view_ready_fn(void *arg);
/* Opens the cache's files of a file that has content. */
void view_ready(struct view *v, uint32_t index, view_ready_fn *done, void *arg);
/* Somebody has read the file, perhaps all of it: then that it is sound is written down. */
void view_vouch(struct view *v, uint32_t index);

/* Bytes of a file that are here and can be read without waiting: the count (0 at the end; may be short of (len) only at
 * the end of the file), or -EAGAIN: use view_read. */
ssize_t view_read_now(struct view *v, uint32_t index, uint64_t off, void *buf, size_t len);

/* (data) is valid during the call only. */
typedef void view_read_fn(void *arg, int err, const struct why *why, const void *data, size_t len);
void view_read(struct view *v, uint32_t index, uint64_t off, size_t len, view_read_fn *done, void *arg);

typedef void cache_done_fn(void *arg, int err, const struct why *why);
/* Puts a file's whole content, verified, at dirfd/name (which must not exist): a hard link or reflink into the cache where
 * that works, else a copy; mode 0444. (dirfd) is duplicated inside. */
void view_export(struct view *v, uint32_t index, int dirfd, const char *name, cache_done_fn *done, void *arg);
/* Makes the directory dirfd/name and fills it with real, writable copies of all below entry (index): files, directories,
 * symbolic links. Owner-writable modes; times kept. Of a file: a copy, dirfd/name. */
void view_checkout(
	struct view *v, uint32_t index, int dirfd, const char *name, cache_done_fn *done, void *arg);
/* Whether the open file (fd) has the content of the view's file (index), which need not be here: 1, 0 or -errno. Any
 * thread; waits for the disk. */
int view_same(const struct view *v, uint32_t index, int fd);

#endif
