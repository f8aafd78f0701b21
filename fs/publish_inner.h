/* SPDX-License-Identifier: MIT */
/*
 * publish_inner.h: between publish.c (the steps) and publish_copy.c (what lies in publish/, made in the pool).
 */
#ifndef FS_PUBLISH_INNER_H
#define FS_PUBLISH_INNER_H

#include "fs/work_inner.h"

#define CONF_OF_KERNEL "kernel.conf.was"

struct publishing {
	struct instance *in;
	char *name, *tag;
	char *where; /* NULL: not chosen yet */
	bool late;   /* asked for while a machine was being launched */
	bool under_way, stopped;
	unsigned next; /* of what is copied from the kernel */
	struct chosen *kernel;
	char *build;		/* in place of the kernel's; NULL: that */
	bool changed, with_src; /* kernel/; src/ becomes the template */
	bool *can;		/* for each registry of the mount: it may be the default */
	int dirfd;		/* publish/ */
	int fd;			/* what the child reports */
	struct watch *out, *child;
	struct buf text;
	char digest[DIGEST_TEXT_LEN + 1];
	int err;
	struct why why;
};

/* Jobs: make publish/ and find the registry; bring together what is to be published. */
void publish_clear(struct work_job *j);
void publish_assemble(struct work_job *j);

#endif
