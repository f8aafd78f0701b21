/* SPDX-License-Identifier: MIT */
/*
 * lines.c: three lines out of the machine: the HRT's console by its agent, its early console (debugcon), both one log; and the
 * ROS's serial line, a log of its own, whose last words tell of a panic.
 */
#include "deployers/splitvm/split.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define CHUNK 65536

static char data[CHUNK];

static ssize_t line_read(struct port *p)
{
	ssize_t n = recv(p->fd, data, sizeof(data), MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		port_unwatch(p);
	return n;
}

/* Who prints at the debug port cannot be made to wait, as QEMU would wait with it: what nobody reads is kept up to a bound. */
static void put_out(struct split *s, const struct port *p, size_t n)
{
	struct stream_out *out = &s->mon.out;

	if (p != &s->debug || stream_out_end(out) - out->acked + n <= SPLIT_CONSOLE_MAX) {
		stream_out_put(out, data, n);
		return;
	}
	if (!s->debug_lost)
		monitor_event(
			&s->mon, "stdout: nobody reads it: what the kernel prints at its debug port is lost");
	s->debug_lost = true;
}

static bool console_read(struct split *s, struct port *p)
{
	ssize_t n = line_read(p);

	if (n <= 0)
		return false;
	if (!s->console_seen) {
		s->console_seen = true;
		monitor_mark(&s->mon, "console");
	}
	monitor_console(&s->mon, data, (size_t)n);
	if (s->plan.streams == STREAMS_CONSOLE)
		put_out(s, p, (size_t)n);
	return true;
}

static void on_console(void *arg, uint32_t events)
{
	struct split *s = arg;

	(void)events;
	console_read(s, &s->console);
	/* With streams = console these bytes are stdout, which loses nothing and so may wait. */
	if (s->console.watch && s->plan.streams == STREAMS_CONSOLE && stream_out_full(&s->mon.out)) {
		port_unwatch(&s->console);
		s->console_waits = true;
	}
}

static void console_retry(void *arg)
{
	struct split *s = arg;

	if (!s->console_waits || stream_out_full(&s->mon.out) || s->console.fd < 0)
		return;
	s->console_waits = false;
	s->console.watch = loop_watch(s->mon.loop, s->console.fd, EPOLLIN, on_console, s);
}

static void on_debug(void *arg, uint32_t events)
{
	struct split *s = arg;

	(void)events;
	console_read(s, &s->debug);
}

static void keep_tail(struct split *s, size_t n)
{
	const char *from = data;

	if (n > sizeof(s->tail)) {
		from += n - sizeof(s->tail);
		n = sizeof(s->tail);
	}
	if (s->tail_len + n > sizeof(s->tail)) {
		size_t drop = s->tail_len + n - sizeof(s->tail);
		memmove(s->tail, s->tail + drop, s->tail_len - drop);
		s->tail_len -= drop;
	}
	memcpy(s->tail + s->tail_len, from, n);
	s->tail_len += n;
}

static bool ros_read(struct split *s)
{
	ssize_t n = line_read(&s->ros);

	if (n <= 0)
		return false;
	keep_tail(s, (size_t)n);
	monitor_ros(&s->mon, data, (size_t)n);
	return true;
}

static void on_ros(void *arg, uint32_t events)
{
	(void)events;
	ros_read(arg);
}

void split_panic_line(const struct split *s, char *out, size_t size)
{
	static const char mark[] = "Kernel panic - not syncing";
	autobuf struct buf text = { 0 };
	const char *at = memmem(s->tail, s->tail_len, mark, strlen(mark));

	*out = 0;
	if (!at)
		return;
	size_t len = (size_t)(s->tail + s->tail_len - at);
	const char *end = memchr(at, '\r', len) ? memchr(at, '\r', len) : memchr(at, '\n', len);
	talk_show(&text, at, end ? (size_t)(end - at) : len, false);
	snprintf(out, size, "%s", text.data);
}

void split_watch(struct split *s)
{
	struct loop *l = s->mon.loop;

	s->console.watch = loop_watch(l, s->console.fd, EPOLLIN, on_console, s);
	s->debug.watch = loop_watch(l, s->debug.fd, EPOLLIN, on_debug, s);
	s->ros.watch = loop_watch(l, s->ros.fd, EPOLLIN, on_ros, s);
	s->mon.out.drained = console_retry;
	s->mon.out.drained_arg = s;
}

void split_drain_lines(struct split *s)
{
	while (s->debug.fd >= 0 && console_read(s, &s->debug))
		;
	while (s->console.fd >= 0 && console_read(s, &s->console))
		;
	while (s->ros.fd >= 0 && ros_read(s))
		;
	s->console_waits = false;
}
