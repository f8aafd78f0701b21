/* SPDX-License-Identifier: MIT */
/*
 * talk.c: frames both ways. The image is read as the socket takes it, so that none is held in memory; what is
 * said meanwhile goes out behind it, as the order of agent.h wants.
 */
#include "deployers/cokernel/talk.h"

#include "cache/base/utf8.h"
#include "deployers/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define OUT_MAX (1u << 20) /* an agent that does not read */

void talk_show(struct buf *out, const char *text, size_t len, bool lines)
{
	while (len) {
		size_t n = utf8_printable(text, len);

		if (n || (lines && *text == '\n'))
			buf_append(out, text, n ? n : 1);
		else
			buf_printf(out, "\\x%02x", (unsigned char)*text);
		text += n ? n : 1;
		len -= n ? n : 1;
	}
}

static void broken(struct talk *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void broken(struct talk *t, const char *fmt, ...)
{
	char words[256];
	va_list ap;

	if (t->state == TALK_BROKEN)
		return;
	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	t->state = TALK_BROKEN;
	buf_clear(&t->in);
	t->ev->broken(t->arg, words);
}

/* What we say */

static void put_frame(struct buf *out, unsigned type, const void *data, size_t len)
{
	struct agent_frame f = {
		.magic = AGENT_MAGIC, .rev = AGENT_REV, .type = (uint16_t)type, .len = (uint32_t)len
	};

	buf_append(out, &f, sizeof(f));
	buf_append(out, data, len);
}

static void image_end(struct talk *t)
{
	if (t->image >= 0)
		close(t->image);
	t->image = -1;
	buf_append(&t->out, t->late.data ? t->late.data : "", t->late.len);
	buf_clear(&t->late);
}

static void image_more(struct talk *t)
{
	static char piece[AGENT_FRAME_MAX];
	ssize_t n = pread(t->image, piece, sizeof(piece), (off_t)t->image_at);

	if (n < 0) {
		broken(t, "the kernel's image cannot be read: %s", err_text(errno));
		n = 0;
	}
	if (n > 0 || t->image_open)
		put_frame(&t->out, AGENT_IMAGE, piece, (size_t)n);
	t->image_open = false;
	t->image_at += (uint64_t)n;
	if (n == 0)
		image_end(t);
}

static void flush(struct talk *t)
{
	for (;;) {
		if (!t->out.len && t->image >= 0)
			image_more(t);
		if (!t->out.len)
			break;
		ssize_t n = send(t->fd, t->out.data, t->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			buf_clear(&t->out); /* the machine is gone, which its process tells */
		if (n <= 0)
			break;
		buf_consume(&t->out, (size_t)n);
	}
	if (t->watch)
		watch_events(t->watch, EPOLLIN | (t->out.len ? EPOLLOUT : 0));
}

void talk_send(struct talk *t, unsigned type, const void *data, size_t len)
{
	struct buf *to = t->image >= 0 ? &t->late : &t->out;

	if (t->fd < 0 || t->state == TALK_BROKEN || len > AGENT_FRAME_MAX)
		return;
	if (to->len > OUT_MAX) {
		broken(t, "the agent does not listen any more");
		return;
	}
	put_frame(to, type, data, len);
	flush(t);
}

void talk_load(struct talk *t, const char *config, int fd)
{
	if (t->image >= 0)
		close(t->image);
	t->image = -1;
	talk_send(t, AGENT_CONFIG, config, strlen(config));
	t->image = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	t->image_at = 0;
	t->image_open = true;
	if (t->image < 0)
		broken(t, "the kernel's image: %s", err_text(errno));
	flush(t);
}

void talk_boot(struct talk *t)
{
	if (t->state != TALK_READY && t->state != TALK_ENDED)
		return;
	t->state = TALK_BOOTING;
	talk_send(t, AGENT_BOOT, NULL, 0);
}

/* What it says */

/* In which states a frame may come, one bit each. */
static unsigned expected(unsigned type)
{
	const unsigned new = 1u << TALK_NEW, ready = 1u << TALK_READY, booting = 1u << TALK_BOOTING,
		       alive = 1u << TALK_ALIVE, ended = 1u << TALK_ENDED;

	switch (type) {
	case AGENT_READY:
		return new;
	case AGENT_ALIVE:
		return booting;
	case AGENT_HELLO:
		return alive;
	case AGENT_ENDED: /* the HRT of a KILL while it boots ends, too */
	case AGENT_OUT:
		return booting | alive;
	case AGENT_COUNTS:
	case AGENT_REFUSED:
		return ready | booting | alive | ended;
	default:
		return ~0u;
	}
}

static void take_counts(struct talk *t, const char *data, size_t len)
{
	struct agent_count c[AGENT_FRAME_MAX / sizeof(struct agent_count)];
	size_t count = len / sizeof(c[0]);

	memcpy(c, data, count * sizeof(c[0]));
	for (size_t i = 0; i < count; i++)
		if (c[i].number >= GUEST_CALLS) {
			broken(t, "the agent counts a system call %u, of %u", c[i].number, GUEST_CALLS);
			return;
		}
	if (count * sizeof(c[0]) != len)
		broken(t, "the agent sent %zu bytes of counts, which are of %zu each", len, sizeof(c[0]));
	else
		t->ev->counts(t->arg, c, count);
}

static void take_ended(struct talk *t, const char *data, size_t len)
{
	autobuf struct buf words = { 0 };
	struct agent_end e;

	if (len < sizeof(e)) {
		broken(t, "the agent told an end of %zu bytes", len);
		return;
	}
	memcpy(&e, data, sizeof(e));
	if (e.how < AGENT_EXITED || e.how > AGENT_LOST) {
		broken(t, "the agent told an end of an unknown kind (%u)", e.how);
		return;
	}
	talk_show(&words, data + sizeof(e), len - sizeof(e), true);
	t->state = TALK_ENDED;
	t->ev->ended(t->arg, &e, words.data ? words.data : "");
}

static void take_text(struct talk *t, unsigned type, const char *data, size_t len)
{
	autobuf struct buf text = { 0 };

	talk_show(&text, data, len, type != AGENT_LOG);
	const char *words = text.data ? text.data : "";
	if (type == AGENT_READY) {
		t->state = TALK_READY;
		t->ev->ready(t->arg, words);
	} else if (type == AGENT_REFUSED) {
		t->ev->refused(t->arg, words);
	} else {
		t->ev->log(t->arg, words);
	}
}

static void take_frame(struct talk *t, const struct agent_frame *f, const char *data)
{
	uint32_t level;

	t->frames++;
	if (!(expected(f->type) & 1u << t->state)) {
		broken(t, "the agent sent a frame of type %u out of turn", f->type);
		return;
	}
	switch (f->type) {
	case AGENT_ALIVE:
		t->state = TALK_ALIVE;
		t->ev->alive(t->arg);
		break;
	case AGENT_HELLO:
		level = 0;
		memcpy(&level, data, f->len < sizeof(level) ? f->len : sizeof(level));
		t->ev->hello(t->arg, level);
		break;
	case AGENT_COUNTS:
		take_counts(t, data, f->len);
		break;
	case AGENT_OUT:
		t->ev->out(t->arg, data, f->len);
		break;
	case AGENT_ENDED:
		take_ended(t, data, f->len);
		break;
	case AGENT_READY:
	case AGENT_REFUSED:
	case AGENT_LOG:
		take_text(t, f->type, data, f->len);
		break;
	}
}

/* True if a frame was whole. */
static bool next_frame(struct talk *t)
{
	struct agent_frame f;

	if (t->in.len < sizeof(f) || t->state == TALK_BROKEN)
		return false;
	memcpy(&f, t->in.data, sizeof(f));
	if (f.magic != AGENT_MAGIC || f.rev != AGENT_REV) {
		broken(t, "what came from the agent is no frame of ours (magic %08x, revision %u, not %u)",
			f.magic, f.rev, AGENT_REV);
		return false;
	}
	if (f.len > AGENT_FRAME_MAX) {
		broken(t, "the agent announced a frame of %u bytes; %u is the limit", f.len, AGENT_FRAME_MAX);
		return false;
	}
	if (t->in.len - sizeof(f) < f.len)
		return false;
	take_frame(t, &f, t->in.data + sizeof(f));
	if (t->state == TALK_BROKEN)
		return false;
	buf_consume(&t->in, sizeof(f) + f.len);
	return true;
}

bool talk_read(struct talk *t)
{
	char *p = buf_reserve(&t->in, AGENT_FRAME_MAX);
	ssize_t n = recv(t->fd, p, AGENT_FRAME_MAX, MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		watch_remove(t->watch);
		t->watch = NULL;
	}
	if (n <= 0)
		return false;
	if (t->state == TALK_BROKEN)
		return true; /* still read, so that a guest that floods us fills nothing */
	t->in.len += (size_t)n;
	t->in.data[t->in.len] = 0;
	while (next_frame(t))
		;
	return true;
}

static void on_ready(void *arg, uint32_t events)
{
	struct talk *t = arg;

	if (events & EPOLLOUT)
		flush(t);
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		talk_read(t);
}

void talk_open(struct talk *t, struct loop *l, int fd, const struct talk_events *ev, void *arg)
{
	*t = (struct talk){ .loop = l, .fd = fd, .ev = ev, .arg = arg, .image = -1 };
	t->watch = loop_watch(l, fd, EPOLLIN, on_ready, t);
}

void talk_reset(struct talk *t)
{
	if (t->image >= 0)
		close(t->image);
	t->image = -1;
	t->state = TALK_NEW;
	buf_clear(&t->in);
	buf_clear(&t->out);
	buf_clear(&t->late);
}

void talk_close(struct talk *t)
{
	watch_remove(t->watch);
	t->watch = NULL;
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
	if (t->image >= 0)
		close(t->image);
	t->image = -1;
	buf_free(&t->in);
	buf_free(&t->out);
	buf_free(&t->late);
}
