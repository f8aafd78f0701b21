/* SPDX-License-Identifier: MIT */
/*
 * syscalls.h: the system calls of a program in a split mode, as a table and as a picture. The deployer writes the table
 * (deploy.h).
 *
 * Threads  the loop's; the table is a small file that was written a moment ago
 */
#ifndef FS_SYSCALLS_H
#define FS_SYSCALLS_H

#include "cache/base/buf.h"

struct instance;

void syscalls_text(const struct instance *in, struct buf *out);
void syscalls_svg(const struct instance *in, struct buf *out);

#endif
