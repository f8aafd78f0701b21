/* SPDX-License-Identifier: MIT */
/* cc.h: what lwIP wants to know of the compiler and the kernel. The functions are in stack.c. */
#ifndef ARCH_CC_H
#define ARCH_CC_H

#include <stdint.h>

#define LWIP_NO_INTTYPES_H 1
#define LWIP_NO_UNISTD_H   1
#define LWIP_NO_CTYPE_H	   1
#define LWIP_NO_LIMITS_H   1
#define INT_MAX		   INT32_MAX
#define X8_F		   "02x"
#define U16_F		   "u"
#define S16_F		   "d"
#define X16_F		   "x"
#define U32_F		   "u"
#define S32_F		   "d"
#define X32_F		   "x"
#define SZT_F		   "lu"
typedef long ssize_t;
#define SSIZE_MAX INT64_MAX

void panic(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
void printk(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
uint32_t net_random(void);

#define LWIP_PLATFORM_DIAG(x)	   printk x
#define LWIP_PLATFORM_ASSERT(text) panic("lwip: %s", text)
#define LWIP_RAND()		   net_random()
#define LWIP_CHKSUM_ALGORITHM	   3

#endif
