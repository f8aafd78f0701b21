/* SPDX-License-Identifier: MIT */
/*
 * logs.c: logs read at offsets. Where a log ends is known from the deployer's frames; the bytes are read from
 * its files in the pool, one read of a handle at a time, because the handle's view of the directory is not
 * made for two.
 */
#include "fs/logs.h"

#include "cache/base/io.h"
#include "cache/base/seglog.h"
#include "fs/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EVENTS_MAX   (64u << 10)
#define LOG_READ_MAX (1u << 20)

/* A log on disk. */
static const struct runlog *runlog_of(const struct instance *in, enum run_file file)
{
	return file == RUN_CONSOLE	 ? &in->streams.console
	       : file == RUN_ROS_CONSOLE ? &in->streams.ros
					 : &in->streams.build_log;
}

static uint32_t epoch(const struct instance *in, enum run_file file)
{
	return file == RUN_EVENTS ? 0 : runlog_of(in, file)->epoch;
}

static uint64_t log_end(const struct instance *in, enum run_file file)
{
	if (file == RUN_EVENTS)
		return in->streams.events_start + in->streams.events.len;
	return runlog_of(in, file)->end;
}

/* Whether more may come: then a read at the end waits. */
static bool live(const struct instance *in, enum run_file file)
{
	bool launching = in->work.active && in->work.launch;

	if (in->gone)
		return false;
	if (file == RUN_CONSOLE || file == RUN_ROS_CONSOLE)
		return in->machine.up || launching;
	return file == RUN_BUILD_LOG ? in->work.active : instance_busy(in);
}

/* A log that is still empty but may grow has a byte to come: tail -f takes an empty file for a pipe, which it reads to
 * the end before it prints anything, and that end is the machine's. */
uint64_t stream_size(struct instance *in, enum run_file file)
{
	uint64_t end;

	if (file != RUN_CONSOLE && file != RUN_ROS_CONSOLE && file != RUN_BUILD_LOG && file != RUN_EVENTS)
		return 0;
	end = log_end(in, file);
	return !end && live(in, file) ? 1 : end;
}

void log_attach(struct instance *in, struct handle *h)
{
	h->epoch = epoch(in, h->file);
}

void log_detach(struct handle *h)
{
	seglog_close(h->log);
	h->log = NULL;
	buf_free(&h->gap);
}

static const char *log_name(enum run_file file)
{
	return file == RUN_CONSOLE	 ? "console"
	       : file == RUN_ROS_CONSOLE ? "ros.console"
	       : file == RUN_BUILD_LOG	 ? "build.log"
					 : "events";
}

/* Where a handle's offset lies in the log. From 0 on everything is shown anew, gap and all. */
static uint64_t position(struct handle *h, uint64_t off)
{
	if (off == 0) {
		h->skip = 0;
		buf_clear(&h->gap);
	}
	return h->skip < 0 && (uint64_t)-h->skip > off ? 0 : off + (uint64_t)h->skip;
}

/* The bytes from (p->at) on are gone and the log begins at (start): says so in a line, in their place. */
static void tell_gap(struct parked *p, uint64_t start)
{
	struct handle *h = p->h;
	size_t n;

	buf_clear(&h->gap);
	buf_printf(&h->gap, "[diverfs: %llu bytes of %s dropped]\n", (unsigned long long)(start - p->at),
		log_name(h->file));
	h->gap_at = p->off;
	h->skip = (int64_t)(start - (p->off + h->gap.len));
	n = p->size < h->gap.len ? p->size : h->gap.len;
	parked_data(p, h->gap.data, n);
}

static bool in_gap(struct parked *p)
{
	struct handle *h = p->h;
	size_t from, n;

	if (!h->gap.len || p->off < h->gap_at || p->off >= h->gap_at + h->gap.len)
		return false;
	from = p->off - h->gap_at;
	n = h->gap.len - from;
	parked_data(p, h->gap.data + from, p->size < n ? p->size : n);
	return true;
}

/* --- on disk ----------------------------------------------------------------------------------- */

static int open_log(struct parked *p)
{
	struct instance *in = p->h->in;
	autoclose int dir = -1;

	if (p->h->file != RUN_BUILD_LOG)
		return seglog_open(in->dirfd, log_name(p->h->file), &p->h->log);
	dir = openat(in->dirfd, "build", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? -errno : seglog_open(dir, "build.log", &p->h->log);
}

static void disk_read(void *arg)
{
	struct parked *p = arg;
	int err = p->h->log ? 0 : open_log(p);

	if (err) {
		p->got = err == -ENOENT ? 0 : err;
		return;
	}
	p->got = seglog_read(p->h->log, p->at, p->buf, p->size);
	if (p->got == -ERANGE)
		p->log_start = seglog_start(p->h->log);
}

static void disk_read_done(void *arg)
{
	struct parked *p = arg;
	struct instance *in = p->h->in;
	enum run_file file = p->h->file;
	bool queued = p->h->queued;

	p->h->reading = p->h->queued = false;
	if (p->got == -ERANGE && p->log_start > p->at)
		tell_gap(p, p->log_start);
	else if (p->got < 0)
		parked_err(p, (int)p->got);
	else if (p->got > 0)
		parked_data(p, p->buf, (size_t)p->got);
	else if (live(in, file))
		parked_wait(p); /* not there yet; its arrival is told */
	else
		parked_data(p, NULL, 0);
	if (queued)
		stream_wake(in, file);
	instance_release(in);
}

static void start_disk_read(struct instance *in, struct parked *p, uint64_t at, uint64_t end)
{
	if (p->h->reading) {
		p->nonblock = false;
		p->h->queued = true;
		parked_wait(p);
		return;
	}
	if (p->size > LOG_READ_MAX)
		p->size = LOG_READ_MAX;
	if (p->size > end - at)
		p->size = (size_t)(end - at);
	p->at = at;
	if (!p->buf)
		p->buf = xmalloc(p->size);
	else
		p->buf = xrealloc(p->buf, p->size);
	p->h->reading = true;
	instance_hold(in);
	pool_submit(in->fs->pool, disk_read, disk_read_done, p);
}

/* --- in memory --------------------------------------------------------------------------------- */

static void events_read(struct instance *in, struct parked *p, uint64_t at)
{
	struct streams *s = &in->streams;
	size_t from, n;

	if (at < s->events_start) {
		p->at = at;
		tell_gap(p, s->events_start);
		return;
	}
	from = (size_t)(at - s->events_start);
	n = s->events.len - from;
	parked_data(p, s->events.data + from, p->size < n ? p->size : n);
}

void stream_event(struct instance *in, const char *line, size_t len)
{
	struct streams *s = &in->streams;
	char *nl;

	buf_append(&s->events, line, len);
	buf_puts(&s->events, "\n");
	while (s->events.len > EVENTS_MAX && (nl = memchr(s->events.data, '\n', s->events.len))) {
		size_t n = (size_t)(nl + 1 - s->events.data);

		buf_consume(&s->events, n);
		s->events_start += n;
	}
	stream_wake(in, RUN_EVENTS);
}

/* --- any --------------------------------------------------------------------------------------- */

void log_read(struct instance *in, struct parked *p)
{
	enum run_file file = p->h->file;
	uint64_t at = position(p->h, p->off), end = log_end(in, file);

	if (p->h->epoch != epoch(in, file))
		parked_data(p, NULL, 0);
	else if (in_gap(p))
		return;
	else if (at >= end && live(in, file))
		parked_wait(p);
	else if (at >= end || !p->size)
		parked_data(p, NULL, 0);
	else if (file == RUN_EVENTS)
		events_read(in, p, at);
	else
		start_disk_read(in, p, at, end);
}

unsigned log_poll(struct instance *in, struct handle *h)
{
	uint64_t at = (uint64_t)((int64_t)h->pos + h->skip);

	if (h->epoch != epoch(in, h->file) || !live(in, h->file))
		return POLLIN;
	return at < log_end(in, h->file) || (h->gap.len && h->pos < h->gap_at + h->gap.len) ? POLLIN : 0;
}

void stream_console(struct instance *in, uint64_t end)
{
	if (end <= in->streams.console.end)
		return;
	in->streams.console.end = end;
	stream_wake(in, RUN_CONSOLE);
}

void stream_ros(struct instance *in, uint64_t end)
{
	if (end <= in->streams.ros.end)
		return;
	in->streams.ros.end = end;
	stream_wake(in, RUN_ROS_CONSOLE);
}

void stream_build_log(struct instance *in, uint64_t end)
{
	if (end <= in->streams.build_log.end)
		return;
	in->streams.build_log.end = end;
	stream_wake(in, RUN_BUILD_LOG);
}
