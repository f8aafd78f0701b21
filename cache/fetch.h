/* SPDX-License-Identifier: MIT */
/*
 * fetch.h: transfers over HTTP, driven by the loop. fetch*.c alone include curl.
 *
 * Shape    a fetcher has the connections, which are kept open and used again; a transfer is one request and
 *          its answer. Redirects, authentication and retries are registry_http.c's
 * Threads  one: that of the loop it was made with. No call waits
 * Ends     done is called once, on the loop, never before fetch_start has returned, unless fetch_cancel was
 *          faster. A transfer that moves nothing for stall_ms (or less than a trickle) ends by itself
 * Errors   -errno and words in (why): -EHOSTUNREACH no connection (name, refused, TLS), -ETIMEDOUT stalled,
 *          -ECONNRESET it broke off, -EFBIG more than (max) came, or what data returned. An answer with any
 *          status is not an error here
 * Trust    TLS is verified (system's authorities, or ca_file), 1.2 at least; only http and https are spoken.
 *          Proxies are those of the environment (http_proxy, https_proxy, no_proxy), but none to loopback.
 *          Words of errors never hold headers or the query part of an URL
 * Source   RFC 9110; libcurl's multi_socket interface
 */
#ifndef CACHE_FETCH_H
#define CACHE_FETCH_H

#include "cache/base/buf.h"
#include "cache/base/log.h"
#include "cache/base/loop.h"

#include <stdbool.h>
#include <stdint.h>

#define FETCH_STALL_MS 4500 /* the file system answers after 5 s; the reason should be there before that */

struct fetcher;
struct transfer;

struct fetch_answer {
	int err;    /* 0: an answer came, whatever its status */
	int status; /* 0 before it came */
	struct why why;
	struct buf headers; /* "name: value\n" each, the names in lower case */
	uint64_t body_len;  /* that has come */
};

/* Parts of the body, in order. A return below 0 ends the transfer with that error. */
typedef int fetch_data_fn(void *arg, const struct fetch_answer *a, const void *data, size_t len);
typedef void fetch_done_fn(void *arg, const struct fetch_answer *a);

struct fetch_request { /* all is copied but body and body_fd, which must stay until done */
	const char *method, *url;
	const char *const *headers; /* NULL-terminated "Name: value"; NULL: none */
	const char *ca_file;	    /* NULL: the system's */
	bool has_body;		    /* of body_len bytes: at (body), or from body_fd at body_off */
	const void *body;
	int body_fd;
	uint64_t body_off, body_len;
	uint64_t max;	   /* bytes of answer that may come */
	unsigned stall_ms; /* 0: FETCH_STALL_MS */
	fetch_data_fn *data; /* NULL: the body is dropped */
	void (*sent)(void *arg, uint64_t bytes); /* of the request's body; may be NULL */
	fetch_done_fn *done;
	void *arg;
};

struct fetcher *fetcher_new(struct loop *l);
/* All transfers must have ended or been cancelled. */
void fetcher_free(struct fetcher *f); /* NULL is fine */
/* Bytes of bodies that came, all transfers together. */
uint64_t fetcher_bytes(const struct fetcher *f);

struct transfer *fetch_start(struct fetcher *f, const struct fetch_request *r);
/* Ends it without calling done. Not from within data. */
void fetch_cancel(struct transfer *t);

/* The (nth) header of that name (lower case), as a copy; NULL if there is none. */
char *fetch_header(const struct fetch_answer *a, const char *name, unsigned nth);
/* What Retry-After says, seconds or a date; -1: nothing, or what cannot be read. */
int64_t fetch_retry_after_ms(const struct fetch_answer *a);

#endif
