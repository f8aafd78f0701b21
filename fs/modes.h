/* SPDX-License-Identifier: MIT */
/*
 * modes.h: which modes there are, by which program, and whether they work here. What works is found out by
 * really booting a small kernel (PROGRAM --probe), in the background, and kept in the state directory as long
 * as the running kernel, this boot and QEMU are the same.
 *
 * Threads  the loop's
 */
#ifndef FS_MODES_H
#define FS_MODES_H

#include "cache/kernel.h"
#include "fs/fs.h"

struct modes;

struct modes *modes_new(struct fs *fs);
void modes_free(struct modes *m);
/* As far as is known: modes_wait for each mode, then modes_look, which looks for the kernels that modes want. */
void modes_text(struct modes *m, struct buf *out);
void modes_look(struct modes *m, void (*done)(void *arg), void *arg);

const char *mode_program(int mode);
/* Calls (fn) when it is known whether (mode) works, never before modes_wait has returned. */
void modes_wait(struct modes *m, int mode, void (*fn)(void *arg), void *arg);
/* After modes_wait: 0 and the accelerator for "auto", "kvm" or "tcg", or -EOPNOTSUPP in words. */
int modes_accel(struct modes *m, int mode, const char *wanted, const char **accel, struct why *why);

#endif
