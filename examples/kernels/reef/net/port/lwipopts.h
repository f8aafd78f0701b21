/* SPDX-License-Identifier: MIT */
/*
 * lwipopts.h: what of lwIP is used, and how large it may get. Its core only, called under one lock (stack.c), with timers
 * that stack.c looks at; memory is reef's heap, so what is not used takes none.
 */
#ifndef LWIPOPTS_H
#define LWIPOPTS_H

#define NO_SYS		     1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN	     0
#define LWIP_SOCKET	     0
#define LWIP_TIMERS	     1
#define LWIP_STATS	     0

#define MEM_LIBC_MALLOC	     1
#define MEMP_MEM_MALLOC	     1
#define MEM_ALIGNMENT	     16
#define MEMP_NUM_SYS_TIMEOUT 32

#define LWIP_IPV4		   1
#define LWIP_IPV6		   0
#define LWIP_ARP		   1
#define ARP_QUEUEING		   1
#define LWIP_ICMP		   1
#define LWIP_RAW		   0
#define LWIP_UDP		   1
#define LWIP_TCP		   1
#define LWIP_DNS		   0 /* the C library has its own */
#define LWIP_DHCP		   1
#define DHCP_DOES_ARP_CHECK	   0 /* it would take a second */
#define LWIP_ACD		   0
#define LWIP_NETIF_LOOPBACK	   1
#define LWIP_HAVE_LOOPIF	   1
#define LWIP_NETIF_HOSTNAME	   1
#define LWIP_NETIF_STATUS_CALLBACK 1
#define SO_REUSE		   1

#define TCP_MSS		      1460
#define LWIP_WND_SCALE	      1
#define TCP_RCV_SCALE	      2
#define TCP_WND		      (128 * 1024)
#define TCP_SND_BUF	      (128 * 1024)
#define TCP_SND_QUEUELEN      1024
#define TCP_SNDLOWAT	      (4 * TCP_MSS)
#define TCP_LISTEN_BACKLOG    1
#define TCP_QUEUE_OOSEQ	      1
#define TCP_OOSEQ_MAX_PBUFS   128
#define LWIP_TCP_KEEPALIVE    1
#define TCP_MSL		      5000UL /* of closed connections little is kept, and not for long */
#define LWIP_CHECKSUM_ON_COPY 1

#endif
