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
/* After qemu_started: writes DIR/forwards and tells of each, and then lets the machine run, which began stopped. Where only
 * QEMU knows the ports it is asked first. */
void net_begin(struct qemu *q, const struct plan *p);
/* For qemu_mode.replied. */
void net_replied(struct qemu *q, const struct plan *p, uint64_t id, const char *line, const char *error);

#endif
