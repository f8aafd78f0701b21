/* SPDX-License-Identifier: MIT */
/*
 * faulty.c: a registry that misbehaves as it is told.
 *
 *     faulty LAYOUT PLAN LOG     prints its port, serves until it is killed
 *
 * It is an OCI registry (/v2/...) over the layout's blobs and tags, takes pushes into it, and serves its files
 * as they are (/layout/...). PLAN is read anew at each request (replace it by rename); a line is
 *
 *     COUNT METHOD PATTERN FAULT [ARGUMENT]
 *
 * the first whose method (or *) and shell pattern fit, and whose count is not used up (* for ever), is done. A
 * pattern is one of paths, or of PATH@FROM-TO for the range that is asked for. FAULT none: all is well.
 * LOG gets a line a request: METHOD PATH RANGE AUTHORIZATION ("-" for none; of the latter only the kind).
 *
 *     stall            no answer               stall-body N    nothing after N bytes of body
 *     reset N          the connection breaks after N bytes     truncate N    it ends orderly after N
 *     close            without an answer       garbage         something that is not HTTP
 *     status N[:S]     and Retry-After: S      redirect URL    302; elsewhere ORIGIN: the same path there
 *     corrupt          a byte of the body is another           html          200 and a page
 *     slow N           N bytes a second        whole           ranges are ignored
 *     short, long      one byte less, more, than the header or the range says
 *     shift            another range than was asked for        encoding      Content-Encoding: gzip
 *     page N           lists in pages of N     loop            a next page that is always the same
 *     bearer           401 unless the present token is shown; expire: the same, and the token is changed first
 *     basic            401 unless a password is shown
 */
#include "cache/base/io.h"
#include "cache/names.h"
#include "cache/publish_layout.h"
#include "cache/registry.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_HEAD (64u << 10)
#define MAX_PLAN 64

static const char *layout, *plan, *logfile;
static int port;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the next three, and the log */
static unsigned token = 1;
static struct used {
	char line[4096];
	unsigned count;
} used[MAX_PLAN];
static struct stat plan_seen; /* a new plan counts anew */

struct request {
	int fd;
	char *head; /* all of it */
	char method[16], path[2048], query[1024];
	uint64_t from, to; /* of the range; to == UINT64_MAX: none was asked for */
	uint64_t body_len;
	struct buf rest; /* of the body, that came with the head */
	char fault[32], arg[1024];
};

/* --- the plan ---------------------------------------------------------------------------------- */

/* Counts a use of (line); false if it was used (max) times. */
static bool use(const char *line, unsigned max)
{
	for (int i = 0; i < MAX_PLAN; i++) {
		if (used[i].line[0] && strcmp(used[i].line, line) != 0)
			continue;
		snprintf(used[i].line, sizeof(used[i].line), "%s", line);
		return used[i].count++ < max;
	}
	return false;
}

static void choose_fault(struct request *r)
{
	char line[4096], place[sizeof(r->path) + 64];
	FILE *f = fopen(plan, "r");
	struct stat st;
	if (f && fstat(fileno(f), &st) == 0 && st.st_ino != plan_seen.st_ino) {
		plan_seen = st;
		memset(used, 0, sizeof(used));
	}
	r->fault[0] = r->arg[0] = 0;
	if (r->to == UINT64_MAX)
		snprintf(place, sizeof(place), "%s@-", r->path);
	else
		snprintf(place, sizeof(place), "%s@%" PRIu64 "-%" PRIu64, r->path, r->from, r->to);
	while (f && fgets(line, sizeof(line), f)) {
		char count[16], method[16], pattern[512], fault[32], arg[1024] = "";
		line[strcspn(line, "\n")] = 0;
		if (sscanf(line, "%15s %15s %511s %31s %1023s", count, method, pattern, fault, arg) < 4 ||
			(strcmp(method, "*") && strcmp(method, r->method)) ||
			fnmatch(pattern, strchr(pattern, '@') ? place : r->path, 0))
			continue;
		if (strcmp(count, "*") && !use(line, (unsigned)atoi(count)))
			continue;
		memcpy(r->fault, fault, sizeof(fault));
		memcpy(r->arg, arg, sizeof(arg));
		break;
	}
	if (f)
		fclose(f);
}

static bool is(const struct request *r, const char *fault)
{
	return !strcmp(r->fault, fault);
}

/* --- HTTP -------------------------------------------------------------------------------------- */

static const char *header(const struct request *r, const char *name)
{
	static __thread char value[8192];
	char key[64];
	snprintf(key, sizeof(key), "\r\n%s:", name);
	const char *at = strcasestr(r->head, key);
	if (!at)
		return NULL;
	at += strlen(key);
	at += strspn(at, " ");
	snprintf(value, sizeof(value), "%.*s", (int)strcspn(at, "\r\n"), at);
	return value;
}

static bool read_request(struct request *r)
{
	struct buf b = { 0 };
	char *end = NULL;
	while (!end && b.len < MAX_HEAD) {
		ssize_t n = read(r->fd, buf_reserve(&b, 8192), 8192);
		if (n <= 0) {
			buf_free(&b);
			return false;
		}
		b.len += (size_t)n;
		b.data[b.len] = 0;
		end = strstr(b.data, "\r\n\r\n");
	}
	if (!end)
		return false;
	size_t head = (size_t)(end - b.data) + 4;
	r->rest = (struct buf){ 0 };
	buf_append(&r->rest, b.data + head, b.len - head);
	r->head = xstrndup(b.data, head - 2);
	buf_free(&b);
	r->query[0] = 0;
	if (sscanf(r->head, "%15s %2047s", r->method, r->path) != 2)
		return false;
	char *q = strchr(r->path, '?');
	if (q) {
		snprintf(r->query, sizeof(r->query), "%s", q + 1);
		*q = 0;
	}
	r->from = 0;
	r->to = UINT64_MAX;
	const char *range = header(r, "Range"), *length = header(r, "Content-Length");
	if (length)
		r->body_len = strtoull(length, NULL, 10);
	else
		r->body_len = 0;
	range = header(r, "Range");
	if (range)
		sscanf(range, "bytes=%" SCNu64 "-%" SCNu64, &r->from, &r->to);
	return true;
}

static void log_request(const struct request *r)
{
	char auth[16] = "-", range[128] = "-";
	const char *a = header(r, "Authorization");
	if (a)
		snprintf(auth, sizeof(auth), "%.*s", (int)strcspn(a, " "), a);
	const char *g = header(r, "Range");
	if (g)
		snprintf(range, sizeof(range), "%s", g);
	FILE *f = fopen(logfile, "a");
	if (!f)
		return;
	fprintf(f, "%s %s%s%s %s %s %s\n", r->method, r->path, r->query[0] ? "?" : "", r->query, range, auth,
		r->fault[0] ? r->fault : "-");
	fclose(f);
}

static void put(int fd, const void *data, size_t len)
{
	if (io_write_full(fd, data, len) < 0) /* the client is gone */
		return;
}

static void stall(void)
{
	for (;;)
		pause();
}

/* The connection ends in the way that the client sees as a failure of the network. */
static void reset_connection(int fd)
{
	struct linger l = { 1, 0 };
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

/* True: the connection can be used again. */
static bool put_body(const struct request *r, const char *data, size_t len)
{
	size_t n = (size_t)atoll(r->arg);
	n = n < len ? n : len;
	if (is(r, "slow")) {
		size_t step = (size_t)atoll(r->arg) / 10 + 1;
		for (size_t at = 0; at < len; at += step) {
			put(r->fd, data + at, step < len - at ? step : len - at);
			usleep(100000);
		}
		return true;
	}
	if (is(r, "stall-body")) {
		put(r->fd, data, n);
		stall();
	}
	if (is(r, "reset") || is(r, "truncate")) {
		put(r->fd, data, n);
		usleep(20000); /* or the reset overtakes what was sent */
		if (is(r, "reset"))
			reset_connection(r->fd);
		return false;
	}
	if (is(r, "short")) {
		put(r->fd, data, len ? len - 1 : 0);
		return false;
	}
	put(r->fd, data, len);
	return true;
}

/* (extra): more header lines, or "". */
static bool answer(const struct request *r, int status, const char *extra, const char *data, size_t len)
{
	char *body = xmalloc(len + 1);
	autofree char *own = body;
	memcpy(body, data, len);
	if (is(r, "corrupt") && len > 0)
		body[len / 2] ^= 1;
	struct buf head = { 0 };
	buf_printf(&head,
		"HTTP/1.1 %d X\r\nDocker-Distribution-Api-Version: registry/2.0\r\nContent-Length: "
		"%zu\r\n%s%s\r\n",
		status, len, extra, is(r, "encoding") ? "Content-Encoding: gzip\r\n" : "");
	put(r->fd, head.data, head.len);
	buf_free(&head);
	return !strcmp(r->method, "HEAD") || put_body(r, body, len);
}

static bool fail(const struct request *r, int status)
{
	return answer(r, status, "", "{}", 2);
}

/* A file or a part of it. */
static bool answer_file(const struct request *r, const char *path, const char *headers)
{
	struct buf b = { 0 };
	char extra[512];
	if (io_read_file(AT_FDCWD, path, 1u << 30, &b) < 0) {
		buf_free(&b);
		return fail(r, 404);
	}
	uint64_t from = r->from, to = r->to, size = b.len;
	bool part = to != UINT64_MAX && !is(r, "whole");
	if (part && from >= size) {
		buf_free(&b);
		return fail(r, 416);
	}
	to = part && to < size - 1 ? to : size - 1;
	from = part ? from : 0;
	uint64_t said = from, len = size ? to - from + 1 : 0;
	if (is(r, "shift") && from > 0)
		said = --from;
	if (is(r, "long") && len > 0 && to + 1 < size)
		len++, to++;
	else if (is(r, "long"))
		buf_append(&b, "x", 1), len++;
	snprintf(extra, sizeof(extra), "%s", headers);
	if (part)
		snprintf(extra + strlen(extra), sizeof(extra) - strlen(extra),
			"Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n", said, said + len - 1,
			size);
	bool go_on = answer(r, part ? 206 : 200, extra, b.data ? b.data + from : "", len);
	buf_free(&b);
	return go_on;
}

/* --- the registry ------------------------------------------------------------------------------ */

static struct names *read_names(void)
{
	static struct names *last; /* as long as the file is the same */
	static struct stat seen;
	struct buf text = { 0 };
	struct stat st;
	autofree char *path = xasprintf("%s/index.json", layout);
	pthread_mutex_lock(&lock);
	if (stat(path, &st) < 0 || st.st_ino != seen.st_ino || st.st_mtim.tv_nsec != seen.st_mtim.tv_nsec ||
		st.st_mtim.tv_sec != seen.st_mtim.tv_sec) {
		names_put(last);
		last = NULL;
		if (io_read_file(AT_FDCWD, path, 1u << 26, &text) == 0)
			layout_names(text.data, text.len, layout, &last, NULL);
		seen = st;
	}
	struct names *n = last ? names_get(last) : NULL;
	pthread_mutex_unlock(&lock);
	buf_free(&text);
	return n;
}

/* Of (count) texts those after `last=`, a page of them if the plan says so, with a Link to the next. */
static bool answer_list(
	const struct request *r, const char *before, const char *key, const char **list, size_t count)
{
	struct buf b = { 0 };
	char extra[2600] = "", last[512] = "";
	size_t page = is(r, "page") ? (size_t)atoll(r->arg) : count, at = 0, n = 0;
	const char *after = strstr(r->query, "last=");
	if (after)
		snprintf(last, sizeof(last), "%.*s", (int)strcspn(after + 5, "&"), after + 5);
	while (after && at < count && strcmp(list[at], last) <= 0)
		at++;
	buf_printf(&b, "{%s\"%s\":[", before, key);
	for (; at < count && n < page; at++, n++)
		buf_printf(&b, "%s\"%s\"", n ? "," : "", list[at]);
	buf_puts(&b, "]}");
	if (is(r, "loop"))
		snprintf(extra, sizeof(extra), "Link: <%s?last=%s>; rel=\"next\"\r\n", r->path,
			count ? list[0] : "");
	else if (at < count && n)
		snprintf(extra, sizeof(extra), "Link: <%s?n=%zu&last=%s>; rel=\"next\"\r\n", r->path, page,
			list[at - 1]);
	bool go_on = answer(r, 200, extra, b.data, b.len);
	buf_free(&b);
	return go_on;
}

/* Names if (repository) is NULL, else its tags. */
static bool list(const struct request *r, const char *repository)
{
	struct names *n = read_names();
	size_t count = 0;
	if (!n)
		return fail(r, 500);
	const char **out = xcalloc(names_count(n) + 1, sizeof(*out));
	for (uint32_t i = 0; i < names_count(n); i++) {
		const struct name *e = names_at(n, i);
		if (repository && !strcmp(e->name, repository))
			out[count++] = e->tag;
		else if (!repository && (!count || strcmp(out[count - 1], e->name)))
			out[count++] = e->name;
	}
	bool go_on = repository && !count
			     ? fail(r, 404)
			     : answer_list(r, "", repository ? "tags" : "repositories", out, count);
	free(out);
	names_put(n);
	return go_on;
}

static bool manifest(const struct request *r, const char *repository, const char *reference)
{
	char digest[DIGEST_TEXT_LEN + 1] = "";
	struct names *n = read_names();
	const struct name *e = n ? names_find(n, repository, reference) : NULL;
	snprintf(digest, sizeof(digest), "%s", e ? e->digest : reference);
	names_put(n);
	if (strncmp(digest, "sha256:", 7))
		return fail(r, 404);
	autofree char *path = xasprintf("%s/blobs/sha256/%s", layout, digest + 7);
	autofree char *headers = xasprintf(
		"Content-Type: application/vnd.oci.image.manifest.v1+json\r\nDocker-Content-Digest: %s\r\n",
		digest);
	return answer_file(r, path, headers);
}

/* --- pushes ------------------------------------------------------------------------------------ */

static bool read_body(struct request *r, struct buf *out)
{
	*out = r->rest;
	r->rest = (struct buf){ 0 };
	while (out->len < r->body_len) {
		size_t left = (size_t)(r->body_len - out->len);
		ssize_t n = read(r->fd, buf_reserve(out, left), left);
		if (n <= 0)
			return false;
		out->len += (size_t)n;
	}
	return true;
}

static bool keep_blob(const struct buf *b, struct digest *d)
{
	struct layout_out o;
	int err = layout_out_open(&o, layout, NULL);
	if (!err)
		err = layout_blob_put(&o, b->data ? b->data : "", b->len, d, NULL);
	layout_out_close(&o);
	return !err;
}

static bool push(const struct request *r, const struct buf *body, const char *repository, const char *rest)
{
	char extra[1200];
	struct digest d;
	if (!strcmp(r->method, "POST")) {
		snprintf(extra, sizeof(extra), "Location: /v2/%s/blobs/uploads/1?_state=x\r\n", repository);
		return answer(r, 202, extra, "", 0);
	}
	if (!keep_blob(body, &d))
		return fail(r, 500);
	if (!strncmp(rest, "manifests/", 10)) {
		struct layout_out o;
		autofree char *ref = xasprintf("%s:%s", repository, rest + 10);
		layout_out_open(&o, layout, NULL);
		layout_tag(&o, ref, &d, body->len, NULL);
		layout_out_close(&o);
	}
	return answer(r, 201, "", "", 0);
}

/* --- one request ------------------------------------------------------------------------------- */

static bool want_login(const struct request *r)
{
	char extra[512];
	if (is(r, "basic"))
		return answer(r, 401, "WWW-Authenticate: Basic realm=\"x, \\\"y\\\"\"\r\n", "", 0);
	snprintf(extra, sizeof(extra),
		"WWW-Authenticate: Bearer realm=\"http://127.0.0.1:%d/token\",service=\"s\"\r\n", port);
	return answer(r, 401, extra, "", 0);
}

/* Is the login there that the plan asks for? */
static bool may_enter(const struct request *r)
{
	char now[64];
	const char *a = header(r, "Authorization");
	if (is(r, "basic"))
		return a && !strncmp(a, "Basic ", 6);
	if (!is(r, "bearer") && !is(r, "expire"))
		return true;
	pthread_mutex_lock(&lock);
	token += is(r, "expire");
	snprintf(now, sizeof(now), "Bearer token-%u", token);
	pthread_mutex_unlock(&lock);
	return a && !strcmp(a, now);
}

static bool serve_v2(struct request *r, const struct buf *body)
{
	autofree char *name = xstrdup(r->path + 4);
	char *part;
	if (!*name)
		return answer(r, 200, "", "{}", 2);
	if (!strcmp(name, "_catalog"))
		return list(r, NULL);
	if ((part = strstr(name, "/tags/list"))) {
		*part = 0;
		return list(r, name);
	}
	if (!(part = strstr(name, "/blobs/")) && !(part = strstr(name, "/manifests/")))
		return fail(r, 404);
	*part++ = 0;
	if (!strcmp(r->method, "POST") || !strcmp(r->method, "PUT"))
		return push(r, body, name, part);
	if (!strncmp(part, "manifests/", 10))
		return manifest(r, name, part + 10);
	autofree char *path =
		xasprintf("%s/blobs/sha256/%s", layout, strrchr(part, ':') ? strrchr(part, ':') + 1 : "none");
	return answer_file(r, path, "Content-Type: application/octet-stream\r\n");
}

static bool serve_one(struct request *r, const struct buf *body)
{
	char extra[2048];
	if (is(r, "stall"))
		stall();
	if (is(r, "close"))
		return false;
	if (is(r, "garbage")) {
		put(r->fd, "\1\2\3 who is there?\n\n", 20);
		return false;
	}
	if (is(r, "status")) {
		const char *after = strchr(r->arg, ':');
		snprintf(extra, sizeof(extra), after ? "Retry-After: %s\r\n" : "%s", after ? after + 1 : "");
		return answer(r, atoi(r->arg), extra, "sorry", 5);
	}
	if (is(r, "redirect")) {
		snprintf(extra, sizeof(extra), "Location: %s\r\n", r->arg);
		return answer(r, 302, extra, "", 0);
	}
	if (is(r, "elsewhere")) {
		snprintf(extra, sizeof(extra), "Location: %.900s%.1000s\r\n", r->arg, r->path);
		return answer(r, 302, extra, "", 0);
	}
	if (is(r, "html"))
		return answer(r, 200, "Content-Type: text/html\r\n", "<html>login</html>", 18);
	if (!may_enter(r))
		return want_login(r);
	if (!strcmp(r->path, "/token")) {
		char text[128];
		snprintf(text, sizeof(text), "{\"token\":\"token-%u\",\"expires_in\":300}", token);
		return answer(r, 200, "", text, strlen(text));
	}
	if (!strncmp(r->path, "/v2/", 4))
		return serve_v2(r, body);
	if (strncmp(r->path, "/layout/", 8) || strstr(r->path, ".."))
		return fail(r, 404);
	autofree char *path = xasprintf("%s/%s", layout, r->path + 8);
	return answer_file(r, path, "Content-Type: application/octet-stream\r\n");
}

static void *connection(void *arg)
{
	struct request r = { .fd = (int)(intptr_t)arg };
	setsockopt(
		r.fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)); /* head and body are two writes */
	for (bool go_on = true; go_on && read_request(&r);) {
		struct buf body = { 0 };
		pthread_mutex_lock(&lock);
		choose_fault(&r);
		log_request(&r);
		pthread_mutex_unlock(&lock);
		/* what breaks in the middle of an upload */
		if (is(&r, "reset") && r.body_len > 0) {
			reset_connection(r.fd);
			go_on = false;
		} else {
			go_on = read_body(&r, &body) && serve_one(&r, &body);
		}
		buf_free(&body);
		free(r.head);
	}
	close(r.fd);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	if (argc != 4)
		return 64;
	layout = argv[1];
	plan = argv[2];
	logfile = argv[3];
	signal(SIGPIPE, SIG_IGN);
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(s, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(s, 256) < 0 ||
		getsockname(s, (struct sockaddr *)&a, &len) < 0) {
		perror("faulty");
		return 1;
	}
	port = ntohs(a.sin_port);
	printf("%d\n", port);
	fflush(stdout);
	for (;;) {
		pthread_t t;
		int fd = accept(s, NULL, NULL);
		if (fd >= 0 && pthread_create(&t, NULL, connection, (void *)(intptr_t)fd) == 0)
			pthread_detach(t);
		else if (fd >= 0)
			close(fd);
	}
}
