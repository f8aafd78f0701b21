/* SPDX-License-Identifier: MIT */
/*
 * net.h: the network of a machine: QEMU's user-mode one, without root and without an interface of the host; into it lead
 * the ports that the plan forwards.
 *
 * Threads  the loop's
 */
#ifndef DEPLOYERS_NET_H
#define DEPLOYERS_NET_H

#include "deployers/arguments.h"
#include "deployers/plan.h"
#include "deployers/qemu.h"

/* The card, on PCI or as microvm's; nothing if the plan wants none. */
void net_arguments(const struct plan *p, bool pci, struct arguments *a);
/* Only QEMU knows the ports: it begins paused (-S), and is asked. */
bool net_asks(const struct plan *p);
/* Right after qemu_started; writes DIR/forwards and tells of each, now or when QEMU has answered. */
void net_begin(struct qemu *q, const struct plan *p);
/* For qemu_mode.replied. */
void net_replied(struct qemu *q, const struct plan *p, uint64_t id, const char *line, const char *error);

#endif
