/* SPDX-License-Identifier: MIT */
/*
 * registry_http.h: questions to one server: queued, authenticated, redirected, tried again, and given up.
 *
 * Shape    at most HTTP_ACTIVE transfers of a server at a time; what somebody waits for goes before lists, and
 *          those before what is only read ahead
 * Patience a request without progress ends after FETCH_STALL_MS, pauses between tries included. When a server cannot
 *          be reached, or stalls while nothing else of it moves, all that is queued fails, and for HTTP_DOWN_MS what
 *          is asked fails at once
 * Tries    broken connections (going on where it broke), 429 and 5xx, as Retry-After says or with growing
 *          pauses, as long as the patience lasts; the same of its token service. 401 gets a grant, once or, if it
 *          worked before, once more
 * Trust    Authorization goes to the origin of the registry alone. Redirects: of GET and HEAD, five at most,
 *          never from https to http, nor from elsewhere to this machine or a private network
 * Errors   words begin with "registry WHERE: ". -EHOSTUNREACH it cannot answer now, -EACCES, -ENOENT 404,
 *          -EILSEQ an answer of the wrong length, -EOPNOTSUPP no ranges here, -EFBIG, -ECANCELED
 * Threads  the loop's
 */
#ifndef CACHE_REGISTRY_HTTP_H
#define CACHE_REGISTRY_HTTP_H

#include "cache/auth.h"
#include "cache/fetch.h"
#include "cache/fetch_url.h"

#define HTTP_ACTIVE  8u
#define HTTP_DOWN_MS 3000

struct http;

enum http_class { HTTP_NOW, HTTP_LIST, HTTP_AHEAD, HTTP_CLASSES };

struct http_answer {
	int err;
	int status; /* of the last answer; 0: there was none */
	const struct why *why;
	const struct fetch_answer *headers; /* for fetch_header; NULL if there was no answer */
	const char *url;		    /* where the answer came from */
};

typedef void http_done_fn(void *arg, const struct http_answer *a);
typedef void http_some_fn(void *arg, size_t have);

struct http_request { /* texts are copied */
	const char *method, *url;
	const char *scope;	/* NULL: the server does not ask for any */
	const char *repository; /* for credentials; may be NULL */
	const char *accept;	/* NULL: anything */
	const char *condition;	/* a whole header, as If-None-Match; NULL: none */
	enum http_class class;
	bool any_status; /* 4xx is no error: the caller looks at the status (401 without trying a login) */

	/* where the body goes: appended to (into), at most (max) bytes; or exactly [off, off + len) of a thing of
	 * (size) bytes to (to), with (some) told how much is there */
	struct buf *into;
	size_t max;
	void *to;
	uint64_t size, off;
	size_t len;
	http_some_fn *some;

	bool has_body; /* as fetch.h says; requests with a body are not tried again */
	const void *body;
	int body_fd;
	uint64_t body_off, body_len;
	const char *content_type;
	void (*sent)(void *arg, uint64_t bytes);
	unsigned stall_ms; /* 0: FETCH_STALL_MS */

	http_done_fn *done; /* once, on the loop, never before http_ask has returned; -ECANCELED by http_free */
	void *arg;
};

struct http_options { /* texts are copied */
	struct loop *loop;
	struct pool *pool;
	struct fetcher *fetcher;
	const char *ca_file, *auth_file; /* NULL: the usual */
	bool insecure;			 /* plain HTTP, also to other machines */
	bool offline;			 /* nothing is asked; all fails at once */
};

/* -EINVAL or -EPERM (plain HTTP) with words. */
int http_new(const char *where, const struct http_options *o, struct http **out, struct why *why);
/* What is under way ends with -ECANCELED before it returns, and what is asked later, at once. */
void http_stop(struct http *h);
void http_free(struct http *h); /* stops it, too */
const struct url *http_url(const struct http *h);
void http_ask(struct http *h, const struct http_request *r);
/* Why nothing is sent to (to), which the server named; NULL: it may be. */
const char *http_refuses(const struct http *h, const struct url *to);
/* The rel="next" of a Link header, absolute, of the same origin; NULL if there is none. To be freed. */
char *http_next_page(struct http *h, const struct http_answer *a);

#endif
