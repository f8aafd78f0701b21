/* SPDX-License-Identifier: MIT */
/*
 * fs.h: the one context of the file server.
 *
 * Made in main, given to libfuse as userdata, handed to every function. All of it belongs to the
 * loop's thread, so there is no lock anywhere in fs/; what runs in the pool gets copies or fds.
 *
 * Rooms    main.c       the order of beginning and end, signals; options.c the command line; mountpoint.c
 *                       where it is mounted and its state; start.h is between these three
 *          ops.c        libfuse's operation table; reply.c the only place that replies to the kernel
 *          caller.c     who is behind a request, and whether he still wants it
 *          session.c    the mount itself: its descriptor, what the kernel is told to forget
 *          tree.c       node numbers and classes; knows nothing of libfuse
 *          registries.c which registries, and the configuration file
 *          root.c       /, README, modes, status, log             (class FIXED)
 *          kernels.c    kernels/: names and tags                  (class NAMES)
 *          views.c      below a tag: entries, run, cached         (class VIEW)
 *          cachedir.c   cache/: numbers, and ctl                   (class CACHE)
 *          content.c    a read of an artifact's file, which may have to wait for the registry
 *          through.c    images that the kernel reads by itself, from the cache
 *          search.c     search/: words become links               (class SEARCH)
 *          run.c        all instances: found again when a daemon begins, stopped when it ends
 *          instance.c   what an instance is, its states; texts.c what its small files say
 *          config.c     the text of config, checked; chosen.c its kernel, looked up; edit.c how it is written
 *          work.c       what moves an instance on: images.c template and images, build.c builds, fingerprint.c;
 *                       publish.c what it is now, as a kernel of a registry
 *          machine.c    one launch of it; ending.c how it ended
 *          launch.c     deployers: starting, following, finding again; modes.c which there are
 *          files.c      run/ and the files of an instance, names.c their names, pending.c commands that wait (class RUN)
 *          stream.c     what parks: logs.c console, events, build.log; pipes.c stdin and stdout
 *          workspace.c  src/ (writable) and images/: real directories shown; kernel/, over the registry's
 *                       sources (class SRC); kernel_dir.c whose they are, difference.c what was changed
 *          client/      diverfs-run, the program behind kernels/NAME/TAG/run
 */
#ifndef FS_FS_H
#define FS_FS_H

#include "cache/base/buf.h"
#include "cache/base/log.h"
#include "cache/base/loop.h"
#include "cache/cache.h"
#include "fs/registries.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cachedir;
struct kernels;
struct run;
struct searches;
struct through;
struct workspaces;
struct fuse_session;

struct fs_options {	   /* set once in main, strings live for ever */
	char *mountpoint;  /* absolute */
	struct registry_choices registries; /* in order; at least one */
	char *ca_file, *auth_file;	    /* for all of them; NULL: the usual */
	bool offline, insecure;
	unsigned fresh_s; /* 0: as the cache wants */
	char *cache_dir;
	char *state_dir;     /* of this mount point */
	char *libexec_dir;   /* diverfs-run, diverfs-fullvm, diverfs-build, probe.elf */
	char *qemu, *bwrap;  /* programs; may be set to test what happens without */
	char **verify_keys;  /* NULL-terminated, or NULL */
	char *sign_key;	     /* private: signs what instances publish; or NULL */
	uint64_t quota;	     /* bytes of the cache; 0: a share of the disk */
	uint64_t memory_max; /* bytes that all running instances may have together */
	uint32_t instances_max;
	bool keep; /* a clean unmount leaves running instances running */
	bool allow_other;
	bool foreground; /* the log goes to stderr */
	bool debug;
};

struct fs {
	struct fs_options opt;
	uid_t uid; /* the mount's owner: every node belongs to him */
	gid_t gid;
	int64_t mounted_at; /* seconds since 1970: times of virtual files */
	int state_fd;	    /* state_dir of this mount point, locked */
	dev_t own_dev;	    /* st_dev of the mount: paths on it are refused (PITFALLS 11) */
	struct loop *loop;
	struct pool *pool;
	struct cache *cache;
	struct fuse_session *session;
	struct session *mount;	       /* session.c */
	bool reads_through;	       /* the kernel does, and we may tell it to */
	struct through *through;       /* through.c */
	bool stopping;		       /* fs_shutdown was called: nothing new begins */
	struct kernels *kernels;       /* kernels.c */
	struct cachedir *cachedir;     /* cachedir.c */
	struct searches *searches;     /* search.c */
	struct run *run;	       /* instance.c */
	struct workspaces *workspaces; /* workspace.c */
};

/* Ends the daemon: takes the mount away (who has files open there is still answered), stops instances, leaves
 * the loop. More calls than one are fine. */
void fs_shutdown(struct fs *fs);

/* Each room's beginning and end, called by main in this order (and in reverse). */
int kernels_init(struct fs *fs, struct why *why);
void kernels_free(struct fs *fs);
void cachedir_init(struct fs *fs);
void cachedir_stop(struct fs *fs); /* commands that are under way end */
void cachedir_free(struct fs *fs);
void searches_init(struct fs *fs);
void searches_free(struct fs *fs);
int workspaces_init(struct fs *fs, struct why *why);
void workspaces_free(struct fs *fs);
int run_init(struct fs *fs, struct why *why); /* finds instances of an earlier daemon again */
/* Stops (or, with opt.keep, lets go of) what runs, then calls (done) on the loop. */
void run_stop(struct fs *fs, void (*done)(void *arg), void *arg);
void run_free(struct fs *fs);

/* What root.c's files show of other rooms. */
void run_modes_wait(struct fs *fs, void (*known)(void *arg), void *arg); /* seconds at most; then run_modes */
void run_modes(struct fs *fs, struct buf *out);	 /* `modes`: a line a mode */
void run_status(struct fs *fs, struct buf *out); /* `status`: instances, memory used and free */

#endif
