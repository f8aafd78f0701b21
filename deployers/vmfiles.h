/* SPDX-License-Identifier: MIT */
/*
 * vmfiles.h: what a QEMU that is no longer root may open.
 */
#ifndef DEPLOYERS_VMFILES_H
#define DEPLOYERS_VMFILES_H

#include "cache/base/log.h"

/* A private copy in memory of the open file (fd): its path need not be reachable for the user that QEMU runs as. An fd
 * or -errno; (path) is for the words. */
int vm_copy_file(int fd, const char *path, struct why *why);

/* For child.prepare, as root: QEMU will be nobody, and /dev/kvm may be root's alone. So it gets a node of its own,
 * seen by no other process. */
int vm_own_kvm(void *arg);

#endif
