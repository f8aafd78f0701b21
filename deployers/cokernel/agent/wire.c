/* SPDX-License-Identifier: MIT */
/* wire.c: frames on a stream, to the deployer; and as packets, between the agent's two processes. */
#include "deployers/cokernel/agent/parts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static struct agent_frame head_of(unsigned type, size_t len)
{
	return (struct agent_frame){ AGENT_MAGIC, AGENT_REV, (uint16_t)type, (uint32_t)len, 0 };
}

static int write_all(int fd, const uint8_t *p, size_t len)
{
	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int wire_send(int fd, unsigned type, const void *body, size_t len)
{
	static uint8_t whole[sizeof(struct agent_frame) + AGENT_FRAME_MAX];
	struct agent_frame head = head_of(type, len);

	if (len > AGENT_FRAME_MAX)
		return -EMSGSIZE;
	memcpy(whole, &head, sizeof(head));
	if (len)
		memcpy(whole + sizeof(head), body, len);
	return write_all(fd, whole, sizeof(head) + len);
}

int wire_text(int fd, unsigned type, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return wire_send(fd, type, text, strlen(text));
}

/* 1; 0: the end before the first byte; -errno */
static int read_all(int fd, void *to, size_t len)
{
	uint8_t *p = to;
	size_t left = len;

	while (left) {
		ssize_t n = read(fd, p, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return left == len ? 0 : -EPROTO;
		p += n;
		left -= (size_t)n;
	}
	return 1;
}

static int check(const struct agent_frame *head)
{
	if (head->magic != AGENT_MAGIC || head->rev != AGENT_REV)
		return fail(-EPROTO, "what the deployer says is not of revision %d", AGENT_REV);
	if (head->len > AGENT_FRAME_MAX)
		return fail(
			-EMSGSIZE, "a frame of %u bytes: at most %u are taken", head->len, AGENT_FRAME_MAX);
	return 0;
}

int wire_read(int fd, struct frame *f)
{
	struct agent_frame head;
	int got = read_all(fd, &head, sizeof(head));

	if (got <= 0)
		return got;
	int err = check(&head);
	if (err)
		return err;
	f->type = head.type;
	f->len = head.len;
	f->body[f->len] = 0;
	return f->len ? read_all(fd, f->body, f->len) == 1 ? 1 : -EPROTO : 1;
}

int wire_post(int fd, unsigned type, const void *body, size_t len)
{
	struct agent_frame head = head_of(type, len);
	struct iovec parts[2] = { { &head, sizeof(head) }, { (void *)body, len } };
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = len ? 2 : 1 };

	if (len > AGENT_FRAME_MAX)
		return -EMSGSIZE;
	while (sendmsg(fd, &m, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

int wire_take(int fd, struct frame *f)
{
	struct agent_frame head;
	struct iovec parts[2] = { { &head, sizeof(head) }, { f->body, AGENT_FRAME_MAX } };
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = 2 };
	ssize_t n;

	do
		n = recvmsg(fd, &m, 0);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : 0;
	if ((size_t)n < sizeof(head) || check(&head) || head.len != (size_t)n - sizeof(head))
		return -EPROTO;
	f->type = head.type;
	f->len = head.len;
	f->body[f->len] = 0;
	return 1;
}
