/* SPDX-License-Identifier: MIT */
/* socket.c: what all sockets have: input that waits to be read, and the operations of a file. */
#include "socket.h"

static struct socket *all;

struct socket *socket_new(bool stream)
{
	struct socket *s = malloc(sizeof(*s));

	if (!s)
		return NULL;
	*s = (struct socket){ .stream = stream, .receive_ns = NEVER, .send_ns = NEVER };
	s->all_next = all;
	s->all_link = &all;
	if (all)
		all->all_link = &s->all_next;
	all = s;
	return s;
}

void socket_free(struct socket *s)
{
	socket_drop_input(s);
	*s->all_link = s->all_next;
	if (s->all_next)
		s->all_next->all_link = s->all_link;
	free(s);
}

void socket_ready(struct socket *s)
{
	if (s->file)
		file_ready(s->file);
}

bool socket_arrived(struct socket *s, struct pbuf *p, const struct address *from)
{
	struct piece *piece = malloc(sizeof(*piece));

	if (!piece)
		return false;
	*piece = (struct piece){ .data = p };
	if (from)
		piece->from = *from;
	if (s->last)
		s->last->next = piece;
	else
		s->first = piece;
	s->last = piece;
	s->bytes += p->tot_len;
	s->pieces++;
	socket_ready(s);
	return true;
}

struct piece *socket_take(struct socket *s)
{
	struct piece *p = s->first;

	if (!p)
		return NULL;
	s->first = p->next;
	if (!s->first)
		s->last = NULL;
	s->bytes -= p->data->tot_len - s->at;
	s->pieces--;
	s->at = 0;
	return p;
}

void socket_drop_input(struct socket *s)
{
	struct piece *p;

	while ((p = socket_take(s))) {
		pbuf_free(p->data);
		free(p);
	}
}

int socket_errno(err_t err)
{
	static const uint8_t table[] = { 0, ENOMEM, ENOBUFS, ETIMEDOUT, EHOSTUNREACH, EINPROGRESS, EINVAL,
		EAGAIN, EADDRINUSE, EALREADY, EISCONN, ENOTCONN, ENETUNREACH, ECONNABORTED, ECONNRESET,
		ENOTCONN, EINVAL };

	return err <= 0 && -err < (int)sizeof(table) ? table[-err] : EIO;
}

unsigned socket_poll(struct socket *s)
{
	unsigned events = 0;

	if (s->bytes || s->waiting || s->ended || s->read_shut || (!s->stream && s->first))
		events |= POLLIN;
	if (s->ended || s->read_shut)
		events |= POLLRDHUP;
	if (!s->stream || (s->state == SOCKET_CONNECTED && tcp_writable(s)) || s->write_shut)
		events |= POLLOUT;
	if (s->error)
		events |= POLLERR;
	if (s->stream && (s->state == SOCKET_OVER || s->state == SOCKET_NEW || (s->ended && s->write_shut)))
		events |= POLLHUP | POLLOUT;
	return events;
}

static unsigned poll(struct file *f)
{
	unsigned events;

	net_lock();
	events = socket_poll(f->own);
	net_unlock();
	return events;
}

static void leave(struct socket *s)
{
	if (s->stream)
		tcp_leave(s);
	else if (s->udp)
		udp_remove(s->udp);
	s->udp = NULL;
}

static void close(struct file *f)
{
	struct socket *s = f->own;

	net_lock();
	s->file = NULL;
	leave(s);
	socket_free(s);
	net_unlock();
}

/* Those of a listener go with it, so the list has to be looked at anew after each. */
void sockets_close(void)
{
	struct socket *s;

	do {
		for (s = all; s && (s->listener || !(s->tcp || s->udp)); s = s->all_next)
			;
		if (s)
			leave(s);
	} while (s);
}

static long stat(struct file *f, struct stat *st)
{
	(void)f;
	st->mode = S_IFSOCK | 0777;
	st->blksize = PAGE;
	return 0;
}

static int take_error(struct socket *s)
{
	int error = s->error;

	s->error = 0;
	return -error;
}

/* Copies what there is, as far as it fits, without taking it. */
static size_t copy_input(const struct socket *s, char *buf, size_t len)
{
	size_t at = s->at, done = 0;

	for (const struct piece *p = s->first; p && done < len; p = p->next, at = 0) {
		size_t n = p->data->tot_len - at;

		n = n < len - done ? n : len - done;
		done += pbuf_copy_partial(p->data, buf + done, (uint16_t)n, (uint16_t)at);
	}
	return done;
}

static void skip_input(struct socket *s, size_t len)
{
	while (len) {
		size_t n = s->first->data->tot_len - s->at;

		if (n > len) {
			s->at += len;
			s->bytes -= len;
			return;
		}
		struct piece *p = socket_take(s);

		pbuf_free(p->data);
		free(p);
		len -= n;
	}
}

static long read_stream(struct socket *s, void *buf, size_t len, unsigned flags)
{
	size_t n = len < s->bytes ? len : s->bytes;

	if (s->state == SOCKET_NEW || s->state == SOCKET_LISTENING)
		return -ENOTCONN;
	if (!s->bytes && s->error)
		return take_error(s);
	if (!s->bytes)
		return s->ended || s->read_shut || !len ? 0 : -EAGAIN;
	if (touch_out(buf, n))
		return -EFAULT;
	n = copy_input(s, buf, n);
	if (!(flags & MSG_PEEK)) {
		skip_input(s, n);
		tcp_took(s, n);
	}
	return (long)n;
}

static long read_datagram(struct socket *s, void *buf, size_t len, unsigned flags, struct address *from)
{
	struct piece *p = s->first;
	size_t whole, n;

	if (!p)
		return s->error ? take_error(s) : s->read_shut ? 0 : -EAGAIN;
	whole = p->data->tot_len;
	n = len < whole ? len : whole;
	if (touch_out(buf, n))
		return -EFAULT;
	pbuf_copy_partial(p->data, buf, (uint16_t)n, 0);
	if (from)
		*from = p->from;
	if (!(flags & MSG_PEEK)) {
		socket_take(s);
		pbuf_free(p->data);
		free(p);
	}
	return (long)(flags & MSG_TRUNC ? whole : n);
}

static uint64_t later(uint64_t ns)
{
	return ns == NEVER ? NEVER : clock_ns() + ns;
}

long socket_receive(struct file *f, void *buf, size_t len, unsigned flags, struct address *from)
{
	struct socket *s = f->own;
	uint64_t until = later(s->receive_ns);
	size_t done = 0;
	long n;

	for (;;) {
		net_lock();
		n = s->stream ? read_stream(s, (char *)buf + done, len - done, flags)
			      : read_datagram(s, buf, len, flags, from);
		net_unlock();
		if (n > 0)
			done += (size_t)n;
		if (n > 0 && s->stream && (flags & (MSG_WAITALL | MSG_PEEK)) == MSG_WAITALL && done < len)
			continue;
		if (n != -EAGAIN)
			break;
		n = flags & MSG_DONTWAIT ? -EAGAIN : file_wait(f, POLLIN, until);
		if (n)
			break;
	}
	return done ? (long)done : n;
}

static long write_some(struct socket *s, const void *buf, size_t len, bool more)
{
	if (s->error)
		return take_error(s);
	if (s->state == SOCKET_CONNECTING)
		return -EAGAIN;
	if (s->write_shut || s->state != SOCKET_CONNECTED)
		return -EPIPE;
	return len ? tcp_send(s, buf, len, more) : 0;
}

static long send_stream(struct file *f, const char *buf, size_t len, unsigned flags)
{
	struct socket *s = f->own;
	uint64_t until = later(s->send_ns);
	size_t done = 0;
	long n, err = 0;

	do {
		net_lock();
		n = write_some(s, buf + done, len - done, flags & MSG_MORE);
		net_unlock();
		if (n > 0)
			done += (size_t)n;
		else if (n != -EAGAIN)
			break;
		else
			err = flags & MSG_DONTWAIT ? -EAGAIN : file_wait(f, POLLOUT, until);
	} while (!err && done < len);
	if (n == -EPIPE && !(flags & MSG_NOSIGNAL))
		signal_self(SIGPIPE);
	return done ? (long)done : err ? err : n;
}

static long send_datagram(struct socket *s, const void *buf, size_t len, const struct address *to)
{
	struct address peer = { .ip = s->udp->remote_ip, .port = s->udp->remote_port };

	if (s->error)
		return take_error(s);
	if (s->write_shut)
		return -EPIPE;
	if (!to && s->state != SOCKET_CONNECTED)
		return -EDESTADDRREQ;
	return udp_send_to(s, buf, len, to ? to : &peer);
}

long socket_send(struct file *f, const void *buf, size_t len, unsigned flags, const struct address *to)
{
	struct socket *s = f->own;
	long n;

	if (touch_in(buf, len))
		return -EFAULT;
	if (s->stream)
		return send_stream(f, buf, len, flags);
	net_lock();
	n = send_datagram(s, buf, len, to);
	net_unlock();
	return n;
}

static long read(struct file *f, void *buf, size_t len)
{
	return socket_receive(f, buf, len, 0, NULL);
}

static long write(struct file *f, const void *buf, size_t len)
{
	return socket_send(f, buf, len, 0, NULL);
}

#define FIONREAD 0x541b

static long ioctl(struct file *f, unsigned request, uint64_t argument)
{
	struct socket *s = f->own;
	int bytes;

	if (request != FIONREAD)
		return -ENOTTY;
	net_lock();
	bytes = (int)(s->stream ? s->bytes : s->first ? s->first->data->tot_len : 0);
	net_unlock();
	return copy_out((void *)argument, &bytes, sizeof(bytes));
}

const struct file_ops socket_ops = { .name = "socket",
	.read = read,
	.write = write,
	.stat = stat,
	.poll = poll,
	.ioctl = ioctl,
	.close = close };
