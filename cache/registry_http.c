/* SPDX-License-Identifier: MIT */
/* registry_http.c: the queue, and the steps of one request. What an answer means is registry_verdict.c's. */
#include "cache/registry_http_inner.h"

#include "cache/base/io.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void pump(struct http *h);

/* --- the end of a request ---------------------------------------------------------------------- */

static void call_done(struct http_call *c, const struct fetch_answer *last)
{
	struct http_answer a = {
		.err = c->err, .status = c->status, .why = &c->why, .headers = last, .url = c->url.text
	};
	c->request.done(c->request.arg, &a);
	url_free(&c->url);
	free(c->scope);
	free(c->repository);
	free(c->accept);
	free(c->condition);
	free(c->content_type);
	free(c->used);
	free((char *)c->request.method);
	free(c);
}

static void take_out(struct http_call **list, struct http_call *c)
{
	while (*list != c)
		list = &(*list)->next;
	*list = c->next;
}

/* The transfer is over; the call goes on, or ends. */
static void leave_active(struct http_call *c)
{
	if (!c->active)
		return;
	c->active = false;
	c->http->active--;
}

void http_finish(struct http_call *c, const struct fetch_answer *last)
{
	struct http *h = c->http;
	leave_active(c);
	timer_cancel(c->timer);
	take_out(&h->calls, c);
	call_done(c, last);
	if (!h->stopped)
		pump(h);
}

int http_fail(struct http_call *c, int err, const char *text)
{
	c->err = why_fail(&c->why, err, "registry %s: %s", c->http->label, text);
	return err;
}

/* --- one transfer ------------------------------------------------------------------------------ */

static bool is_range(const struct http_call *c)
{
	return c->request.to != NULL;
}

static bool whole(const struct http_request *r)
{
	return r->off == 0 && r->len == r->size;
}

/* A server that ignores ranges: what comes before is dropped where that is cheap. */
static int take_whole(struct http_call *c, const char *data, size_t len)
{
	const struct http_request *r = &c->request;
	uint64_t at = c->whole_at, wanted = r->off + c->got, skip = at < wanted ? wanted - at : 0;
	c->whole_at += len;
	if (r->size > HTTP_WHOLE_MAX && !whole(r)) {
		c->http->no_parts = true;
		return -EOPNOTSUPP;
	}
	if (c->whole_at > r->size)
		return -EFBIG;
	if (skip >= len || c->got == r->len)
		return 0;
	size_t n = len - (size_t)skip, room = r->len - c->got;
	n = n < room ? n : room;
	memcpy((char *)r->to + c->got, data + skip, n);
	c->got += n;
	return 0;
}

static int take_part(struct http_call *c, const char *data, size_t len)
{
	const struct http_request *r = &c->request;
	if (len > r->len - c->got)
		return -EFBIG;
	memcpy((char *)r->to + c->got, data, len);
	c->got += len;
	return 0;
}

static int on_data(void *arg, const struct fetch_answer *a, const void *data, size_t len)
{
	struct http_call *c = arg;
	struct http_request *r = &c->request;
	int err = 0;
	if (a->status / 100 != 2) /* an error page: of no interest */
		return a->body_len > HTTP_PAGE_MAX ? -EFBIG : 0;
	c->http->moved_ns = clock_mono_ns();
	c->deadline_ns = c->http->moved_ns + http_patience(c);
	if (!is_range(c)) {
		if (r->into && len > r->max - r->into->len)
			return -EFBIG;
		if (r->into)
			buf_append(r->into, data, len);
		c->got += len;
		return 0;
	}
	if (a->status == 206 && c->got == c->asked_at && (err = http_check_range(c, a)) < 0)
		return err;
	err = a->status == 206 ? take_part(c, data, len) : take_whole(c, data, len);
	if (!err && r->some)
		r->some(r->arg, c->got);
	return err;
}

static void on_answer(void *arg, const struct fetch_answer *a)
{
	struct http_call *c = arg;
	c->transfer = NULL;
	leave_active(c);
	c->status = a->status;
	http_judge(c, a);
}

static void on_sent(void *arg, uint64_t bytes)
{
	struct http_call *c = arg;
	c->request.sent(c->request.arg, bytes);
}

static void start(struct http_call *c)
{
	struct http *h = c->http;
	const struct http_request *r = &c->request;
	const char *headers[8] = { NULL };
	char range[64];
	size_t n = 0;
	autofree char *accept = c->accept ? xasprintf("Accept: %s", c->accept) : NULL;
	autofree char *type = c->content_type ? xasprintf("Content-Type: %s", c->content_type) : NULL;
	if (accept)
		headers[n++] = accept;
	if (type)
		headers[n++] = type;
	if (c->condition)
		headers[n++] = c->condition;
	if (c->used)
		headers[n++] = c->used;
	if (is_range(c) && (!whole(r) || c->got > 0)) {
		snprintf(range, sizeof(range), "Range: bytes=%llu-%llu",
			(unsigned long long)(r->off + c->got), (unsigned long long)(r->off + r->len - 1));
		headers[n++] = range;
	}
	c->asked_at = c->got;
	c->whole_at = 0;
	if (!c->tries)
		c->deadline_ns = clock_mono_ns() + http_patience(c);
	uint64_t max = is_range(c) ? (r->size > r->len ? r->size : r->len) : r->into ? r->max : HTTP_PAGE_MAX;
	struct fetch_request f = { .method = r->method,
		.url = c->url.text,
		.headers = headers,
		.ca_file = h->ca_file,
		.has_body = r->has_body,
		.body = r->body,
		.body_fd = r->body_fd,
		.body_off = r->body_off,
		.body_len = r->body_len,
		.max = max > HTTP_PAGE_MAX ? max : HTTP_PAGE_MAX,
		.stall_ms = r->stall_ms,
		.data = on_data,
		.sent = r->sent ? on_sent : NULL,
		.done = on_answer,
		.arg = c };
	c->active = true;
	h->active++;
	c->transfer = fetch_start(h->fetcher, &f);
}

/* Nothing secret leaves the origin, and a grant may have come or gone since the last try. */
static void prepare(struct http_call *c)
{
	free(c->used);
	c->used = NULL;
	if (!strcmp(c->url.origin, c->http->url.origin) && c->scope)
		c->used = auth_header(c->http->auth, c->scope);
}

/* --- the queue --------------------------------------------------------------------------------- */

/* Lists and read-ahead leave room for somebody who waits. */
static unsigned room_for(enum http_class class)
{
	return class == HTTP_NOW ? HTTP_ACTIVE : class == HTTP_LIST ? HTTP_ACTIVE - 2 : HTTP_ACTIVE - 4;
}

static struct http_call *next_call(struct http *h)
{
	for (unsigned class = 0; class < HTTP_CLASSES; class ++) {
		struct http_call *c = h->queue[class].first;
		if (c && h->active < room_for((enum http_class) class)) {
			h->queue[class].first = c->queued;
			if (!c->queued)
				h->queue[class].last = NULL;
			return c;
		}
	}
	return NULL;
}

void http_queue(struct http_call *c)
{
	struct http_queue *q = &c->http->queue[c->request.class];
	c->queued = NULL;
	if (q->last)
		q->last->queued = c;
	else
		q->first = c;
	q->last = c;
	pump(c->http);
}

/* Calls may end others' waiting, and be made, while it runs. */
static void pump(struct http *h)
{
	struct http_call *c;
	if (h->pumping)
		return;
	h->pumping = true;
	while ((c = next_call(h))) {
		prepare(c);
		start(c);
	}
	h->pumping = false;
}

static void flush_queue(struct http *h)
{
	for (unsigned class = 0; class < HTTP_CLASSES; class ++) {
		struct http_call *c = h->queue[class].first;
		h->queue[class] = (struct http_queue){ 0 };
		while (c) {
			struct http_call *next = c->queued;
			c->err = why_fail(&c->why, -EHOSTUNREACH, "%s", h->trouble);
			http_finish(c, NULL);
			c = next;
		}
	}
}

void http_down(struct http *h, const struct why *why, uint64_t ms)
{
	snprintf(h->trouble, sizeof(h->trouble), "%s", why->text);
	h->down_until_ns = clock_mono_ns() + ms * 1000000;
	flush_queue(h);
}

static void on_retry(void *arg)
{
	struct http_call *c = arg;
	c->timer = NULL;
	http_queue(c);
}

void http_later(struct http_call *c, uint64_t ms)
{
	c->timer = loop_after(c->http->loop, ms, on_retry, c);
}

static void fail_now(void *arg)
{
	struct http_call *c = arg;
	c->timer = NULL;
	http_finish(c, NULL);
}

/* --- the face ---------------------------------------------------------------------------------- */

void http_ask(struct http *h, const struct http_request *r)
{
	struct http_call *c = xcalloc(1, sizeof(*c));
	c->http = h;
	c->request = *r;
	c->request.method = xstrdup(r->method);
	c->request.url = NULL;
	c->scope = r->scope ? xstrdup(r->scope) : NULL;
	c->repository = r->repository ? xstrdup(r->repository) : NULL;
	c->accept = r->accept ? xstrdup(r->accept) : NULL;
	c->condition = r->condition ? xstrdup(r->condition) : NULL;
	c->content_type = r->content_type ? xstrdup(r->content_type) : NULL;
	c->deadline_ns = clock_mono_ns() + http_patience(c);
	c->next = h->calls;
	h->calls = c;
	int err = url_parse(r->url, &c->url, &c->why);
	if (!err && h->stopped)
		err = why_fail(&c->why, -ECANCELED, "the cache is closing");
	else if (!err && h->no_parts && is_range(c) && !whole(r) && r->size > HTTP_WHOLE_MAX)
		err = http_fail(c, -EOPNOTSUPP, "it does not serve parts of files");
	else if (!err && h->offline)
		err = http_fail(c, -EHOSTUNREACH,
			"not asked: the mount is offline (-o offline), and this is not cached");
	else if (!err && clock_mono_ns() < h->down_until_ns)
		err = why_fail(&c->why, -EHOSTUNREACH, "%s", h->trouble);
	c->err = err;
	if (err)
		c->timer = loop_after(h->loop, 0, fail_now, c);
	else
		http_queue(c);
}

int http_new(const char *where, const struct http_options *o, struct http **out, struct why *why)
{
	struct url url;
	int err = url_parse(where, &url, why);
	if (!err && !url.tls && !url.loopback && !o->insecure)
		err = why_fail(why, -EPERM,
			"plain HTTP to another machine can be read and changed by others; use https, or "
			"allow it "
			"with -o insecure");
	if (err) { /* the address is not repeated where it may hold a password */
		url_free(&url);
		return err;
	}
	struct http *h = xcalloc(1, sizeof(*h));
	h->url = url;
	h->label = xstrdup(url.text);
	for (size_t n = strlen(h->label); n > 0 && h->label[n - 1] == '/'; n--)
		h->label[n - 1] = 0;
	h->loop = o->loop;
	h->fetcher = o->fetcher;
	h->offline = o->offline;
	h->insecure = o->insecure;
	h->ca_file = o->ca_file ? xstrdup(o->ca_file) : NULL;
	h->auth = auth_new(&(struct auth_place){ .loop = o->loop,
		.pool = o->pool,
		.fetcher = o->fetcher,
		.url = &h->url,
		.ca_file = o->ca_file,
		.auth_file = o->auth_file,
		.insecure = o->insecure });
	*out = h;
	return 0;
}

void http_stop(struct http *h)
{
	h->stopped = true;
	memset(h->queue, 0, sizeof(h->queue));
	auth_free(h->auth);
	h->auth = NULL;
	while (h->calls) {
		struct http_call *c = h->calls;
		if (c->transfer)
			fetch_cancel(c->transfer);
		c->transfer = NULL;
		c->err = why_fail(&c->why, -ECANCELED, "the cache is closing");
		http_finish(c, NULL);
	}
}

void http_free(struct http *h)
{
	http_stop(h);
	url_free(&h->url);
	free(h->label);
	free(h->ca_file);
	free(h);
}

const struct url *http_url(const struct http *h)
{
	return &h->url;
}

char *http_next_page(struct http *h, const struct http_answer *a)
{
	struct url next;
	for (unsigned i = 0; i < 4; i++) {
		autofree char *link = fetch_header(a->headers, "link", i);
		char *open = link ? strchr(link, '<') : NULL, *close = open ? strchr(open, '>') : NULL;
		if (!link)
			break;
		if (!close || (!strcasestr(close, "rel=\"next\"") && !strcasestr(close, "rel=next")))
			continue;
		autofree char *target = xstrndup(open + 1, (size_t)(close - open - 1));
		if (url_resolve(a->url, target, &next, NULL) == 0 && !strcmp(next.origin, h->url.origin)) {
			char *text = xstrdup(next.text);
			url_free(&next);
			return text;
		}
		url_free(&next);
	}
	return NULL;
}
