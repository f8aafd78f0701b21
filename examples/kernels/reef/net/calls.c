/* SPDX-License-Identifier: MIT */
/* calls.c: the system calls of sockets, as Linux has them for IPv4. */
#include "socket.h"

#define AF_UNSPEC     0
#define AF_INET	      2
#define SOCK_STREAM   1
#define SOCK_DGRAM    2
#define SOCK_NONBLOCK O_NONBLOCK
#define SOCK_CLOEXEC  O_CLOEXEC
#define SOCK_TYPE     0xfu
#define IPPROTO_TCP   6
#define IPPROTO_UDP   17

struct sockaddr_in {
	uint16_t family, port;
	uint32_t address;
	uint8_t zero[8];
};

struct msghdr {
	void *name;
	uint32_t name_len, pad0;
	struct iovec *parts;
	uint64_t count;
	void *control;
	uint64_t control_len;
	int flags, pad1;
};
#define PARTS_MAX 1024

/* The file of a descriptor that is a socket, else NULL and (*err). */
static struct file *get(uint64_t fd, long *err)
{
	struct file *f = fd_get(fd);

	*err = f ? -ENOTSOCK : -EBADF;
	if (!f || f->ops == &socket_ops)
		return f;
	file_put(f);
	return NULL;
}

static long address_in(const void *user, uint64_t len, struct address *out)
{
	struct sockaddr_in a;

	if (len < sizeof(a))
		return -EINVAL;
	if (copy_in(&a, user, sizeof(a)))
		return -EFAULT;
	if (a.family != AF_INET)
		return -EAFNOSUPPORT;
	ip_addr_set_ip4_u32_val(out->ip, a.address);
	out->port = lwip_ntohs(a.port);
	return 0;
}

/* As much as there is room for; the length is that of all. Without a place for it: nothing. */
static long address_out(void *user, uint32_t *user_len, const struct address *a)
{
	struct sockaddr_in in = {
		.family = AF_INET, .port = lwip_htons(a->port), .address = ip_addr_get_ip4_u32(&a->ip)
	};
	uint32_t room, len = sizeof(in);

	if (!user)
		return 0;
	if (copy_in(&room, user_len, sizeof(room)))
		return -EFAULT;
	if ((int)room < 0)
		return -EINVAL;
	if (copy_out(user, &in, room < len ? room : len))
		return -EFAULT;
	return copy_out(user_len, &len, sizeof(len));
}

/* One that no file has. */
static void discard(struct socket *s)
{
	net_lock();
	s->abort = true;
	if (s->stream)
		tcp_leave(s);
	else
		udp_remove(s->udp);
	socket_free(s);
	net_unlock();
}

/* Gives the socket a file and the file a number. */
static long give(struct socket *s, unsigned flags)
{
	struct file *f = file_new(&socket_ops, O_RDWR | (flags & SOCK_NONBLOCK), s);

	if (!f) {
		discard(s);
		return -ENOMEM;
	}
	net_lock();
	s->file = f;
	net_unlock();
	return fd_add(f, flags & SOCK_CLOEXEC);
}

CALL(socket)
{
	unsigned type = ARG2 & SOCK_TYPE, protocol = (unsigned)ARG3;
	struct socket *s;

	if (ARG1 != AF_INET)
		return -EAFNOSUPPORT;
	if (type != SOCK_STREAM && type != SOCK_DGRAM)
		return -EPROTONOSUPPORT;
	if (protocol && protocol != (type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP))
		return -EPROTONOSUPPORT;
	net_start();
	net_lock();
	s = socket_new(type == SOCK_STREAM);
	if (s && !(s->stream ? tcp_open(s) : udp_open(s))) {
		socket_free(s);
		s = NULL;
	}
	net_unlock();
	return s ? give(s, (unsigned)ARG2) : -ENOBUFS;
}

static long bind_to(struct socket *s, const struct address *a)
{
	err_t err;

	if (s->state != SOCKET_NEW ||
		(s->stream ? s->tcp && s->tcp->local_port : s->udp && s->udp->local_port))
		return -EINVAL;
	for (struct netif *n = netif_list; !ip_addr_isany_val(a->ip); n = n->next) {
		if (!n)
			return -EADDRNOTAVAIL;
		if (ip4_addr_cmp(ip_2_ip4(&a->ip), netif_ip4_addr(n)) ||
			ip4_addr_isloopback(ip_2_ip4(&a->ip)))
			break;
	}
	err = s->stream ? tcp_bind(s->tcp, &a->ip, a->port) : udp_bind(s->udp, &a->ip, a->port);
	return err == ERR_OK ? 0 : -socket_errno(err);
}

CALL(bind)
{
	struct address a;
	long err;
	struct file *file = get(ARG1, &err);

	if (!file)
		return err;
	err = address_in((const void *)ARG2, ARG3, &a);
	if (!err) {
		net_lock();
		err = bind_to(file->own, &a);
		net_unlock();
	}
	file_put(file);
	return err;
}

CALL(listen)
{
	long err;
	struct file *file = get(ARG1, &err);

	if (!file)
		return err;
	net_lock();
	err = ((struct socket *)file->own)->stream ? tcp_start_listening(file->own, (int)ARG2) : -EOPNOTSUPP;
	net_unlock();
	file_put(file);
	return err;
}

static void peer_of(const struct socket *s, struct address *a)
{
	*a = (struct address){ 0 };
	if (s->stream && s->tcp) {
		a->ip = s->tcp->remote_ip;
		a->port = s->tcp->remote_port;
	} else if (s->udp) {
		a->ip = s->udp->remote_ip;
		a->port = s->udp->remote_port;
	}
}

/* Waits for a connection; (*from) is its other end. */
static struct socket *next_connection(struct file *f, struct address *from, long *err)
{
	struct socket *s = f->own, *c = NULL;
	uint64_t until = s->receive_ns == NEVER ? NEVER : clock_ns() + s->receive_ns;

	for (*err = 0; !c && !*err;) {
		net_lock();
		if (s->state != SOCKET_LISTENING)
			*err = s->stream ? -EINVAL : -EOPNOTSUPP;
		else if ((c = tcp_take_connection(s)))
			peer_of(c, from);
		net_unlock();
		if (!c && !*err)
			*err = file_wait(f, POLLIN, until);
	}
	return c;
}

static long accept(struct frame *f, unsigned flags)
{
	struct address from;
	struct socket *s;
	long err;
	struct file *file = get(ARG1, &err);

	if (!file)
		return err;
	s = next_connection(file, &from, &err);
	file_put(file);
	if (!s)
		return err;
	err = address_out((void *)ARG2, (uint32_t *)ARG3, &from);
	if (!err)
		return give(s, flags);
	discard(s);
	return err;
}

CALL(accept)
{
	return accept(f, 0);
}

CALL(accept4)
{
	return ARG4 & ~(uint64_t)(SOCK_NONBLOCK | SOCK_CLOEXEC) ? -EINVAL : accept(f, (unsigned)ARG4);
}

static long connect_datagrams(struct socket *s, const struct address *a, bool undo)
{
	if (undo) {
		udp_disconnect(s->udp);
		s->state = SOCKET_NEW;
		return 0;
	}
	if (!net_route(ip_2_ip4(&a->ip)))
		return -ENETUNREACH;
	udp_connect(s->udp, &a->ip, a->port);
	s->state = SOCKET_CONNECTED;
	return 0;
}

static long connect_stream(struct file *f, const struct address *a)
{
	struct socket *s = f->own;
	uint64_t until = s->send_ns == NEVER ? NEVER : clock_ns() + s->send_ns;
	long err;

	net_lock();
	err = tcp_start_connecting(s, a);
	net_unlock();
	while (!err) {
		net_lock();
		err = s->state == SOCKET_CONNECTING ? -EAGAIN : -s->error;
		s->error = 0;
		if (s->state == SOCKET_CONNECTED) {
			s->told = true;
			err = 1;
		}
		net_unlock();
		if (err == -EAGAIN)
			err = file_wait(f, POLLOUT, until);
	}
	return err == 1 ? 0 : err == -EAGAIN ? -EINPROGRESS : err;
}

CALL(connect)
{
	struct address a = { 0 };
	uint16_t family = AF_UNSPEC;
	struct socket *s;
	long err;
	struct file *file = get(ARG1, &err);

	if (!file)
		return err;
	s = file->own;
	err = ARG3 >= 2 ? copy_in(&family, (const void *)ARG2, sizeof(family)) : -EINVAL;
	if (!err && (family != AF_UNSPEC || s->stream))
		err = address_in((const void *)ARG2, ARG3, &a);
	if (!err && s->stream)
		err = connect_stream(file, &a);
	else if (!err) {
		net_lock();
		err = connect_datagrams(s, &a, family == AF_UNSPEC);
		net_unlock();
	}
	file_put(file);
	return err;
}

static long name(struct frame *f, bool peer)
{
	struct address a = { 0 };
	struct socket *s;
	long err;
	struct file *file = get(ARG1, &err);

	if (!file)
		return err;
	s = file->own;
	err = 0;
	net_lock();
	if (peer) {
		peer_of(s, &a);
		err = s->state == SOCKET_CONNECTED ? 0 : -ENOTCONN;
	} else if (s->tcp) {
		a = (struct address){ s->tcp->local_ip, s->tcp->local_port };
	} else if (s->udp) {
		a = (struct address){ s->udp->local_ip, s->udp->local_port };
	}
	net_unlock();
	file_put(file);
	return err ? err : address_out((void *)ARG2, (uint32_t *)ARG3, &a);
}

CALL(getsockname)
{
	return name(f, false);
}

CALL(getpeername)
{
	return name(f, true);
}

CALL(shutdown)
{
	struct socket *s;
	long err;
	struct file *file = get(ARG1, &err);

	if (!file)
		return err;
	s = file->own;
	net_lock();
	if (ARG2 > 2)
		err = -EINVAL;
	else if (s->state != SOCKET_CONNECTED)
		err = -ENOTCONN;
	else
		err = 0;
	if (!err && ARG2 != 1)
		s->read_shut = true;
	if (!err && ARG2 != 0 && !s->write_shut) {
		s->write_shut = true;
		err = s->stream ? tcp_end(s) : 0;
	}
	socket_ready(s);
	net_unlock();
	file_put(file);
	return err;
}

CALL(sendto)
{
	struct address to;
	long err;
	struct file *file = get(ARG1, &err);

	if (!file)
		return err;
	err = ARG5 ? address_in((const void *)ARG5, ARG6, &to) : 0;
	if (!err)
		err = socket_send(file, (const void *)ARG2, ARG3, (unsigned)ARG4, ARG5 ? &to : NULL);
	file_put(file);
	return err;
}

CALL(recvfrom)
{
	struct address from = { 0 };
	long n;
	struct file *file = get(ARG1, &n);

	if (!file)
		return n;
	n = socket_receive(file, (void *)ARG2, ARG3, (unsigned)ARG4, &from);
	if (n >= 0 && ARG5 && !((struct socket *)file->own)->stream) {
		long err = address_out((void *)ARG5, (uint32_t *)ARG6, &from);

		n = err ? err : n;
	}
	file_put(file);
	return n;
}

/* A datagram must be one piece: its parts come together in memory of the kernel. */
static long gather(const struct iovec *parts, uint64_t count, char **out)
{
	size_t len = 0;
	long err = 0;

	for (uint64_t i = 0; i < count; i++) {
		if (parts[i].len > 0xffff || (len += parts[i].len) > 0xffff)
			return -EMSGSIZE;
	}
	*out = malloc(len ? len : 1);
	if (!*out)
		return -ENOMEM;
	for (uint64_t i = 0, at = 0; !err && i < count; at += parts[i++].len)
		err = copy_in(*out + at, parts[i].base, parts[i].len);
	return err ? err : (long)len;
}

static long send_datagram_of(
	struct file *f, const struct msghdr *m, const struct iovec *parts, unsigned flags)
{
	struct address to;
	char *buf = NULL;
	long n = m->name ? address_in(m->name, m->name_len, &to) : 0;

	if (!n)
		n = gather(parts, m->count, &buf);
	if (n >= 0)
		n = socket_send(f, buf, (size_t)n, flags, m->name ? &to : NULL);
	free(buf);
	return n;
}

static long send_parts(struct file *f, const struct msghdr *m, const struct iovec *parts, unsigned flags)
{
	long done = 0;

	if (!((struct socket *)f->own)->stream)
		return send_datagram_of(f, m, parts, flags);
	for (uint64_t i = 0; i < m->count; i++) {
		unsigned more = i + 1 < m->count ? MSG_MORE : 0;
		long n = parts[i].len ? socket_send(f, parts[i].base, parts[i].len, flags | more, NULL) : 0;

		if (n < 0)
			return done ? done : n;
		done += n;
		if ((size_t)n < parts[i].len)
			break;
	}
	return done;
}

static long receive_datagram_of(struct file *f, struct msghdr *m, const struct iovec *parts, unsigned flags)
{
	struct address from = { 0 };
	char *buf = malloc(0x10000);
	long n, err = 0;

	if (!buf)
		return -ENOMEM;
	n = socket_receive(f, buf, 0xffff, flags & ~MSG_TRUNC, &from);
	for (uint64_t i = 0, at = 0; n >= 0 && !err && i < m->count && at < (uint64_t)n; i++) {
		size_t len = parts[i].len < (size_t)n - at ? parts[i].len : (size_t)n - at;

		err = copy_out(parts[i].base, buf + at, len);
		at += len;
	}
	free(buf);
	if (n >= 0 && !err && m->name) {
		struct sockaddr_in in = { .family = AF_INET,
			.port = lwip_htons(from.port),
			.address = ip_addr_get_ip4_u32(&from.ip) };

		err = copy_out(m->name, &in, m->name_len < sizeof(in) ? m->name_len : sizeof(in));
		m->name_len = sizeof(in);
	}
	return err ? err : n;
}

static long receive_parts(struct file *f, struct msghdr *m, const struct iovec *parts, unsigned flags)
{
	long done = 0;

	if (!((struct socket *)f->own)->stream)
		return receive_datagram_of(f, m, parts, flags);
	for (uint64_t i = 0; i < m->count; i++) {
		long n = parts[i].len ? socket_receive(f, parts[i].base, parts[i].len,
						done ? flags | MSG_DONTWAIT : flags, NULL)
				      : 0;

		if (n < 0)
			return done ? done : n;
		done += n;
		if ((size_t)n < parts[i].len)
			break;
	}
	return done;
}

typedef long move(struct file *f, struct msghdr *m, const struct iovec *parts, unsigned flags);

static long with_parts(struct frame *f, move *act)
{
	struct msghdr m;
	struct iovec *parts;
	long err;
	struct file *file = get(ARG1, &err);

	if (!file)
		return err;
	err = copy_in(&m, (const void *)ARG2, sizeof(m));
	if (!err && m.count > PARTS_MAX)
		err = -EMSGSIZE;
	parts = err ? NULL : malloc((m.count + 1) * sizeof(*parts));
	if (!err)
		err = parts ? copy_in(parts, m.parts, m.count * sizeof(*parts)) : -ENOMEM;
	if (!err)
		err = act(file, &m, parts, (unsigned)ARG3);
	free(parts);
	file_put(file);
	if (err >= 0 && act == receive_parts) {
		m.control_len = 0;
		m.flags = 0;
		if (copy_out((void *)ARG2, &m, sizeof(m)))
			return -EFAULT;
	}
	return err;
}

static long send_msg(struct file *f, struct msghdr *m, const struct iovec *parts, unsigned flags)
{
	return send_parts(f, m, parts, flags);
}

CALL(sendmsg)
{
	return with_parts(f, send_msg);
}

CALL(recvmsg)
{
	return with_parts(f, receive_parts);
}
