/* SPDX-License-Identifier: MIT */
/*
 * stream.h: files that wait: console, build.log and events are logs read at offsets; stdin and stdout are
 * queues; wait is one answer that comes late.
 *
 * Logs     a handle's cursor is its file position. What was dropped before it got there is told once,
 *          as a line, and the handle's positions are shifted from then on
 * Waiting  a request with nothing to say is parked; new data, the end of the machine, or an interrupt
 *          answers it
 * Threads  the loop's; reads of logs on disk in the pool
 */
#ifndef FS_STREAM_H
#define FS_STREAM_H

#include "cache/base/buf.h"
#include "fs/ops.h"

struct instance;
struct scratch;
struct seglog;
struct parked;

enum run_file {
	RUN_DIR,
	RUN_CONFIG,
	RUN_DEPLOY,
	RUN_CTL,
	RUN_STATE,
	RUN_WAIT,
	RUN_EVENTS,
	RUN_STATUS,
	RUN_ERROR,
	RUN_CONSOLE,
	RUN_STDIN,
	RUN_STDOUT,
	RUN_BUILD_LOG,
	RUN_TIMELINE,
	RUN_ROS_CONSOLE,
	RUN_SYSCALLS,
	RUN_SYSCALLS_SVG,
	RUN_DELEGATE,
	RUN_PUBLISH,
	RUN_FILES,
	RUN_NEW = RUN_FILES, /* only in run/ itself */
	RUN_SCRATCH
};

struct handle { /* an open file of class RUN */
	struct handle *next, **place; /* in run->open */
	struct handle *next_stream;   /* in streams.handles */
	struct instance *in;
	enum run_file file;
	bool reads, writes;
	struct scratch *scratch;
	struct buf text; /* what a snapshot showed when it was first read */
	bool shot;
	/* Logs: byte (off) of this handle is byte (off + skip) of the log. */
	struct seglog *log;
	uint32_t epoch;
	int64_t skip;
	struct buf gap; /* the line that tells of dropped bytes, at [gap_at, gap_at + len) of this handle */
	uint64_t gap_at;
	bool reading; /* a read is in the pool */
	bool queued;  /* another one waits for that */
	uint64_t pos; /* behind the last byte that was read: what poll looks at */
	struct fuse_pollhandle *ph;
};

struct runlog { /* a log on disk, or (events) in memory */
	uint64_t end;
	uint32_t epoch; /* raised when the log is cleared: older handles are at their end */
};

struct streams {
	struct handle *handles;
	struct parked *parked, **parked_tail;
	unsigned writing[RUN_FILES]; /* parked writes: the next lookup gives a new inode (see files.c) */
	struct runlog console, build_log, ros;
	struct buf events;
	uint64_t events_start; /* offset of its first byte */
	/* stdin */
	unsigned in_writers;
	bool in_ready; /* the deployer has said HELLO */
	bool in_ended;
	uint64_t in_sent, in_acked;
	struct buf typed; /* into the console, before the deployer has said HELLO */
	/* stdout */
	struct handle *out_reader;
	bool out_ended, tee;
	struct buf out;
	size_t out_head;   /* bytes of (out) that were read already */
	uint64_t out_base; /* offset of the byte at out_head */
};

int stream_open(struct instance *in, struct handle *h, bool truncate);
void stream_release(struct instance *in, struct handle *h);
void stream_read(struct instance *in, struct handle *h, fuse_req_t req, size_t size, uint64_t off, int flags);
void stream_write(
	struct instance *in, struct handle *h, fuse_req_t req, const char *data, size_t size, int flags);
unsigned stream_poll(struct instance *in, struct handle *h);
uint64_t stream_size(struct instance *in, enum run_file file);
/* Something has changed for readers, writers and pollers of (file). */
void stream_wake(struct instance *in, enum run_file file);
void stream_wake_all(struct instance *in);
/* Answers all that is parked with (err). */
void stream_fail_all(struct instance *in, int err);

/* A machine is about to be launched: streams begin anew. */
void stream_reset(struct instance *in);
/* What the machine says. */
void stream_hello(struct instance *in, uint64_t stdin_next, uint64_t stdin_acked, bool stdin_ended,
	uint64_t console_end);
void stream_console(struct instance *in, uint64_t end);
void stream_ros(struct instance *in, uint64_t end);
void stream_build_log(struct instance *in, uint64_t end);
void stream_stdin_acked(struct instance *in, uint64_t offset);
void stream_stdout_data(struct instance *in, uint64_t offset, const void *data, size_t len);
void stream_stdout_end(struct instance *in);
/* There will be no machine. */
void stream_launch_failed(struct instance *in);
/* Nothing more comes from the machine. */
void stream_machine_ended(struct instance *in);

void stream_event(struct instance *in, const char *line, size_t len);
void stream_free(struct instance *in);

#endif
