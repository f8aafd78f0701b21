/* SPDX-License-Identifier: MIT */
/*
 * chan.h: frames over a stream socket.
 *
 * Shape    header (16 bytes, little endian) then `size` bytes of payload
 * Order    as sent; a frame arrives whole or not at all
 * Trust    a peer that sends a size above CHAN_PAYLOAD_MAX or closes in mid-frame ends the channel;
 *          the meaning of type, stream and offset is the protocol's (deployers/deploy.h)
 * Threads  the loop's
 */
#ifndef BASE_CHAN_H
#define BASE_CHAN_H

#include "cache/base/loop.h"

#include <stddef.h>
#include <stdint.h>

#define CHAN_PAYLOAD_MAX (1u << 20)

struct frame {
	uint32_t size;   /* bytes of payload */
	uint16_t type;
	uint16_t stream;
	uint64_t offset; /* of the payload's first byte in its stream, or what the type says */
};
_Static_assert(sizeof(struct frame) == 16, "both ends of a socket rely on it");

struct chan;

/* (payload) is valid during the call only, and is not aligned: memcpy structs out of it. May call
 * chan_free. */
typedef void chan_frame_fn(void *arg, const struct frame *f, const void *payload);
/* The peer is gone or broke the rules (err is 0 for an orderly end, else -errno). Called once;
 * chan_free is still the owner's to call. */
typedef void chan_closed_fn(void *arg, int err);

/* Takes the socket (fd) over. */
struct chan *chan_new(struct loop *l, int fd, chan_frame_fn *frame, chan_closed_fn *closed, void *arg);
void chan_free(struct chan *c); /* closes the socket; unsent frames are lost; NULL is fine */

/* Queues a frame and sends what the socket takes. Never blocks. Sending on a closed channel is
 * a no-op: the owner hears of it through closed(). */
void chan_send(struct chan *c, uint16_t type, uint16_t stream, uint64_t offset, const void *payload, size_t size);
/* Bytes queued and not yet taken by the socket. */
size_t chan_queued(const struct chan *c);
/* Blocks until all is sent or the peer is gone: for a process that is about to end. */
void chan_flush(struct chan *c);

#endif
