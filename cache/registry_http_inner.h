/* SPDX-License-Identifier: MIT */
/* registry_http_inner.h: between registry_http.c and registry_verdict.c; nobody else includes it. */
#ifndef CACHE_REGISTRY_HTTP_INNER_H
#define CACHE_REGISTRY_HTTP_INNER_H

#include "cache/registry_http.h"

#define HTTP_PAGE_MAX	(64u << 10)  /* of an answer that nobody reads */
#define HTTP_WHOLE_MAX	(256u << 10) /* a thing so small that the whole of it will do where ranges do not work */
#define HTTP_REDIRECTS	5
#define HTTP_TRIES	6

struct http_call {
	struct http_call *next;	  /* all of a server */
	struct http_call *queued; /* in a queue */
	struct http *http;
	struct http_request request;
	struct url url; /* where it is asked now */
	char *scope, *repository, *accept, *condition, *content_type;
	char *used; /* the Authorization that it was sent with */
	struct transfer *transfer;
	struct timer *timer;
	bool active, logged_in, waits_for_grant;
	unsigned tries, redirects, grants;
	size_t got, asked_at;
	uint64_t whole_at;
	uint64_t deadline_ns; /* for the next progress */
	int status, err;
	struct why why;
};

struct http_queue {
	struct http_call *first, *last;
};

struct http {
	struct url url;
	char *label; /* the address as words name it */
	struct loop *loop;
	struct fetcher *fetcher;
	struct auth *auth;
	char *ca_file;
	bool offline, insecure, stopped, pumping;
	bool no_parts; /* it was seen to ignore ranges */
	struct http_call *calls; /* each is in here until its end */
	struct http_queue queue[HTTP_CLASSES];
	unsigned active;
	uint64_t moved_ns; /* when bytes of any body came last */
	uint64_t down_until_ns;
	char trouble[WHY_MAX];
};

/* registry_http.c */
void http_finish(struct http_call *c, const struct fetch_answer *last);
/* Sets the error and its words; returns err. */
int http_fail(struct http_call *c, int err, const char *text);
void http_queue(struct http_call *c);
void http_later(struct http_call *c, uint64_t ms);
/* All that is queued fails with (why), and for (ms) what is asked. */
void http_down(struct http *h, const struct why *why, uint64_t ms);

/* registry_verdict.c */
/* What is to be done after an answer, or without one: ends the call, or has it go on. */
void http_judge(struct http_call *c, const struct fetch_answer *a);
/* 0, or -EILSEQ: not the bytes that were asked for. */
int http_check_range(struct http_call *c, const struct fetch_answer *a);
uint64_t http_patience(const struct http_call *c); /* nanoseconds */

#endif
