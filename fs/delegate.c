/* SPDX-License-Identifier: MIT */
/*
 * delegate.c: a text that is kept beside config. An empty one, as `>` leaves it for a moment, is not put in force before
 * its writer has closed it: else a stricter policy would begin with none. For the same reason what was in force stays if nothing
 * that was written then was accepted.
 */
#include "fs/delegate.h"

#include "cache/base/io.h"
#include "cache/base/policy.h"
#include "fs/instance.h"

#include <errno.h>
#include <string.h>

static void put_in_force(struct instance *in)
{
	struct delegate *d = &in->delegate;

	if (d->force.len == d->text.len &&
		(!d->text.len || !memcmp(d->force.data, d->text.data, d->text.len)))
		return;
	buf_clear(&d->force);
	buf_append(&d->force, d->text.data ? d->text.data : "", d->text.len);
	if (io_write_file(
		    in->dirfd, "delegate", d->force.data ? d->force.data : "", d->force.len, 0600, false))
		log_error("%s: delegate cannot be kept in %s", in->name, in->dir);
	if (in->machine.up && in->machine.dep && in->machine.mode != MODE_FULLVM)
		deployer_command(in->machine.dep, "policy");
}

void delegate_load(struct instance *in)
{
	struct delegate *d = &in->delegate;

	if (io_read_file(in->dirfd, "delegate", POLICY_TEXT_MAX, &d->force) || !d->force.len)
		return;
	buf_append(&d->text, d->force.data, d->force.len);
}

void delegate_open(struct instance *in, bool truncate)
{
	in->delegate.writers++;
	if (truncate)
		buf_clear(&in->delegate.text);
}

int delegate_truncate(struct instance *in, uint64_t size)
{
	struct delegate *d = &in->delegate;

	if (size > d->text.len)
		return -EINVAL;
	if (size == 0)
		buf_clear(&d->text);
	else {
		d->text.len = size;
		d->text.data[size] = 0;
	}
	if (!d->writers)
		put_in_force(in);
	return 0;
}

/* A last line without its newline may be half of one that is right. */
static int check(const struct buf *text, bool *whole, struct why *why)
{
	const char *nl = memrchr(text->data, '\n', text->len);
	size_t lines = nl ? (size_t)(nl + 1 - text->data) : 0;

	*whole = policy_parse(text->data, text->len, NULL, why) == 0;
	return *whole ? 0 : policy_parse(text->data, lines, NULL, why);
}

int delegate_write(struct instance *in, const char *data, size_t size, uint64_t off, struct why *why)
{
	struct delegate *d = &in->delegate;
	autobuf struct buf next = { 0 };
	bool whole;

	d->refused = off > d->text.len || size > POLICY_TEXT_MAX || off + size > POLICY_TEXT_MAX;
	if (d->refused)
		return why_fail(why, off > d->text.len ? -EINVAL : -EFBIG,
			"delegate: at most %u bytes, in order", POLICY_TEXT_MAX);
	if (!size)
		return 0;
	buf_append(&next, d->text.data ? d->text.data : "", d->text.len);
	if (off + size > next.len)
		buf_reserve(&next, off + size - next.len);
	memcpy(next.data + off, data, size);
	next.len = off + size > next.len ? off + size : next.len;
	next.data[next.len] = 0;
	int err = check(&next, &whole, why);
	d->refused = err != 0;
	if (err)
		return err;
	buf_free(&d->text);
	d->text.len = next.len;
	d->text.cap = next.cap;
	d->text.data = buf_steal(&next);
	if (whole)
		put_in_force(in);
	return 0;
}

void delegate_close(struct instance *in)
{
	struct why why = { 0 };
	struct delegate *d = &in->delegate;

	if (--d->writers)
		return;
	bool refused = d->refused;
	d->refused = false;
	if (!refused && policy_parse(d->text.data ? d->text.data : "", d->text.len, NULL, &why) == 0) {
		put_in_force(in);
		return;
	}
	if (!refused) /* else it was told in write */
		instance_error(in, why.err, why.text);
	buf_clear(&d->text);
	buf_append(&d->text, d->force.data ? d->force.data : "", d->force.len);
}

void delegate_free(struct instance *in)
{
	buf_free(&in->delegate.text);
	buf_free(&in->delegate.force);
}
