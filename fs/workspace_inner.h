/* SPDX-License-Identifier: MIT */
/*
 * workspace_inner.h: what the files workspace*.c share and nobody else sees.
 *
 *     workspace.c        workspaces: made, reset, freed; their roots; counting changes
 *     workspace_inode.c  the inode table: number <-> file below
 *     workspace_job.c    one request on its way through the pool
 *     workspace_name.c   requests that name something: lookup, mkdir, rename ...
 *     workspace_attr.c   attributes
 *     workspace_open.c   opening and making files
 *     workspace_file.c   files that are open
 *     workspace_dir.c    listings
 *     workspace_lower.c  what lies over a directory of an artifact, copy on write
 *
 * Threads  the loop's, but for functions called work_*: they run in the pool and touch their job only (and
 * its workspace's dirfd, name, writable and lower, which never change). A job, and an open file, hold references on
 * what they use, so that a workspace may be freed at any moment.
 */
#ifndef FS_WORKSPACE_INNER_H
#define FS_WORKSPACE_INNER_H

#include "fs/ops.h"
#include "fs/workspace.h"

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define INODE_ROOT    1
#define INODE_UNKNOWN UINT32_MAX /* in listings: has no number yet */
#define LOWER_NONE    UINT32_MAX /* no entry of an artifact */
#define LOWER_MARK    "diverfs-entry:" /* a placeholder: a symbolic link to this and the entry's index */
#define WS_TTL	      1.0 /* seconds; the daemon resets and fills workspaces behind the kernel's back */

struct ws_inode {
	struct ws_inode *next_b, *next_id; /* chains of the table */
	uint32_t b;
	int fd; /* O_PATH; -1: a root that was not opened yet, or does not exist */
	/* What stands for entry (lower) of the artifact: while (fd_name) is negative it is as it is there and (fd)
	 * is its placeholder; then (fd) is its copy and (fd_name) the placeholder. */
	uint32_t lower;
	int fd_name;
	dev_t dev;
	ino_t ino;
	mode_t type; /* S_IFMT of the mode; of what a placeholder stands for */
	struct workspace *w;
	uint32_t parent; /* where it was last seen, to ask the kernel to forget it */
	char *name;
	struct ws_inode *older, *newer; /* all that the kernel knows, by when they were last seen */
	uint64_t nlookup;
	unsigned refs; /* of jobs and open files */
	bool stale;    /* no longer in the table: its workspace was reset or freed */
	/* What the file was when the kernel last cached it: pages are kept while it is the same. */
	bool cached;
	off_t cached_size;
	struct timespec cached_mtime, cached_ctime;
};

struct ws_table {
	struct ws_inode **by_b, **by_id;
	uint32_t buckets, count;
	uint32_t last_b; /* numbers are not used again: the kernel may still hold an old one */
};

struct workspace {
	struct workspace *next; /* in struct workspaces */
	struct fs *fs;
	uint32_t a;
	int dirfd;
	char *name;
	bool writable, removable, dead, frozen;
	bool over;	   /* an artifact, which may not be known yet: then it is frozen */
	struct view *lower; /* set once, while frozen */
	uint32_t lower_root;
	uint64_t copies;	     /* names of temporary files */
	uint64_t stalled_until_ns;   /* content.h */
	pthread_mutex_t lock;	     /* of the jobs that change names where there are placeholders */
	struct timer *thaw;			/* the latest moment for it */
	struct ws_job *waiting, **waiting_tail; /* for the thaw, oldest first */
	unsigned refs;
	struct ws_inode *root;
	struct ws_table table; /* all but the root */
	uint64_t changes;
	void (*changed)(void *arg);
	void *changed_arg;
};

/* An open file or directory: fi->fh. */
struct ws_handle {
	struct ws_handle *prev, *next; /* all that the kernel has open */
	struct workspace *w;
	struct ws_inode *in;
	unsigned refs;
	int fd;
	bool wrote;
	bool holds; /* the content of in->lower in the cache */
	pthread_mutex_t lock; /* of what follows: a directory's position, used by one job at a time */
	char *dents;
	size_t dents_len, dents_pos;
	uint64_t dents_next; /* position of the entry at dents_pos */
};

#define WS_BUCKETS 64
struct workspaces {
	struct workspace *by_a[WS_BUCKETS];
	uint32_t last_a;
	struct ws_handle *handles;
	struct ws_inode *oldest, *newest;
	/* descriptors held by inodes and open files: above (fds_many) the kernel is asked to forget old
	 * inodes */
	uint32_t fds, fds_many, fds_max;
	uint32_t fds_calm; /* so many more, then it is asked again */
};

/* --- workspace.c --- */
struct workspace *ws_find(struct fs *fs, uint32_t a);
void ws_put(struct workspace *w);
void ws_changed(struct workspace *w);
/* Counts a descriptor to be kept: 0 or -ENFILE. Some are left for the rest of the daemon. */
int ws_fd_take(struct fs *fs);
void ws_fd_drop(struct fs *fs);
/* The inode of a node; replies -ESTALE and returns NULL if it is gone. */
struct ws_inode *ws_node(struct fs *fs, fuse_req_t req, struct node n, struct workspace **w);
void ws_attr(const struct workspace *w, uint32_t b, const struct stat *st, struct attr *out);
void ws_attr_empty(const struct workspace *w, struct attr *out);

struct ws_job;
/* --- workspace_lower.c --- */
enum ws_find {
	FIND_CACHED, /* only if that needs no disk, else -EAGAIN */
	FIND_AS_IS,
	FIND_EXPAND /* a directory's placeholder becomes the directory */
};
struct ws_found { /* what a name is */
	int fd, fd_name; /* as in struct ws_inode; -1: none */
	uint32_t lower;
	struct stat st; /* as it is shown; dev and ino tell what it is */
};
#define WS_FOUND_NONE ((struct ws_found){ .fd = -1, .fd_name = -1, .lower = LOWER_NONE })
void ws_found_close(struct ws_found *f);
/* Attributes of an inode that is held: no disk. */
int ws_stat(const struct ws_inode *in, struct stat *st);
void lower_stat(const struct entry *e, struct stat *st);
/* The entry that a placeholder stands for, or LOWER_NONE: it is none. ("": dirfd itself, O_PATH.) */
uint32_t lower_of(int dirfd, const char *name);
#define LOWER_DATA_NAME 24
void lower_data_name(uint32_t index, char out[LOWER_DATA_NAME]);
/* The rest but lower_copy_up and lower_root_attr in the pool. */
int lower_make_tree(struct workspace *w);
int lower_find(struct workspace *w, int dirfd, const char *name, enum ws_find how, struct ws_found *f);
/* The entry whose last name this is, to be dropped when the name is gone. */
uint32_t lower_last_name(int dirfd, const char *name);
void lower_drop(struct workspace *w, uint32_t index);
/* Gives j->in content of its own, then goes on with the job. */
void lower_copy_up(struct ws_job *j);
void lower_root_attr(const struct workspace *w, struct attr *out);

/* --- workspace_inode.c --- */
struct ws_inode *ws_inode_new(struct workspace *w, uint32_t b, int fd);
/* The directory of a root was opened: (fd), O_PATH, is the inode's now. */
void ws_root_adopt(struct ws_inode *root, int fd);
struct ws_inode *ws_inode_get(struct workspace *w, uint32_t b);
struct ws_inode *ws_inode_by_id(struct workspace *w, dev_t dev, ino_t ino);
/* The inode of what was found, which is consumed, seen as (name) in (dir); a new number if it has
 * none. -ENFILE. */
int ws_intern(struct ws_inode *dir, const char *name, struct ws_found *f, struct ws_inode **out);
/* Lets go of a reference, or of lookups: gone when neither is left. */
void ws_inode_put(struct ws_inode *in);
void ws_inode_forget(struct ws_inode *in, uint64_t nlookup);
/* Asks the kernel to forget the files that it has not asked for in the longest time, up to (count). */
void ws_inode_shed(struct fs *fs, uint32_t count);
/* Takes all inodes out of the table; they end with their last reference. */
void ws_table_clear(struct workspace *w);

/* --- workspace_job.c --- */
struct ws_job {
	struct ws_job *next; /* that waits */
	fuse_req_t req;
	struct workspace *w;
	struct ws_inode *in, *in2; /* the file or directory; a second directory */
	struct ws_handle *h;
	struct fuse_file_info fi;
	int fd_in, fd_in2, fd_root; /* descriptors of in, in2; a root that this job opened */
	bool make_root;		    /* a root that is not there is made */
	bool changes;		    /* success is a change of the workspace */
	bool writes, empties;	    /* (in) must be one's own first; its content does not matter */
	char *name, *name2;
	int flags; /* of open, rename, setattr */
	mode_t mode;
	size_t size;
	uint64_t off;
	void *data;
	struct listing *listing;
	struct ws_dent *dents; /* workspace_dir.c */
	size_t ndents;
	/* results */
	int err;
	int fd;		       /* to read and write */
	struct ws_found found; /* what a name is */
	struct stat st;
	int (*work)(struct ws_job *j);	  /* in the pool: 0 or -errno */
	void (*finish)(struct ws_job *j); /* on the loop: replies, also if j->err */
};

struct ws_job *ws_job_new(fuse_req_t req, struct workspace *w, struct ws_inode *in);
void ws_job_second(struct ws_job *j, struct ws_inode *in2);
void ws_job_handle(struct ws_job *j, struct ws_handle *h);
void ws_job_start(struct ws_job *j, int (*work)(struct ws_job *j), void (*finish)(struct ws_job *j));
/* For lower_copy_up: to the pool; and the end, where j->err says why not. */
void ws_job_submit(struct ws_job *j);
void ws_job_done(struct ws_job *j);
/* Starts what waits for the thaw. */
void ws_jobs_thaw(struct workspace *w);
/* Replies with j->err, after counting the change if there was none. */
void ws_finish_plain(struct ws_job *j);

/* --- workspace_name.c --- */
/* What a name in a directory is: 0 or -errno. */
int ws_open_child(
	struct workspace *w, int dirfd, const char *name, enum ws_find how, struct ws_found *out);
/* An O_PATH descriptor. (cached): only if that needs no disk, else -EAGAIN. */
int ws_open_path(int dirfd, const char *path, bool cached);
/* Opens what an O_PATH descriptor stands for; never what a link points to. */
int ws_reopen(int fd_path, int flags);
/* Gives the bits back that the daemon's own umask took. */
int ws_mode_fix(int fd, mode_t mode, struct stat *st);
bool ws_name_ok(fuse_req_t req, const char *name);
void ws_lookup(struct fs *fs, fuse_req_t req, struct node dir, const char *name);
void ws_readlink(struct fs *fs, fuse_req_t req, struct node n);
void ws_mkdir(struct fs *fs, fuse_req_t req, struct node dir, const char *name, mode_t mode);
void ws_mknod(struct fs *fs, fuse_req_t req, struct node dir, const char *name, mode_t mode, dev_t rdev);
void ws_symlink(struct fs *fs, fuse_req_t req, const char *target, struct node dir, const char *name);
void ws_link(struct fs *fs, fuse_req_t req, struct node n, struct node newdir, const char *newname);
void ws_unlink(struct fs *fs, fuse_req_t req, struct node dir, const char *name);
void ws_rmdir(struct fs *fs, fuse_req_t req, struct node dir, const char *name);
void ws_rename(struct fs *fs, fuse_req_t req, struct node dir, const char *name, struct node newdir,
	const char *newname, unsigned flags);

/* --- workspace_attr.c --- */
void ws_getattr(struct fs *fs, fuse_req_t req, struct node n, struct fuse_file_info *fi);
void ws_setattr(struct fs *fs, fuse_req_t req, struct node n, const struct stat *st, int to_set,
	struct fuse_file_info *fi);

/* --- workspace_open.c --- */
void ws_open(struct fs *fs, fuse_req_t req, struct node n, struct fuse_file_info *fi);
void ws_create(struct fs *fs, fuse_req_t req, struct node dir, const char *name, mode_t mode,
	struct fuse_file_info *fi);

/* --- workspace_file.c --- */
struct ws_handle *ws_handle_new(struct workspace *w, struct ws_inode *in, int fd);
struct ws_handle *ws_handle_of(struct fuse_file_info *fi);
void ws_handle_put(struct ws_handle *h);
/* The kernel has it no longer open: out of the list, and closed in the pool once nothing uses it. */
void ws_handle_close(struct ws_handle *h);
void ws_read(
	struct fs *fs, fuse_req_t req, struct node n, size_t size, uint64_t off, struct fuse_file_info *fi);
void ws_write(struct fs *fs, fuse_req_t req, struct node n, const char *data, size_t size, uint64_t off,
	struct fuse_file_info *fi);
void ws_flush(struct fs *fs, fuse_req_t req, struct node n, struct fuse_file_info *fi);
void ws_fsync(struct fs *fs, fuse_req_t req, struct node n, int datasync, struct fuse_file_info *fi);
void ws_release(struct fs *fs, struct node n, struct fuse_file_info *fi);

/* --- workspace_dir.c --- */
void ws_opendir(struct fs *fs, fuse_req_t req, struct node n, struct fuse_file_info *fi);
void ws_readdir(struct fs *fs, fuse_req_t req, struct node n, uint64_t off, struct listing *l,
	struct fuse_file_info *fi);
void ws_releasedir(struct fs *fs, struct node n, struct fuse_file_info *fi);

#endif
