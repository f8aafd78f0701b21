/* SPDX-License-Identifier: MIT */
/*
 * io.h: file descriptors, whole files, directories.
 *
 * Errors   0, a count, an fd or -errno; EINTR is handled inside, and the calls that promise a whole
 *          result wait for an fd that is non-blocking
 * Owns     an fd that is returned belongs to the caller and is close-on-exec
 * Paths    relative to (dirfd); AT_FDCWD for the working directory
 */
#ifndef BASE_IO_H
#define BASE_IO_H

#include "cache/base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Reads until (len) bytes or the end; returns the count. */
ssize_t io_read_full(int fd, void *buf, size_t len);
ssize_t io_pread_full(int fd, void *buf, size_t len, uint64_t off);
int io_write_full(int fd, const void *buf, size_t len);
int io_pwrite_full(int fd, const void *buf, size_t len, uint64_t off);

/* Appends the whole file to (out); -EFBIG if it is larger than (max). */
int io_read_file(int dirfd, const char *path, size_t max, struct buf *out);
int io_read_fd(int fd, size_t max, struct buf *out);
/* Replaces the file in one step (temporary, fsync if (durable), rename): readers see old or new. */
int io_write_file(int dirfd, const char *path, const void *data, size_t len, mode_t mode, bool durable);
/* Copies the rest of (from) to (to) inside the kernel where possible; returns the count. */
int64_t io_copy(int from, int to);

/* mkdir -p; 0 also if it is there. */
int io_mkdirs(int dirfd, const char *path, mode_t mode);
/* rm -rf, without following symbolic links or leaving the file system; 0 if nothing is there.
 * Directories without write permission are made writable first. */
int io_remove_tree(int dirfd, const char *path);
/* cp -a of regular files, directories and symbolic links; other kinds and set-id bits are left out. What
 * is in the way of a file is replaced; a directory that is there is filled. At most 128 levels: -ELOOP. */
int io_copy_tree(int from_dirfd, const char *from, int to_dirfd, const char *to);

int io_set_nonblock(int fd, bool on);
/* A connected stream pair, close-on-exec. */
int io_socketpair(int pair[2]);
/* Unix stream sockets at a path of any length (sun_path holds 107 bytes: the name must be short,
 * the directory is passed as an fd). Mode 0600; a socket whose listener has died is replaced.
 * connect never waits: -EAGAIN if the listener's queue is full. */
int io_unix_listen(int dirfd, const char *name);
int io_unix_connect(int dirfd, const char *name);
/* The process at the other end, by SO_PEERCRED. */
int io_unix_peer(int sock, pid_t *pid, uid_t *uid);

/* `autoclose int fd = open(...);` closes on leaving the scope; io_steal(&fd) keeps it. */
void cleanup_close(int *fd);
#define autoclose __attribute__((cleanup(cleanup_close)))
int io_steal(int *fd);

/* A positive-only monotonic clock in nanoseconds, and seconds since 1970 in nanoseconds. */
uint64_t clock_mono_ns(void);
uint64_t clock_real_ns(void);

#endif
