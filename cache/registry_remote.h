/* SPDX-License-Identifier: MIT */
/* registry_remote.h: what the kinds of servers share; for registry_remote.c, _oci.c and _static.c. */
#ifndef CACHE_REGISTRY_REMOTE_H
#define CACHE_REGISTRY_REMOTE_H

#include "cache/registry.h"
#include "cache/registry_http.h"

#define MANIFEST_TYPES                                                                                       \
	"application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, "              \
	"application/vnd.docker.distribution.manifest.v2+json, "                                             \
	"application/vnd.docker.distribution.manifest.list.v2+json"

struct remote {
	struct registry base;
	struct loop *loop;
	struct pool *pool;
	struct http *http;
	char **names;	 /* NULL-terminated; NULL: the catalog is asked */
	char *root;	 /* scheme://host:port */
	char *path;	 /* of the address, without a slash at its end: "" or "/a/b" */
	bool closing;
	unsigned jobs;	 /* in the pool; the last frees it */
	bool static_login; /* /v2/ wants a login: so it may be a registry after all */

	struct remote_question *waiting; /* until the kind is known */
	bool probing;

	struct names *listing;	 /* static: what index.json said */
	char *condition;	 /* static: a header, so that an unchanged index.json is not sent again */
};

extern const struct registry_ops oci_ops, static_ops;

/* What is at (url), as (p) says. */
void remote_get_part(struct remote *r, const char *url, const char *scope, const char *accept,
	const struct registry_part *p, registry_done_fn *done, void *arg);
/* For .stop and .close of each kind. */
void remote_stop(struct registry *base);
void remote_close(struct registry *base);
/* Frees it if it was closed and no job holds it. */
void remote_unref(struct remote *r);

#endif
