/* SPDX-License-Identifier: MIT */
/*
 * vmfiles.h: a QEMU that is no longer root, and what it may open.
 */
#ifndef DEPLOYERS_VMFILES_H
#define DEPLOYERS_VMFILES_H

#include "deployers/arguments.h"

#include "cache/base/log.h"

#include <stdbool.h>
#include <sys/types.h>

/* A private copy in memory of the open file (fd): its path need not be reachable for the user that QEMU runs as. An fd
 * or -errno; (path) is for the words. */
int vm_copy_file(int fd, const char *path, struct why *why);

/* Starts QEMU, tied to our life. It has those of (fds) that are not -1, and says what it has to say into (words).
 * With (kvm) it can use that, also as nobody. Its id or -errno. */
pid_t vm_spawn(const struct arguments *a, const int *fds, size_t count, int words, bool kvm, struct why *why);

#endif
