/* SPDX-License-Identifier: MIT */
/* connection.c: bytes in, lines and values out of them; answers, as fast as the other end takes them. */
#include "kv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection *connection_new(int fd)
{
	struct connection *c = malloc(sizeof(*c));

	if (!c)
		return NULL;
	memset(c, 0, offsetof(struct connection, in));
	c->fd = fd;
	atomic_fetch_add(&stats.connections, 1);
	atomic_fetch_add(&stats.all_connections, 1);
	return c;
}

void connection_free(struct connection *c)
{
	atomic_fetch_sub(&stats.connections, 1);
	close(c->fd);
	item_free(c->pending);
	free(c->out);
	free(c);
}

void answer(struct connection *c, const char *text, size_t len)
{
	if (c->broken)
		return;
	if (c->out_at == c->out_len)
		c->out_at = c->out_len = 0;
	if (c->out_len + len > c->out_room) {
		size_t room = 2 * (c->out_len + len);
		char *out = realloc(c->out, room < 4096 ? 4096 : room);

		if (!out) {
			c->broken = true;
			return;
		}
		c->out = out;
		c->out_room = room < 4096 ? 4096 : room;
	}
	memcpy(c->out + c->out_len, text, len);
	c->out_len += len;
}

void answer_text(struct connection *c, const char *text)
{
	answer(c, text, strlen(text));
}

static size_t waiting(const struct connection *c)
{
	return c->out_len - c->out_at;
}

static void flush(struct connection *c)
{
	while (waiting(c) && !c->broken) {
		ssize_t n = send(c->fd, c->out + c->out_at, waiting(c), MSG_NOSIGNAL);

		if (n > 0)
			c->out_at += (size_t)n;
		else if (errno == EAGAIN)
			return;
		else if (errno != EINTR)
			c->broken = true;
	}
	if (!waiting(c) && c->out_room > OUT_MOST) { /* a large answer's room is not kept */
		free(c->out);
		c->out = NULL;
		c->out_room = c->out_at = c->out_len = 0;
	}
}

/* The bytes in (in) that belong to a value. */
static void take_value(struct connection *c)
{
	size_t n = c->in_len - c->in_at;

	if (c->skip) {
		n = n < c->skip ? n : (size_t)c->skip;
		c->skip -= n;
		if (!c->skip && c->skip_answer && !c->quiet)
			answer_text(c, c->skip_answer);
	} else {
		size_t need = c->pending->len + 2u - c->have;

		n = n < need ? n : need;
		memcpy(c->pending->bytes + c->pending->key_len + c->have, c->in + c->in_at, n);
		c->have += n;
	}
	c->in_at += n;
	if (c->pending && c->have == c->pending->len + 2u)
		command_value(c);
}

/* False: there is no whole line. */
static bool take_line(struct connection *c)
{
	char *line = c->in + c->in_at, *end = memchr(line, '\n', c->in_len - c->in_at);
	size_t len;

	if (!end) {
		if (c->in_len - c->in_at >= LINE_MOST) {
			answer_text(c, "CLIENT_ERROR line too long\r\n");
			c->closing = true;
		}
		return false;
	}
	len = (size_t)(end - line);
	c->in_at += len + 1;
	if (len && line[len - 1] == '\r')
		len--;
	line[len] = '\0';
	command_line(c, line, len);
	return true;
}

static void use_input(struct connection *c)
{
	while (c->in_at < c->in_len && !c->closing && !c->broken && waiting(c) < OUT_MOST)
		if (c->pending || c->skip)
			take_value(c);
		else if (!take_line(c))
			break;
	memmove(c->in, c->in + c->in_at, c->in_len - c->in_at);
	c->in_len -= c->in_at;
	c->in_at = 0;
}

/* False: nothing came. */
static bool fill(struct connection *c)
{
	ssize_t n;

	if (c->in_len == sizeof(c->in) || c->ended || c->closing || waiting(c) >= OUT_MOST)
		return false;
	n = recv(c->fd, c->in + c->in_len, sizeof(c->in) - c->in_len, 0);
	if (n > 0)
		c->in_len += (size_t)n;
	else if (!n)
		c->ended = true;
	else if (errno != EAGAIN && errno != EINTR)
		c->broken = true;
	return n > 0;
}

uint32_t connection_run(struct connection *c)
{
	bool more, lines;

	flush(c);
	do {
		more = fill(c);
		use_input(c);
		flush(c);
		lines = memchr(c->in, '\n', c->in_len);
	} while (!c->broken && !c->closing && (more || (lines && !waiting(c))));
	if (c->ended && !lines)
		c->closing = true;
	if (c->broken || (c->closing && !waiting(c)))
		return 0;
	return waiting(c) ? EPOLLOUT : EPOLLIN;
}
