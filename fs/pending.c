/* SPDX-License-Identifier: MIT */
/*
 * pending.c: the list of writes that wait, and when to give them up.
 */
#include "fs/pending.h"

#include "fs/instance.h"
#include "fs/publish.h"

#include <errno.h>
#include <stdlib.h>

#define LOOK_AGAIN_MS 100

struct pending {
	struct pending *next;
	struct instance *in;
	enum pending_kind kind;
	uint64_t number;
	fuse_req_t req;
	size_t size;
	struct timer *look;
};

/* Out of the list, answered and freed. */
static void finish(struct pending *p, int err)
{
	struct pending **q = &p->in->pending;

	while (*q != p)
		q = &(*q)->next;
	*q = p->next;
	timer_cancel(p->look);
	p->in->parked_writes--;
	if (err)
		reply_err(p->req, err);
	else
		reply_written(p->req, p->size);
	instance_release(p->in);
	free(p);
}

static void look(void *arg);

static void give_up_or_wait(struct pending *p)
{
	struct instance *in = p->in;
	enum pending_kind kind = p->kind;

	if (!req_wants_cancel(p->req)) {
		p->look = loop_after(in->fs->loop, LOOK_AGAIN_MS, look, p);
		return;
	}
	finish(p, -EINTR);
	if (kind == PENDING_DEPLOY || kind == PENDING_BUILD)
		work_cancel(in);
	else if (kind == PENDING_PUBLISH)
		publish_given_up(in);
}

static void look(void *arg)
{
	struct pending *p = arg;

	p->look = NULL;
	give_up_or_wait(p);
}

static void interrupted(fuse_req_t req, void *arg)
{
	struct pending *p = arg;

	(void)req;
	if (!p->look)
		give_up_or_wait(p);
}

void pending_add(struct instance *in, enum pending_kind kind, uint64_t number, fuse_req_t req, size_t size)
{
	struct pending *p = xcalloc(1, sizeof(*p)), **q = &in->pending;

	p->in = instance_hold(in);
	p->kind = kind;
	p->number = number;
	p->req = req;
	p->size = size;
	while (*q)
		q = &(*q)->next;
	*q = p;
	in->parked_writes++;
	req_on_interrupt(req, interrupted, p); /* last: it may call back at once */
}

/* (kind) < 0: any. Answering may bring the list into another order, so it is searched from the front each
 * time. */
static void answer(struct instance *in, int kind, uint64_t number, int err)
{
	instance_hold(in);
	for (struct pending *p = in->pending; p;) {
		if (kind >= 0 && ((int)p->kind != kind || (number && p->number != number))) {
			p = p->next;
			continue;
		}
		finish(p, err);
		p = in->pending;
	}
	instance_release(in);
}

void pending_answer(struct instance *in, enum pending_kind kind, uint64_t number, int err)
{
	answer(in, kind, number, err);
}

bool pending_any(const struct instance *in, enum pending_kind kind)
{
	for (const struct pending *p = in->pending; p; p = p->next)
		if (p->kind == kind)
			return true;
	return false;
}

void pending_fail_all(struct instance *in, int err)
{
	answer(in, -1, 0, err);
}
