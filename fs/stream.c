/* SPDX-License-Identifier: MIT */
/*
 * stream.c: who waits for what. All that waits is in one list per instance, oldest first; whatever changes
 * calls stream_wake for the file concerned, and each waiter of it looks again. A waiter costs a few bytes, so
 * hundreds of them do no harm.
 */
#include "fs/stream.h"

#include "fs/instance.h"
#include "fs/logs.h"
#include "fs/parked.h"
#include "fs/pipes.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* --- the list ---------------------------------------------------------------------------------- */

static void list_add(struct streams *s, struct parked *p)
{
	p->next = NULL;
	p->listed = true;
	if (!s->parked_tail)
		s->parked_tail = &s->parked;
	*s->parked_tail = p;
	s->parked_tail = &p->next;
}

static void list_remove(struct streams *s, struct parked *p)
{
	struct parked **q = &s->parked;

	while (*q != p)
		q = &(*q)->next;
	*q = p->next;
	if (!p->next)
		s->parked_tail = q;
	p->listed = false;
}

struct parked *parked_new(struct handle *h, fuse_req_t req, size_t size, uint64_t off, int flags)
{
	struct parked *p = xcalloc(1, sizeof(*p));

	p->req = req;
	p->h = h;
	p->size = size;
	p->off = off;
	p->nonblock = flags & O_NONBLOCK;
	return p;
}

void parked_free(struct parked *p)
{
	struct instance *in = p->h->in;

	if (p->listed)
		list_remove(&in->streams, p);
	if (p->data)
		in->streams.writing[p->h->file]--;
	free(p->data);
	free(p->buf);
	free(p);
}

void parked_data(struct parked *p, const void *data, size_t len)
{
	reply_data(p->req, data, len);
	p->h->pos = p->off + len;
	parked_free(p);
}

void parked_err(struct parked *p, int err)
{
	reply_err(p->req, err);
	parked_free(p);
}

static void interrupted(fuse_req_t req, void *arg)
{
	struct parked *p = arg;

	(void)req;
	p->interrupted = true;
	if (!p->listed)
		return; /* it is in the pool: its answer is on the way */
	if (p->sent) {	/* that much is on its way to the machine and cannot be taken back */
		reply_written(p->req, p->sent);
		parked_free(p);
	} else {
		parked_err(p, -EINTR);
	}
}

void parked_wait(struct parked *p)
{
	struct instance *in = p->h->in;

	if (p->nonblock) {
		parked_err(p, -EAGAIN);
		return;
	}
	if (p->interrupted) {
		parked_err(p, -EINTR);
		return;
	}
	list_add(&in->streams, p);
	req_on_interrupt(p->req, interrupted, p); /* last: it may answer at once */
}

/* --- one answer that comes late ---------------------------------------------------------------- */

static bool launch_under_way(const struct instance *in)
{
	return in->machine.up || (in->work.active && in->work.launch);
}

static void wait_read(struct instance *in, struct parked *p)
{
	struct handle *h = p->h;

	if (!h->shot && launch_under_way(in)) {
		parked_wait(p);
		return;
	}
	if (!h->shot && !in->machine.launched) {
		parked_err(p, -ENODATA);
		return;
	}
	if (!h->shot)
		buf_printf(&h->text, "%d\n", in->machine.end.status);
	h->shot = true;
	if (p->off >= h->text.len)
		parked_data(p, NULL, 0);
	else
		parked_data(p, h->text.data + p->off,
			p->size < h->text.len - p->off ? p->size : h->text.len - p->off);
}

/* --- any file ---------------------------------------------------------------------------------- */

static void read_again(struct instance *in, struct parked *p)
{
	switch (p->h->file) {
	case RUN_WAIT:
		wait_read(in, p);
		break;
	case RUN_STDOUT:
		stdout_read(in, p);
		break;
	case RUN_STDIN: /* there is nothing to read, for a backup that opens everything */
		parked_data(p, NULL, 0);
		break;
	default:
		log_read(in, p);
	}
}

void stream_read(struct instance *in, struct handle *h, fuse_req_t req, size_t size, uint64_t off, int flags)
{
	read_again(in, parked_new(h, req, size, off, flags));
}

void stream_write(
	struct instance *in, struct handle *h, fuse_req_t req, const char *data, size_t size, int flags)
{
	if (h->file == RUN_STDIN)
		stdin_write(in, h, req, data, size, flags);
	else if (h->file == RUN_CONSOLE)
		console_type(in, req, data, size);
	else
		reply_err(req, -EACCES);
}

int stream_open(struct instance *in, struct handle *h, bool truncate)
{
	(void)truncate;
	if (h->file == RUN_STDOUT) {
		int err = stdout_open(in, h);

		if (err)
			return err;
	}
	if (h->file == RUN_STDIN && h->writes)
		in->streams.in_writers++;
	log_attach(in, h);
	h->next_stream = in->streams.handles;
	in->streams.handles = h;
	return 0;
}

void stream_release(struct instance *in, struct handle *h)
{
	struct handle **q = &in->streams.handles;

	while (*q && *q != h)
		q = &(*q)->next_stream;
	if (*q)
		*q = h->next_stream;
	if (h->ph)
		ops_poll_destroy(h->ph);
	h->ph = NULL;
	log_detach(h);
	if (h->file == RUN_STDOUT)
		stdout_release(in, h);
	if (h->file == RUN_STDIN && h->writes && --in->streams.in_writers == 0)
		stdin_last_writer_gone(in);
}

unsigned stream_poll(struct instance *in, struct handle *h)
{
	switch (h->file) {
	case RUN_WAIT:
		return h->shot || !launch_under_way(in) ? POLLIN : 0;
	case RUN_STDOUT:
		return stdout_poll(in);
	case RUN_STDIN:
		return stdin_poll(in);
	case RUN_CONSOLE:
		return log_poll(in, h) | (launch_under_way(in) ? POLLOUT : 0);
	case RUN_EVENTS:
	case RUN_BUILD_LOG:
	case RUN_ROS_CONSOLE:
		return log_poll(in, h);
	default:
		return POLLIN | POLLOUT;
	}
}

/* Those that come back to the list while it is walked stand behind (last). */
static void wake_parked(struct instance *in, enum run_file file)
{
	struct streams *s = &in->streams;
	struct parked *p = s->parked, *next, *last = NULL;

	for (struct parked *q = p; q; q = q->next)
		last = q;
	for (bool end = false; p && !end; p = next) {
		next = p->next;
		end = p == last;
		if (p->h->file != file || p->data)
			continue;
		list_remove(s, p);
		read_again(in, p);
	}
}

static void wake_polls(struct instance *in, enum run_file file)
{
	for (struct handle *h = in->streams.handles; h; h = h->next_stream) {
		struct fuse_pollhandle *ph = h->ph;

		if (h->file != file || !ph || !stream_poll(in, h))
			continue;
		h->ph = NULL;
		ops_poll_notify(ph);
	}
}

void stream_wake(struct instance *in, enum run_file file)
{
	if (file == RUN_STDIN)
		stdin_pump(in);
	else
		wake_parked(in, file);
	wake_polls(in, file);
}

void stream_wake_all(struct instance *in)
{
	static const enum run_file files[] = { RUN_STDIN, RUN_STDOUT, RUN_CONSOLE, RUN_ROS_CONSOLE,
		RUN_BUILD_LOG, RUN_EVENTS, RUN_WAIT };

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		stream_wake(in, files[i]);
}

void stream_fail_all(struct instance *in, int err)
{
	while (in->streams.parked)
		parked_err(in->streams.parked, err);
}

void stream_free(struct instance *in)
{
	buf_free(&in->streams.events);
	buf_free(&in->streams.out);
	buf_free(&in->streams.typed);
}
