/* SPDX-License-Identifier: MIT */
/* options.c: getsockopt and setsockopt: those that programs ask for commonly; the others are ENOPROTOOPT. */
#include "socket.h"

#define SOL_SOCKET 1
#define SOL_TCP	   6

enum {
	SO_REUSEADDR = 2,
	SO_TYPE = 3,
	SO_ERROR = 4,
	SO_BROADCAST = 6,
	SO_SNDBUF = 7,
	SO_RCVBUF = 8,
	SO_KEEPALIVE = 9,
	SO_LINGER = 13,
	SO_REUSEPORT = 15,
	SO_RCVTIMEO = 20,
	SO_SNDTIMEO = 21,
	SO_ACCEPTCONN = 30,
	SO_PROTOCOL = 38,
	SO_DOMAIN = 39,
};
enum { TCP_NODELAY = 1, TCP_MAXSEG = 2, TCP_KEEPIDLE = 4, TCP_KEEPINTVL = 5, TCP_KEEPCNT = 6 };

struct linger {
	int on, seconds;
};
struct timeval {
	int64_t seconds, microseconds;
};

union value { /* what an option may be */
	int number;
	struct linger linger;
	struct timeval time;
};

static void set_flag(struct socket *s, uint8_t flag, bool on)
{
	uint8_t *options = s->tcp ? &s->tcp->so_options : s->udp ? &s->udp->so_options : NULL;

	if (options)
		*options = (uint8_t)(on ? *options | flag : *options & ~flag);
}

static bool has_flag(const struct socket *s, uint8_t flag)
{
	return (s->tcp ? s->tcp->so_options : s->udp ? s->udp->so_options : 0) & flag;
}

static long set_time(uint64_t *slot, const struct timeval *t)
{
	if (t->microseconds < 0 || t->microseconds >= 1000000)
		return -33; /* EDOM */
	if (t->seconds < 0 || t->seconds > 0x7fffffff || (!t->seconds && !t->microseconds))
		*slot = NEVER;
	else
		*slot = (uint64_t)t->seconds * 1000000000ull + (uint64_t)t->microseconds * 1000;
	return 0;
}

static long set_common(struct socket *s, int option, const union value *v)
{
	switch (option) {
	case SO_REUSEADDR:
	case SO_REUSEPORT:
		set_flag(s, SOF_REUSEADDR, v->number);
		return 0;
	case SO_BROADCAST:
		set_flag(s, SOF_BROADCAST, v->number);
		return 0;
	case SO_KEEPALIVE:
		set_flag(s, SOF_KEEPALIVE, v->number);
		return 0;
	case SO_SNDBUF: /* they have the size that lwipopts.h gives them */
	case SO_RCVBUF:
		return 0;
	case SO_LINGER:
		s->abort = v->linger.on && !v->linger.seconds;
		return 0;
	case SO_RCVTIMEO:
		return set_time(&s->receive_ns, &v->time);
	case SO_SNDTIMEO:
		return set_time(&s->send_ns, &v->time);
	default:
		return -ENOPROTOOPT;
	}
}

/* A listener has no such fields in lwIP; its connections inherit TCP_NODELAY alone. */
static long set_tcp(struct socket *s, int option, int value)
{
	struct tcp_pcb *pcb = s->state == SOCKET_LISTENING ? NULL : s->tcp;

	if (!s->stream)
		return -ENOPROTOOPT;
	if (option != TCP_NODELAY && option != TCP_KEEPIDLE && option != TCP_KEEPINTVL &&
		option != TCP_KEEPCNT)
		return -ENOPROTOOPT;
	if (option != TCP_NODELAY && (value < 1 || value > 32767))
		return -EINVAL;
	if (option == TCP_NODELAY)
		s->nodelay = value;
	if (!pcb)
		return 0;
	if (option == TCP_KEEPIDLE)
		pcb->keep_idle = (uint32_t)value * 1000;
	else if (option == TCP_KEEPINTVL)
		pcb->keep_intvl = (uint32_t)value * 1000;
	else if (option == TCP_KEEPCNT)
		pcb->keep_cnt = (uint32_t)value;
	else if (value)
		tcp_nagle_disable(pcb);
	else
		tcp_nagle_enable(pcb);
	return 0;
}

CALL(setsockopt)
{
	union value v = { 0 };
	bool time = ARG2 == SOL_SOCKET && (ARG3 == SO_RCVTIMEO || ARG3 == SO_SNDTIMEO);
	size_t need = time ? sizeof(v.time) : ARG3 == SO_LINGER ? sizeof(v.linger) : sizeof(v.number);
	struct file *file = fd_get(ARG1);
	long err = 0;

	if (!file)
		return -EBADF;
	if (file->ops != &socket_ops)
		err = -ENOTSOCK;
	else if (ARG5 < need)
		err = -EINVAL;
	else
		err = copy_in(&v, (const void *)ARG4, need);
	if (!err) {
		net_lock();
		err = ARG2 == SOL_SOCKET ? set_common(file->own, (int)ARG3, &v)
		      : ARG2 == SOL_TCP	 ? set_tcp(file->own, (int)ARG3, v.number)
					 : -ENOPROTOOPT;
		net_unlock();
	}
	file_put(file);
	return err;
}

static struct timeval time_of(uint64_t ns)
{
	if (ns == NEVER)
		return (struct timeval){ 0 };
	return (struct timeval){ (int64_t)(ns / 1000000000), (int64_t)(ns / 1000 % 1000000) };
}

/* How long the value is, or -errno. */
static long get_common(struct socket *s, int option, union value *v)
{
	switch (option) {
	case SO_REUSEADDR:
	case SO_REUSEPORT:
		v->number = has_flag(s, SOF_REUSEADDR);
		break;
	case SO_BROADCAST:
		v->number = has_flag(s, SOF_BROADCAST);
		break;
	case SO_KEEPALIVE:
		v->number = has_flag(s, SOF_KEEPALIVE);
		break;
	case SO_TYPE:
		v->number = s->stream ? 1 : 2;
		break;
	case SO_ERROR:
		v->number = s->error;
		s->error = 0;
		break;
	case SO_SNDBUF:
		v->number = TCP_SND_BUF;
		break;
	case SO_RCVBUF:
		v->number = TCP_WND;
		break;
	case SO_ACCEPTCONN:
		v->number = s->state == SOCKET_LISTENING;
		break;
	case SO_PROTOCOL:
		v->number = s->stream ? 6 : 17;
		break;
	case SO_DOMAIN:
		v->number = 2;
		break;
	case SO_LINGER:
		v->linger = (struct linger){ s->abort, 0 };
		return sizeof(v->linger);
	case SO_RCVTIMEO:
	case SO_SNDTIMEO:
		v->time = time_of(option == SO_RCVTIMEO ? s->receive_ns : s->send_ns);
		return sizeof(v->time);
	default:
		return -ENOPROTOOPT;
	}
	return sizeof(v->number);
}

static long get_tcp(const struct socket *s, int option, union value *v)
{
	const struct tcp_pcb *pcb = s->state == SOCKET_LISTENING ? NULL : s->tcp;

	if (!s->stream)
		return -ENOPROTOOPT;
	if (option == TCP_NODELAY)
		v->number = s->nodelay;
	else if (option == TCP_MAXSEG)
		v->number = pcb ? pcb->mss : TCP_MSS;
	else if (option == TCP_KEEPIDLE)
		v->number = pcb ? (int)(pcb->keep_idle / 1000) : 0;
	else if (option == TCP_KEEPINTVL)
		v->number = pcb ? (int)(pcb->keep_intvl / 1000) : 0;
	else if (option == TCP_KEEPCNT)
		v->number = pcb ? (int)pcb->keep_cnt : 0;
	else
		return -ENOPROTOOPT;
	return sizeof(v->number);
}

static long option_out(void *user, uint32_t *user_len, const union value *v, uint32_t len)
{
	uint32_t room;

	if (copy_in(&room, user_len, sizeof(room)))
		return -EFAULT;
	len = len < room ? len : room;
	if (copy_out(user, v, len))
		return -EFAULT;
	return copy_out(user_len, &len, sizeof(len));
}

CALL(getsockopt)
{
	union value v = { 0 };
	struct file *file = fd_get(ARG1);
	long len = -ENOTSOCK;

	if (!file)
		return -EBADF;
	if (file->ops == &socket_ops) {
		net_lock();
		len = ARG2 == SOL_SOCKET ? get_common(file->own, (int)ARG3, &v)
		      : ARG2 == SOL_TCP	 ? get_tcp(file->own, (int)ARG3, &v)
					 : -ENOPROTOOPT;
		net_unlock();
	}
	file_put(file);
	return len < 0 ? len : option_out((void *)ARG4, (uint32_t *)ARG5, &v, (uint32_t)len);
}
