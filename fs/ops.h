/* SPDX-License-Identifier: MIT */
/*
 * ops.h: between libfuse and the classes of nodes.
 *
 * ops.c decodes a request, finds the class of its node and calls the class's function, which must see to it
 * that exactly one reply_* is called for (req): at once, or later from the loop (parked). Members that are
 * NULL give a sensible errno. Only reply.c calls libfuse's fuse_reply_*.
 *
 * Permissions are the kernel's work (default_permissions): modes and owners in the attributes must be true.
 *
 * Errors   reply_err takes 0 or a negative errno
 * Owns     data given to reply_* is copied or sent before it returns
 */
#ifndef FS_OPS_H
#define FS_OPS_H

#include "fs/fs.h"
#include "fs/tree.h"

#include <sys/stat.h>

typedef struct fuse_req *fuse_req_t;
struct fuse_file_info;
struct fuse_pollhandle;
struct listing;

/* A node as the kernel is told of it. */
struct attr {
	struct node node;
	uint32_t mode; /* with S_IFMT */
	uint32_t nlink;
	uint64_t size;
	struct timespec mtime, ctime, atime; /* ctime and atime 0: as mtime */
	uint64_t blocks;		     /* 512 bytes each; 0: from size */
	uint32_t blksize; /* what cat and cp should read at once (a stream is faster with 1 MiB); 0: 4096 */
	double entry_ttl, attr_ttl; /* seconds; TTL_EVER for what never changes */
};
#define TTL_EVER 1e9

struct node_ops {
	void (*lookup)(struct fs *fs, fuse_req_t req, struct node dir, const char *name);
	/* (fi) may be NULL */
	void (*getattr)(struct fs *fs, fuse_req_t req, struct node n, struct fuse_file_info *fi);
	/* (to_set): FUSE_SET_ATTR_*; (fi) may be NULL */
	void (*setattr)(struct fs *fs, fuse_req_t req, struct node n, const struct stat *st, int to_set,
		struct fuse_file_info *fi);
	void (*readlink)(struct fs *fs, fuse_req_t req, struct node n);
	/* Set fi->fh and flags, then reply_open. Without an open function every open succeeds (keep_cache).
	 */
	void (*open)(struct fs *fs, fuse_req_t req, struct node n, struct fuse_file_info *fi);
	void (*read)(struct fs *fs, fuse_req_t req, struct node n, size_t size, uint64_t off,
		struct fuse_file_info *fi);
	void (*write)(struct fs *fs, fuse_req_t req, struct node n, const char *data, size_t size,
		uint64_t off, struct fuse_file_info *fi);
	void (*flush)(struct fs *fs, fuse_req_t req, struct node n, struct fuse_file_info *fi);
	void (*fsync)(struct fs *fs, fuse_req_t req, struct node n, int datasync, struct fuse_file_info *fi);
	/* Always replies 0 itself after this returns: no reply from the class. */
	void (*release)(struct fs *fs, struct node n, struct fuse_file_info *fi);
	/* (ph) is NULL or owned by the class from now on: notify with ops_poll_notify. */
	void (*poll)(struct fs *fs, fuse_req_t req, struct node n, struct fuse_pollhandle *ph,
		struct fuse_file_info *fi);
	void (*opendir)(struct fs *fs, fuse_req_t req, struct node n, struct fuse_file_info *fi);
	/* Adds entries from position (off) on with listing_add until it says no, then reply_listing. "." and
	 * ".." too. */
	void (*readdir)(struct fs *fs, fuse_req_t req, struct node n, uint64_t off, struct listing *l,
		struct fuse_file_info *fi);
	void (*releasedir)(struct fs *fs, struct node n, struct fuse_file_info *fi);
	void (*mkdir)(struct fs *fs, fuse_req_t req, struct node dir, const char *name, mode_t mode);
	void (*rmdir)(struct fs *fs, fuse_req_t req, struct node dir, const char *name);
	void (*unlink)(struct fs *fs, fuse_req_t req, struct node dir, const char *name);
	/* Both directories are of this class, (flags) as renameat2. */
	void (*rename)(struct fs *fs, fuse_req_t req, struct node dir, const char *name, struct node newdir,
		const char *newname, unsigned flags);
	void (*create)(struct fs *fs, fuse_req_t req, struct node dir, const char *name, mode_t mode,
		struct fuse_file_info *fi);
	void (*symlink)(struct fs *fs, fuse_req_t req, const char *target, struct node dir, const char *name);
	void (*link)(struct fs *fs, fuse_req_t req, struct node n, struct node newdir, const char *newname);
	void (*mknod)(
		struct fs *fs, fuse_req_t req, struct node dir, const char *name, mode_t mode, dev_t rdev);
	/* The kernel forgets (n) (nlookup) times; may be NULL. No reply. */
	void (*forget)(struct fs *fs, struct node n, uint64_t nlookup);
};

extern const struct node_ops fixed_ops, names_ops, view_ops, run_ops, src_ops, cache_ops, search_ops;

void reply_err(fuse_req_t req, int err);
void reply_entry(fuse_req_t req, const struct attr *a);
/* The name does not exist; the kernel may remember that for (ttl) seconds. */
void reply_absent(fuse_req_t req, double ttl);
void reply_attr(fuse_req_t req, const struct attr *a);
/* If the open was interrupted meanwhile the class's release is called. FLUSH is not asked for of classes
 * without it. */
void reply_open(fuse_req_t req, struct node n, struct fuse_file_info *fi);
/* As reply_open; the kernel reads from the file that it knows as (id) (through.h). */
void reply_open_through(fuse_req_t req, struct node n, struct fuse_file_info *fi, int id);
/* As reply_open, for an opendir that is answered later (at once, reply_open will do). */
void reply_opendir(fuse_req_t req, struct node n, struct fuse_file_info *fi);
void reply_create(fuse_req_t req, const struct attr *a, struct fuse_file_info *fi);
void reply_data(fuse_req_t req, const void *data, size_t size);
void reply_written(fuse_req_t req, size_t size);
void reply_link(fuse_req_t req, const char *target);
void reply_poll(fuse_req_t req, unsigned revents);

/* One entry with its attributes (used by readdirplus; plain readdir takes node and mode). With nlink 0
 * readdirplus, too, takes node and mode only: the kernel will look the name up when it wants to know. (next)
 * is the position after it. False: it did not fit, stop. Counts as a lookup of the node when it is told to
 * the kernel with attributes: true is put into (*plus) then (may be NULL). */
bool listing_add(struct listing *l, const char *name, const struct attr *a, uint64_t next, bool *plus);
/* Bytes that are left (an entry takes about 24 + name, with attributes 152 + name), and whether the kernel
 * wants attributes: who has to go to the disk for them does so only then. */
size_t listing_room(const struct listing *l, bool *plus);
void reply_listing(fuse_req_t req, struct listing *l);
/* For readdirs that answer later: keeps (l) until reply_listing or reply_err + listing_free. */
struct listing *listing_keep(struct listing *l);
void listing_free(struct listing *l);

/* Somebody who polls is woken; the handle is destroyed. */
void ops_poll_notify(struct fuse_pollhandle *ph);
void ops_poll_destroy(struct fuse_pollhandle *ph);

/* The caller of a request. */
pid_t req_pid(fuse_req_t req);
uid_t req_uid(fuse_req_t req);

/* Calls (fn) on the loop, perhaps before this returns, when the kernel says the caller was interrupted. Call
 * it last, when the request can already be found and answered (PITFALLS 4, PERF.md E). */
void req_on_interrupt(fuse_req_t req, void (*fn)(fuse_req_t req, void *arg), void *arg);
/* True if the caller has a pending INT, TERM, HUP, QUIT or KILL, or is gone: then a deploy or build is
 * cancelled. Other signals (a background job that ended) do not count: look again on a timer. */
bool req_wants_cancel(fuse_req_t req);

/* cachedir.c: the directory itself, for who lists the root. */
void cachedir_attr(struct fs *fs, struct attr *a);

/* search.c: likewise. */
void search_attr(struct fs *fs, struct attr *a);

/* Drops what the kernel remembers, from a helper thread, so that the loop never waits for it (PITFALLS 3). */
void ops_forget_entry(struct fs *fs, struct node dir, const char *name);
void ops_forget_attr(struct fs *fs, struct node n);

/* Gives the kernel the content of (n), from its beginning. It waits for reads of (n) that are under way, which only the
 * loop can answer: so never for a node that may be open (PITFALLS 3). */
void ops_store(struct fs *fs, struct node n, char *data, size_t size);

/* The session is made, mounted and watched by the loop; fs->own_dev is known then. */
struct fuse_args;
int ops_mount(struct fs *fs, struct fuse_args *args, struct why *why);
/* Takes the mount out of the tree of names, in the pool; open files go on being served. (done) comes on the
 * loop. */
void ops_unmount(struct fs *fs, void (*done)(void *arg), void *arg);
/* Ends the connection: unmounts what is still mounted, fails what was not answered. */
void ops_free(struct fs *fs);

/* Between ops.c and session.c: the table for fuse_session_new. */
struct fuse_lowlevel_ops;
extern const struct fuse_lowlevel_ops ops_table;

#endif
