/* SPDX-License-Identifier: MIT */
/*
 * socket.h: a socket is a state of our own around a control block of lwIP: what has arrived and was not read yet,
 * connections that were not accepted yet, and the error to tell. tcp.c and udp.c are lwIP's two kinds; socket.c is what a
 * file needs; calls.c is the system calls.
 *
 * Shape    (file) is NULL until a descriptor has it; (tcp), (udp) are NULL once lwIP has done with them
 * Locks    the net lock guards all of it
 * Errors   -errno; -EAGAIN: nothing to be done now: wait for (events) of the file and come again
 */
#ifndef SOCKET_H
#define SOCKET_H

#include "net.h"

#include "file.h"
#include "lwip/tcp.h"
#include "lwip/udp.h"

enum {
	EDESTADDRREQ = 89,
	EMSGSIZE = 90,
	EPROTOTYPE = 91,
	ENOPROTOOPT = 92,
	EPROTONOSUPPORT = 93,
	EAFNOSUPPORT = 97,
	EADDRINUSE = 98,
	EADDRNOTAVAIL = 99,
	ENETUNREACH = 101,
	ECONNABORTED = 103,
	ECONNRESET = 104,
	ENOBUFS = 105,
	EISCONN = 106,
	ENOTCONN = 107,
	ECONNREFUSED = 111,
	EHOSTUNREACH = 113,
	EALREADY = 114,
	EINPROGRESS = 115,
};

struct address { /* of IPv4; the port in the machine's byte order */
	ip_addr_t ip;
	uint16_t port;
};

struct piece { /* what arrived */
	struct piece *next;
	struct pbuf *data;
	struct address from; /* of a datagram */
};

enum socket_state { SOCKET_NEW, SOCKET_LISTENING, SOCKET_CONNECTING, SOCKET_CONNECTED, SOCKET_OVER };

struct socket {
	struct file *file;
	struct tcp_pcb *tcp;
	struct udp_pcb *udp;
	enum socket_state state;
	bool stream;			   /* TCP */
	bool ended, read_shut, write_shut; /* the other end has no more; we want none; we have no more */
	bool abort;			   /* closing resets (SO_LINGER 0) */
	bool nodelay;
	bool told; /* connect() has said that it is connected */
	int error; /* 0, or to be told once */
	struct piece *first, *last;
	size_t at, bytes; /* how much of (first) was read; how much there is in all */
	unsigned pieces;
	struct socket *next_waiting; /* among connections of a listener */
	struct socket *waiting, *listener;
	uint64_t receive_ns, send_ns; /* SO_RCVTIMEO, SO_SNDTIMEO; NEVER: none */
	struct socket *all_next, **all_link;
};

/* socket.c */
struct socket *socket_new(bool stream); /* NULL: no memory */
void socket_free(struct socket *s);	/* lwIP has forgotten it */
void socket_ready(struct socket *s);
bool socket_arrived(struct socket *s, struct pbuf *p, const struct address *from);
struct piece *socket_take(struct socket *s); /* the first piece; the caller frees both */
void socket_drop_input(struct socket *s);
unsigned socket_poll(struct socket *s);
int socket_errno(err_t err);
extern const struct file_ops socket_ops;
#define SIGPIPE	     13
#define MSG_PEEK     0x02u
#define MSG_TRUNC    0x20u
#define MSG_DONTWAIT 0x40u
#define MSG_WAITALL  0x100u
#define MSG_NOSIGNAL 0x4000u
#define MSG_MORE     0x8000u
/* For the system calls: they wait, the lock not held. (from) may be NULL, (to) too. */
long socket_receive(struct file *f, void *buf, size_t len, unsigned flags, struct address *from);
long socket_send(struct file *f, const void *buf, size_t len, unsigned flags, const struct address *to);

/* tcp.c: each also says what is wrong with the socket's state. */
bool tcp_open(struct socket *s);
void tcp_leave(struct socket *s); /* close: what was sent still arrives */
int tcp_start_listening(struct socket *s, int backlog);
struct socket *tcp_take_connection(struct socket *s);
int tcp_start_connecting(struct socket *s, const struct address *to);
/* As much as there is room for; the memory is there. */
long tcp_send(struct socket *s, const void *buf, size_t len, bool more);
void tcp_took(struct socket *s, size_t len); /* the reader has: the other end may send more */
int tcp_end(struct socket *s);		     /* of writing */
bool tcp_writable(const struct socket *s);

/* udp.c */
bool udp_open(struct socket *s);
long udp_send_to(struct socket *s, const void *buf, size_t len, const struct address *to);

#endif
