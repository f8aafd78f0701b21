/* SPDX-License-Identifier: MIT */
/*
 * cokernel.h: reef as a co-kernel: what it shares with the ROS (guest.h sections 5 to 7). All of it is there only if
 * (cokernel) is not NULL: that is known before the first C function.
 */
#ifndef COKERNEL_H
#define COKERNEL_H

#include "kernel.h"

extern struct guest_cokernel *cokernel;
unsigned cokernel_slots(void);
struct guest_slot *cokernel_slot(unsigned number);
struct guest_count *cokernel_counts(void); /* GUEST_CALLS of them */
/* Tells slot (number)'s agent that there is something; by interrupt if it sleeps, or at once. */
void cokernel_ring(unsigned number, const uint32_t *asleep);
void cokernel_ring_now(unsigned number);
void cokernel_interrupt(void);
void delegate_init(void); /* delegate.c */

#endif
