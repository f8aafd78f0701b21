/* SPDX-License-Identifier: MIT */
/*
 * names.h: snapshots of names; what one registry lists, and what all do.
 *
 * Shape    immutable once made, sorted by name, then tag; the references are atomic
 * Owns     the texts belong to the snapshot
 * Threads  any
 */
#ifndef CACHE_NAMES_H
#define CACHE_NAMES_H

#include "cache/cache.h"
#include "cache/digest.h"

struct names_draft {
	struct name *list;
	uint32_t count, cap;
};

/* Names and tags that fail the grammar are not added: returns false. ("<unnamed>" is the one exception.)
 * (digest) is "" where the registry tells it only when it is asked for the tag. */
bool names_add(
	struct names_draft *d, const char *name, const char *tag, const char *registry, const char *digest);
/* Of the same name and tag the one that was added last stays. (d) is empty afterwards. */
struct names *names_finish(struct names_draft *d);
void names_drop(struct names_draft *d);
/* Of (list), in order: a name belongs to the first that has it, with all its tags. NULL elements are passed
 * over; (missing) says whose they are, or is NULL. What cosign keeps beside kernels is left out, and that for which
 * (shows), which may be NULL, says no. */
typedef bool names_shows_fn(void *arg, uint32_t place, const struct names *list, const struct name *n);
struct names *names_merge(
	struct names *const *list, uint32_t count, const char *missing, names_shows_fn *shows, void *arg);
/* How many are kernels. */
uint32_t names_shown(const struct names *n);
bool names_equal(const struct names *a, const struct names *b);

/* NULL if there is none. A NULL tag: any of that name. */
const struct name *names_find(const struct names *n, const char *name, const char *tag);

#define UNNAMED "<unnamed>"

#endif
