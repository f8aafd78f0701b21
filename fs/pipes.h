/* SPDX-License-Identifier: MIT */
/*
 * pipes.h: stdin and stdout of an instance: queues between files and the deployer's numbered bytes
 * (deploy.h).
 *
 * stdin   a write is answered when the machine has taken all of it, so what was answered cannot be lost
 * stdout  bytes are acknowledged to the deployer when a reader has got them; while nobody has it open the
 * deployer copies them to the console, and here the last of them are kept for a reader who comes late
 */
#ifndef FS_PIPES_H
#define FS_PIPES_H

#include "fs/parked.h"

void stdin_write(
	struct instance *in, struct handle *h, fuse_req_t req, const char *data, size_t size, int flags);
void stdin_pump(struct instance *in);
void stdin_last_writer_gone(struct instance *in);
unsigned stdin_poll(struct instance *in);
void console_type(struct instance *in, fuse_req_t req, const char *data, size_t size);

int stdout_open(struct instance *in, struct handle *h);
void stdout_release(struct instance *in, struct handle *h);
void stdout_read(struct instance *in, struct parked *p);
unsigned stdout_poll(struct instance *in);

#endif
