/* SPDX-License-Identifier: MIT */
/*
 * kvload PORT CONNECTIONS PAIRS [LEN]: a client of the key-value server. Each connection in turn sets a key and gets it
 * back, PAIRS times in all, one request under way on each; every answer is compared. Values have up to LEN bytes (100).
 * Prints the operations a second. Exit status 1 and a sentence when something is wrong.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LEN_MAX	 1048576u
#define WAIT_MS	 60000
#define HEAD_MAX 200

struct client {
	int fd;
	bool getting;
	unsigned serial; /* of its requests */
	size_t value_len, want_len, have, sent, request_len;
	char *request, *want, *got;
};

static unsigned len_max = 100, pairs_left, pairs_done;

static void die(const char *what)
{
	fprintf(stderr, "kvload: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* What a value consists of, so that it can be told from any other. */
static void fill(char *p, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1664525u + 1013904223u;
		p[i] = (char)(seed >> 24);
	}
}

static void ask(struct client *c, unsigned number)
{
	c->sent = c->have = 0;
	if (!c->getting) {
		c->serial++;
		c->value_len = (c->serial * 7919u + number * 104729u) % (len_max + 1);
		c->request_len = (size_t)sprintf(
			c->request, "set key-%u-%u 7 0 %zu\r\n", number, c->serial % 50, c->value_len);
		fill(c->request + c->request_len, c->value_len, c->serial ^ number << 16);
		c->request_len += c->value_len;
		memcpy(c->request + c->request_len, "\r\n", 2);
		c->request_len += 2;
		c->want_len = (size_t)sprintf(c->want, "STORED\r\n");
		return;
	}
	c->request_len = (size_t)sprintf(c->request, "get key-%u-%u\r\n", number, c->serial % 50);
	c->want_len =
		(size_t)sprintf(c->want, "VALUE key-%u-%u 7 %zu\r\n", number, c->serial % 50, c->value_len);
	fill(c->want + c->want_len, c->value_len, c->serial ^ number << 16);
	c->want_len += c->value_len;
	memcpy(c->want + c->want_len, "\r\nEND\r\n", 7);
	c->want_len += 7;
}

static void push(struct client *c)
{
	while (c->sent < c->request_len) {
		ssize_t n = send(
			c->fd, c->request + c->sent, c->request_len - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			die("send");
		c->sent += (size_t)n;
	}
}

/* False: this connection has nothing more to do. */
static bool pull(struct client *c, unsigned number)
{
	ssize_t n = recv(c->fd, c->got + c->have, c->want_len - c->have, MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return true;
	if (n <= 0)
		die(n ? "recv" : "the server has closed the connection");
	c->have += (size_t)n;
	if (memcmp(c->got, c->want, c->have) != 0) {
		fprintf(stderr, "kvload: wrong answer to %.30s: %.60s\n", c->request, c->got);
		exit(1);
	}
	if (c->have < c->want_len)
		return true;
	pairs_done += c->getting;
	c->getting = !c->getting;
	if (!c->getting && !pairs_left)
		return false;
	pairs_left -= !c->getting;
	ask(c, number);
	push(c);
	return true;
}

static int connect_to(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)))
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

/* So that connections come one after the other: QEMU listens with a backlog of one. */
static void greet(int fd)
{
	static const char hello[] = "version\r\n", welcome[] = "VERSION ";
	char got[80];

	if (send(fd, hello, sizeof(hello) - 1, MSG_NOSIGNAL) < 0 ||
		recv(fd, got, sizeof(got), 0) < (ssize_t)sizeof(welcome))
		die("version");
	if (memcmp(got, welcome, sizeof(welcome) - 1) != 0) {
		fprintf(stderr, "kvload: this is no key-value server\n");
		exit(1);
	}
}

static void *need(size_t len)
{
	void *p = calloc(1, len);

	if (!p)
		die("memory");
	return p;
}

static void give_up(const struct client *c, const struct pollfd *p, unsigned count)
{
	fprintf(stderr,
		"kvload: no answer within a minute: %u pairs done, %u to be begun, under way:", pairs_done,
		pairs_left);
	for (; count--; c++, p++)
		if (p->fd >= 0)
			fprintf(stderr, " %.12s (%zu of %zu sent, %zu of %zu got)", c->request, c->sent,
				c->request_len, c->have, c->want_len);
	fputs("\n", stderr);
	exit(1);
}

static void run(struct client *c, struct pollfd *p, unsigned count)
{
	unsigned open = count;

	while (open) {
		int n = poll(p, count, WAIT_MS);

		if (n < 0)
			die("poll");
		if (!n)
			give_up(c, p, count);
		for (unsigned i = 0; i < count; i++) {
			if (p[i].revents & POLLOUT)
				push(&c[i]);
			if (p[i].revents & ~POLLOUT && !pull(&c[i], i)) {
				p[i].fd = -1;
				open--;
			}
			p[i].events = (short)(POLLIN | (c[i].sent < c[i].request_len ? POLLOUT : 0));
		}
	}
}

int main(int argc, char **argv)
{
	unsigned count = argc > 2 ? (unsigned)atoi(argv[2]) : 0;
	static struct client *c; /* static: the leak checker looks after main has returned */
	static struct pollfd *p;
	struct timespec start, end;
	double seconds;

	if (argc < 4 || !count)
		return 64;
	c = need(count * sizeof(*c));
	p = need(count * sizeof(*p));
	pairs_left = (unsigned)atoi(argv[3]);
	if (argc > 4)
		len_max = (unsigned)atoi(argv[4]) < LEN_MAX ? (unsigned)atoi(argv[4]) : LEN_MAX;
	for (unsigned i = 0; i < count; i++) {
		c[i] = (struct client){ .fd = connect_to(atoi(argv[1])),
			.request = need(len_max + HEAD_MAX),
			.want = need(len_max + HEAD_MAX),
			.got = need(len_max + HEAD_MAX) };
		greet(c[i].fd);
		p[i] = (struct pollfd){ c[i].fd, POLLIN, 0 };
	}
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (unsigned i = 0; i < count; i++) {
		pairs_left -= pairs_left > 0;
		ask(&c[i], i);
		push(&c[i]);
	}
	run(c, p, count);
	clock_gettime(CLOCK_MONOTONIC, &end);
	seconds = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
	printf("%u pairs, %.0f operations/s\n", pairs_done, 2 * pairs_done / seconds);
	return 0;
}
