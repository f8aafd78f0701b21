/* SPDX-License-Identifier: MIT */
/* fetch.c: curl's multi interface on the loop's descriptors and timers. */
#include "cache/fetch.h"

#include "cache/base/io.h"
#include "cache/fetch_url.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define MAX_HEADERS (128u << 10)
#define TICK_MS	    250
#define TRICKLE	    1024 /* bytes that must come in the time of a stall, or it is one */
#define BUFFER	    (256L << 10)
#define KEPT	    32L /* idle connections */

struct fetcher {
	struct loop *loop;
	CURLM *multi;
	struct timer *timer; /* curl's */
	struct timer *tick;  /* looks for stalls; runs while there are transfers */
	struct transfer *transfers;
	uint64_t bytes;
};

struct transfer {
	struct transfer *next;
	struct fetcher *fetcher;
	CURL *easy;
	struct curl_slist *headers;
	struct fetch_request request;
	struct fetch_answer answer;
	int refused; /* what data returned, or -EFBIG */
	uint64_t body_sent;
	uint64_t moved_ns;		  /* when a byte came or went last */
	uint64_t window_ns, window_bytes; /* for the trickle */
	char words[CURL_ERROR_SIZE];
};

struct fetcher_socket {
	struct fetcher *fetcher;
	int fd;
	struct watch *watch;
};

/* --- the end of a transfer --------------------------------------------------------------------- */

static void unlink_transfer(struct transfer *t)
{
	struct transfer **at = &t->fetcher->transfers;
	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
}

static void drop(struct transfer *t)
{
	unlink_transfer(t);
	curl_multi_remove_handle(t->fetcher->multi, t->easy);
	curl_easy_cleanup(t->easy);
	curl_slist_free_all(t->headers);
	buf_free(&t->answer.headers);
	free(t);
}

void fetch_cancel(struct transfer *t)
{
	drop(t);
}

static void finish(struct transfer *t)
{
	fetch_done_fn *done = t->request.done;
	void *arg = t->request.arg;
	struct fetch_answer a = t->answer;
	t->answer.headers = (struct buf){ 0 };
	drop(t);
	done(arg, &a);
	buf_free(&a.headers);
}

/* curl's words, or its general ones; they name hosts and ports, no credentials. */
static void explain(struct transfer *t, CURLcode code)
{
	const char *text = t->words[0] ? t->words : curl_easy_strerror(code);
	int err = -EHOSTUNREACH;
	switch (code) {
	case CURLE_OPERATION_TIMEDOUT:
		err = -ETIMEDOUT;
		break;
	case CURLE_PARTIAL_FILE:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		err = -ECONNRESET;
		break;
	default:
		break;
	}
	t->answer.err = why_fail(&t->answer.why, err, "%s", text);
}

static void on_end(struct transfer *t, CURLcode code)
{
	if (t->refused == -EFBIG)
		t->answer.err = why_fail(&t->answer.why, -EFBIG, "the answer is larger than it may be");
	else if (t->refused)
		t->answer.err = why_fail_errno(&t->answer.why, t->refused, "the answer was not taken");
	else if (code != CURLE_OK)
		explain(t, code);
	finish(t);
}

static void collect(struct fetcher *f)
{
	CURLMsg *m;
	int left;
	while ((m = curl_multi_info_read(f->multi, &left))) {
		struct transfer *t = NULL;
		if (m->msg != CURLMSG_DONE)
			continue;
		CURLcode code = m->data.result; /* (m) is gone when the handle is removed */
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
		on_end(t, code);
	}
}

/* --- what curl waits for ------------------------------------------------------------------------ */

static void on_socket(void *arg, uint32_t events)
{
	struct fetcher_socket *s = arg;
	struct fetcher *f = s->fetcher;
	int running, what = 0;
	if (events & EPOLLIN)
		what |= CURL_CSELECT_IN;
	if (events & EPOLLOUT)
		what |= CURL_CSELECT_OUT;
	if (events & (EPOLLERR | EPOLLHUP))
		what |= CURL_CSELECT_ERR;
	curl_multi_socket_action(f->multi, s->fd, what, &running); /* may free (s) */
	collect(f);
}

static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *arg, void *assigned)
{
	struct fetcher *f = arg;
	struct fetcher_socket *s = assigned;
	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (s)
			watch_remove(s->watch);
		free(s);
		curl_multi_assign(f->multi, fd, NULL);
		return 0;
	}
	uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
	if (s) {
		watch_events(s->watch, events);
		return 0;
	}
	s = xmalloc(sizeof(*s));
	*s = (struct fetcher_socket){ .fetcher = f, .fd = fd };
	s->watch = loop_watch(f->loop, fd, events, on_socket, s);
	curl_multi_assign(f->multi, fd, s);
	return 0;
}

static void on_timer(void *arg)
{
	struct fetcher *f = arg;
	int running;
	f->timer = NULL;
	curl_multi_socket_action(f->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect(f);
}

static int timer_wanted(CURLM *multi, long ms, void *arg)
{
	struct fetcher *f = arg;
	(void)multi;
	timer_cancel(f->timer);
	f->timer = ms < 0 ? NULL : loop_after(f->loop, (uint64_t)ms, on_timer, f);
	return 0;
}

/* --- stalls ------------------------------------------------------------------------------------- */

static void moved(struct transfer *t, size_t bytes)
{
	t->moved_ns = clock_mono_ns();
	t->window_bytes += bytes;
}

static bool stalled(struct transfer *t, uint64_t now)
{
	unsigned ms = t->request.stall_ms ? t->request.stall_ms : FETCH_STALL_MS;
	uint64_t limit = (uint64_t)ms * 1000000;
	if (t->moved_ns + limit <= now)
		return true;
	if (t->window_ns + limit > now)
		return false;
	bool trickle = t->window_bytes < TRICKLE;
	t->window_ns = now;
	t->window_bytes = 0;
	return trickle;
}

/* finish calls others, who may change the list: after each it is gone through from the beginning. */
static bool end_one_stalled(struct fetcher *f, uint64_t now)
{
	for (struct transfer *t = f->transfers; t; t = t->next) {
		if (!stalled(t, now))
			continue;
		unsigned ms = t->request.stall_ms ? t->request.stall_ms : FETCH_STALL_MS;
		t->answer.err = why_fail(&t->answer.why, -ETIMEDOUT, "%s for %u.%u s",
			t->answer.status ? "next to nothing came" : "no answer came", ms / 1000,
			ms % 1000 / 100);
		finish(t);
		return true;
	}
	return false;
}

static void tick(void *arg)
{
	struct fetcher *f = arg;
	uint64_t now = clock_mono_ns();
	f->tick = NULL;
	while (end_one_stalled(f, now))
		continue;
	if (f->transfers && !f->tick)
		f->tick = loop_after(f->loop, TICK_MS, tick, f);
}

/* --- bytes -------------------------------------------------------------------------------------- */

static size_t on_header(char *line, size_t one, size_t len, void *arg)
{
	struct transfer *t = arg;
	struct buf *h = &t->answer.headers;
	(void)one;
	moved(t, len);
	if (len > 5 && !strncasecmp(line, "HTTP/", 5)) { /* of an interim answer, or the final one */
		long status = 0;
		curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
		t->answer.status = (int)status;
		buf_clear(h);
		return len;
	}
	size_t n = len;
	while (n > 0 && (line[n - 1] == '\r' || line[n - 1] == '\n'))
		n--;
	if (n == 0)
		return len;
	if (h->len + n + 2 > MAX_HEADERS) {
		t->refused = -EFBIG;
		return 0;
	}
	size_t at = h->len;
	buf_append(h, line, n);
	buf_append(h, "\n", 1);
	for (size_t i = at; i < h->len && h->data[i] != ':'; i++)
		h->data[i] = (char)tolower((unsigned char)h->data[i]);
	return len;
}

static size_t on_body(char *data, size_t one, size_t len, void *arg)
{
	struct transfer *t = arg;
	(void)one;
	moved(t, len);
	t->fetcher->bytes += len;
	t->answer.body_len += len;
	if (t->answer.status == 0) {
		long status = 0;
		curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
		t->answer.status = (int)status;
	}
	if (t->answer.body_len > t->request.max)
		t->refused = -EFBIG;
	else if (t->request.data)
		t->refused = t->request.data(t->request.arg, &t->answer, data, len);
	return t->refused ? 0 : len;
}

/* The file is what is being published, or a temporary of ours: short reads of it are as good as none. */
static size_t on_upload(char *to, size_t one, size_t len, void *arg)
{
	struct transfer *t = arg;
	const struct fetch_request *r = &t->request;
	(void)one;
	uint64_t left = r->body_len - t->body_sent;
	if (len > left)
		len = (size_t)left;
	if (r->body)
		memcpy(to, (const char *)r->body + t->body_sent, len);
	else if (io_pread_full(r->body_fd, to, len, r->body_off + t->body_sent) != (ssize_t)len)
		return CURL_READFUNC_ABORT;
	t->body_sent += len;
	moved(t, len);
	if (r->sent)
		r->sent(r->arg, t->body_sent);
	return len;
}

static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct transfer *t = arg;
	if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > t->request.body_len)
		return CURL_SEEKFUNC_CANTSEEK;
	t->body_sent = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
}

/* --- the beginning ------------------------------------------------------------------------------ */

static void set_method(struct transfer *t)
{
	const struct fetch_request *r = &t->request;
	if (!strcmp(r->method, "HEAD")) {
		curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
		return;
	}
	if (r->has_body) {
		curl_easy_setopt(t->easy, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(t->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->body_len);
		curl_easy_setopt(t->easy, CURLOPT_READFUNCTION, on_upload);
		curl_easy_setopt(t->easy, CURLOPT_READDATA, t);
		curl_easy_setopt(t->easy, CURLOPT_SEEKFUNCTION, on_seek);
		curl_easy_setopt(t->easy, CURLOPT_SEEKDATA, t);
		curl_easy_setopt(t->easy, CURLOPT_UPLOAD_BUFFERSIZE, BUFFER);
	}
	curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, r->method);
}

/* What is on this machine is not asked for at the proxy that the environment names: "127.0.0.1" would be the proxy's own
 * machine, which would get the password that plain HTTP carries. */
static bool is_here(const char *text)
{
	struct url u;
	if (url_parse(text, &u, NULL) < 0)
		return false;
	bool here = u.loopback;
	url_free(&u);
	return here;
}

static void set_up(struct transfer *t)
{
	const struct fetch_request *r = &t->request;
	CURL *e = t->easy;
	curl_easy_setopt(e, CURLOPT_URL, r->url); /* copied */
	curl_easy_setopt(e, CURLOPT_PRIVATE, t);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(e, CURLOPT_BUFFERSIZE, BUFFER);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->words);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
	if (r->ca_file)
		curl_easy_setopt(e, CURLOPT_CAINFO, r->ca_file);
	if (is_here(r->url))
		curl_easy_setopt(e, CURLOPT_PROXY, "");
	t->headers = curl_slist_append(NULL, "Expect:");
	t->headers = curl_slist_append(t->headers, "Accept-Encoding: identity");
	t->headers = curl_slist_append(t->headers, "User-Agent: diverfs/" DIVERFS_VERSION);
	for (size_t i = 0; r->headers && r->headers[i]; i++)
		t->headers = curl_slist_append(t->headers, r->headers[i]);
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, t->headers);
	set_method(t);
}

struct transfer *fetch_start(struct fetcher *f, const struct fetch_request *r)
{
	struct transfer *t = xcalloc(1, sizeof(*t));
	t->fetcher = f;
	t->request = *r;
	t->easy = curl_easy_init();
	if (!t->easy)
		abort();
	set_up(t);
	t->request.url = t->request.method = NULL; /* the caller's, and copied */
	t->request.headers = NULL;
	t->request.ca_file = NULL;
	t->moved_ns = t->window_ns = clock_mono_ns();
	t->next = f->transfers;
	f->transfers = t;
	if (!f->tick)
		f->tick = loop_after(f->loop, TICK_MS, tick, f);
	curl_multi_add_handle(f->multi, t->easy);
	return t;
}

static void global_init(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct fetcher *fetcher_new(struct loop *l)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, global_init);
	struct fetcher *f = xcalloc(1, sizeof(*f));
	f->loop = l;
	f->multi = curl_multi_init();
	if (!f->multi)
		abort();
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, socket_wanted);
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, timer_wanted);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
	curl_multi_setopt(f->multi, CURLMOPT_MAXCONNECTS, KEPT);
	return f;
}

void fetcher_free(struct fetcher *f)
{
	if (!f)
		return;
	while (f->transfers)
		drop(f->transfers);
	curl_multi_cleanup(f->multi);
	timer_cancel(f->timer);
	timer_cancel(f->tick);
	free(f);
}

uint64_t fetcher_bytes(const struct fetcher *f)
{
	return f->bytes;
}

char *fetch_header(const struct fetch_answer *a, const char *name, unsigned nth)
{
	size_t n = strlen(name);
	const char *line = a->headers.data ? a->headers.data : "";
	while (*line) {
		size_t len = strcspn(line, "\n");
		if (len > n && line[n] == ':' && !memcmp(line, name, n) && nth-- == 0) {
			const char *v = line + n + 1, *end = line + len;
			while (v < end && (*v == ' ' || *v == '\t'))
				v++;
			while (end > v && (end[-1] == ' ' || end[-1] == '\t'))
				end--;
			return xstrndup(v, (size_t)(end - v));
		}
		line += len + (line[len] == '\n');
	}
	return NULL;
}

int64_t fetch_retry_after_ms(const struct fetch_answer *a)
{
	struct tm tm = { 0 };
	char *end;
	autofree char *text = fetch_header(a, "retry-after", 0);
	if (!text || !*text)
		return -1;
	long long n = strtoll(text, &end, 10);
	if (!*end)
		return n < 0 ? -1 : n > 86400 ? 86400000 : n * 1000;
	end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	if (!end)
		return -1;
	int64_t until = (int64_t)timegm(&tm) - (int64_t)time(NULL);
	return until < 0 ? 0 : until > 86400 ? 86400000 : until * 1000;
}
