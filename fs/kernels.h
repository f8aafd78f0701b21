/* SPDX-License-Identifier: MIT */
/*
 * kernels.h: between kernels.c (names, tags) and views.c (what is below a tag).
 *
 *     kernels/<name>/<tag>      lookup ---- cache_names: is there such a tag? ---- cache_view: its tree ----
 * a view
 *
 * Numbers  a directory of names has the number of its path, a view that of (name, tag, digest), for
 *          ever: a tag that moved is another view, one that moved back is the first one again
 * Life     a view is held while the kernel remembers any of its nodes; its number outlives it
 */
#ifndef FS_KERNELS_H
#define FS_KERNELS_H

#include "fs/intern.h"
#include "fs/ops.h"

#define LOOKUP_DEADLINE_MS 5000 /* what cannot be interrupted ends (PITFALLS 2) */
#define NAMES_TTL	   1.0	/* seconds: a tag may come, move or go */

struct dir;
struct slot;

struct kernels {
	/* kernels.c */
	struct names *snapshot; /* what the directories show */
	uint64_t fresh_ns;	/* when it was current, monotonic */
	struct intern paths;	/* path below kernels/ -> number of the directory */
	struct dir *dirs;	/* by number */
	uint32_t dir_cap, round;
	char last_error[WHY_MAX]; /* so that a dead registry is one line of the log, not one a lookup */

	/* views.c */
	struct intern keys; /* "name tag digest" -> number of the view */
	struct slot *slots; /* by number */
	uint32_t slot_cap;
	uint64_t walk_until_ns; /* until then views are looked up whole, monotonic */
	char *run_text; /* what `run` is: the same for all kernels */
	size_t run_len;
};

void views_init(struct fs *fs);
void views_free(struct fs *fs);
/* Answers the lookup of a tag or "sha256:..." of the repository (name); (listed) is the digest that the names
 * say, or NULL. */
void views_lookup_tag(
	struct fs *fs, fuse_req_t req, const char *name, const char *reference, const char *listed);
/* The node that such a lookup would give, if the view is in use: true. */
bool views_node(struct fs *fs, const char *name, const char *reference, const char *listed, struct node *out);

/* The path below kernels/ that shows repository (name), to be freed; NULL for a name that no directory can have. */
char *kernels_path(const struct names *names, const char *name);

#endif
