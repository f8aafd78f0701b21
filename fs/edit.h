/* SPDX-License-Identifier: MIT */
/*
 * edit.h: how config is written: drafts, and the scratch files of editors beside it.
 *
 * Draft    begins with the first open for writing (or a truncation) and ends with the last close; what
 *          is in force is always a text that was valid
 * Scratch  small files in memory (4913, .config.swp, sedXXXXXX): bounded in number and size, gone with
 *          the daemon. Renaming one over config is a write of all of it and a close
 * Threads  the loop's
 */
#ifndef FS_EDIT_H
#define FS_EDIT_H

#include "cache/base/buf.h"
#include "fs/ops.h"

#define SCRATCH_FILES_MAX 32u
#define SCRATCH_BYTES_MAX (1u << 20)

struct instance;

struct scratch {
	struct scratch *next;
	uint32_t id;
	char *name; /* NULL: unlinked, but open */
	struct buf data;
	uint32_t mode;
	uint64_t mtime_ns;
	unsigned opens;
};

struct draft {
	bool active;
	bool written;  /* a write was accepted */
	bool refused;  /* one was not */
	bool applied;  /* something of it is in force */
	bool checking; /* a write waits for the cache */
	bool closing;  /* the last writer went away meanwhile */
	unsigned writers;
	struct buf text;
};

struct edit {
	struct draft draft;
	struct scratch *scratch;
	uint32_t next_id;
	unsigned nscratch;
	pid_t hidden_from; /* who unlinked config or renamed it away finds it absent, until it is made anew */
};

int edit_open(struct instance *in, bool truncate);
void edit_close(struct instance *in);
const struct buf *edit_text(const struct instance *in); /* what a read of config gives now */
void edit_write(struct instance *in, fuse_req_t req, const char *data, size_t size, uint64_t off);
int edit_truncate(struct instance *in, uint64_t size);
/* (from) is renamed to config: a write of all of it and a close. Answers (req) with reply_err. */
void edit_replace(struct instance *in, fuse_req_t req, const struct scratch *from);

struct scratch *scratch_find(struct instance *in, const char *name);
struct scratch *scratch_by_id(struct instance *in, uint32_t id);
int scratch_create(struct instance *in, const char *name, uint32_t mode, struct scratch **out);
/* Takes the name away; the file goes with its last close. */
void scratch_unlink(struct instance *in, struct scratch *s);
void scratch_close(struct instance *in, struct scratch *s);
int scratch_write(struct scratch *s, const char *data, size_t size, uint64_t off);
int scratch_truncate(struct scratch *s, uint64_t size);
void edit_free(struct instance *in);

#endif
