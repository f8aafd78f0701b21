/* SPDX-License-Identifier: MIT */
/*
 * qmp.h: the machine protocol of QEMU, as far as it is needed: commands, replies, events.
 *
 * Shape    JSON objects, one a line, both ways
 * Trust    little: a line above QMP_LINE_MAX, or one that is no JSON, ends the conversation
 * Owns     qmp_new takes the socket over
 * Threads  the loop's
 * Source   QEMU docs/interop/qmp-spec
 */
#ifndef DEPLOYERS_QMP_H
#define DEPLOYERS_QMP_H

#include "cache/base/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QMP_LINE_MAX (256u * 1024)

/* The event that tells of a conversation that ended so; not one of QEMU's. */
#define QMP_BROKEN "(broken)"

struct qmp;

/* (line) is the event's JSON, for json_find. */
typedef void qmp_event_fn(void *arg, const char *event, const char *line);
/* The answer to qmp_send's (id): (error) is NULL, or QEMU's words. */
typedef void qmp_reply_fn(void *arg, uint64_t id, const char *line, const char *error);

/* Capabilities are negotiated inside; commands may be sent at once. */
struct qmp *qmp_new(struct loop *l, int fd, qmp_event_fn *event, qmp_reply_fn *reply, void *arg);
void qmp_free(struct qmp *q);
/* (arguments) is a JSON object or NULL. */
void qmp_send(struct qmp *q, uint64_t id, const char *command, const char *arguments);
/* Reads and handles what is there, to the end: for when QEMU has ended. */
void qmp_drain(struct qmp *q);

/* Copies the value at (path), member names with dots between ("data.reason"), as text: strings decoded, other
 * values as they stand. Returns false if it is not there, does not fit or (json) is broken before it. */
bool json_find(const char *json, const char *path, char *out, size_t size);

#endif
