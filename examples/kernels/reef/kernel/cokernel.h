/* SPDX-License-Identifier: MIT */
/*
 * cokernel.h: reef as a co-kernel: what it shares with the ROS (guest.h sections 5 to 7). All of it is there only if
 * (cokernel) is not NULL: that is known before anything else is done.
 */
#ifndef COKERNEL_H
#define COKERNEL_H

#include "kernel.h"

extern struct guest_cokernel *cokernel;
bool cokernel_read(
	const void *info); /* the boot information; fills boot, too. False: nothing can be done with it */
unsigned cokernel_cpus(void);
uint64_t cokernel_memory_end(void); /* physical; as far as the shared area */
void cokernel_start(void);	    /* when there are threads */

unsigned cokernel_slots(void);
struct guest_slot *cokernel_slot(unsigned number);
struct guest_count *cokernel_counts(void); /* GUEST_CALLS of them */
/* Tells slot (number)'s agent that there is something; by interrupt if it sleeps, or at once. */
void cokernel_ring(unsigned number, const uint32_t *asleep);
void cokernel_ring_now(unsigned number);
void cokernel_interrupt(void); /* the doorbell to us */
void cokernel_hear(void);      /* the messages that are there; by a thread, which may sleep */
void cokernel_stray(void);     /* an interrupt that nobody asked for */

void cokernel_console_write(const char *text, size_t len);
size_t cokernel_console_read(void *buf, size_t len);
void cokernel_tell(uint16_t type, uint64_t value);

void cokernel_fault(
	const struct frame *f, uint64_t cr2); /* what the panic record says; then cokernel_failed */
void cokernel_failed(const char *words);
void cokernel_end(int status) __attribute__((noreturn));

/* delegate.c */
void delegate_init(void);
void delegate_interrupt(void);

#endif
