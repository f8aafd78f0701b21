/* SPDX-License-Identifier: MIT */
/*
 * publish_push.h: an artifact of a layout goes to a registry over the network.
 *
 * Order    blobs that the registry has not, then the manifest under its tag: who reads meanwhile sees the old
 *          kernel or the new one. What an interrupted push has sent is not sent again
 * Threads  any; waits for the network, on a loop of its own
 * Errors   as registry_http.h's; -EPERM: what is there cannot be written to
 */
#ifndef CACHE_PUBLISH_PUSH_H
#define CACHE_PUBLISH_PUSH_H

#include "cache/base/buf.h"
#include "cache/publish.h"

#include <stdbool.h>

struct push_to {
	const char *url;
	const char *ca_file, *auth_file; /* NULL: the usual */
	bool insecure;
};

/* As publish_directory, to a registry. What is made before it is sent lies in $TMPDIR or /var/tmp, and goes away
 * also if the process is killed. Not in a program with threads. */
int publish_to_registry(const char *dir, const struct push_to *to, const char *reference,
	const char *sign_key, publish_progress_fn *progress, void *arg, char *digest, struct why *why);

struct push_item {
	char *digest, *tag; /* of a manifest in the layout */
};

/* The manifest that is under (name):(tag) now; -ENOENT: none. */
int publish_pull(const struct push_to *to, const char *name, const char *tag, size_t max, struct buf *out,
	struct why *why);

/* From a layout: each manifest, in order, becomes (name):its tag. */
int publish_push(const char *layout, const struct push_to *to, const char *name, const struct push_item *items,
	size_t count, publish_progress_fn *progress, void *arg, struct why *why);

#endif
