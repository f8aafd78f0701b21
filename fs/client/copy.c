/* SPDX-License-Identifier: MIT */
/*
 * copy.c: a thread for each stream, with blocking reads and writes: the kernel (Linux) does the waiting, and
 * each side holds back the other.
 */
#include "cache/base/buf.h"
#include "cache/base/io.h"
#include "fs/client/client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COPY_SIZE     (256u << 10)
#define BACKGROUND_MS 100

struct copy {
	pthread_t thread;
	int from, to;
	const char *what;
	int err;
};

/* A descriptor that we were given may be non-blocking: it is shared with others, so it stays as it is. */
static int wait_for(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, -1) < 0 && errno != EINTR ? -errno : 0;
}

static ssize_t read_some(int fd, void *buf, size_t size)
{
	for (;;) {
		ssize_t n = read(fd, buf, size);

		if (n >= 0)
			return n;
		if (errno == EAGAIN && wait_for(fd, POLLIN) < 0)
			return -errno;
		if (errno != EINTR && errno != EAGAIN)
			return -errno;
	}
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n >= 0) {
			data += n;
			len -= n;
		} else if (errno == EAGAIN) {
			if (wait_for(fd, POLLOUT) < 0)
				return -errno;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

static void *copy_thread(void *arg)
{
	struct copy *c = arg;
	char *buf = xmalloc(COPY_SIZE);
	ssize_t n;

	while ((n = read_some(c->from, buf, COPY_SIZE)) > 0) {
		c->err = write_all(c->to, buf, n);
		if (c->err) {
			log_error("cannot write %s: %s", c->what, err_text(c->err));
			break;
		}
	}
	if (n < 0) {
		c->err = n;
		log_error("cannot read the kernel's %s: %s", c->what, err_text(n));
	}
	free(buf);
	return NULL;
}

static void start(pthread_t *t, void *(*fn)(void *), void *arg)
{
	int err = pthread_create(t, NULL, fn, arg);

	if (err) {
		log_error("cannot start a thread: %s", err_text(err));
		terminal_leave();
		_exit(125);
	}
}

struct copy *copy_start(int from, int to, const char *what)
{
	struct copy *c = xcalloc(1, sizeof(*c));

	c->from = from;
	c->to = to;
	c->what = what;
	start(&c->thread, copy_thread, c);
	return c;
}

int copy_join(struct copy *c)
{
	int err;

	pthread_join(c->thread, NULL);
	err = c->err;
	close(c->from);
	free(c);
	return err;
}

/* `run &` in a shell: reading the terminal would stop us (SIGTTIN), though the kernel may never want to read.
 * So we wait until somebody has typed, and until it is for us. */
static void wait_for_terminal(void)
{
	for (;;) {
		if (wait_for(0, POLLIN) < 0)
			return;
		if (tcgetpgrp(0) == getpgrp() || tcgetpgrp(0) < 0)
			return;
		poll(NULL, 0, BACKGROUND_MS);
	}
}

/* Whoever writes to us is told that nobody reads any more; the number stays taken. */
static void drop_stdin(void)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null >= 0)
		dup2(null, 0);
}

static void *stdin_thread(void *arg)
{
	int to = (int)(intptr_t)arg;
	bool terminal = isatty(0);
	char *buf = xmalloc(COPY_SIZE);

	for (;;) {
		ssize_t n;

		if (terminal)
			wait_for_terminal();
		n = read_some(0, buf, COPY_SIZE);
		if (n < 0 && n != -EBADF)
			log_error("cannot read stdin: %s", err_text(n));
		if (n <= 0 || write_all(to, buf, n) < 0) /* EPIPE: the kernel wants no more */
			break;
	}
	free(buf);
	close(to);
	drop_stdin();
	return NULL;
}

void copy_start_stdin(int to)
{
	pthread_t t;

	start(&t, stdin_thread, (void *)(intptr_t)to);
	pthread_detach(t);
}
