/* SPDX-License-Identifier: MIT */
/*
 * registry_oci.c: a registry that speaks the OCI distribution protocol.
 *
 * Names are the catalog (or the configured list), then the tags of each repository; which digest a tag has is
 * asked only when it is looked up, so that listing ten thousand kernels does not fetch ten thousand manifests.
 * With a path in the address only the repositories below it are shown.
 */
#include "cache/json.h"
#include "cache/kernel_raw.h"
#include "cache/limits.h"
#include "cache/registry_remote.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE	       1000 /* docker-registry refuses more */
#define MAX_PAGE       (8u << 20)
#define MAX_PAGES      10000u
#define MAX_NAMES      1000000u
#define LIST_AT_A_TIME 16u

static char *pull_scope(const char *repository)
{
	return xasprintf("repository:%s:pull", repository);
}

/* --- names ------------------------------------------------------------------------------------- */

struct listing {
	struct remote *remote;
	registry_names_fn *done;
	void *arg;
	char **repositories;
	size_t count, cap, next;
	unsigned under_way, pages;
	bool configured;
	struct why refused; /* why a repository was left out */
	struct names_draft draft;
	int err;
	struct why why;
};

struct page { /* one question of a listing */
	struct listing *listing;
	char *url;
	const char *repository; /* NULL: the catalog */
	struct buf body;
};

static void ask_page(struct listing *l, const char *url, const char *repository);

static void page_free(struct page *p)
{
	buf_free(&p->body);
	free(p->url);
	free(p);
}

static void listing_fail(struct listing *l, int err, const char *text)
{
	if (!l->err)
		l->err = why_fail(&l->why, err, "%s", text);
}

static void listing_end(struct listing *l)
{
	if (l->draft.count == 0 && l->refused.err) /* not empty: closed */
		listing_fail(l, l->refused.err, l->refused.text);
	struct names *names = names_finish(&l->draft);
	if (l->err) {
		names_put(names);
		names = NULL;
	}
	l->done(l->arg, l->err, &l->why, names);
	for (size_t i = 0; i < l->count; i++)
		free(l->repositories[i]);
	free(l->repositories);
	free(l);
}

/* Asks for the tags of the next repositories; ends the listing when all have answered. */
static void listing_go_on(struct listing *l)
{
	while (!l->err && l->next < l->count && l->under_way < LIST_AT_A_TIME) {
		const char *name = l->repositories[l->next++];
		autofree char *url = xasprintf("%s/v2/%s/tags/list?n=%d", l->remote->root, name, PAGE);
		ask_page(l, url, name);
	}
	if (l->under_way == 0)
		listing_end(l);
}

static bool is_below(const struct remote *r, const char *name)
{
	size_t n = strlen(r->path);
	return n == 0 || (!strncmp(name, r->path + 1, n - 1) && (name[n - 1] == '/' || !name[n - 1]));
}

static void add_repository(struct listing *l, const char *name)
{
	if (l->count >= MAX_NAMES)
		return;
	if (!name_is_repository(name)) { /* it becomes a part of addresses */
		log_warn("registry %s: \"%.200s\" is left out: not a name of OCI", l->remote->base.where,
			name);
		return;
	}
	if (l->count == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 64;
		l->repositories = xrealloc(l->repositories, l->cap * sizeof(*l->repositories));
	}
	l->repositories[l->count++] = xstrdup(name);
}

static int read_page(struct page *p, struct why *why)
{
	struct listing *l = p->listing;
	autojson json_t *doc = NULL;
	const char *key = p->repository ? "tags" : "repositories";
	int err = strict_load(p->body.data ? p->body.data : "", p->body.len, "the list", &doc, why);
	if (err)
		return err;
	const json_t *list = json_object_get(doc, key); /* null: all tags were deleted */
	if (list && !json_is_array(list) && !json_is_null(list))
		return why_fail(why, -EBADMSG, "\"%s\" is no list", key);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));
		if (!text || l->draft.count >= MAX_NAMES)
			continue;
		if (!p->repository && is_below(l->remote, text))
			add_repository(l, text);
		else if (!p->repository)
			continue;
		else if (!names_add(&l->draft, p->repository, text, l->remote->base.where, ""))
			log_warn("registry %s: \"%.200s:%.200s\" is left out: not a name and tag of OCI",
				l->remote->base.where, p->repository, text);
	}
	return 0;
}

/* One repository that may not be read, or is gone, does not hide the others. */
static bool passed_over(const struct page *p, const struct http_answer *a)
{
	if (!p->repository || (a->err != -EACCES && a->err != -ENOENT))
		return false;
	if (a->err == -EACCES)
		p->listing->refused = *a->why;
	if (a->err == -EACCES || p->listing->configured)
		log_warn("%s is left out: %s", p->repository, a->why->text);
	return true;
}

static void no_catalog(struct page *p, const struct http_answer *a)
{
	struct listing *l = p->listing;
	if (a->err != -EACCES && a->err != -ENOENT) {
		listing_fail(l, a->err, a->why->text);
		return;
	}
	autofree char *text =
		xasprintf("%s; it does not list its repositories: name them with `names = ...` in the "
			  "configuration file (diverfs(8), REGISTRIES)",
			a->why->text);
	listing_fail(l, -EACCES, text);
}

static void page_came(void *arg, const struct http_answer *a)
{
	struct page *p = arg;
	struct listing *l = p->listing;
	struct why why = { 0 };
	l->under_way--;
	if (a->err && strstr(p->url, "?n=") && a->status == 400) { /* it does not like the size of the page */
		autofree char *plain = xstrndup(p->url, strcspn(p->url, "?"));
		ask_page(l, plain, p->repository);
	} else if (a->err && !p->repository) {
		no_catalog(p, a);
	} else if (a->err) {
		if (!passed_over(p, a))
			listing_fail(l, a->err, a->why->text);
	} else if (read_page(p, &why) < 0) {
		why_prefix(&why, "registry %s cannot answer: %s", l->remote->base.where, p->url);
		listing_fail(l, -EHOSTUNREACH, why.text);
	} else {
		autofree char *next = http_next_page(l->remote->http, a);
		if (next && strcmp(next, p->url) != 0 && ++l->pages < MAX_PAGES)
			ask_page(l, next, p->repository);
	}
	page_free(p);
	listing_go_on(l);
}

static void ask_page(struct listing *l, const char *url, const char *repository)
{
	struct page *p = xcalloc(1, sizeof(*p));
	autofree char *scope = repository ? pull_scope(repository) : xstrdup("registry:catalog:*");
	p->listing = l;
	p->url = xstrdup(url);
	p->repository = repository;
	l->under_way++;
	http_ask(l->remote->http, &(struct http_request){ .method = "GET",
					  .url = url,
					  .scope = scope,
					  .repository = repository,
					  .accept = "application/json",
					  .class = HTTP_LIST,
					  .into = &p->body,
					  .max = MAX_PAGE,
					  .done = page_came,
					  .arg = p });
}

static void oci_names(struct registry *base, registry_names_fn *done, void *arg)
{
	struct remote *r = (struct remote *)base;
	struct listing *l = xcalloc(1, sizeof(*l));
	l->remote = r;
	l->done = done;
	l->arg = arg;
	l->configured = r->names != NULL;
	for (char **n = r->names; n && *n; n++)
		add_repository(l, *n);
	if (l->count > 0) {
		listing_go_on(l);
	} else {
		autofree char *url = xasprintf("%s/v2/_catalog?n=%d", r->root, PAGE);
		ask_page(l, url, NULL);
	}
}

/* --- tags -------------------------------------------------------------------------------------- */

struct tag_question {
	registry_tag_fn *done;
	void *arg;
	const char *where;
	struct digest known;
	struct buf body;
};

/* The bytes define a tag's digest. A server that says it, too, tells bytes that were damaged on their way. */
static int check_manifest(
	const struct tag_question *q, const struct http_answer *a, struct digest *is, struct why *why)
{
	struct digest said;
	char text[DIGEST_TEXT_LEN + 1];
	autofree char *header = fetch_header(a->headers, "docker-content-digest", 0);
	digest_of(q->body.data ? q->body.data : "", q->body.len, is);
	digest_text(is, text);
	if (!header || digest_parse(header, &said) < 0 || digest_equal(is, &said))
		return 0;
	return why_fail(why, -EILSEQ,
		"registry %s: it says that the manifest has digest %s, and it does not match: %s", q->where,
		header, text);
}

static void tag_came(void *arg, const struct http_answer *a)
{
	struct tag_question *q = arg;
	struct digest d;
	struct why why = { 0 };
	if (a->err) {
		q->done(q->arg, a->err, a->why, NULL, NULL);
	} else if (a->status == 304) {
		buf_clear(&q->body);
		q->done(q->arg, 0, NULL, &q->known, &q->body);
	} else if (check_manifest(q, a, &d, &why) < 0) {
		q->done(q->arg, why.err, &why, NULL, NULL);
	} else {
		q->done(q->arg, 0, NULL, &d, &q->body);
	}
	buf_free(&q->body);
	free(q);
}

static void oci_tag(struct registry *base, const char *repository, const char *tag,
	const struct digest *known, registry_tag_fn *done, void *arg)
{
	struct remote *r = (struct remote *)base;
	struct tag_question *q = xcalloc(1, sizeof(*q));
	char text[DIGEST_TEXT_LEN + 1];
	autofree char *condition = NULL;
	autofree char *scope = pull_scope(repository);
	autofree char *url = xasprintf("%s/v2/%s/manifests/%s", r->root, repository, tag);
	q->done = done;
	q->arg = arg;
	q->where = base->where;
	if (known) {
		q->known = *known;
		digest_text(known, text);
		condition = xasprintf("If-None-Match: \"%s\"", text);
	}
	http_ask(r->http, &(struct http_request){ .method = "GET",
				  .url = url,
				  .scope = scope,
				  .repository = repository,
				  .accept = MANIFEST_TYPES,
				  .condition = condition,
				  .class = known ? HTTP_LIST : HTTP_NOW,
				  .into = &q->body,
				  .max = MAX_MANIFEST,
				  .done = tag_came,
				  .arg = q });
}

/* --- bytes ------------------------------------------------------------------------------------- */

static void oci_part(struct registry *base, const struct registry_part *p, registry_done_fn *done, void *arg)
{
	struct remote *r = (struct remote *)base;
	char text[DIGEST_TEXT_LEN + 1];
	digest_text(&p->digest, text);
	autofree char *scope = pull_scope(p->repository);
	autofree char *url = xasprintf(
		"%s/v2/%s/%s/%s", r->root, p->repository, p->manifest ? "manifests" : "blobs", text);
	remote_get_part(r, url, scope, p->manifest ? MANIFEST_TYPES : NULL, p, done, arg);
}

const struct registry_ops oci_ops = {
	.kind = "OCI registry",
	.ask_names = oci_names,
	.ask_tag = oci_tag,
	.ask = oci_part,
	.stop = remote_stop,
	.close = remote_close,
};
