/* SPDX-License-Identifier: MIT */
/*
 * main.c: kv [PORT [MEGABYTES]]: listens, and gives each connection to a worker, in turn. A worker waits for all of its
 * connections at once.
 */
#define _GNU_SOURCE
#include "kv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define WORKERS_MOST	 64
#define CONNECTIONS_MOST 1000
#define EVENTS		 64

static int fail(const char *what)
{
	fprintf(stderr, "kv: %s: %s\n", what, strerror(errno));
	return 1;
}

static void run(int set, struct connection *c)
{
	uint32_t want = connection_run(c);
	bool out = want == EPOLLOUT;
	struct epoll_event e = { .events = want, .data.ptr = c };

	if (!want) {
		epoll_ctl(set, EPOLL_CTL_DEL, c->fd, NULL);
		connection_free(c);
	} else if (out != c->watched_out) {
		c->watched_out = out;
		epoll_ctl(set, EPOLL_CTL_MOD, c->fd, &e);
	}
}

static void *work(void *arg)
{
	int set = *(int *)arg;
	struct epoll_event events[EVENTS];

	for (;;) {
		int n = epoll_wait(set, events, EVENTS, -1);

		for (int i = 0; i < n; i++)
			run(set, events[i].data.ptr);
	}
	return NULL;
}

static int listen_at(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 128)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void take(int fd, int set)
{
	struct epoll_event e = { .events = EPOLLIN };
	struct connection *c;
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c = stats.connections < CONNECTIONS_MOST ? connection_new(fd) : NULL;
	if (!c) {
		static const char sorry[] = "SERVER_ERROR too many open connections\r\n";

		(void)!send(fd, sorry, sizeof(sorry) - 1, MSG_NOSIGNAL);
		close(fd);
		return;
	}
	e.data.ptr = c;
	if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &e))
		connection_free(c);
}

int main(int argc, char **argv)
{
	static int sets[WORKERS_MOST];
	int port = argc > 1 ? atoi(argv[1]) : 11211, listener;
	long megabytes = argc > 2 ? atol(argv[2]) : 16, cpus = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t thread;

	if (port < 1 || port > 65535 || megabytes < 1 || megabytes > 1l << 20) {
		fprintf(stderr, "usage: kv [PORT [MEGABYTES]]\n");
		return 64;
	}
	signal(SIGPIPE, SIG_IGN);
	stats.workers = cpus < 1 ? 1 : cpus > WORKERS_MOST ? WORKERS_MOST : (unsigned)cpus;
	if (!table_open((uint64_t)megabytes << 20))
		return fail("table");
	listener = listen_at(port);
	if (listener < 0)
		return fail("listening");
	for (unsigned i = 0; i < stats.workers; i++) {
		sets[i] = epoll_create1(EPOLL_CLOEXEC);
		if (sets[i] < 0 || pthread_create(&thread, NULL, work, &sets[i]))
			return fail("starting a worker");
	}
	fprintf(stderr, "kv: listening on port %d, %u workers\n", port, stats.workers);
	for (unsigned turn = 0;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0)
			take(fd, sets[turn++ % stats.workers]);
		else if (errno != EINTR && errno != ECONNABORTED)
			usleep(10000); /* no memory or descriptors: some will come back */
	}
}
