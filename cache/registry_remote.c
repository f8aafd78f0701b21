/* SPDX-License-Identifier: MIT */
/*
 * registry_remote.c: a server of which only the address is known. Questions wait until it has answered what
 * it is: /v2/ of a registry, or oci-layout of a layout that is served as files.
 */
#include "cache/registry_remote.h"

#include "cache/kernel_raw.h"
#include "cache/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool registry_is_address(const char *where)
{
	return strstr(where, "://") && strncmp(where, "file://", 7) != 0;
}

void remote_unref(struct remote *r)
{
	if (!r->closing || r->jobs > 0)
		return;
	for (char **n = r->names; n && *n; n++)
		free(*n);
	free(r->names);
	names_put(r->listing);
	free(r->condition);
	free(r->root);
	free(r->path);
	free(r->base.where);
	free(r);
}

/* --- one part, whatever the kind --------------------------------------------------------------- */

struct part_question {
	struct registry_part part;
	registry_done_fn *done;
	void *arg;
};

static void part_some(void *arg, size_t have)
{
	struct part_question *q = arg;
	if (q->part.some)
		q->part.some(q->arg, have);
}

static void part_done(void *arg, const struct http_answer *a)
{
	struct part_question *q = arg;
	struct why why = *a->why;
	int err = a->err;
	if (err ==
		-ENOENT) /* -ENOENT is for names; a registry that lacks what its manifests speak of is broken */
		err = why.err = -EBADMSG;
	q->done(q->arg, err, &why);
	free(q);
}

void remote_get_part(struct remote *r, const char *url, const char *scope, const char *accept,
	const struct registry_part *p, registry_done_fn *done, void *arg)
{
	struct part_question *q = xmalloc(sizeof(*q));
	*q = (struct part_question){ *p, done, arg };
	struct http_request h = { .method = "GET",
		.url = url,
		.scope = scope,
		.repository = p->repository,
		.accept = accept,
		.class = p->ahead ? HTTP_AHEAD : HTTP_NOW,
		.into = p->manifest,
		.max = (p->manifest ? p->manifest->len : 0) + MAX_MANIFEST,
		.to = p->manifest ? NULL : p->to,
		.size = p->size,
		.off = p->off,
		.len = p->len,
		.some = p->some ? part_some : NULL,
		.done = part_done,
		.arg = q };
	http_ask(r->http, &h);
}

/* --- questions that wait ----------------------------------------------------------------------- */

struct remote_question {
	struct remote_question *next;
	struct remote *remote;
	registry_names_fn *names;
	registry_tag_fn *tag;
	registry_done_fn *done;
	void *arg;
	char *repository, *reference;
	bool has_known;
	struct digest known;
	struct registry_part part;
};

static void question_free(struct remote_question *q)
{
	free(q->repository);
	free(q->reference);
	free(q);
}

static void fail_question(struct remote_question *q, int err, const struct why *why)
{
	if (q->names)
		q->names(q->arg, err, why, NULL);
	else if (q->tag)
		q->tag(q->arg, err, why, NULL, NULL);
	else
		q->done(q->arg, err, why);
	question_free(q);
}

static void pass_on(struct remote_question *q)
{
	struct registry *r = &q->remote->base;
	if (q->names)
		r->ops->ask_names(r, q->names, q->arg);
	else if (q->tag && r->ops->ask_tag)
		r->ops->ask_tag(
			r, q->repository, q->reference, q->has_known ? &q->known : NULL, q->tag, q->arg);
	else if (!q->tag)
		r->ops->ask(r, &q->part, q->done, q->arg);
	else
		fail_question(
			q, -EHOSTUNREACH, &(struct why){ -EHOSTUNREACH, "the registry is another kind now" });
	if (!q->tag || r->ops->ask_tag)
		question_free(q);
}

static struct remote_question *take_waiting(struct remote *r)
{
	struct remote_question *all = r->waiting;
	r->waiting = NULL;
	r->probing = false;
	return all;
}

static void known_as(struct remote *r, const struct registry_ops *ops)
{
	struct remote_question *q = take_waiting(r);
	r->base.ops = ops;
	while (q) {
		struct remote_question *next = q->next;
		pass_on(q);
		q = next;
	}
}

static void not_known(struct remote *r, int err, const struct why *why)
{
	struct remote_question *q = take_waiting(r);
	while (q) {
		struct remote_question *next = q->next;
		fail_question(q, err, why);
		q = next;
	}
}

/* --- what it is -------------------------------------------------------------------------------- */

struct probe {
	struct remote *remote;
	struct buf body;
};

static void probe_free(struct probe *p)
{
	buf_free(&p->body);
	free(p);
}

static void layout_answered(void *arg, const struct http_answer *a)
{
	struct probe *p = arg;
	struct remote *r = p->remote;
	struct why why = *a->why;
	int err = a->err;
	if (!err)
		err = layout_version(p->body.data ? p->body.data : "", p->body.len, &why);
	if (!err) {
		known_as(r, &static_ops);
	} else if (r->static_login && err != -EHOSTUNREACH && err != -ECANCELED) {
		known_as(r, &oci_ops);
	} else {
		/* (one that wants a login says so, with the remedy) */
		if (err != -EHOSTUNREACH && err != -ECANCELED && err != -EACCES)
			err = why_fail(&why, -EHOSTUNREACH,
				"registry %s: there is neither a registry (/v2/) nor an OCI image layout "
				"(oci-layout) at this address",
				r->base.where);
		not_known(r, err, &why);
	}
	probe_free(p);
}

static void ask_layout(struct remote *r)
{
	struct probe *p = xcalloc(1, sizeof(*p));
	autofree char *url = xasprintf("%s%s/oci-layout", r->root, r->path);
	p->remote = r;
	http_ask(r->http, &(struct http_request){ .method = "GET",
				  .url = url,
				  .into = &p->body,
				  .max = 4096,
				  .done = layout_answered,
				  .arg = p });
}

static bool speaks_of_registry(const struct http_answer *a)
{
	autofree char *version = fetch_header(a->headers, "docker-distribution-api-version", 0);
	struct challenge c;
	challenge_read(&c, a->headers);
	bool bearer = c.kind == CHALLENGE_BEARER;
	challenge_free(&c);
	return bearer || (version && !strncmp(version, "registry/2", 10));
}

static bool is_empty_object(const struct buf *b)
{
	const char *s = b->data ? b->data : "";
	s += strspn(s, " \t\r\n");
	if (*s++ != '{')
		return false;
	s += strspn(s, " \t\r\n");
	return *s == '}';
}

static void v2_answered(void *arg, const struct http_answer *a)
{
	struct probe *p = arg;
	struct remote *r = p->remote;
	if (a->err && a->status != 0 && a->err != -ECANCELED && a->err != -EHOSTUNREACH)
		ask_layout(r); /* an odd answer, as too large a page */
	else if (a->err)
		not_known(r, a->err, a->why);
	else if ((a->status == 200 || a->status == 401) && speaks_of_registry(a))
		known_as(r, &oci_ops);
	else if (a->status == 200 && is_empty_object(&p->body))
		known_as(r, &oci_ops);
	else {
		r->static_login = a->status == 401;
		ask_layout(r);
	}
	probe_free(p);
}

static void probe(struct remote *r)
{
	struct probe *p = xcalloc(1, sizeof(*p));
	autofree char *url = xasprintf("%s/v2/", r->root);
	p->remote = r;
	r->probing = true;
	http_ask(r->http, &(struct http_request){ .method = "GET",
				  .url = url,
				  .any_status = true,
				  .into = &p->body,
				  .max = 64u << 10,
				  .done = v2_answered,
				  .arg = p });
}

static struct remote_question *wait_for_kind(struct registry *base)
{
	struct remote *r = (struct remote *)base;
	struct remote_question *q = xcalloc(1, sizeof(*q));
	q->remote = r;
	q->next = r->waiting;
	r->waiting = q;
	return q;
}

static void begin(struct remote *r)
{
	if (!r->probing)
		probe(r);
}

static void unknown_names(struct registry *base, registry_names_fn *done, void *arg)
{
	struct remote_question *q = wait_for_kind(base);
	q->names = done;
	q->arg = arg;
	begin(q->remote);
}

static void unknown_tag(struct registry *base, const char *repository, const char *tag,
	const struct digest *known, registry_tag_fn *done, void *arg)
{
	struct remote_question *q = wait_for_kind(base);
	q->repository = xstrdup(repository);
	q->reference = xstrdup(tag);
	q->has_known = known != NULL;
	if (known)
		q->known = *known;
	q->tag = done;
	q->arg = arg;
	begin(q->remote);
}

static void unknown_part(
	struct registry *base, const struct registry_part *p, registry_done_fn *done, void *arg)
{
	struct remote_question *q = wait_for_kind(base);
	q->repository = xstrdup(p->repository);
	q->part = *p;
	q->part.repository = q->repository;
	q->done = done;
	q->arg = arg;
	begin(q->remote);
}

void remote_stop(struct registry *base)
{
	struct remote *r = (struct remote *)base;
	struct why why = { 0 };
	http_stop(r->http);
	not_known(r, why_fail(&why, -ECANCELED, "the cache is closing"), &why);
}

void remote_close(struct registry *base)
{
	struct remote *r = (struct remote *)base;
	remote_stop(base);
	http_free(r->http);
	r->http = NULL;
	r->closing = true;
	remote_unref(r);
}

static const struct registry_ops unknown_ops = {
	.kind = "a server, not known yet of which kind",
	.ask_names = unknown_names,
	.ask_tag = unknown_tag,
	.ask = unknown_part,
	.stop = remote_stop,
	.close = remote_close,
};

static char **copy_names(const char *const *names)
{
	size_t n = 0;
	while (names && names[n])
		n++;
	if (!n)
		return NULL;
	char **out = xcalloc(n + 1, sizeof(*out));
	for (size_t i = 0; i < n; i++)
		out[i] = xstrdup(names[i]);
	return out;
}

int registry_remote_open(
	const char *where, const struct registry_options *o, struct registry **out, struct why *why)
{
	struct http *http;
	struct http_options ho = { .loop = o->loop,
		.pool = o->pool,
		.fetcher = o->fetcher,
		.ca_file = o->ca_file,
		.auth_file = o->auth_file,
		.insecure = o->insecure,
		.offline = o->offline };
	for (size_t i = 0; o->names && o->names[i]; i++)
		if (!name_is_repository(o->names[i]))
			return why_fail(why, -EINVAL,
				"registry %s: names: \"%s\" is not the name of a repository", where,
				o->names[i]);
	int err = http_new(where, &ho, &http, why);
	if (err) {
		if (!strchr(where, '@'))
			why_prefix(why, "registry %s", where);
		return err;
	}
	const struct url *u = http_url(http);
	struct remote *r = xcalloc(1, sizeof(*r));
	size_t len = strcspn(u->path, "?");
	while (len > 0 && u->path[len - 1] == '/')
		len--;
	r->base.ops = &unknown_ops;
	r->loop = o->loop;
	r->pool = o->pool;
	r->http = http;
	r->names = copy_names(o->names);
	r->root = xstrdup(u->origin);
	r->path = xstrndup(u->path, len);
	r->base.where = xasprintf("%s://%s%s", u->tls ? "https" : "http", u->host, r->path);
	*out = &r->base;
	return 0;
}
