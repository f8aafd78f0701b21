/* SPDX-License-Identifier: MIT */
/*
 * texts.h: what the small files of an instance say.
 */
#ifndef FS_TEXTS_H
#define FS_TEXTS_H

#include "fs/instance.h"

/* Appends the text of (file): config, deploy, ctl, state, status, error, timeline. */
void text_of(struct instance *in, enum run_file file, struct buf *out);

#endif
