/* SPDX-License-Identifier: MIT */
/*
 * logs.h: the files of an instance that are logs: console and build.log (on disk, written by deployers),
 * events (here).
 */
#ifndef FS_LOGS_H
#define FS_LOGS_H

#include "fs/parked.h"

void log_attach(struct instance *in, struct handle *h);
void log_detach(struct handle *h);
void log_read(struct instance *in, struct parked *p);
unsigned log_poll(struct instance *in, struct handle *h);

#endif
