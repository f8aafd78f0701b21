/* SPDX-License-Identifier: MIT */
/*
 * qmp.c: lines of JSON over a socket. Commands are written at once, before QEMU has said hello: they wait in
 * the socket, so that nothing is waited for while the machine starts.
 */
#include "deployers/qmp.h"

#include "cache/base/buf.h"
#include "cache/base/io.h"
#include "cache/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct qmp {
	struct loop *loop;
	int fd;
	struct watch *watch;
	struct buf in;	/* an unfinished line */
	struct buf out; /* commands that the socket did not take yet */
	qmp_event_fn *event;
	qmp_reply_fn *reply;
	void *arg;
};

static void qmp_stop(struct qmp *q)
{
	watch_remove(q->watch);
	q->watch = NULL;
}

static void qmp_flush(struct qmp *q)
{
	while (q->out.len) {
		ssize_t n = send(q->fd, q->out.data, q->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			buf_clear(&q->out); /* QEMU is gone, which its process tells */
		if (n <= 0)
			break;
		buf_consume(&q->out, (size_t)n);
	}
	if (q->watch)
		watch_events(q->watch, EPOLLIN | (q->out.len ? EPOLLOUT : 0));
}

static void handle_line(struct qmp *q, const char *line)
{
	char word[64], error[512];
	bool failed;

	log_debug("qmp: %s", line);
	if (json_find(line, "event", word, sizeof(word))) {
		q->event(q->arg, word, line);
		return;
	}
	if (!json_find(line, "id", word, sizeof(word)))
		return; /* the greeting, or the answer to qmp_capabilities */
	failed = json_find(line, "error.desc", error, sizeof(error));
	q->reply(q->arg, strtoull(word, NULL, 10), line, failed ? error : NULL);
}

static void handle_lines(struct qmp *q)
{
	char *end;

	while (q->in.len && (end = memchr(q->in.data, '\n', q->in.len))) {
		*end = 0;
		autofree char *line = xstrdup(q->in.data);
		buf_consume(&q->in, (size_t)(end - q->in.data) + 1);
		handle_line(q, line);
	}
}

/* Returns false when nothing is left to read for now. */
static bool qmp_read(struct qmp *q)
{
	char *p = buf_reserve(&q->in, 16384);
	ssize_t n = recv(q->fd, p, 16384, MSG_DONTWAIT);

	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0) {
		qmp_stop(q);
		return false;
	}
	q->in.len += (size_t)n;
	q->in.data[q->in.len] = 0;
	handle_lines(q);
	if (q->in.len > QMP_LINE_MAX) {
		log_error("QEMU sent a line of more than %u bytes: no longer listening", QMP_LINE_MAX);
		qmp_stop(q);
		q->event(q->arg, QMP_BROKEN, "{}");
		return false;
	}
	return true;
}

static void qmp_ready(void *arg, uint32_t events)
{
	struct qmp *q = arg;

	if (events & EPOLLOUT)
		qmp_flush(q);
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		qmp_read(q);
}

struct qmp *qmp_new(struct loop *l, int fd, qmp_event_fn *event, qmp_reply_fn *reply, void *arg)
{
	struct qmp *q = xcalloc(1, sizeof(*q));

	*q = (struct qmp){ .loop = l, .fd = fd, .event = event, .reply = reply, .arg = arg };
	q->watch = loop_watch(l, fd, EPOLLIN, qmp_ready, q);
	buf_puts(&q->out, "{\"execute\":\"qmp_capabilities\"}\n");
	qmp_flush(q);
	return q;
}

void qmp_free(struct qmp *q)
{
	if (!q)
		return;
	qmp_stop(q);
	close(q->fd);
	buf_free(&q->in);
	buf_free(&q->out);
	free(q);
}

void qmp_send(struct qmp *q, uint64_t id, const char *command, const char *arguments)
{
	buf_printf(&q->out, "{\"execute\":\"%s\",\"id\":%llu", command, (unsigned long long)id);
	if (arguments)
		buf_printf(&q->out, ",\"arguments\":%s", arguments);
	buf_puts(&q->out, "}\n");
	qmp_flush(q);
}

void qmp_drain(struct qmp *q)
{
	while (q->watch && qmp_read(q))
		;
}
