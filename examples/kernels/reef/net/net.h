/* SPDX-License-Identifier: MIT */
/*
 * net.h: TCP/IP: lwIP's core on reef. It is linked only into images whose application uses sockets (Makefile), and starts
 * with the first socket.
 *
 * Locks    one mutex for all of lwIP and all sockets: net_lock(). It is outside of all spin locks and inside of none.
 *          Callbacks of lwIP run with it held. Never held while waiting for a file.
 * Threads  "net" takes what the card has received and rings lwIP's timers; whoever sends does so itself
 */
#ifndef NET_H
#define NET_H

#include "kernel.h"
#include "lwip/ip_addr.h"
#include "lwip/netif.h"

/* stack.c */
void net_start(void); /* does nothing the second time */
void net_lock(void);
void net_unlock(void); /* what was sent to ourselves is delivered first */
/* Waits until (ip) can be reached from here, or nothing is to be hoped for; then whether it can. */
bool net_route(const ip4_addr_t *ip);

/* card.c: virtio net. */
bool card_open(struct netif *netif); /* false: there is none */
/* Hands all that has arrived to lwIP, the lock held. */
void card_receive(void);
void card_wait(uint64_t until); /* until the card has something, or that time */

/* socket.c */
void sockets_close(void); /* all of them; the lock held */

#endif
