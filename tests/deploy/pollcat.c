/* SPDX-License-Identifier: MIT */
/*
 * pollcat: cat for a file that is opened O_NONBLOCK and waited for with select, poll or epoll.
 *
 *     pollcat read  select|poll|epoll FILE     FILE to stdout, until its end
 *     pollcat write select|poll|epoll FILE     stdin to FILE
 *
 * Fails when the file was said to be ready and was not, too often: a poll that always says "ready" is no poll.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <unistd.h>

enum { CHUNK = 3000, WAIT_MS = 30000, SPURIOUS_MAX = 100 };

static void die(const char *what)
{
	fprintf(stderr, "pollcat: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int wait_select(int fd, int writing)
{
	struct timeval limit = { .tv_sec = WAIT_MS / 1000 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	return select(fd + 1, writing ? NULL : &set, writing ? &set : NULL, NULL, &limit);
}

static int wait_poll(int fd, int writing)
{
	struct pollfd p = { .fd = fd, .events = writing ? POLLOUT : POLLIN };

	return poll(&p, 1, WAIT_MS);
}

static int wait_epoll(int fd, int writing)
{
	static int ep = -1;
	struct epoll_event e = { .events = writing ? EPOLLOUT : EPOLLIN };

	if (ep < 0) {
		ep = epoll_create1(EPOLL_CLOEXEC);
		if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) != 0)
			die("epoll");
	}
	return epoll_wait(ep, &e, 1, WAIT_MS);
}

static void wait_ready(const char *how, int fd, int writing)
{
	int n;

	if (strcmp(how, "select") == 0)
		n = wait_select(fd, writing);
	else if (strcmp(how, "poll") == 0)
		n = wait_poll(fd, writing);
	else
		n = wait_epoll(fd, writing);
	if (n == 0)
		errno = ETIMEDOUT;
	if (n <= 0)
		die(how);
}

static void not_ready(void)
{
	static int spurious;

	if (errno != EAGAIN)
		die("file");
	if (++spurious > SPURIOUS_MAX) {
		fprintf(stderr, "pollcat: said to be ready and was not, %d times\n", spurious);
		exit(1);
	}
}

static void put(const char *how, int fd, const char *data, size_t len, int wait)
{
	while (len > 0) {
		ssize_t n;

		if (wait)
			wait_ready(how, fd, 1);
		n = write(fd, data, len);
		if (n < 0) {
			not_ready();
			continue;
		}
		data += n;
		len -= (size_t)n;
	}
}

int main(int argc, char **argv)
{
	char data[CHUNK];
	int writing, fd;

	if (argc != 4) {
		fprintf(stderr, "usage: pollcat read|write select|poll|epoll FILE\n");
		return 64;
	}
	writing = strcmp(argv[1], "write") == 0;
	fd = open(argv[3], (writing ? O_WRONLY : O_RDONLY) | O_NONBLOCK);
	if (fd < 0)
		die(argv[3]);
	for (;;) {
		ssize_t n;

		if (!writing)
			wait_ready(argv[2], fd, 0);
		n = read(writing ? 0 : fd, data, sizeof(data));
		if (n == 0)
			return close(fd) == 0 ? 0 : 1;
		if (n < 0)
			not_ready();
		else
			put(argv[2], writing ? fd : 1, data, (size_t)n, writing);
	}
}
