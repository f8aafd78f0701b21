/* SPDX-License-Identifier: MIT */
/* registry_verdict.c: what an answer of a server means, and what is done about it. */
#include "cache/registry_http_inner.h"

#include "cache/base/io.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define PAUSE_MAX_MS 60000

uint64_t http_patience(const struct http_call *c)
{
	return UINT64_C(1000000) * (c->request.stall_ms ? c->request.stall_ms : FETCH_STALL_MS);
}

/* --- no answer --------------------------------------------------------------------------------- */

static uint64_t left_ms(const struct http_call *c)
{
	uint64_t now = clock_mono_ns();
	return now < c->deadline_ns ? (c->deadline_ns - now) / 1000000 : 0;
}

/* 100, 200, 400 ... ms, with a half to that much by chance, so that those who failed together do not come back so. */
static uint64_t pause_ms(const struct http_call *c)
{
	uint64_t base = UINT64_C(100) << (c->tries < 6 ? c->tries : 6);
	uint16_t chance = 0;
	if (getrandom(&chance, sizeof(chance), 0) < 0)
		chance = 0;
	return base / 2 + base * chance / 65536;
}

static bool try_again(struct http_call *c, uint64_t ms)
{
	if (c->request.has_body || c->tries >= HTTP_TRIES || ms >= left_ms(c))
		return false;
	c->tries++;
	if (c->request.into && !c->request.to)
		buf_clear(c->request.into);
	http_later(c, ms);
	return true;
}

/* One request may stall because of what it asks for; if nothing else moves either, it is the server. */
static bool is_dead(const struct http_call *c, int err)
{
	const struct http *h = c->http;
	uint64_t quiet = clock_mono_ns() - h->moved_ns;
	return err == -EHOSTUNREACH || !h->moved_ns || quiet > http_patience(c);
}

static void no_answer(struct http_call *c, const struct fetch_answer *a)
{
	if (a->err == -ECONNRESET && try_again(c, c->got > c->asked_at ? 0 : pause_ms(c)))
		return;
	if (a->err == -EOPNOTSUPP)
		http_fail(c, -EOPNOTSUPP, "it does not serve parts of files");
	else if (a->err == -EFBIG)
		http_fail(c, c->request.to ? -EILSEQ : -EFBIG, "it sends more than it may");
	else if (a->err == -EILSEQ) /* the words are there */
		c->err = a->err;
	else
		http_fail(c, -EHOSTUNREACH, a->why.text);
	if ((a->err == -EHOSTUNREACH || a->err == -ETIMEDOUT) &&
		!strcmp(c->url.origin, c->http->url.origin) && is_dead(c, a->err))
		http_down(c->http, &c->why, HTTP_DOWN_MS);
	http_finish(c, NULL);
}

/* --- redirects --------------------------------------------------------------------------------- */

static bool is_private_v4(uint32_t a)
{
	return a >> 24 == 10 || a >> 24 == 127 || a >> 24 == 0 || a >> 20 == 0xac1 || a >> 16 == 0xc0a8 ||
	       a >> 16 == 0xa9fe;
}

static bool is_private(const struct url *u)
{
	struct in_addr v4;
	struct in6_addr v6;
	if (u->loopback)
		return true;
	if (inet_pton(AF_INET, u->name, &v4) == 1)
		return is_private_v4(ntohl(v4.s_addr));
	if (u->name[0] != '[')
		return false;
	autofree char *bare = xstrndup(u->name + 1, strcspn(u->name + 1, "]"));
	if (inet_pton(AF_INET6, bare, &v6) != 1)
		return true;
	return (v6.s6_addr[0] & 0xfe) == 0xfc || (v6.s6_addr[0] == 0xfe && (v6.s6_addr[1] & 0xc0) == 0x80) ||
	       IN6_IS_ADDR_V4MAPPED(&v6);
}

const char *http_refuses(const struct http *h, const struct url *to)
{
	if (h->url.tls && !to->tls)
		return "from https to plain http, which is refused";
	if (!to->tls && !to->loopback && !h->insecure)
		return "to plain http on another machine, which is refused";
	if (is_private(to) && !is_private(&h->url))
		return "to this machine or a private network, which is refused";
	return NULL;
}

static void redirect(struct http_call *c, const struct fetch_answer *a)
{
	struct url to;
	autofree char *location = fetch_header(a, "location", 0);
	bool reads = !strcmp(c->request.method, "GET") || !strcmp(c->request.method, "HEAD");
	if (!location || !reads || url_resolve(c->url.text, location, &to, NULL) < 0) {
		http_fail(c, -EHOSTUNREACH, "it redirects to where nobody can follow");
		http_finish(c, a);
		return;
	}
	const char *refused = c->redirects >= HTTP_REDIRECTS ? "in circles" : http_refuses(c->http, &to);
	if (refused) {
		autofree char *text = xasprintf("it redirects %s", refused);
		url_free(&to);
		http_fail(c, -EHOSTUNREACH, text);
		http_finish(c, a);
		return;
	}
	url_free(&c->url);
	c->url = to;
	c->redirects++;
	http_queue(c);
}

/* --- 401 --------------------------------------------------------------------------------------- */

static void granted(void *arg, int err, const struct why *why)
{
	struct http_call *c = arg;
	c->waits_for_grant = false;
	if (!err) {
		c->deadline_ns = clock_mono_ns() + http_patience(c);
		http_queue(c);
		return;
	}
	if (err == -ECONNRESET) { /* the token service failed: as if that had been the answer */
		uint64_t asked = auth_pause_ms(c->http->auth);
		c->grants--;
		if (try_again(c, asked ? asked : pause_ms(c)))
			return;
		err = -EHOSTUNREACH;
	}
	http_fail(c, err, why->text);
	http_finish(c, NULL);
}

static void unauthorized(struct http_call *c, const struct fetch_answer *a)
{
	struct http *h = c->http;
	/* a first login, and one renewal of a grant that expired under way */
	if (c->grants < 2 && !strcmp(c->url.origin, h->url.origin)) {
		c->grants++;
		c->waits_for_grant = true;
		if (!c->scope)
			c->scope = xstrdup("");
		auth_challenged(h->auth, c->scope, c->repository, c->used, a, granted, c);
		return;
	}
	autofree char *text = xasprintf("it refuses access%s%s (401)", c->repository ? " to " : "",
		c->repository ? c->repository : "");
	http_fail(c, -EACCES, text);
	http_finish(c, a);
}

/* --- statuses ---------------------------------------------------------------------------------- */

static void busy(struct http_call *c, const struct fetch_answer *a)
{
	int64_t asked = fetch_retry_after_ms(a);
	uint64_t ms = asked >= 0 ? (uint64_t)asked : pause_ms(c);
	if (try_again(c, ms))
		return;
	autofree char *text = asked > 0 ? xasprintf("it answered %d and wants to be asked again in %lld s",
						  a->status, (long long)(asked + 999) / 1000)
					: xasprintf("it answered %d", a->status);
	http_fail(c, -EHOSTUNREACH, text);
	if (asked > 0 && (a->status == 429 || a->status == 503))
		http_down(c->http, &c->why, ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS);
	http_finish(c, a);
}

static void refused(struct http_call *c, const struct fetch_answer *a)
{
	int err = a->status == 404 || a->status == 410	 ? -ENOENT
		  : a->status == 403 || a->status == 405 ? -EACCES
		  : a->status == 416			 ? -EILSEQ
							 : -EHOSTUNREACH;
	autofree char *text = xasprintf("it answered %d to %s %s", a->status, c->request.method, c->url.path);
	http_fail(c, err, text);
	http_finish(c, a);
}

int http_check_range(struct http_call *c, const struct fetch_answer *a)
{
	const struct http_request *r = &c->request;
	unsigned long long from, to, size;
	autofree char *text = fetch_header(a, "content-range", 0);
	int n = text ? sscanf(text, "bytes %llu-%llu/%llu", &from, &to, &size) : 0;
	if (n == 3 && from == r->off + c->asked_at && to < r->off + r->len && size == r->size)
		return 0;
	return http_fail(c, -EILSEQ,
		n == 3 && size != r->size ? "a blob has not the size that its descriptor says"
					  : "it sent other bytes than were asked for");
}

/* The body has ended as HTTP says; is it what was asked for? */
static void check_end(struct http_call *c, const struct fetch_answer *a)
{
	const struct http_request *r = &c->request;
	autofree char *coding = fetch_header(a, "content-encoding", 0);
	if (coding && strcmp(coding, "identity") != 0 && *coding)
		http_fail(c, -EILSEQ, "it sends content in an encoding that was not asked for");
	else if (r->to && a->status == 206 && c->got < r->len && c->got > c->asked_at && try_again(c, 0))
		return; /* a short part is allowed: the rest */
	else if (r->to && a->status != 206 && c->whole_at != r->size)
		http_fail(c, -EILSEQ, "a blob has not the size that its descriptor says");
	else if (r->to && c->got < r->len)
		http_fail(c, -EILSEQ, "a blob ends too early");
	else
		c->err = 0;
	http_finish(c, a);
}

void http_judge(struct http_call *c, const struct fetch_answer *a)
{
	if (a->err)
		no_answer(c, a);
	else if (a->status / 100 == 2)
		check_end(c, a);
	else if (a->status == 304)
		http_finish(c, a);
	else if (a->status / 100 == 3)
		redirect(c, a);
	else if (c->request.any_status && a->status < 500 && a->status != 429)
		http_finish(c, a);
	else if (a->status == 401)
		unauthorized(c, a);
	else if (a->status == 429 || a->status >= 500)
		busy(c, a);
	else
		refused(c, a);
}
