/* SPDX-License-Identifier: MIT */
/*
 * talk.h: a deployer's side of the conversation with an agent (agent.h), on any stream socket.
 *
 * Life     talk_open; the agent says READY; talk_load and talk_boot; ALIVE; ENDED; talk_boot again, or the end
 * Trust    none in what comes: frames are bounded, checked against what may come now, and texts are shown escaped.
 *          What is wrong is told by broken(), once; from then on the socket is read and thrown away
 * Owns     the socket, and its own copy of the image's descriptor
 * Threads  the loop's
 */
#ifndef DEPLOYERS_COKERNEL_TALK_H
#define DEPLOYERS_COKERNEL_TALK_H

#include "cache/base/buf.h"
#include "cache/base/log.h"
#include "cache/base/loop.h"
#include "deployers/cokernel/agent.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Texts are printable, with newlines only where the frame may have lines. */
struct talk_events {
	void (*ready)(void *arg, const char *text);
	void (*alive)(void *arg);
	void (*hello)(void *arg, uint32_t level);
	void (*counts)(void *arg, const struct agent_count *counts, size_t count);
	/* No bytes: the archive is at its end. */
	void (*out)(void *arg, const void *data, size_t len);
	void (*ended)(void *arg, const struct agent_end *end, const char *words);
	void (*refused)(void *arg, const char *words);
	void (*log)(void *arg, const char *line);
	/* The conversation is over; the machine is of no use any more. */
	void (*broken)(void *arg, const char *words);
};

enum talk_state { TALK_NEW, TALK_READY, TALK_BOOTING, TALK_ALIVE, TALK_ENDED, TALK_BROKEN };

struct talk {
	struct loop *loop;
	int fd; /* -1: not open */
	struct watch *watch;
	const struct talk_events *ev;
	void *arg;
	enum talk_state state;
	struct buf in;	 /* an unfinished frame */
	struct buf out;	 /* what the socket did not take yet */
	struct buf late; /* frames that go out behind the image */
	int image;	 /* the image being sent; -1: none */
	uint64_t image_at;
	bool image_open; /* a first piece is due even if the image is empty */
	uint64_t frames; /* that came: whether it lives */
};

void talk_open(struct talk *t, struct loop *l, int fd, const struct talk_events *ev, void *arg);
void talk_close(struct talk *t);
/* The agent begins anew with READY (the machine was reset). */
void talk_reset(struct talk *t);
/* CONFIG, and the image from (fd). */
void talk_load(struct talk *t, const char *config, int fd);
void talk_boot(struct talk *t);
void talk_send(struct talk *t, unsigned type, const void *data, size_t len);
/* Reads and handles what is there; false when there is no more for now. */
bool talk_read(struct talk *t);

/* Appends (text) as it may be shown. */
void talk_show(struct buf *out, const char *text, size_t len, bool lines);

#endif
