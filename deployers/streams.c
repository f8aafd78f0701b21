/* SPDX-License-Identifier: MIT */
/*
 * streams.c: stdin and stdout. Bytes leave our memory only when the other side has said that it has them.
 */
#include "deployers/streams.h"

#include "cache/base/io.h"
#include "deployers/deploy.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK 65536u

static size_t fifo_len(const struct fifo *f)
{
	return f->buf.len - f->head;
}

static const char *fifo_data(const struct fifo *f)
{
	return f->buf.data + f->head;
}

static void fifo_drop(struct fifo *f, size_t n)
{
	f->head += n;
	if (f->head == f->buf.len)
		buf_clear(&f->buf);
	else if (f->head >= DEPLOY_WINDOW / 2)
		buf_consume(&f->buf, f->head);
	else
		return;
	f->head = 0;
}

static void in_fail(struct stream_in *s)
{
	/* The machine takes no more: what is left has no reader, as in a pipe. */
	watch_remove(s->watch);
	s->watch = NULL;
	fifo_drop(&s->pending, fifo_len(&s->pending));
}

static void in_pump(struct stream_in *s)
{
	uint64_t before = s->taken;

	while (fifo_len(&s->pending) && s->watch) {
		ssize_t n = send(
			s->fd, fifo_data(&s->pending), fifo_len(&s->pending), MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			in_fail(s);
		if (n <= 0)
			break;
		fifo_drop(&s->pending, (size_t)n);
		s->taken += (uint64_t)n;
	}
	if (!fifo_len(&s->pending) && s->ended && !s->closed && s->fd >= 0) {
		s->closed = true;
		if (s->typed)
			(void)!send(s->fd, "\4", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		else
			shutdown(s->fd, SHUT_WR);
	}
	if (s->watch)
		watch_events(s->watch, fifo_len(&s->pending) ? EPOLLOUT : 0);
	if (s->taken != before)
		s->moved(s->arg);
}

static void in_ready(void *arg, uint32_t events)
{
	struct stream_in *s = arg;

	if (events & (EPOLLHUP | EPOLLERR))
		in_fail(s);
	else
		in_pump(s);
}

void stream_in_init(struct stream_in *s, struct loop *l, void (*moved)(void *), void *arg)
{
	*s = (struct stream_in){ .loop = l, .fd = -1, .moved = moved, .arg = arg };
}

void stream_in_attach(struct stream_in *s, int fd)
{
	s->fd = fd;
	s->watch = loop_watch(s->loop, fd, 0, in_ready, s);
	in_pump(s);
}

int stream_in_data(struct stream_in *s, uint64_t offset, const void *data, size_t len)
{
	if (offset > s->received || (s->ended && offset + len > s->received))
		return -EPROTO;
	uint64_t known = s->received - offset;
	if (known >= len)
		return 0; /* a daemon that was restarted repeats itself */
	if (s->received - s->taken + (len - known) > DEPLOY_WINDOW)
		return -EPROTO;
	s->received += len - known;
	if (s->fd >= 0 && !s->watch)
		return 0;
	buf_append(&s->pending.buf, (const char *)data + known, len - known);
	in_pump(s);
	return 0;
}

void stream_in_end(struct stream_in *s)
{
	s->ended = true;
	in_pump(s);
}

void stream_in_free(struct stream_in *s)
{
	watch_remove(s->watch);
	s->watch = NULL;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	buf_free(&s->pending.buf);
}

bool stream_out_full(const struct stream_out *s)
{
	return fifo_len(&s->kept) >= DEPLOY_WINDOW;
}

uint64_t stream_out_end(const struct stream_out *s)
{
	return s->acked + fifo_len(&s->kept);
}

static void out_detach(struct stream_out *s)
{
	watch_remove(s->watch);
	s->watch = NULL;
	s->eof = true;
}

static void out_throttle(struct stream_out *s)
{
	if (s->watch)
		watch_events(s->watch, stream_out_full(s) ? 0 : EPOLLIN);
}

/* Returns false when there is no more for now. */
static bool out_read(struct stream_out *s, size_t max)
{
	char *p = buf_reserve(&s->kept.buf, max);
	ssize_t n = recv(s->fd, p, max, MSG_DONTWAIT);

	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0) {
		out_detach(s);
		return false;
	}
	s->kept.buf.len += (size_t)n;
	s->kept.buf.data[s->kept.buf.len] = 0;
	if (s->tee)
		s->tee(s->arg, p, (size_t)n);
	return true;
}

static void out_ready(void *arg, uint32_t events)
{
	struct stream_out *s = arg;
	size_t room = stream_out_full(s) ? 0 : DEPLOY_WINDOW - fifo_len(&s->kept);

	if (!room) {
		/* Hung up, with bytes left in the socket: EPOLLHUP cannot be masked, so look again when
		 * there is room. stream_out_finish reads the rest. */
		if (events & (EPOLLHUP | EPOLLERR)) {
			watch_remove(s->watch);
			s->watch = NULL;
		}
		return;
	}
	out_read(s, room < CHUNK ? room : CHUNK);
	out_throttle(s);
	s->moved(s->arg);
}

void stream_out_init(struct stream_out *s, struct loop *l, void (*moved)(void *), void *arg)
{
	*s = (struct stream_out){ .loop = l, .fd = -1, .moved = moved, .arg = arg };
}

void stream_out_attach(struct stream_out *s, int fd)
{
	s->fd = fd;
	s->watch = loop_watch(s->loop, fd, EPOLLIN, out_ready, s);
}

void stream_out_put(struct stream_out *s, const void *data, size_t len)
{
	buf_append(&s->kept.buf, data, len);
	s->moved(s->arg);
}

int stream_out_ack(struct stream_out *s, uint64_t offset)
{
	if (offset > s->sent)
		return -EPROTO;
	if (offset <= s->acked)
		return 0;
	fifo_drop(&s->kept, (size_t)(offset - s->acked));
	s->acked = offset;
	out_throttle(s);
	if (s->drained)
		s->drained(s->drained_arg);
	return 0;
}

int stream_out_resume(struct stream_out *s, uint64_t offset)
{
	if (offset > stream_out_end(s))
		return -EPROTO;
	s->sent = offset;
	int err = stream_out_ack(s, offset);
	s->sent = s->acked; /* what was acknowledged before is gone */
	s->end_sent = false;
	return err;
}

void stream_out_send(struct stream_out *s, struct chan *c)
{
	uint64_t end = stream_out_end(s);

	while (s->sent < end && s->sent - s->acked < DEPLOY_WINDOW) {
		size_t n = (size_t)(end - s->sent), room = (size_t)(DEPLOY_WINDOW - (s->sent - s->acked));
		const char *from = fifo_data(&s->kept) + (s->sent - s->acked);

		n = n < room ? n : room;
		n = n < CHUNK ? n : CHUNK;
		chan_send(c, FRAME_DATA, DEPLOY_STDOUT, s->sent, from, n);
		s->sent += n;
	}
	if (s->eof && s->sent == end && !s->end_sent) {
		s->end_sent = true;
		chan_send(c, FRAME_END, DEPLOY_STDOUT, end, NULL, 0);
	}
}

void stream_out_finish(struct stream_out *s)
{
	while (s->fd >= 0 && !s->eof && out_read(s, CHUNK))
		;
	out_detach(s);
	s->moved(s->arg);
}

void stream_out_free(struct stream_out *s)
{
	watch_remove(s->watch);
	s->watch = NULL;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	buf_free(&s->kept.buf);
}
