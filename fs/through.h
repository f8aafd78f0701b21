/* SPDX-License-Identifier: MIT */
/*
 * through.h: images that the kernel reads by itself, from the cache's own file, where it can and we may tell it to (Linux
 * 6.9, root). An image that is whole and known to be sound costs one request to open and none to read, and is in memory
 * once. All else is read by requests, as ever.
 *
 * The kernel wants all that have a file open at one time to read it in one way, so opens are counted from the answer to
 * the release.
 *
 * Threads  the loop's
 */
#ifndef FS_THROUGH_H
#define FS_THROUGH_H

#include "fs/ops.h"

struct through; /* an image that is open */

/* Makes of the answer to the kernel's first request (request) one that asks for it, if the kernel has offered it; true if
 * it did. (answer) is what libfuse wrote. */
bool through_offer(const void *request, size_t request_len, void *answer, size_t len);

/* Answers the open of (n), entry (index) of (v), which the caller holds (view_hold) until its release: true. False: it is
 * not for this room; nothing was done. */
bool through_open(struct fs *fs, fuse_req_t req, struct node n, struct view *v, struct fuse_file_info *fi);
/* Every release of an entry of (v). */
void through_release(struct fs *fs, struct node n, struct view *v);
void through_free(struct fs *fs);

#endif
