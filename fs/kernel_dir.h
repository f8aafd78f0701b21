/* SPDX-License-Identifier: MIT */
/*
 * kernel_dir.h: an instance's kernel/: the sources of the kernel that its config names, to be changed.
 *
 * Shape    <instance>/kernels/<hexadecimal digest>/, one for each kernel whose sources were looked at; changes
 *          of one are kept while another is chosen, and dropped by rm -r of kernel/ or ctl's `pristine`
 * Threads  the loop's
 */
#ifndef FS_KERNEL_DIR_H
#define FS_KERNEL_DIR_H

#include "fs/instance.h"

/* After the instance's pin or kernel became another: kernel/ is that one's now, or goes. */
void kernel_dir_set(struct instance *in);
/* Somebody looks at kernel/: after a restart its kernel is looked up now. NULL: there is no kernel/. */
struct workspace *kernel_dir_get(struct instance *in);
/* Where the changes are: 0 and a descriptor that the caller closes, the root of the sources; or -ENOENT, none. */
int kernel_dir_source(struct instance *in, int *base, uint32_t *root);
/* Drops all changes; the instance is idle. */
int kernel_dir_pristine(struct instance *in, struct why *why);
void kernel_dir_free(struct instance *in);

#endif
