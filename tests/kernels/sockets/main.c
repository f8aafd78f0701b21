/* SPDX-License-Identifier: MIT */
/*
 * sockets: what POSIX says of sockets, over 127.0.0.1, so that it can run anywhere: it prints the same on Linux and on
 * reef. With an argument it connects to ADDRESS PORT, sends a line and prints the answer.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define BULK (8u << 20)

/* musl has no names for errors, but the same texts for most. */
static const char *said(long r)
{
	static const struct {
		int number;
		const char *name;
	} names[] = { { EAGAIN, "EAGAIN" }, { EPIPE, "EPIPE" }, { ECONNREFUSED, "ECONNREFUSED" },
		{ ECONNRESET, "ECONNRESET" }, { ENOTCONN, "ENOTCONN" }, { EINPROGRESS, "EINPROGRESS" },
		{ EISCONN, "EISCONN" }, { EADDRINUSE, "EADDRINUSE" }, { EINVAL, "EINVAL" },
		{ ENOTSOCK, "ENOTSOCK" }, { EBADF, "EBADF" }, { EFAULT, "EFAULT" },
		{ EAFNOSUPPORT, "EAFNOSUPPORT" }, { EDESTADDRREQ, "EDESTADDRREQ" }, { EMSGSIZE, "EMSGSIZE" },
		{ EOPNOTSUPP, "EOPNOTSUPP" }, { ENOPROTOOPT, "ENOPROTOOPT" },
		{ EADDRNOTAVAIL, "EADDRNOTAVAIL" }, { EPROTONOSUPPORT, "EPROTONOSUPPORT" },
		{ ESPIPE, "ESPIPE" } };

	for (size_t i = 0; r < 0 && i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].number == errno)
			return names[i].name;
	return r < 0 ? strerror(errno) : "fine";
}

static struct sockaddr_in at(unsigned port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static unsigned port_of(int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	getsockname(fd, (struct sockaddr *)&a, &len);
	return ntohs(a.sin_port);
}

static int listener(void)
{
	struct sockaddr_in a = at(0);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 16))
		perror("listen");
	return fd;
}

static int dial(unsigned port)
{
	struct sockaddr_in a = at(port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(fd, (struct sockaddr *)&a, sizeof(a)))
		perror("connect");
	return fd;
}

/* Two ends of a connection. */
static void pair(int *a, int *b)
{
	int l = listener();

	*a = dial(port_of(l));
	*b = accept(l, NULL, NULL);
	close(l);
}

static void *echo(void *arg)
{
	int fd = *(int *)arg;
	char buf[1000];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t done = 0, w; done < n; done += w)
			if ((w = write(fd, buf + done, (size_t)(n - done))) <= 0)
				return NULL;
	shutdown(fd, SHUT_WR);
	return NULL;
}

struct bulk {
	int fd;
	unsigned sum;
	size_t len;
};

static void *take_bulk(void *arg)
{
	struct bulk *b = arg;
	static unsigned char buf[30000];
	ssize_t n;

	while ((n = recv(b->fd, buf, sizeof(buf), 0)) > 0)
		for (ssize_t i = 0; i < n; i++, b->len++)
			b->sum = b->sum * 31 + buf[i];
	return NULL;
}

static void bulk(void)
{
	static unsigned char buf[100000];
	unsigned sum = 0, seed = 1;
	struct bulk b = { 0 };
	pthread_t t;
	size_t left = BULK;
	int a;

	pair(&a, &b.fd);
	pthread_create(&t, NULL, take_bulk, &b);
	while (left) {
		size_t n = left < sizeof(buf) ? left : sizeof(buf);

		for (size_t i = 0; i < n; i++) {
			seed = seed * 1664525u + 1013904223u;
			buf[i] = (unsigned char)(seed >> 24);
			sum = sum * 31 + buf[i];
		}
		if (send(a, buf, n, 0) != (ssize_t)n)
			printf("send: %s\n", said(-1));
		left -= n;
	}
	close(a);
	pthread_join(t, NULL);
	printf("bulk: %zu bytes, %s\n", b.len, b.sum == sum ? "the same" : "others");
	close(b.fd);
}

static void streams(void)
{
	char buf[64] = { 0 };
	pthread_t t;
	int a, b, n;

	pair(&a, &b);
	pthread_create(&t, NULL, echo, &b);
	printf("write %zd\n", write(a, "hello", 5));
	printf("peek %zd", recv(a, buf, 3, MSG_PEEK | MSG_WAITALL));
	printf(" %s\n", buf);
	printf("all %zd", recv(a, buf, 5, MSG_WAITALL));
	printf(" %s\n", buf);
	printf("nothing: %s\n", said(recv(a, buf, 5, MSG_DONTWAIT)));
	struct iovec out[2] = { { "ab", 2 }, { "cde", 3 } }, in[2] = { { buf, 1 }, { buf + 10, 9 } };
	struct msghdr m = { .msg_iov = out, .msg_iovlen = 2 };

	printf("sendmsg %zd\n", sendmsg(a, &m, 0));
	do
		ioctl(a, FIONREAD, &n);
	while (n < 5);
	m.msg_iov = in;
	printf("recvmsg %zd", recvmsg(a, &m, 0));
	printf(" %c %.4s\n", buf[0], buf + 10);
	printf("seek: %s\n", said(lseek(a, 0, SEEK_SET)));
	printf("bad buffer: %s\n", said(send(a, (void *)16, 5, 0)));
	shutdown(a, SHUT_WR);
	printf("after shutdown: %s\n", said(send(a, "x", 1, MSG_NOSIGNAL)));
	printf("end %zd\n", read(a, buf, 5));
	pthread_join(t, NULL);
	close(a);
	close(b);
}

static void refusals(void)
{
	int l = listener(), port = (int)port_of(l), fd = socket(AF_INET, SOCK_STREAM, 0), p[2];
	struct sockaddr_in a = at((unsigned)port);
	char byte;

	printf("read unconnected: %s\n", said(recv(fd, &byte, 1, 0)));
	printf("send unconnected: %s\n", said(send(fd, &byte, 1, MSG_NOSIGNAL)));
	printf("peer of nobody: %s\n",
		said(getpeername(fd, (struct sockaddr *)&a, &(socklen_t){ sizeof(a) })));
	printf("accept on it: %s\n", said(accept(fd, NULL, NULL)));
	a = at((unsigned)port);
	printf("taken: %s\n", said(bind(fd, (struct sockaddr *)&a, sizeof(a))));
	a.sin_addr.s_addr = htonl(0x08080808);
	a.sin_port = 0;
	printf("not ours: %s\n", said(bind(fd, (struct sockaddr *)&a, sizeof(a))));
	printf("short address: %s\n", said(bind(fd, (struct sockaddr *)&a, 3)));
	close(l);
	a = at((unsigned)port);
	printf("refused: %s\n", said(connect(fd, (struct sockaddr *)&a, sizeof(a))));
	close(fd);
	printf("closed: %s\n", said(listen(fd, 1)));
	printf("family: %s\n", said(socket(99, SOCK_STREAM, 0)));
	printf("protocol: %s\n", said(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP)));
	if (pipe(p) == 0)
		printf("no socket: %s\n", said(listen(p[0], 1)));
	close(p[0]);
	close(p[1]);
}

static void nonblocking(void)
{
	int l = listener(), c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), s, err;
	struct sockaddr_in a = at(port_of(l));
	struct pollfd p = { c, POLLOUT, 0 };
	socklen_t len = sizeof(err);
	long r;

	fcntl(l, F_SETFL, O_NONBLOCK);
	printf("nobody: %s\n", said(accept(l, NULL, NULL)));
	r = connect(c, (struct sockaddr *)&a, sizeof(a));
	printf("connecting: %s\n", r && errno == EINPROGRESS ? "fine" : said(r));
	printf("poll %d", poll(&p, 1, 10000));
	printf(" %x\n", (unsigned)p.revents);
	getsockopt(c, SOL_SOCKET, SO_ERROR, &err, &len);
	r = connect(c, (struct sockaddr *)&a, sizeof(a)); /* EISCONN where the first did not have to wait */
	printf("error %d, again: %s\n", err, r && errno == EISCONN ? "fine" : said(r));
	p = (struct pollfd){ l, POLLIN, 0 };
	printf("poll listener %d", poll(&p, 1, 10000));
	printf(" %x\n", (unsigned)p.revents);
	s = accept4(l, NULL, NULL, SOCK_NONBLOCK);
	printf("read: %s\n", said(read(s, &err, 1)));
	signal(SIGPIPE, SIG_IGN);
	static char big[1 << 20];
	size_t sent = 0;

	while ((r = write(c, big, sizeof(big))) > 0)
		sent += (size_t)r;
	printf("full: %s, %s\n", said(r), sent > 20000 ? "much" : "little");
	p = (struct pollfd){ c, POLLOUT, 0 };
	printf("poll full %d\n", poll(&p, 1, 0));
	for (size_t got = 0; got<sent; got += r> 0 ? (size_t)r : 0) {
		struct pollfd q = { s, POLLIN, 0 };

		poll(&q, 1, 10000);
		r = read(s, big, sizeof(big));
	}
	printf("poll empty %d\n", poll(&p, 1, 10000));
	close(s);
	p.events = POLLIN;
	printf("poll end %d", poll(&p, 1, 10000));
	printf(" %d\n", p.revents & POLLIN);
	printf("read %ld\n", (long)read(c, big, 1));
	close(c);
	close(l);
}

static void many(void)
{
	int e = epoll_create1(0), l = listener(), c[50], s[50], got = 0;
	struct epoll_event v[64];
	unsigned port = port_of(l);
	fd_set set;

	for (int i = 0; i < 50; i++) {
		c[i] = dial(port);
		s[i] = accept(l, NULL, NULL);
		v[0] = (struct epoll_event){ .events = EPOLLIN, .data.u32 = (uint32_t)i };
		epoll_ctl(e, EPOLL_CTL_ADD, s[i], &v[0]);
	}
	printf("quiet %d\n", epoll_wait(e, v, 64, 10));
	for (int i = 0; i < 50; i++)
		(void)!write(c[i], "x", 1);
	while (got < 50) {
		int n = epoll_wait(e, v, 64, 10000);

		if (n <= 0)
			break;
		for (int i = 0; i < n; i++) {
			char byte;

			got += (int)read(s[v[i].data.u32], &byte, 1);
		}
	}
	printf("heard %d\n", got);
	FD_ZERO(&set);
	FD_SET(s[7], &set);
	(void)!write(c[7], "y", 1);
	printf("select %d\n", select(s[7] + 1, &set, NULL, NULL, &(struct timeval){ 10, 0 }));
	for (int i = 0; i < 50; i++)
		close(c[i]);
	got = 0;
	for (int i = 0; i < 50; i++) {
		char byte[2];

		while (read(s[i], byte, 2) > 0)
			got++;
		close(s[i]);
	}
	printf("left %d\n", got);
	close(e);
	close(l);
}

static void datagrams(void)
{
	int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in any = at(0), to, from;
	socklen_t len = sizeof(from);
	char buf[100] = { 0 };
	static char big[70000];
	struct timeval tv = { 0, 50000 };

	bind(a, (struct sockaddr *)&any, sizeof(any));
	bind(b, (struct sockaddr *)&any, sizeof(any));
	to = at(port_of(b));
	printf("no address: %s\n", said(send(a, "x", 1, 0)));
	printf("too long: %s\n", said(sendto(a, big, sizeof(big), 0, (struct sockaddr *)&to, sizeof(to))));
	printf("sendto %zd\n", sendto(a, "datagram", 8, 0, (struct sockaddr *)&to, sizeof(to)));
	printf("sendto %zd\n", sendto(a, "", 0, 0, (struct sockaddr *)&to, sizeof(to)));
	printf("recvfrom %zd", recvfrom(b, buf, 4, MSG_TRUNC, (struct sockaddr *)&from, &len));
	printf(" %s, %s, %u\n", buf, ntohs(from.sin_port) == port_of(a) ? "from it" : "from another",
		(unsigned)len);
	printf("empty %zd\n", recv(b, buf, sizeof(buf), 0));
	setsockopt(b, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	printf("late: %s\n", said(recv(b, buf, sizeof(buf), 0)));
	connect(a, (struct sockaddr *)&to, sizeof(to));
	printf("connected %zd\n", send(a, "y", 1, 0));
	printf("got %zd\n", recv(b, buf, sizeof(buf), 0));
	close(a);
	close(b);
}

static void options(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1, v = 0;
	socklen_t len = sizeof(v);

	printf("reuse: %s\n", said(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on))));
	printf("nodelay: %s", said(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on))));
	getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, &len);
	printf(" %d\n", v);
	getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &len);
	printf("type %d\n", v == SOCK_STREAM);
	printf("unknown: %s\n", said(setsockopt(fd, SOL_SOCKET, 9999, &on, sizeof(on))));
	printf("short: %s\n", said(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, 1)));
	close(fd);
}

/* Who resets a connection that others still read, and who is told. */
static void resets(void)
{
	struct linger now = { 1, 0 };
	char byte;
	int a, b;

	pair(&a, &b);
	setsockopt(a, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(a);
	printf("reset: %s\n", said(read(b, &byte, 1)));
	printf("then %zd\n", read(b, &byte, 1));
	printf("write: %s\n", said(send(b, "x", 1, MSG_NOSIGNAL)));
	close(b);
}

static int outside(const char *address, int port)
{
	struct sockaddr_in a = at((unsigned)port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char buf[200];
	ssize_t n;

	inet_pton(AF_INET, address, &a.sin_addr);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a))) {
		printf("connect: %s\n", strerror(errno));
		return 1;
	}
	(void)!write(fd, "hello from inside\n", 18);
	shutdown(fd, SHUT_WR);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		fwrite(buf, 1, (size_t)n, stdout);
	return n ? 1 : 0;
}

int main(int argc, char **argv)
{
	if (argc == 3)
		return outside(argv[1], atoi(argv[2]));
	streams();
	bulk();
	refusals();
	nonblocking();
	many();
	datagrams();
	options();
	resets();
	return 0;
}
