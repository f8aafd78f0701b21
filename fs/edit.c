/* SPDX-License-Identifier: MIT */
/*
 * edit.c: a text becomes the config in force in two steps: its lines are checked at once, its kernel is
 * looked up, for which the write may have to wait. Only what passed both is kept, so there is always a valid
 * config.
 *
 * The last line of a draft may be unfinished (a write need not end at a line's end). Such a text is tried as
 * it stands, but a failure is then no error yet: the rest may come. What is still wrong when the last writer
 * closes is told in `error`.
 */
#include "fs/edit.h"

#include "cache/base/io.h"
#include "fs/instance.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct check { /* a text on its way into force */
	struct instance *in;
	struct buf text; /* becomes the draft */
	size_t whole;	 /* so much of it was parsed: all, or the complete lines */
	bool tentative;	 /* its last line may go on: a failure is not told */
	bool is_close;	 /* the last writer has gone */
	struct config cfg;
	fuse_req_t req;	  /* NULL: nobody waits */
	size_t size;	  /* of the write; 0: answer with reply_err */
	uint32_t scratch; /* the file that a rename takes away on success; 0: none */
};

/* --- drafts ------------------------------------------------------------------------------------ */

const struct buf *edit_text(const struct instance *in)
{
	return in->edit.draft.active ? &in->edit.draft.text : &in->text;
}

static void draft_begin(struct instance *in)
{
	struct draft *d = &in->edit.draft;

	if (d->active)
		return;
	*d = (struct draft){ .active = true, .writers = d->writers };
	buf_append(&d->text, in->text.data ? in->text.data : "", in->text.len);
}

static void draft_end(struct instance *in)
{
	struct draft *d = &in->edit.draft;
	bool applied = d->applied;

	buf_free(&d->text);
	*d = (struct draft){ .writers = d->writers };
	if (applied)
		work_config_closed(in);
}

static void draft_close(struct instance *in);

/* --- checking ---------------------------------------------------------------------------------- */

static void answer(struct check *c, int err)
{
	if (!c->req)
		return;
	if (err || !c->size)
		reply_err(c->req, err);
	else
		reply_written(c->req, c->size);
}

static void check_free(struct check *c)
{
	struct instance *in = c->in;

	config_free(&c->cfg);
	buf_free(&c->text);
	free(c);
	instance_release(in);
}

/* Takes (kernel) over. */
static void put_in_force(struct check *c, struct chosen *kernel)
{
	struct instance *in = c->in;
	struct buf text = { .data = c->text.data, .len = c->whole };

	instance_configure(in, &text, &c->cfg, kernel);
	in->edit.draft.applied = true;
}

static void draft_take(struct check *c)
{
	struct draft *d = &c->in->edit.draft;

	if (!d->active)
		return;
	buf_clear(&d->text);
	buf_append(&d->text, c->text.data ? c->text.data : "", c->text.len);
	d->written = true;
}

static void check_done(struct check *c, int err, const struct why *why, struct chosen *kernel)
{
	struct instance *in = c->in;
	struct draft *d = &in->edit.draft;
	bool tentative = err && c->tentative;

	d->checking = false;
	if (!err) {
		draft_take(c);
		put_in_force(c, kernel);
		instance_error_clear(in);
	} else if (tentative) {
		draft_take(c);
	} else {
		d->refused = true;
		instance_error(in, err, why->text);
	}
	if (!err && c->scratch && scratch_by_id(in, c->scratch))
		scratch_unlink(in, scratch_by_id(in, c->scratch));
	answer(c, tentative ? 0 : err);
	if (c->is_close)
		draft_end(in);
	else if (d->closing)
		draft_close(in);
	check_free(c);
}

static void kernel_found(void *arg, int err, const struct why *why, struct chosen *k)
{
	struct check *c = arg;
	struct why mine = { 0 };
	struct settings s;

	if (!err) {
		err = config_settle(&c->cfg, &k->conf, -1, &s, &mine);
		why = &mine;
	}
	if (err)
		chosen_put(k);
	check_done(c, err, why, err ? NULL : k);
}

/* (why) is set when the lines are wrong. On success the check is under way and will answer. */
static int check_lines(struct check *c, struct why *why)
{
	const char *text = c->text.data ? c->text.data : "";
	const char *nl = memrchr(text, '\n', c->text.len);
	size_t complete = nl ? (size_t)(nl + 1 - text) : 0;
	int err;

	c->whole = c->text.len;
	c->tentative = complete != c->text.len && !c->is_close;
	err = config_parse(&c->cfg, text, c->text.len, why);
	if (!err || !c->tentative)
		return err;
	why_clear(why);
	c->whole = complete;
	c->tentative = complete == 0;
	return config_parse(&c->cfg, text, complete, why);
}

static struct check *check_new(struct instance *in, fuse_req_t req, size_t size)
{
	struct check *c = xcalloc(1, sizeof(*c));

	c->in = instance_hold(in);
	c->req = req;
	c->size = size;
	c->cfg.mode = -1;
	return c;
}

/* Takes (c) over. */
static void check_start(struct check *c)
{
	struct instance *in = c->in;
	struct why why = { 0 };
	int err = check_lines(c, &why);

	if (err) {
		c->tentative = false;
		check_done(c, err, &why, NULL);
	} else if (c->tentative && !c->whole) { /* one unfinished line: nothing to put in force yet */
		why_fail(&why, -EAGAIN, "unfinished");
		check_done(c, -EAGAIN, &why, NULL);
	} else if (!c->cfg.kernel) {
		check_done(c, 0, NULL, NULL);
	} else {
		in->edit.draft.checking = true;
		chosen_find(in->fs->cache, c->cfg.kernel, c->cfg.reference, in->anonymous, kernel_found, c);
	}
}

/* --- writes ------------------------------------------------------------------------------------ */

int edit_open(struct instance *in, bool truncate)
{
	struct draft *d = &in->edit.draft;
	int err;

	d->writers++;
	err = truncate ? edit_truncate(in, 0) : 0;
	if (err)
		d->writers--;
	else
		d->closing = false;
	return err;
}

void edit_write(struct instance *in, fuse_req_t req, const char *data, size_t size, uint64_t off)
{
	struct draft *d = &in->edit.draft;
	struct check *c;

	if (d->checking) {
		reply_err(req,
			instance_error(in, -EBUSY, "config: another write is being checked; write again"));
		return;
	}
	draft_begin(in);
	if (off > CONFIG_TEXT_MAX || size > CONFIG_TEXT_MAX - off) {
		d->refused = true;
		reply_err(req, instance_error(in, -EFBIG, "config: it is larger than 64 KiB"));
		return;
	}
	c = check_new(in, req, size);
	buf_append(&c->text, d->text.data ? d->text.data : "", d->text.len);
	if (off + size > c->text.len) {
		size_t more = (size_t)(off + size) - c->text.len;

		memset(buf_reserve(&c->text, more), '\n', more); /* a hole is empty lines */
		c->text.len += more;
		c->text.data[c->text.len] = '\0';
	}
	memcpy(c->text.data + off, data, size);
	check_start(c);
}

int edit_truncate(struct instance *in, uint64_t size)
{
	struct draft *d = &in->edit.draft;
	size_t more;

	if (d->checking)
		return -EBUSY;
	if (size > CONFIG_TEXT_MAX)
		return -EFBIG;
	draft_begin(in);
	more = size > d->text.len ? (size_t)size - d->text.len : 0;
	if (more)
		memset(buf_reserve(&d->text, more), '\n', more);
	d->text.len = (size_t)size;
	if (d->text.data)
		d->text.data[size] = '\0';
	if (!size) /* what was written before does not count any more */
		d->written = d->refused = false;
	if (!d->writers) /* truncate(2): there will be no close */
		draft_close(in);
	return 0;
}

/* --- the last close ---------------------------------------------------------------------------- */

static bool same_as_in_force(const struct instance *in)
{
	const struct buf *t = &in->edit.draft.text;

	return t->len == in->text.len && (!t->len || memcmp(t->data, in->text.data, t->len) == 0);
}

static void draft_close(struct instance *in)
{
	struct draft *d = &in->edit.draft;
	struct check *c;

	if (d->checking) {
		d->closing = true;
		return;
	}
	/* Emptied, then only refused writes: the old config stays. */
	if (!d->active || same_as_in_force(in) || (d->refused && !d->written)) {
		draft_end(in);
		return;
	}
	c = check_new(in, NULL, 0);
	c->is_close = true;
	buf_append(&c->text, d->text.data ? d->text.data : "", d->text.len);
	check_start(c);
}

void edit_close(struct instance *in)
{
	struct draft *d = &in->edit.draft;

	if (d->writers && --d->writers == 0 && d->active)
		draft_close(in);
}

void edit_replace(struct instance *in, fuse_req_t req, const struct scratch *from)
{
	struct draft *d = &in->edit.draft;
	struct check *c;

	if (d->active || from->data.len > CONFIG_TEXT_MAX) {
		reply_err(req, instance_error(in, d->active ? -EBUSY : -EFBIG,
				       d->active ? "config: somebody else is writing it"
						 : "config: it is larger than 64 KiB"));
		return;
	}
	d->active = true;
	c = check_new(in, req, 0);
	c->is_close = true;
	c->scratch = from->id;
	buf_append(&c->text, from->data.data ? from->data.data : "", from->data.len);
	check_start(c);
}

/* --- scratch files ----------------------------------------------------------------------------- */

struct scratch *scratch_find(struct instance *in, const char *name)
{
	struct scratch *s;

	for (s = in->edit.scratch; s && (!s->name || strcmp(s->name, name) != 0); s = s->next)
		;
	return s;
}

struct scratch *scratch_by_id(struct instance *in, uint32_t id)
{
	struct scratch *s;

	for (s = in->edit.scratch; s && s->id != id; s = s->next)
		;
	return s;
}

int scratch_create(struct instance *in, const char *name, uint32_t mode, struct scratch **out)
{
	struct edit *e = &in->edit;
	struct scratch *s, **q = &e->scratch;

	if (e->nscratch >= SCRATCH_FILES_MAX)
		return instance_error(in, -ENOSPC,
			"this directory holds an instance's own files, and a few small ones of editors; put "
			"yours into src/");
	s = xcalloc(1, sizeof(*s));
	s->id = ++e->next_id;
	s->name = xstrdup(name);
	s->mode = mode;
	s->mtime_ns = clock_real_ns();
	while (*q)
		q = &(*q)->next;
	*q = s;
	e->nscratch++;
	*out = s;
	return 0;
}

static void scratch_free_if_unused(struct instance *in, struct scratch *s)
{
	struct scratch **q = &in->edit.scratch;

	if (s->name || s->opens)
		return;
	while (*q != s)
		q = &(*q)->next;
	*q = s->next;
	in->edit.nscratch--;
	buf_free(&s->data);
	free(s);
}

void scratch_unlink(struct instance *in, struct scratch *s)
{
	free(s->name);
	s->name = NULL;
	scratch_free_if_unused(in, s);
}

void scratch_close(struct instance *in, struct scratch *s)
{
	s->opens--;
	scratch_free_if_unused(in, s);
}

int scratch_truncate(struct scratch *s, uint64_t size)
{
	size_t more = size > s->data.len ? (size_t)size - s->data.len : 0;

	if (size > SCRATCH_BYTES_MAX)
		return -EFBIG;
	if (more)
		memset(buf_reserve(&s->data, more), 0, more);
	s->data.len = (size_t)size;
	s->mtime_ns = clock_real_ns();
	return 0;
}

int scratch_write(struct scratch *s, const char *data, size_t size, uint64_t off)
{
	int err;

	if (off > SCRATCH_BYTES_MAX || size > SCRATCH_BYTES_MAX - off)
		return -EFBIG;
	err = off + size > s->data.len ? scratch_truncate(s, off + size) : 0;
	if (!err && size)
		memcpy(s->data.data + off, data, size);
	s->mtime_ns = clock_real_ns();
	return err;
}

void edit_free(struct instance *in)
{
	struct scratch *s = in->edit.scratch, *next;

	for (; s; s = next) {
		next = s->next;
		free(s->name);
		buf_free(&s->data);
		free(s);
	}
	buf_free(&in->edit.draft.text);
}
