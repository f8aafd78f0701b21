/* SPDX-License-Identifier: MIT */
/*
 * streams.h: the two numbered streams between the daemon and the machine (deploy.h, Frames).
 *
 * Shape    bytes are numbered from 0 for the whole life of the machine, whatever connects or goes
 * Bound    each keeps at most DEPLOY_WINDOW bytes (and stdout what one socket held when the machine ended)
 * Owns     stream_*_attach takes the machine's descriptor over
 * Threads  the loop's
 */
#ifndef DEPLOYERS_STREAMS_H
#define DEPLOYERS_STREAMS_H

#include "cache/base/buf.h"
#include "cache/base/chan.h"

/* Bytes are taken from the front without moving the rest each time. */
struct fifo {
	struct buf buf;
	size_t head;
};

/* daemon -> machine */
struct stream_in {
	struct loop *loop;
	int fd; /* -1: no machine (yet) */
	struct watch *watch;
	struct fifo pending; /* received, not yet taken by the machine */
	uint64_t received, taken;
	bool ended;		  /* END was received */
	bool closed;		  /* and told to the machine */
	bool typed;		  /* a serial line, which has no end: ^D is typed instead */
	void (*moved)(void *arg); /* (taken) grew */
	void *arg;
};

/* machine -> daemon */
struct stream_out {
	struct loop *loop;
	int fd;
	struct watch *watch;
	struct fifo kept;     /* the bytes from (acked) on */
	uint64_t acked, sent; /* offsets; (sent) is what the present daemon was sent */
	bool eof;	      /* no byte will follow (kept) */
	bool end_sent;
	void (*moved)(void *arg);   /* (kept) grew or (eof) was set */
	void (*drained)(void *arg); /* the daemon acknowledged something; may be NULL */
	void *drained_arg;
	void (*tee)(void *arg, const void *data, size_t len); /* sees what is read; may be NULL */
	void *arg;
};

void stream_in_init(struct stream_in *s, struct loop *l, void (*moved)(void *), void *arg);
void stream_in_attach(
	struct stream_in *s, int fd); /* a stream socket: its end is told by shutdown, unless typed */
/* -EPROTO if the daemon left a gap or sent more than the window. */
int stream_in_data(struct stream_in *s, uint64_t offset, const void *data, size_t len);
void stream_in_end(struct stream_in *s);
void stream_in_free(struct stream_in *s);

void stream_out_init(struct stream_out *s, struct loop *l, void (*moved)(void *), void *arg);
void stream_out_attach(struct stream_out *s, int fd);
/* For bytes that the mode read itself: stdout that is the console. */
void stream_out_put(struct stream_out *s, const void *data, size_t len);
bool stream_out_full(const struct stream_out *s);
uint64_t stream_out_end(const struct stream_out *s);
/* -EPROTO if (offset) was never sent. */
int stream_out_ack(struct stream_out *s, uint64_t offset);
/* A daemon that has everything before (offset) begins to listen. */
int stream_out_resume(struct stream_out *s, uint64_t offset);
void stream_out_send(struct stream_out *s, struct chan *c);
/* Reads what the machine left in its socket, beyond the window, and sets eof. */
void stream_out_finish(struct stream_out *s);
void stream_out_free(struct stream_out *s);

#endif
