/* SPDX-License-Identifier: MIT */
/* tcp.c: connections: what lwIP tells of them, and what it is told. */
#include "socket.h"

#define BACKLOG_MOST 255

static err_t received(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
	struct socket *s = arg;

	(void)err;
	if (!p) {
		s->ended = true;
		socket_ready(s);
		return ERR_OK;
	}
	if (s->read_shut) {
		tcp_recved(pcb, p->tot_len);
		pbuf_free(p);
		return ERR_OK;
	}
	return socket_arrived(s, p, NULL) ? ERR_OK : ERR_MEM; /* lwIP then offers it again */
}

static err_t sent(void *arg, struct tcp_pcb *pcb, uint16_t len)
{
	struct socket *s = arg;

	(void)pcb;
	(void)len;
	if (tcp_writable(s))
		socket_ready(s);
	return ERR_OK;
}

/* The control block is lwIP's to free; after a reset of the other end that is still to come. A listener's count of those who
 * wait must not keep one who has gone. */
static void broke(void *arg, err_t err)
{
	struct socket *s = arg;

	if (err == ERR_RST && s->listener)
		tcp_backlog_accepted(s->tcp);
	s->tcp = NULL;
	s->error = s->state == SOCKET_CONNECTING && err == ERR_RST ? ECONNREFUSED : socket_errno(err);
	s->ended = true;
	s->state = SOCKET_OVER;
	socket_ready(s);
}

static err_t connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct socket *s = arg;

	(void)pcb;
	(void)err;
	s->state = SOCKET_CONNECTED;
	socket_ready(s);
	return ERR_OK;
}

static void attach(struct socket *s, struct tcp_pcb *pcb)
{
	s->tcp = pcb;
	tcp_arg(pcb, s);
	tcp_recv(pcb, received);
	tcp_sent(pcb, sent);
	tcp_err(pcb, broke);
}

static void detach(struct tcp_pcb *pcb)
{
	tcp_arg(pcb, NULL);
	if (pcb->state == LISTEN) {
		tcp_accept(pcb, NULL);
		return;
	}
	tcp_recv(pcb, NULL);
	tcp_sent(pcb, NULL);
	tcp_err(pcb, NULL);
}

bool tcp_open(struct socket *s)
{
	struct tcp_pcb *pcb = tcp_new();

	if (pcb)
		attach(s, pcb);
	return pcb;
}

static err_t accepted(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct socket *listener = arg, *s, **end = &listener->waiting;

	if (err != ERR_OK || !pcb)
		return ERR_VAL;
	s = socket_new(true);
	if (!s)
		return ERR_MEM;
	s->state = SOCKET_CONNECTED;
	s->told = true;
	s->listener = listener;
	attach(s, pcb);
	if (listener->nodelay)
		tcp_nagle_disable(pcb);
	tcp_backlog_delayed(pcb);
	while (*end)
		end = &(*end)->next_waiting;
	*end = s;
	socket_ready(listener);
	return ERR_OK;
}

int tcp_start_listening(struct socket *s, int backlog)
{
	struct tcp_pcb *pcb;
	err_t err;

	backlog = backlog < 1 ? 1 : backlog > BACKLOG_MOST ? BACKLOG_MOST : backlog;
	if (s->state == SOCKET_LISTENING) {
		tcp_backlog_set(s->tcp, (uint8_t)backlog);
		return 0;
	}
	if (s->state != SOCKET_NEW || !s->tcp)
		return -EINVAL;
	if (!s->tcp->local_port && (err = tcp_bind(s->tcp, IP_ADDR_ANY, 0)) != ERR_OK)
		return -socket_errno(err);
	pcb = tcp_listen_with_backlog_and_err(s->tcp, (uint8_t)backlog, &err);
	if (!pcb)
		return -socket_errno(err);
	s->tcp = pcb;
	s->state = SOCKET_LISTENING;
	tcp_arg(pcb, s);
	tcp_accept(pcb, accepted);
	return 0;
}

struct socket *tcp_take_connection(struct socket *s)
{
	struct socket *c = s->waiting;

	if (!c)
		return NULL;
	s->waiting = c->next_waiting;
	c->next_waiting = NULL;
	c->listener = NULL;
	if (c->tcp)
		tcp_backlog_accepted(c->tcp);
	return c;
}

int tcp_start_connecting(struct socket *s, const struct address *to)
{
	err_t err;

	if (s->error || s->state == SOCKET_OVER) {
		int error = s->error ? s->error : EINVAL;

		s->error = 0;
		return -error;
	}
	if (s->state == SOCKET_CONNECTED && !s->told)
		return 0; /* the first to ask after a connect that did not wait */
	if (s->state != SOCKET_NEW)
		return s->state == SOCKET_CONNECTING ? -EALREADY : -EISCONN;
	if (!net_route(ip_2_ip4(&to->ip)))
		return -ENETUNREACH;
	err = tcp_connect(s->tcp, &to->ip, to->port, connected);
	if (err != ERR_OK)
		return -socket_errno(err);
	s->state = SOCKET_CONNECTING;
	return 0;
}

long tcp_send(struct socket *s, const void *buf, size_t len, bool more)
{
	size_t done = 0;

	while (s->tcp && done < len) {
		size_t room = tcp_sndbuf(s->tcp), n = len - done;
		uint8_t flags = TCP_WRITE_FLAG_COPY;

		n = n < room ? n : room;
		n = n < 0x8000 ? n : 0x8000;
		if (more || done + n < len)
			flags |= TCP_WRITE_FLAG_MORE;
		if (!n || tcp_write(s->tcp, (const char *)buf + done, (uint16_t)n, flags) != ERR_OK)
			break;
		done += n;
	}
	if (s->tcp)
		tcp_output(s->tcp);
	return done ? (long)done : tcp_writable(s) ? -ENOBUFS : -EAGAIN;
}

void tcp_took(struct socket *s, size_t len)
{
	for (size_t n; s->tcp && len; len -= n) {
		n = len < 0xffff ? len : 0xffff;
		tcp_recved(s->tcp, (uint16_t)n);
	}
}

int tcp_end(struct socket *s)
{
	err_t err = s->tcp ? tcp_shutdown(s->tcp, 0, 1) : ERR_OK;

	return err == ERR_OK ? 0 : -socket_errno(err);
}

bool tcp_writable(const struct socket *s)
{
	return s->tcp && tcp_sndbuf(s->tcp) > TCP_SNDLOWAT && tcp_sndqueuelen(s->tcp) < TCP_SND_QUEUELEN / 2;
}

static void refuse_waiting(struct socket *s)
{
	struct socket *c;

	while ((c = tcp_take_connection(s))) {
		c->abort = true;
		tcp_leave(c);
		socket_free(c);
	}
}

/* lwIP itself resets a connection of which something was not read. */
void tcp_leave(struct socket *s)
{
	struct tcp_pcb *pcb = s->tcp;

	refuse_waiting(s);
	s->tcp = NULL;
	if (!pcb)
		return;
	detach(pcb);
	if (pcb->state != LISTEN && s->abort)
		tcp_abort(pcb);
	else if (tcp_close(pcb) != ERR_OK)
		tcp_abort(pcb);
}
