/* SPDX-License-Identifier: MIT */
/*
 * auth.h: how a registry is convinced: Basic, or a Bearer token from a token service.
 *
 * Shape    a grant is an Authorization header for a scope ("repository:NAME:pull"), kept until it expires or
 *          is refused. Those who want the same grant at the same time share one question for it
 * Threads  the loop's; credential files and helpers are read in the pool
 * Trust    credentials go to the registry's own origin, and to its token service if that is on the same site
 *          (same host, or same last two labels); else the service is asked without them. Nothing secret goes
 *          over plain HTTP, but to loopback or where that was allowed, and none of it into a log or an error
 * Errors   -EACCES with words that say what to do; -EHOSTUNREACH the token service cannot answer now, and for some
 *          seconds it is not asked; -ECONNRESET it failed in a way that another try may mend
 * Source   docker distribution, token authentication; RFC 9110 section 11; FORMATS.md 2.3
 */
#ifndef CACHE_AUTH_H
#define CACHE_AUTH_H

#include "cache/fetch.h"
#include "cache/fetch_url.h"

struct auth;

struct auth_place { /* texts are copied */
	struct loop *loop;
	struct pool *pool;
	struct fetcher *fetcher;
	const struct url *url;
	const char *ca_file;   /* NULL: the system's */
	const char *auth_file; /* NULL: the usual files */
	bool insecure;	       /* secrets may go over plain HTTP */
};

struct auth *auth_new(const struct auth_place *p);
/* Whoever waits hears nothing any more. */
void auth_free(struct auth *a);

/* "Authorization: ...", to be freed; NULL: none is known to be needed. */
char *auth_header(struct auth *a, const char *scope);

/* How long the token service wants to be left alone; 0: it did not say. */
uint64_t auth_pause_ms(const struct auth *a);

typedef void auth_done_fn(void *arg, int err, const struct why *why);
/* (answer) was 401 to a request of (repository, NULL for none) sent with (used), NULL for no header. After 0 the
 * request may be sent again. (arg) is called later, or never after auth_forget. */
void auth_challenged(struct auth *a, const char *scope, const char *repository, const char *used,
	const struct fetch_answer *answer, auth_done_fn *done, void *arg);
/* Whoever waits with (arg) does not want to hear of it any more. */
void auth_forget(struct auth *a, void *arg);

/* --- auth_challenge.c ------------------------------------------------------------------------- */

struct challenge {
	enum { CHALLENGE_NONE, CHALLENGE_BASIC, CHALLENGE_BEARER } kind;
	char *realm, *service, *scope; /* NULL where there is none */
};
/* The best one of all in the answer. */
void challenge_read(struct challenge *c, const struct fetch_answer *answer);
void challenge_free(struct challenge *c);

/* --- auth_files.c ----------------------------------------------------------------------------- */

struct credentials {
	char *user, *password;
	char *identity;	   /* a refresh token instead; NULL if none */
	char *source;	   /* the file, for words */
	bool of_namespace; /* they are for a part of the registry's repositories */
};
/* For host[:port] and maybe a repository: 0 (all NULL if there are none), or -errno with words. Waits: for the disk
 * and for a credential helper, which has 10 seconds. Any thread. */
int credentials_find(const char *file, const char *host, const char *repository, struct credentials *out,
	struct why *why);
void credentials_free(struct credentials *c);

#endif
