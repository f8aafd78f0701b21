/* SPDX-License-Identifier: MIT */
/* registry_static.c: an OCI image layout that any web server serves as files. */
#include "cache/limits.h"
#include "cache/registry_remote.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct index_question {
	struct remote *remote;
	registry_names_fn *done;
	void *arg;
	char *where;
	char *condition; /* for the next time */
	struct buf body;
	struct names *names;
	int err;
	struct why why;
};

static void question_end(struct index_question *q)
{
	struct remote *r = q->remote;
	if (!q->err && q->names) {
		if (r->listing && names_equal(r->listing, q->names)) {
			names_put(q->names);
		} else {
			names_put(r->listing);
			r->listing = q->names;
		}
		free(r->condition);
		r->condition = q->condition;
		q->condition = NULL;
	}
	q->done(q->arg, q->err, &q->why, q->err ? NULL : names_get(r->listing));
	buf_free(&q->body);
	free(q->condition);
	free(q->where);
	free(q);
}

static void parse_run(void *arg)
{
	struct index_question *q = arg;
	why_clear(&q->why);
	q->err = layout_names(q->body.data ? q->body.data : "", q->body.len, q->where, &q->names, &q->why);
	if (q->err)
		q->err = why_fail(&q->why, -EHOSTUNREACH,
			"registry %s cannot answer: it is no OCI image layout", q->where);
}

static void parse_done(void *arg)
{
	struct index_question *q = arg;
	struct remote *r = q->remote;
	r->jobs--;
	if (r->closing) {
		names_put(q->names);
		q->names = NULL;
		q->err = why_fail(&q->why, -ECANCELED, "the cache is closing");
	}
	question_end(q);
	remote_unref(r);
}

static char *condition_of(const struct http_answer *a)
{
	autofree char *etag = fetch_header(a->headers, "etag", 0);
	autofree char *modified = fetch_header(a->headers, "last-modified", 0);
	return etag	  ? xasprintf("If-None-Match: %s", etag)
	       : modified ? xasprintf("If-Modified-Since: %s", modified)
			  : NULL;
}

static void index_came(void *arg, const struct http_answer *a)
{
	struct index_question *q = arg;
	if (a->err) {
		int err = a->err == -ENOENT ? -EHOSTUNREACH : a->err;
		q->err = why_fail(&q->why, err, "%s", a->why->text);
		question_end(q);
	} else if (a->status == 304 && q->remote->listing) {
		question_end(q);
	} else {
		q->condition = condition_of(a);
		q->remote->jobs++;
		pool_submit(q->remote->pool, parse_run, parse_done, q);
	}
}

static void static_names(struct registry *base, registry_names_fn *done, void *arg)
{
	struct remote *r = (struct remote *)base;
	struct index_question *q = xcalloc(1, sizeof(*q));
	autofree char *url = xasprintf("%s%s/index.json", r->root, r->path);
	q->remote = r;
	q->done = done;
	q->arg = arg;
	q->where = xstrdup(base->where);
	http_ask(r->http, &(struct http_request){ .method = "GET",
				  .url = url,
				  .accept = "application/json, */*",
				  .condition = r->listing ? r->condition : NULL,
				  .class = HTTP_LIST,
				  .into = &q->body,
				  .max = MAX_LAYOUT_INDEX,
				  .done = index_came,
				  .arg = q });
}

static void static_part(
	struct registry *base, const struct registry_part *p, registry_done_fn *done, void *arg)
{
	struct remote *r = (struct remote *)base;
	char hex[DIGEST_HEX_LEN + 1];
	digest_hex(&p->digest, hex);
	autofree char *url = xasprintf("%s%s/blobs/sha256/%s", r->root, r->path, hex);
	remote_get_part(r, url, NULL, NULL, p, done, arg);
}

const struct registry_ops static_ops = {
	.kind = "OCI layout over HTTP",
	.served_files = true,
	.ask_names = static_names,
	.ask = static_part,
	.stop = remote_stop,
	.close = remote_close,
};
