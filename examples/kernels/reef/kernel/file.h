/* SPDX-License-Identifier: MIT */
/*
 * file.h: what descriptors refer to: a struct file with operations. Whoever has a new kind of file (pipe.c is the shortest)
 * fills a struct file_ops, makes files with file_new() and gives them numbers with fd_add().
 *
 * Waiting  an operation that would block tries, and when there is nothing to do calls file_wait() and tries again. It
 *          is woken by file_ready(), which whoever changes something calls; so poll, epoll and signals work for every
 *          kind of file alike. Spurious wake-ups do no harm.
 * Buffers  are the program's: copy_in() and copy_out() (syscall.h), with no spin lock held.
 * Owns     a struct file counts its users: descriptors, and operations under way. close() comes with the last.
 * Errors   bytes or another number; -errno.
 * Threads  any number at once in any operation; a kind of file has its own locks.
 */
#ifndef FILE_H
#define FILE_H

#include "syscall.h"

#define O_ACCESS    3u
#define O_RDONLY    0u
#define O_WRONLY    1u
#define O_RDWR	    2u
#define O_CREAT	    0100u
#define O_EXCL	    0200u
#define O_TRUNC	    01000u
#define O_APPEND    02000u
#define O_NONBLOCK  04000u
#define O_DIRECTORY 0200000u
#define O_NOFOLLOW  0400000u
#define O_CLOEXEC   02000000u

#define POLLIN	  0x001u
#define POLLPRI	  0x002u
#define POLLOUT	  0x004u
#define POLLERR	  0x008u
#define POLLHUP	  0x010u
#define POLLRDHUP 0x2000u

#define S_IFIFO	 0010000u
#define S_IFCHR	 0020000u
#define S_IFDIR	 0040000u
#define S_IFREG	 0100000u
#define S_IFLNK	 0120000u
#define S_IFSOCK 0140000u
#define S_IFMT	 0170000u

struct stat { /* Linux's for x86-64 */
	uint64_t dev, ino, nlink;
	uint32_t mode, uid, gid, pad0;
	uint64_t rdev;
	int64_t size, blksize, blocks;
	struct timespec accessed, modified, changed;
	int64_t unused[3];
};
_Static_assert(sizeof(struct stat) == 144, "Linux's layout");

struct file;
struct file_ops { /* NULL: -EINVAL, or what is said */
	const char *name;
	long (*read)(struct file *f, void *buf, size_t len);
	long (*write)(struct file *f, const void *buf, size_t len);
	long (*pread)(struct file *f, void *buf, size_t len, uint64_t at);	  /* NULL: -ESPIPE */
	long (*pwrite)(struct file *f, const void *buf, size_t len, uint64_t at); /* likewise */
	long (*lseek)(struct file *f, int64_t offset, int whence);		  /* likewise */
	long (*stat)(struct file *f,
		struct stat *st);	  /* (st) is the kernel's and all 0; NULL: a character device */
	unsigned (*poll)(struct file *f); /* what is true now; may sleep; NULL: POLLIN and POLLOUT */
	long (*ioctl)(struct file *f, unsigned request, uint64_t argument); /* NULL: -ENOTTY */
	long (*getdents)(struct file *f, void *buf, size_t len);	    /* NULL: -ENOTDIR */
	long (*truncate)(struct file *f, uint64_t len);
	void (*close)(struct file *f); /* frees (own) */
};

struct watch;
struct file {
	const struct file_ops *ops;
	void *own; /* the kind's */
	volatile int users;
	volatile unsigned flags; /* O_ACCESS, O_NONBLOCK, O_APPEND; fcntl changes the last two */
	uint64_t at;		 /* under (mutex), if the kind has offsets */
	struct mutex mutex;
	struct lock watch_lock;
	struct watch *watches;
};

/* One user, the caller. NULL: no memory, and (own) is still the caller's. */
struct file *file_new(const struct file_ops *ops, unsigned flags, void *own);
struct file *file_ref(struct file *f);
void file_put(struct file *f);
/* The lowest free number; takes the caller's reference over, also if it fails. (flags): O_CLOEXEC or 0. -EMFILE */
long fd_add(struct file *f, unsigned flags);
/* NULL: no such descriptor. Else file_put it. */
struct file *fd_get(uint64_t fd);
long fd_close(uint64_t fd);
void fd_close_all(bool exec); /* all, or those with O_CLOEXEC */
void fd_init(struct file *in, struct file *out, struct file *console);
#define FDS_MAX 4096u

/* 0: poll() says one of (events), POLLERR or POLLHUP. -EAGAIN: the file has O_NONBLOCK, or it is later than (until), a time of clock_ns.
 * -ERESTART: a signal came; return that (it becomes -EINTR, or the call is made again). No lock held. */
long file_wait(struct file *f, unsigned events, uint64_t until);
unsigned file_poll(struct file *f);
long file_stat(struct file *f, struct stat *st);
/* poll() may say something new. From anywhere, interrupts too, but not with one's own watch lock held. */
void file_ready(struct file *f);

/* poll.c and epoll.c wait with these. */
struct watch {
	void (*ring)(struct watch *w); /* the watch lock is held and interrupts are off */
	void (*gone)(struct
		watch *w); /* the file is about to close: unwatch; file_links is held. Not if one has a reference */
	struct file *file;
	struct watch *next, **link;
};
void file_watch(struct file *f, struct watch *w);
void file_unwatch(struct watch *w);
extern struct mutex file_links; /* before epoll.c's own */

#endif
