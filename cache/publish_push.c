/* SPDX-License-Identifier: MIT */
/* publish_push.c: see publish_push.h. One question after the other, each waited for. */
#include "cache/publish_push.h"

#include "cache/artifact.h"
#include "cache/base/io.h"
#include "cache/limits.h"
#include "cache/registry_http.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRIES	      3
#define PATIENCE      5000  /* ms */
#define PATIENCE_BODY 60000 /* a registry may check a large blob before it answers */
#define PAUSE_US      500000
#define TRY_AGAIN_NS  (UINT64_C(30) * 1000000000)

struct push {
	struct loop *loop;
	struct pool *pool;
	struct fetcher *fetcher;
	struct http *http;
	int blobs_fd;
	const char *name;
	char *scope;
	char *base; /* scheme://host:port/v2/NAME */
	publish_progress_fn *progress;
	void *progress_arg;
	uint64_t done, total, under_way;
};

struct reply {
	struct push *push;
	int err, status;
	struct why *why;
	char *location, *digest; /* NULL if there was none */
	char *url;
};

static void reply_free(struct reply *r)
{
	free(r->location);
	free(r->digest);
	free(r->url);
	*r = (struct reply){ 0 };
}

static void replied(void *arg, const struct http_answer *a)
{
	struct reply *r = arg;
	r->err = a->err;
	r->status = a->status;
	if (a->err)
		why_fail(r->why, a->err, "%s", a->why->text);
	if (a->headers) {
		r->location = fetch_header(a->headers, "location", 0);
		r->digest = fetch_header(a->headers, "docker-content-digest", 0);
	}
	r->url = a->url ? xstrdup(a->url) : NULL;
	loop_stop(r->push->loop);
}

static void show(struct push *p)
{
	if (p->progress)
		p->progress(p->progress_arg, "sending", p->done + p->under_way, p->total);
}

static void sent(void *arg, uint64_t bytes)
{
	struct reply *r = arg;
	r->push->under_way = bytes;
	show(r->push);
}

/* Waits for the answer. */
static int ask(struct push *p, struct http_request *q, struct reply *r, struct why *why)
{
	*r = (struct reply){ .push = p, .why = why };
	q->scope = p->scope;
	q->repository = p->name;
	q->class = HTTP_NOW;
	q->stall_ms = q->body_len ? PATIENCE_BODY : PATIENCE;
	q->done = replied;
	q->arg = r;
	http_ask(p->http, q);
	loop_run(p->loop);
	return r->err;
}

/* --- blobs ------------------------------------------------------------------------------------- */

static int open_blob(const struct push *p, const struct descriptor *d, struct why *why)
{
	char hex[DIGEST_HEX_LEN + 1];
	digest_hex(&d->digest, hex);
	int fd = openat(p->blobs_fd, hex, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? why_fail_errno(why, -errno, "blob %s", hex) : fd;
}

/* 1: it is there; 0: it is not. */
static int has_blob(struct push *p, const char *digest, struct why *why)
{
	struct reply r;
	autofree char *url = xasprintf("%s/blobs/%s", p->base, digest);
	struct http_request q = { .method = "HEAD", .url = url };
	int err = ask(p, &q, &r, why);
	reply_free(&r);
	return err == -ENOENT ? 0 : err ? err : 1;
}

/* Where the bytes are to be sent; the server says it, and may name another one, but none that is less safe. */
static int upload_address(struct push *p, const char *digest, char **out, struct why *why)
{
	struct reply r;
	struct url to = { 0 };
	autofree char *url = xasprintf("%s/blobs/uploads/", p->base);
	struct http_request q = { .method = "POST", .url = url, .has_body = true, .body = "" };
	int err = ask(p, &q, &r, why);
	if (!err && (r.status != 202 || !r.location))
		err = why_fail(why, -EPROTO, "registry %s: it answered %d to a request to upload", p->base,
			r.status);
	if (!err)
		err = url_resolve(r.url, r.location, &to, why);
	if (!err && http_refuses(p->http, &to))
		err = why_fail(why, -EPERM, "registry %s: it wants the upload elsewhere: %s", p->base,
			http_refuses(p->http, &to));
	autofree char *escaped = url_escape(digest);
	if (!err)
		*out = xasprintf("%s%cdigest=%s", to.text, strchr(to.text, '?') ? '&' : '?', escaped);
	url_free(&to);
	reply_free(&r);
	return err;
}

static int send_blob(struct push *p, const struct descriptor *d, const char *digest, struct why *why)
{
	struct reply r;
	autofree char *url = NULL;
	autoclose int fd = open_blob(p, d, why);
	if (fd < 0)
		return fd;
	int err = upload_address(p, digest, &url, why);
	if (err)
		return err;
	struct http_request q = { .method = "PUT",
		.url = url,
		.has_body = true,
		.body_fd = fd,
		.body_len = d->size,
		.content_type = "application/octet-stream",
		.sent = sent };
	err = ask(p, &q, &r, why);
	if (!err && r.status != 201 && r.status != 204)
		err = why_fail(why, -EPROTO, "registry %s: it answered %d to a blob", p->base, r.status);
	reply_free(&r);
	return err;
}

/* What may pass is tried again, after a pause; not a silence that was waited for so long already. */
static bool again(int err, unsigned *try, uint64_t began_ns)
{
	bool waited = clock_mono_ns() - began_ns > TRY_AGAIN_NS;
	if (++*try == TRIES || (err != -ECONNRESET && (err != -EHOSTUNREACH || waited)))
		return false;
	usleep(PAUSE_US << *try);
	return true;
}

static int put_blob(struct push *p, const struct descriptor *d, struct why *why)
{
	char digest[DIGEST_TEXT_LEN + 1];
	uint64_t began_ns = clock_mono_ns();
	unsigned try = 0;
	int err;
	digest_text(&d->digest, digest);
	do {
		why_clear(why);
		p->under_way = 0;
		err = has_blob(p, digest, why); /* also after a failure: it may have arrived */
		if (err == 0)
			err = send_blob(p, d, digest, why);
	} while (again(err, &try, began_ns));
	p->under_way = 0;
	if (err < 0)
		return err;
	p->done += d->size;
	show(p);
	return 0;
}

/* --- the manifest ------------------------------------------------------------------------------ */

static int read_manifest(const struct push *p, const char *digest, struct buf *text, struct why *why)
{
	struct digest want, is;
	if (digest_parse(digest, &want) < 0)
		return why_fail(why, -EINVAL, "%s is no digest", digest);
	int err = io_read_file(p->blobs_fd, digest + strlen("sha256:"), MAX_MANIFEST, text);
	if (err < 0)
		return why_fail_errno(why, err, "manifest %s", digest);
	digest_of(text->data ? text->data : "", text->len, &is);
	return digest_equal(&is, &want) ? 0 : why_fail(why, -EILSEQ, "manifest %s is damaged", digest);
}

static int put_manifest(
	struct push *p, const struct buf *text, const char *digest, const char *tag, struct why *why)
{
	struct reply r;
	autofree char *url = xasprintf("%s/manifests/%s", p->base, tag);
	struct http_request q = { .method = "PUT",
		.url = url,
		.has_body = true,
		.body = text->data,
		.body_len = text->len,
		.content_type = MT_MANIFEST };
	int err = ask(p, &q, &r, why);
	if (!err && r.status / 100 != 2)
		err = why_fail(
			why, -EPROTO, "registry %s: it answered %d to the manifest", p->base, r.status);
	if (!err && r.digest && strcmp(r.digest, digest) != 0)
		err = why_fail(why, -EILSEQ, "registry %s: it took the manifest for another one, %.80s",
			p->base, r.digest);
	reply_free(&r);
	return err;
}

static int tag_manifest(
	struct push *p, const struct buf *text, const char *digest, const char *tag, struct why *why)
{
	uint64_t began_ns = clock_mono_ns();
	unsigned try = 0;
	int err;
	do {
		why_clear(why);
		err = put_manifest(p, text, digest, tag, why);
	} while (again(err, &try, began_ns));
	return err;
}

static int read_parts(
	const json_t *doc, struct descriptor *config, json_t **layers, uint64_t *size, struct why *why)
{
	json_t *c = NULL;
	int err = strict_object(doc, "config", REQUIRED, &c, why);
	if (!err)
		err = descriptor_read(c, config, why);
	if (!err)
		err = strict_list(doc, "layers", REQUIRED, MAX_LAYERS, layers, why);
	*size = err ? 0 : config->size;
	for (size_t i = 0; !err && i < json_array_size(*layers); i++) {
		struct descriptor d;
		err = descriptor_read(json_array_get(*layers, i), &d, why);
		*size += err ? 0 : d.size;
	}
	return err;
}

static int push_one(struct push *p, const struct push_item *item, struct why *why)
{
	autobuf struct buf text = { 0 };
	autojson json_t *doc = NULL;
	struct descriptor d, config;
	json_t *layers = NULL;
	int err = read_manifest(p, item->digest, &text, why);
	if (!err)
		err = strict_load(text.data ? text.data : "", text.len, "manifest", &doc, why);
	if (!err)
		err = read_parts(doc, &config, &layers, &p->total, why);
	p->done = 0;
	for (size_t i = 0; !err && i < json_array_size(layers); i++) {
		err = descriptor_read(json_array_get(layers, i), &d, why);
		if (!err)
			err = put_blob(p, &d, why);
	}
	if (!err)
		err = put_blob(p, &config, why);
	return err ? err : tag_manifest(p, &text, item->digest, item->tag, why);
}

/* --- what is there ----------------------------------------------------------------------------- */

static int is_registry(struct push *p, const char *where, struct why *why)
{
	struct reply r;
	autofree char *url = xasprintf("%s/v2/", http_url(p->http)->origin);
	struct http_request q = { .method = "GET", .url = url, .any_status = true };
	int err = ask(p, &q, &r, why);
	if (!err && r.status != 200 && r.status != 401)
		err = why_fail(why, -EPERM,
			"registry %s: there is no registry (/v2/ answered %d), and web servers cannot be "
			"written "
			"to; publish to the directory that it serves",
			where, r.status);
	reply_free(&r);
	return err;
}

static int open_blobs(const char *layout, struct why *why)
{
	autofree char *path = xasprintf("%s/blobs/sha256", layout);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? why_fail_errno(why, -errno, "%s", path) : fd;
}

/* --- a conversation ---------------------------------------------------------------------------- */

static int push_begin(struct push *p, const struct push_to *to, const char *name, struct why *why)
{
	p->name = name;
	p->loop = loop_new();
	p->pool = pool_new(p->loop, 1);
	p->fetcher = fetcher_new(p->loop);
	struct http_options o = { .loop = p->loop,
		.pool = p->pool,
		.fetcher = p->fetcher,
		.ca_file = to->ca_file,
		.auth_file = to->auth_file,
		.insecure = to->insecure };
	int err = http_new(to->url, &o, &p->http, why);
	if (err)
		return err;
	p->scope = xstrdup("");
	err = is_registry(p, to->url, why);
	free(p->scope);
	p->scope = xasprintf("repository:%s:pull,push", name);
	p->base = xasprintf("%s/v2/%s", http_url(p->http)->origin, name);
	return err;
}

static void push_end(struct push *p)
{
	if (p->http)
		http_free(p->http);
	fetcher_free(p->fetcher);
	pool_free(p->pool);
	loop_free(p->loop);
	free(p->scope);
	free(p->base);
}

int publish_pull(const struct push_to *to, const char *name, const char *tag, size_t max, struct buf *out,
	struct why *why)
{
	struct push p = { 0 };
	struct reply r = { 0 };
	int err = push_begin(&p, to, name, why);
	if (!err) {
		autofree char *url = xasprintf("%s/manifests/%s", p.base, tag);
		struct http_request q = {
			.method = "GET", .url = url, .accept = MT_MANIFEST, .into = out, .max = max
		};
		err = ask(&p, &q, &r, why);
	}
	reply_free(&r);
	push_end(&p);
	return err;
}

int publish_push(const char *layout, const struct push_to *to, const char *name,
	const struct push_item *items, size_t count, publish_progress_fn *progress, void *arg,
	struct why *why)
{
	struct push p = { .progress = progress, .progress_arg = arg };
	autoclose int blobs = open_blobs(layout, why);
	if (blobs < 0)
		return blobs;
	p.blobs_fd = blobs;
	int err = push_begin(&p, to, name, why);
	for (size_t i = 0; !err && i < count; i++)
		err = push_one(&p, &items[i], why);
	push_end(&p);
	return err;
}
