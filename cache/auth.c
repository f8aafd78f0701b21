/* SPDX-License-Identifier: MIT */
/* auth.c: from a challenge to a grant. */
#include "cache/auth.h"

#include "cache/base/io.h"
#include "cache/json.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_REPLY  (1u << 20)
#define MAX_GRANTS 4096u
#define PAUSE_MAX_MS 60000u
#define DOWN_MS	     3000u /* a service that does not answer is not asked */
#define ANY	   "*" /* the scope of a password that is good for all of the registry */

struct waiting {
	struct waiting *next;
	auth_done_fn *done;
	void *arg;
};

struct grant {
	struct grant *next;
	char *scope, *repository;
	char *header;	     /* NULL: not there yet, or refused */
	uint64_t expires_ns; /* 0: never */
	struct auth *auth;
	bool asking;
	struct waiting *waiting;
	struct challenge challenge;
	struct credentials credentials;
	struct transfer *transfer;
	struct buf reply;
	char *form;
	int err;
	struct why why;
};

struct auth {
	struct auth_place place; /* its texts are copies: a job may outlive the registry */
	struct url url;
	struct grant *grants;
	unsigned count, jobs;
	bool freed;
	uint64_t again_ns; /* the token service is not asked before that */
	struct why trouble;
};

struct auth *auth_new(const struct auth_place *p)
{
	struct auth *a = xcalloc(1, sizeof(*a));
	a->place = *p;
	url_parse(p->url->text, &a->url, NULL);
	a->place.url = &a->url;
	a->place.ca_file = p->ca_file ? xstrdup(p->ca_file) : NULL;
	a->place.auth_file = p->auth_file ? xstrdup(p->auth_file) : NULL;
	return a;
}

/* --- grants ------------------------------------------------------------------------------------ */

static void forget_header(struct grant *g)
{
	if (g->header)
		explicit_bzero(g->header, strlen(g->header));
	free(g->header);
	g->header = NULL;
}

static void end_question(struct grant *g)
{
	challenge_free(&g->challenge);
	credentials_free(&g->credentials);
	if (g->reply.data)
		explicit_bzero(g->reply.data, g->reply.len);
	buf_free(&g->reply);
	if (g->form)
		explicit_bzero(g->form, strlen(g->form));
	free(g->form);
	g->form = NULL;
}

static void grant_free(struct grant *g)
{
	forget_header(g);
	end_question(g);
	free(g->scope);
	free(g->repository);
	free(g);
}

static struct grant *grant_find(const struct auth *a, const char *scope)
{
	struct grant *g = a->grants;
	while (g && strcmp(g->scope, scope) != 0)
		g = g->next;
	return g;
}

/* Scopes are as many as repositories: the oldest that nobody waits for goes. */
static void make_room(struct auth *a)
{
	struct grant **last = NULL;
	if (a->count < MAX_GRANTS)
		return;
	for (struct grant **at = &a->grants; *at; at = &(*at)->next)
		if (!(*at)->asking)
			last = at;
	if (last) {
		struct grant *g = *last;
		*last = g->next;
		grant_free(g);
		a->count--;
	}
}

static struct grant *grant_for(struct auth *a, const char *scope, const char *repository)
{
	struct grant *g = grant_find(a, scope);
	if (g)
		return g;
	make_room(a);
	g = xcalloc(1, sizeof(*g));
	g->auth = a;
	g->scope = xstrdup(scope);
	g->repository = repository ? xstrdup(repository) : NULL;
	g->next = a->grants;
	a->grants = g;
	a->count++;
	return g;
}

static const char *header_now(struct auth *a, const char *scope)
{
	struct grant *g = grant_find(a, scope);
	if (g && g->header && (!g->expires_ns || clock_mono_ns() < g->expires_ns))
		return g->header;
	g = grant_find(a, ANY);
	return g ? g->header : NULL;
}

char *auth_header(struct auth *a, const char *scope)
{
	const char *h = header_now(a, scope);
	return h ? xstrdup(h) : NULL;
}

static void answer(struct grant *g)
{
	struct waiting *w = g->waiting;
	struct why why = g->why;
	int err = g->err;
	g->waiting = NULL;
	g->asking = false;
	end_question(g);
	while (w) {
		struct waiting *next = w->next;
		w->done(w->arg, err, &why);
		free(w);
		w = next;
	}
}

static void fail(struct grant *g, int err, const char *text)
{
	g->err = why_fail(&g->why, err, "%s", text);
	answer(g);
}

/* --- Basic ------------------------------------------------------------------------------------- */

static char *basic_value(const char *user, const char *password)
{
	autofree char *pair = xasprintf("%s:%s", user, password);
	size_t len = strlen(pair);
	autofree char *coded = xcalloc(1, (len + 2) / 3 * 4 + 1);
	EVP_EncodeBlock((unsigned char *)coded, (const unsigned char *)pair, (int)len);
	char *out = xasprintf("Authorization: Basic %s", coded);
	explicit_bzero(pair, len);
	explicit_bzero(coded, strlen(coded));
	return out;
}

static bool may_tell(const struct auth *a, const struct url *to)
{
	return to->tls || to->loopback || a->place.insecure;
}

static void no_login(struct grant *g, const char *what)
{
	g->err = why_fail(&g->why, -EACCES, "%s, and there are no credentials for it; try: skopeo login %s",
		what, g->auth->place.url->host);
	answer(g);
}

static void grant_basic(struct grant *g)
{
	struct auth *a = g->auth;
	if (!g->credentials.user) {
		no_login(g, "it wants a name and a password");
		return;
	}
	if (!may_tell(a, a->place.url)) {
		fail(g, -EACCES,
			"it wants a password over plain HTTP, where everybody can read it; use https, or "
			"allow it with -o insecure");
		return;
	}
	struct grant *to = g->credentials.of_namespace ? g : grant_for(a, ANY, NULL);
	forget_header(to);
	to->header = basic_value(g->credentials.user, g->credentials.password);
	to->expires_ns = 0;
	g->err = 0;
	answer(g);
}

/* --- Bearer ------------------------------------------------------------------------------------ */

static const char *last_labels(const char *name)
{
	const char *end = name + strlen(name);
	int dots = 0;
	while (end > name && (end[-1] != '.' || ++dots < 2))
		end--;
	return end;
}

static bool is_address(const char *name)
{
	return name[0] == '[' || strspn(name, "0123456789.") == strlen(name);
}

static bool same_site(const struct url *a, const struct url *b)
{
	if (!strcmp(a->name, b->name))
		return true;
	if (is_address(a->name) || is_address(b->name) || !strchr(a->name, '.') || !strchr(b->name, '.'))
		return false;
	return !strcmp(last_labels(a->name), last_labels(b->name));
}

static int take_reply(void *arg, const struct fetch_answer *a, const void *data, size_t len)
{
	struct grant *g = arg;
	(void)a;
	buf_append(&g->reply, data, len);
	return 0;
}

static bool good_token(const char *t)
{
	for (const char *s = t; *s; s++)
		if (*s <= ' ' || *s > '~')
			return false;
	return *t != 0;
}

static void read_token(struct grant *g)
{
	autojson json_t *doc = NULL;
	const char *token = NULL;
	uint64_t seconds = 60;
	if (strict_load(g->reply.data ? g->reply.data : "", g->reply.len, "answer", &doc, NULL) == 0) {
		strict_text(doc, "access_token", OPTIONAL, &token, NULL);
		strict_text(doc, "token", OPTIONAL, &token, NULL);
		strict_number(doc, "expires_in", OPTIONAL, 1u << 30, &seconds, NULL);
	}
	if (!token || !good_token(token)) {
		fail(g, -EACCES, "its token service answered something that is no token");
		return;
	}
	forget_header(g);
	g->header = xasprintf("Authorization: Bearer %s", token);
	g->expires_ns = clock_mono_ns() + (seconds ? seconds : 60) * UINT64_C(800000000);
	g->err = 0;
	answer(g);
}

uint64_t auth_pause_ms(const struct auth *a)
{
	uint64_t now = clock_mono_ns();
	return now < a->again_ns ? (a->again_ns - now) / 1000000 + 1 : 0;
}

/* For (ms) nobody asks it; all that need a token hear the same. */
static void leave_alone(struct grant *g, uint64_t ms)
{
	ms = ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS;
	g->auth->again_ns = clock_mono_ns() + ms * 1000000;
	g->auth->trouble = g->why;
}

static void service_failed(struct grant *g, const struct fetch_answer *a)
{
	int64_t asked = a->err ? 0 : fetch_retry_after_ms(a);
	if (a->err == -EFBIG)
		g->err = why_fail(&g->why, -EACCES, "its token service: %s", a->why.text);
	else if (a->err)
		g->err = why_fail(&g->why, a->err == -ECONNRESET ? a->err : -EHOSTUNREACH,
			"its token service: %s", a->why.text);
	else if (asked > 0)
		g->err = why_fail(&g->why, -ECONNRESET,
			"its token service answered %d and wants to be asked again in %lld s", a->status,
			(long long)(asked + 999) / 1000);
	else
		g->err = why_fail(&g->why, -ECONNRESET, "its token service answered %d", a->status);
	if (g->err == -EHOSTUNREACH)
		leave_alone(g, DOWN_MS);
	else if (asked > 0)
		leave_alone(g, (uint64_t)asked);
	answer(g);
}

static void token_came(void *arg, const struct fetch_answer *a)
{
	struct grant *g = arg;
	bool had = g->credentials.user || g->credentials.identity;
	g->transfer = NULL;
	if (a->err || a->status >= 500 || a->status == 429) {
		service_failed(g, a);
	} else if (a->status == 200) {
		read_token(g);
	} else if ((a->status == 401 || a->status == 403) && had) {
		g->err = why_fail(&g->why, -EACCES,
			"its token service refuses the credentials in %s; try: skopeo login %s",
			g->credentials.source, g->auth->place.url->host);
		answer(g);
	} else if (a->status == 401 || a->status == 403) {
		no_login(g, "its token service gives nothing to strangers");
	} else {
		g->err = why_fail(&g->why, -EACCES, "its token service answered %d", a->status);
		answer(g);
	}
}

static void put_scopes(struct buf *out, const char *scopes)
{
	for (const char *s = scopes; *s;) {
		size_t n = strcspn(s, " ");
		autofree char *one = xstrndup(s, n);
		autofree char *escaped = url_escape(one);
		if (n)
			buf_printf(out, "&scope=%s", escaped);
		s += n + (s[n] == ' ');
	}
}

static void put_query(const struct grant *g, struct buf *out)
{
	autofree char *service = url_escape(g->challenge.service ? g->challenge.service : "");
	buf_printf(out, "service=%s", service);
	put_scopes(out, g->challenge.scope ? g->challenge.scope : g->scope);
}

static void ask_token(struct grant *g, const struct url *realm)
{
	struct auth *a = g->auth;
	autobuf struct buf url = { 0 }, query = { 0 };
	autofree char *basic =
		g->credentials.user ? basic_value(g->credentials.user, g->credentials.password) : NULL;
	const char *headers[] = { "Accept: application/json",
		g->credentials.identity ? "Content-Type: application/x-www-form-urlencoded" : basic, NULL };
	struct fetch_request r = { .method = "GET",
		.headers = headers,
		.ca_file = a->place.ca_file,
		.max = MAX_REPLY,
		.data = take_reply,
		.done = token_came,
		.arg = g };
	put_query(g, &query);
	buf_printf(&url, "%s", realm->text);
	if (g->credentials.identity) {
		autofree char *token = url_escape(g->credentials.identity);
		g->form = xasprintf(
			"grant_type=refresh_token&client_id=diverfs&%s&refresh_token=%s", query.data, token);
		r.method = "POST";
		r.has_body = true;
		r.body = g->form;
		r.body_len = strlen(g->form);
	} else {
		buf_printf(&url, "%c%s", strchr(realm->text, '?') ? '&' : '?', query.data);
		if (g->credentials.user) {
			autofree char *account = url_escape(g->credentials.user);
			buf_printf(&url, "&account=%s", account);
		}
	}
	r.url = url.data;
	g->transfer = fetch_start(a->place.fetcher, &r);
	if (basic)
		explicit_bzero(basic, strlen(basic));
}

static void grant_bearer(struct grant *g)
{
	const struct auth *a = g->auth;
	struct url realm;
	struct why why = { 0 };
	if (url_parse(g->challenge.realm, &realm, &why) < 0) {
		fail(g, -EACCES, "the address of its token service cannot be used");
		return;
	}
	if (auth_pause_ms(a) > 0) {
		url_free(&realm);
		g->why = a->trouble;
		g->err = a->trouble.err;
		answer(g);
		return;
	}
	bool secret = g->credentials.user || g->credentials.identity;
	if ((a->place.url->tls && !realm.tls) || (realm.loopback && !a->place.url->loopback)) {
		url_free(&realm);
		fail(g, -EACCES, "its token service is at an address that is less safe than its own");
		return;
	}
	if (secret && (!same_site(a->place.url, &realm) || !may_tell(a, &realm))) {
		log_warn("registry %s: its token service %s gets no credentials: it is %s",
			a->place.url->host, realm.host,
			may_tell(a, &realm) ? "elsewhere" : "not reached by https");
		credentials_free(&g->credentials);
	}
	ask_token(g, &realm);
	url_free(&realm);
}

/* --- credentials ------------------------------------------------------------------------------- */

static void look_up(void *arg)
{
	struct grant *g = arg;
	const struct auth_place *p = &g->auth->place;
	why_clear(&g->why);
	g->err = credentials_find(p->auth_file, p->url->host, g->repository, &g->credentials, &g->why);
}

static void auth_end(struct auth *a)
{
	while (a->grants) {
		struct grant *g = a->grants;
		a->grants = g->next;
		grant_free(g);
	}
	url_free(&a->url);
	free((char *)a->place.ca_file);
	free((char *)a->place.auth_file);
	free(a);
}

static void looked_up(void *arg)
{
	struct grant *g = arg;
	struct auth *a = g->auth;
	a->jobs--;
	if (a->freed) {
		if (!a->jobs)
			auth_end(a);
		return;
	}
	if (g->err) {
		g->err = g->why.err = -EACCES;
		answer(g);
	} else if (g->challenge.kind == CHALLENGE_BASIC) {
		grant_basic(g);
	} else {
		grant_bearer(g);
	}
}

/* --- the face ---------------------------------------------------------------------------------- */

static void nothing_known(void *arg)
{
	struct grant *g = arg;
	struct auth *a = g->auth;
	a->jobs--;
	if (!a->freed)
		fail(g, -EACCES, "it answered 401 without saying what it wants");
	else if (!a->jobs)
		auth_end(a);
}

static void answer_later(void *arg)
{
	struct grant *g = arg;
	struct auth *a = g->auth;
	a->jobs--;
	g->err = 0;
	if (!a->freed)
		answer(g);
	else if (!a->jobs)
		auth_end(a);
}

static void question(struct grant *g, const char *used, const struct fetch_answer *a)
{
	struct auth *auth = g->auth;
	const char *now = header_now(auth, g->scope);
	g->asking = true;
	auth->jobs++;
	if (now && (!used || strcmp(now, used) != 0)) { /* it was renewed meanwhile */
		loop_defer(auth->place.loop, answer_later, g);
		return;
	}
	if (now) { /* refused */
		struct grant *any = grant_find(auth, ANY);
		forget_header(g);
		if (any)
			forget_header(any);
	}
	challenge_read(&g->challenge, a);
	if (g->challenge.kind == CHALLENGE_NONE) {
		loop_defer(auth->place.loop, nothing_known, g);
		return;
	}
	g->err = why_fail(&g->why, -ECANCELED, "the end came first");
	pool_submit(auth->place.pool, look_up, looked_up, g);
}

void auth_challenged(struct auth *a, const char *scope, const char *repository, const char *used,
	const struct fetch_answer *answered, auth_done_fn *done, void *arg)
{
	struct grant *g = grant_for(a, scope, repository);
	struct waiting *w = xmalloc(sizeof(*w));
	*w = (struct waiting){ g->waiting, done, arg };
	g->waiting = w;
	if (!g->asking)
		question(g, used, answered);
}

void auth_forget(struct auth *a, void *arg)
{
	for (struct grant *g = a->grants; g; g = g->next) {
		for (struct waiting **at = &g->waiting; *at;) {
			struct waiting *w = *at;
			if (w->arg == arg) {
				*at = w->next;
				free(w);
			} else {
				at = &w->next;
			}
		}
	}
}

void auth_free(struct auth *a)
{
	if (!a)
		return;
	a->freed = true;
	for (struct grant *g = a->grants; g; g = g->next) {
		if (g->transfer)
			fetch_cancel(g->transfer);
		g->transfer = NULL;
		while (g->waiting) {
			struct waiting *w = g->waiting;
			g->waiting = w->next;
			free(w);
		}
	}
	if (!a->jobs)
		auth_end(a);
}
