/* SPDX-License-Identifier: MIT */
/* udp.c: datagrams. */
#include "socket.h"

#define QUEUE_MOST                                                                                           \
	(256u * 1024) /* bytes that wait for the reader; what comes beyond is lost, as with UDP it may be */

static void received(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *ip, uint16_t port)
{
	struct socket *s = arg;

	(void)pcb;
	if (s->read_shut || s->bytes + p->tot_len > QUEUE_MOST || s->pieces >= QUEUE_MOST / 256 ||
		!socket_arrived(s, p, &(struct address){ *ip, port }))
		pbuf_free(p);
}

bool udp_open(struct socket *s)
{
	s->udp = udp_new();
	if (s->udp)
		udp_recv(s->udp, received, s);
	return s->udp;
}

long udp_send_to(struct socket *s, const void *buf, size_t len, const struct address *to)
{
	struct pbuf *p;
	err_t err;

	if (len > 0xffff - 28)
		return -EMSGSIZE;
	if (!net_route(ip_2_ip4(&to->ip)))
		return -ENETUNREACH;
	p = pbuf_alloc(PBUF_TRANSPORT, (uint16_t)len, PBUF_RAM);
	if (!p)
		return -ENOBUFS;
	pbuf_take(p, buf, (uint16_t)len);
	err = udp_sendto(s->udp, p, &to->ip, to->port);
	pbuf_free(p);
	return err == ERR_OK ? (long)len : -socket_errno(err);
}
