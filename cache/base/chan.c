/* SPDX-License-Identifier: MIT */
/*
 * chan.c: two byte queues around a socket. Frames that come in are handed on from the place where they
 * were read; frames that go out are copied only if the socket does not take them at once.
 */
#include "cache/base/chan.h"

#include "cache/base/buf.h"
#include "cache/base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define READ_MIN  (64u << 10)  /* room for a read when no large frame is under way */
#define READ_TURN (512u << 10) /* bytes taken before others have their turn in the loop */

struct chan {
	struct watch *watch; /* NULL once closed */
	int fd;
	chan_frame_fn *frame;
	chan_closed_fn *closed;
	void *arg;
	char *in; /* in[0 .. in_len): not yet a whole frame */
	size_t in_len, in_cap;
	struct buf out; /* from out_head: what the socket did not take yet */
	size_t out_head;
	int send_err; /* sending is over, but what the peer had sent before is still read */
	bool busy;    /* a callback of ours is running: chan_free leaves the structure */
	bool freed;
};

static void destroy(struct chan *c)
{
	buf_free(&c->out);
	free(c->in);
	free(c);
}

static void close_socket(struct chan *c)
{
	watch_remove(c->watch);
	c->watch = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

void chan_free(struct chan *c)
{
	if (!c)
		return;
	close_socket(c);
	c->freed = true;
	if (!c->busy)
		destroy(c);
}

static void end(struct chan *c, int err)
{
	close_socket(c);
	buf_free(&c->out);
	c->out_head = 0;
	c->closed(c->arg, err);
}

size_t chan_queued(const struct chan *c)
{
	return c->out.len - c->out_head;
}

/* ---- in ---- */

/* Hands on what is whole. Returns 0, or -EPROTO for a size that no frame may have; stops when the owner
 * frees or closes the channel. */
static int take_frames(struct chan *c)
{
	size_t at = 0;
	int err = 0;

	while (!c->freed && c->in_len - at >= sizeof(struct frame)) {
		struct frame f;

		memcpy(&f, c->in + at, sizeof(f));
		if (f.size > CHAN_PAYLOAD_MAX) {
			err = -EPROTO;
			break;
		}
		if (c->in_len - at - sizeof(f) < f.size)
			break;
		c->frame(c->arg, &f, c->in + at + sizeof(f));
		at += sizeof(f) + f.size;
	}
	c->in_len -= at;
	if (c->in_len && at)
		memmove(c->in, c->in + at, c->in_len);
	return err;
}

/* Room for the rest of the frame under way, and for more if there is none. */
static void make_room(struct chan *c)
{
	size_t want = READ_MIN;
	struct frame f;

	if (c->in_len >= sizeof(f)) {
		memcpy(&f, c->in, sizeof(f));
		if (sizeof(f) + f.size > want)
			want = sizeof(f) + f.size;
	}
	if (want > c->in_cap) {
		c->in = xrealloc(c->in, want);
		c->in_cap = want;
	}
}

/* Reads once. Returns bytes, 0 if there is nothing now, or what ends the channel: 1 in (*over) and
 * the error. */
static ssize_t read_some(struct chan *c, bool *over)
{
	ssize_t n;

	make_room(c);
	do
		n = recv(c->fd, c->in + c->in_len, c->in_cap - c->in_len, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		c->in_len += (size_t)n;
		return n;
	}
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	*over = true;
	if (n < 0)
		return -errno;
	if (c->in_len)
		return -ECONNRESET;
	return c->send_err;
}

static void read_turn(struct chan *c)
{
	size_t taken = 0;

	while (!c->freed && taken < READ_TURN) {
		bool over = false;
		ssize_t n = read_some(c, &over);
		int err = over ? (int)n : 0;

		if (n > 0) {
			taken += (size_t)n;
			err = take_frames(c);
			over = err < 0;
		}
		if (over && !c->freed)
			end(c, err);
		if (over || n == 0)
			return;
	}
}

/* ---- out ---- */

/* Sending has failed. The peer may have said more before it went: that is still read, and then the
 * end of the stream calls closed(). */
static void stop_sending(struct chan *c, int err)
{
	c->send_err = err;
	buf_free(&c->out);
	c->out_head = 0;
	if (c->watch)
		watch_events(c->watch, EPOLLIN);
	shutdown(c->fd, SHUT_WR);
}

static ssize_t send_vec(struct chan *c, struct iovec *iov, size_t count)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = count };
	ssize_t n;

	do
		n = sendmsg(c->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	return n < 0 ? -errno : n;
}

static void queue_sent(struct chan *c, size_t n)
{
	c->out_head += n;
	if (c->out_head == c->out.len) {
		c->out_head = 0;
		if (c->out.cap > CHAN_PAYLOAD_MAX)
			buf_free(&c->out); /* one burst should not cost memory for ever */
		else
			buf_clear(&c->out);
	} else if (c->out_head > c->out.len / 2 && c->out_head > READ_MIN) {
		buf_consume(&c->out, c->out_head);
		c->out_head = 0;
	}
}

/* Sends from the queue until it is empty or the socket is full. */
static void flush_queue(struct chan *c)
{
	while (chan_queued(c)) {
		struct iovec iov = { c->out.data + c->out_head, chan_queued(c) };
		ssize_t n = send_vec(c, &iov, 1);

		if (n < 0)
			stop_sending(c, (int)n);
		if (n <= 0)
			return;
		queue_sent(c, (size_t)n);
	}
	if (c->watch && !c->send_err)
		watch_events(c->watch, EPOLLIN);
}

static void queue_rest(struct chan *c, const struct frame *f, const void *payload, size_t sent)
{
	size_t skip = sent < sizeof(*f) ? 0 : sent - sizeof(*f);

	if (sent < sizeof(*f))
		buf_append(&c->out, (const char *)f + sent, sizeof(*f) - sent);
	if (f->size > skip)
		buf_append(&c->out, (const char *)payload + skip, f->size - skip);
	if (chan_queued(c))
		watch_events(c->watch, EPOLLIN | EPOLLOUT);
}

void chan_send(
	struct chan *c, uint16_t type, uint16_t stream, uint64_t offset, const void *payload, size_t size)
{
	struct frame f = { .size = (uint32_t)size, .type = type, .stream = stream, .offset = offset };
	struct iovec iov[2] = { { &f, sizeof(f) }, { (void *)(uintptr_t)payload, size } };
	ssize_t n = 0;

	if (!c->watch || c->send_err)
		return;
	if (size > CHAN_PAYLOAD_MAX) {
		log_error("channel: a frame of %zu bytes is over the limit of %u; the channel ends", size,
			CHAN_PAYLOAD_MAX);
		stop_sending(c, -EMSGSIZE);
		shutdown(c->fd, SHUT_RD);
		return;
	}
	if (!chan_queued(c)) {
		n = send_vec(c, iov, size ? 2 : 1);
		if (n < 0) {
			stop_sending(c, (int)n);
			return;
		}
	}
	queue_rest(c, &f, payload, (size_t)n);
}

void chan_flush(struct chan *c)
{
	while (c->watch && chan_queued(c)) {
		struct pollfd p = { .fd = c->fd, .events = POLLOUT };

		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			return;
		flush_queue(c);
	}
}

static void on_event(void *arg, uint32_t events)
{
	struct chan *c = arg;

	c->busy = true;
	if (events & EPOLLOUT)
		flush_queue(c);
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		read_turn(c);
	c->busy = false;
	if (c->freed)
		destroy(c);
}

struct chan *chan_new(struct loop *l, int fd, chan_frame_fn *frame, chan_closed_fn *closed, void *arg)
{
	struct chan *c = xcalloc(1, sizeof(*c));

	c->fd = fd;
	c->frame = frame;
	c->closed = closed;
	c->arg = arg;
	c->watch = loop_watch(l, fd, EPOLLIN, on_event, c);
	return c;
}
