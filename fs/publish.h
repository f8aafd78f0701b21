/* SPDX-License-Identifier: MIT */
/*
 * publish.h: the control file `publish`: what an instance is now becomes a kernel of a registry.
 *
 *     NAME:TAG [REGISTRY]      REGISTRY: an absolute path, or http(s)://...; else the first one of the mount that
 *                              can be written to, the embedded one left out
 *
 * It is a step of the instance's work, after the images are up to date: a copy of everything is made in publish/,
 * where nothing changes it any more, and a child, `diverfs publish`, packs and sends that.
 *
 * Threads  the loop's
 */
#ifndef FS_PUBLISH_H
#define FS_PUBLISH_H

#include "fs/ops.h"

struct instance;

/* Answers (req), when it is published or has failed. */
void publish_write(struct instance *in, const char *words, fuse_req_t req, size_t size);
/* Whoever wrote does not wait any more. */
void publish_given_up(struct instance *in);
/* What is under way ends soon, with -EINTR for its writer and no error for the work. */
void publish_stop(struct instance *in);
/* The work is over: what was asked for and did not begin has failed, too, or begins now. */
void publish_work_ended(struct instance *in, int err);

#endif
