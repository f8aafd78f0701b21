/* SPDX-License-Identifier: MIT */
/*
 * fetch_url.h: addresses, taken apart and put together as curl does it.
 *
 * Shape    origin is scheme://host:port, with the port always given, so that two are equal as strings
 * Threads  any
 */
#ifndef CACHE_FETCH_URL_H
#define CACHE_FETCH_URL_H

#include "cache/base/log.h"

#include <stdbool.h>

struct url {
	char *text;   /* as curl writes it, without fragment */
	char *origin; /* scheme://host:port */
	char *host;   /* host, or host:port where that is not the scheme's own: as credential files name it */
	char *name;   /* the host alone */
	char *path;   /* begins with a slash */
	bool tls, loopback;
};

/* 0, or -EINVAL: no http or https, or there are credentials in it (which are not repeated in the words). */
int url_parse(const char *text, struct url *out, struct why *why);
/* What (reference) means in an answer that came from (base). */
int url_resolve(const char *base, const char *reference, struct url *out, struct why *why);
void url_free(struct url *u);
/* For one part of a query or path: all but letters, digits and -._~ as %XX. */
char *url_escape(const char *text);

#endif
