/* SPDX-License-Identifier: MIT */
/*
 * pipes.c: stdin and stdout. Both directions are bounded by DEPLOY_WINDOW, so a slow side slows the other one
 * down and nothing else.
 */
#include "fs/pipes.h"

#include "cache/base/chan.h"
#include "deployers/deploy.h"
#include "fs/instance.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* Small enough that the machine's answer to one part overlaps with the next, large enough to cost nothing. */
#define STDIN_CHUNK (256u << 10)
/* Of what nobody reads, kept for who comes late. Less than the window, or the deployer would wait for an ACK.
 */
#define STDOUT_KEPT (DEPLOY_WINDOW / 2)
/* Of what is typed before the deployer listens: as much as it then keeps for the kernel. */
#define TYPED_KEPT DEPLOY_WINDOW

/* --- stdin ------------------------------------------------------------------------------------- */

static bool launch_pending(const struct instance *in)
{
	return in->work.active && in->work.launch && !in->machine.up;
}

static bool stdin_over(const struct instance *in)
{
	return in->streams.in_ended || in->gone || (!in->machine.up && !launch_pending(in));
}

static uint64_t stdin_room(const struct streams *s)
{
	return s->in_ready ? DEPLOY_WINDOW - (s->in_sent - s->in_acked) : 0;
}

static bool queued_write(const struct parked *p)
{
	return p->h->file == RUN_STDIN && p->data;
}

/* Sends what there is room for; returns the count. */
static size_t stdin_send(struct instance *in, const char *data, size_t len)
{
	struct streams *s = &in->streams;
	size_t sent = 0;

	while (sent < len && stdin_room(s)) {
		size_t n = len - sent;

		if (n > STDIN_CHUNK)
			n = STDIN_CHUNK;
		if (n > stdin_room(s))
			n = (size_t)stdin_room(s);
		deployer_send(in->machine.dep, FRAME_DATA, DEPLOY_STDIN, s->in_sent, data + sent, n);
		s->in_sent += n;
		sent += n;
	}
	return sent;
}

/* Nothing more is taken: what the machine took counts as written, the rest breaks the pipe. */
static void stdin_break(struct instance *in, struct parked *p)
{
	uint64_t acked = in->streams.in_acked;

	if (p->sent && acked > p->start) {
		reply_written(p->req, (size_t)(acked - p->start < p->sent ? acked - p->start : p->sent));
		parked_free(p);
	} else {
		parked_err(p, -EPIPE);
	}
}

/* One queued write goes on. False: the next one must wait too. */
static bool stdin_go_on(struct instance *in, struct parked *p)
{
	struct streams *s = &in->streams;

	if (stdin_over(in)) {
		stdin_break(in, p);
		return true;
	}
	if (p->sent < p->size) {
		if (!p->sent)
			p->start = s->in_sent;
		p->sent += stdin_send(in, p->data + p->sent, p->size - p->sent);
	}
	if (p->sent < p->size)
		return false;
	if (s->in_acked >= p->start + p->size) {
		reply_written(p->req, p->size);
		parked_free(p);
	}
	return true;
}

void stdin_pump(struct instance *in)
{
	struct parked *p, *next;

	for (p = in->streams.parked; p; p = next) {
		next = p->next;
		if (queued_write(p) && !stdin_go_on(in, p))
			return;
	}
}

void stdin_write(
	struct instance *in, struct handle *h, fuse_req_t req, const char *data, size_t size, int flags)
{
	struct streams *s = &in->streams;
	struct parked *p;

	if (stdin_over(in) || !size) {
		reply_err(req, size ? -EPIPE : 0);
		return;
	}
	p = parked_new(h, req, size, 0, flags);
	if (p->nonblock) { /* it cannot wait for the machine: what fits into the window counts as written */
		size_t sent = s->writing[RUN_STDIN] ? 0 : stdin_send(in, data, size);

		if (sent)
			reply_written(req, sent);
		else
			reply_err(req, -EAGAIN);
		parked_free(p);
		return;
	}
	p->data = xmalloc(size);
	memcpy(p->data, data, size);
	s->writing[RUN_STDIN]++;
	if (s->writing[RUN_STDIN] == 1 && s->in_ready) {
		p->start = s->in_sent;
		p->sent = stdin_send(in, p->data, size);
	}
	parked_wait(p);
}

static void stdin_send_end(struct instance *in)
{
	if (in->streams.in_ready)
		deployer_send(in->machine.dep, FRAME_END, DEPLOY_STDIN, in->streams.in_sent, NULL, 0);
}

void stdin_last_writer_gone(struct instance *in)
{
	if (stdin_over(in))
		return;
	in->streams.in_ended = true;
	stdin_send_end(in);
}

void stream_stdin_acked(struct instance *in, uint64_t offset)
{
	struct streams *s = &in->streams;

	if (offset <= s->in_acked || offset > s->in_sent)
		return;
	s->in_acked = offset;
	stream_wake(in, RUN_STDIN);
}

unsigned stdin_poll(struct instance *in)
{
	if (stdin_over(in))
		return POLLOUT | POLLERR;
	return stdin_room(&in->streams) && !in->streams.writing[RUN_STDIN] ? POLLOUT : 0;
}

static void send_typed(struct instance *in, const char *data, size_t size)
{
	for (size_t done = 0; done < size;) {
		size_t n = size - done < CHAN_PAYLOAD_MAX ? size - done : CHAN_PAYLOAD_MAX;

		deployer_send(in->machine.dep, FRAME_DATA, DEPLOY_CONSOLE, 0, data + done, n);
		done += n;
	}
}

/* What is typed while the launch is under way is kept for the deployer, which keeps it for the kernel. */
void console_type(struct instance *in, fuse_req_t req, const char *data, size_t size)
{
	struct streams *s = &in->streams;

	if (!in->machine.up && !launch_pending(in)) {
		reply_err(req, -EPIPE);
		return;
	}
	if (s->in_ready) {
		send_typed(in, data, size);
	} else if (s->typed.len + size > TYPED_KEPT) {
		reply_err(req, -EAGAIN);
		return;
	} else {
		buf_append(&s->typed, data, size);
	}
	reply_written(req, size);
}

/* --- stdout ------------------------------------------------------------------------------------ */

static size_t out_len(const struct streams *s)
{
	return s->out.len - s->out_head;
}

static void out_take(struct streams *s, size_t n)
{
	s->out_head += n;
	s->out_base += n;
	if (s->out_head == s->out.len) {
		buf_clear(&s->out);
		s->out_head = 0;
	} else if (s->out_head > s->out.len / 2) {
		buf_consume(&s->out, s->out_head);
		s->out_head = 0;
	}
}

static void out_ack(struct instance *in, uint64_t offset)
{
	deployer_send(in->machine.dep, FRAME_ACK, DEPLOY_STDOUT, offset, NULL, 0);
}

/* While nobody reads, the console has the bytes, and the deployer must not wait for us. */
static void out_keep_moving(struct instance *in)
{
	struct streams *s = &in->streams;

	if (!s->tee)
		return;
	if (out_len(s) > STDOUT_KEPT) {
		out_take(s, out_len(s) - STDOUT_KEPT / 2);
		out_ack(in, s->out_base);
	}
	if (s->out_ended)
		out_ack(in, s->out_base + out_len(s));
}

static void set_tee(struct instance *in, bool tee)
{
	if (in->streams.tee == tee)
		return;
	in->streams.tee = tee;
	if (in->streams.in_ready)
		deployer_send(in->machine.dep, FRAME_TEE, DEPLOY_STDOUT, tee, NULL, 0);
	out_keep_moving(in);
}

int stdout_open(struct instance *in, struct handle *h)
{
	if (!h->reads || h->writes)
		return -EACCES;
	if (in->streams.out_reader)
		return -EBUSY;
	in->streams.out_reader = h;
	set_tee(in, false);
	return 0;
}

void stdout_release(struct instance *in, struct handle *h)
{
	if (in->streams.out_reader != h)
		return;
	in->streams.out_reader = NULL;
	set_tee(in, !in->anonymous);
}

static bool stdout_over(const struct instance *in)
{
	return in->streams.out_ended || in->gone ||
	       (!in->machine.up && !in->machine.dep && !launch_pending(in));
}

void stdout_read(struct instance *in, struct parked *p)
{
	struct streams *s = &in->streams;
	size_t n = out_len(s) < p->size ? out_len(s) : p->size;

	if (n) {
		parked_data(p, s->out.data + s->out_head, n);
		out_take(s, n);
		out_ack(in, s->out_base);
	} else if (stdout_over(in) || !p->size) {
		parked_data(p, NULL, 0);
	} else {
		parked_wait(p);
	}
}

unsigned stdout_poll(struct instance *in)
{
	return out_len(&in->streams) || stdout_over(in) ? POLLIN : 0;
}

void stream_stdout_data(struct instance *in, uint64_t offset, const void *data, size_t len)
{
	struct streams *s = &in->streams;
	uint64_t end = s->out_base + out_len(s);

	if (offset > end && !out_len(s)) { /* a deployer found again: what lies before was read long ago */
		s->out_base = end = offset;
	} else if (offset > end) {
		log_error("%s: stdout: bytes %llu to %llu are missing", in->name, (unsigned long long)end,
			(unsigned long long)offset);
		return;
	}
	if (end - offset >= len) /* sent again, but known */
		return;
	buf_append(&s->out, (const char *)data + (end - offset), len - (size_t)(end - offset));
	out_keep_moving(in);
	stream_wake(in, RUN_STDOUT);
}

void stream_stdout_end(struct instance *in)
{
	in->streams.out_ended = true;
	out_keep_moving(in);
	stream_wake(in, RUN_STDOUT);
}

/* --- a machine's life -------------------------------------------------------------------------- */

void stream_reset(struct instance *in)
{
	struct streams *s = &in->streams;

	buf_clear(&s->out);
	s->out_head = 0;
	s->out_base = s->in_sent = s->in_acked = 0;
	s->in_ready = s->in_ended = s->out_ended = false;
	s->tee = !in->anonymous && !s->out_reader;
	s->console.end = 0;
	s->console.epoch++;
	in->gen[RUN_CONSOLE]++;
	stream_wake(in, RUN_CONSOLE);
	s->ros.end = 0;
	s->ros.epoch++;
	in->gen[RUN_ROS_CONSOLE]++;
	stream_wake(in, RUN_ROS_CONSOLE);
}

void stream_hello(struct instance *in, uint64_t stdin_next, uint64_t stdin_acked, bool stdin_ended,
	uint64_t console_end)
{
	struct streams *s = &in->streams;

	s->in_ready = true;
	s->in_sent = stdin_next;
	s->in_acked = stdin_acked < stdin_next ? stdin_acked : stdin_next;
	deployer_send(in->machine.dep, FRAME_TEE, DEPLOY_STDOUT, s->tee, NULL, 0);
	send_typed(in, s->typed.data, s->typed.len);
	buf_free(&s->typed);
	if (s->in_ended)
		stdin_send_end(in);
	s->in_ended = s->in_ended || stdin_ended;
	stream_console(in, console_end);
	stream_wake(in, RUN_STDIN);
}

void stream_launch_failed(struct instance *in)
{
	buf_free(&in->streams.typed);
	stream_wake_all(in);
}

void stream_machine_ended(struct instance *in)
{
	in->streams.in_ready = false;
	buf_free(&in->streams.typed);
	stream_wake_all(in);
}
