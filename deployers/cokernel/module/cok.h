/* SPDX-License-Identifier: GPL-2.0 */
/*
 * cok.h: the parts of the module.
 *
 * Locks    lease.lock   RESERVE, SHARE, BOOT, STOP and close, one at a time
 *          lease.pages  program pages: read by who walks the HRT's table and inserts, written by who makes them be forgotten
 *          cpus_lock    which CPU belongs to which lease; the trampoline page
 *          bells_lock   the list of leases that may be rung for (taken in the interrupt)
 * Order    as listed.
 */
#ifndef COK_H
#define COK_H

#include <linux/cpumask.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/wait.h>

#include "cokernel.h"
#include "guest.h"

struct waiter {
	wait_queue_head_t queue;
	struct task_struct *task; /* compared only; whose faults use the slot */
	int rung;
};

struct lease {
	struct mutex lock;

	/* cpus.c; set by RESERVE, constant until close */
	u32 cpus, first_apic;
	u32 numbers[COKERNEL_CPUS_MAX]; /* Linux's, by number in the lease */
	bool online[COKERNEL_CPUS_MAX]; /* Linux ran on it before */
	bool started[COKERNEL_CPUS_MAX];
	bool trampoline; /* the page is held */

	/* memory.c; set by RESERVE */
	u64 address, bytes;
	struct resource *region;
	u8 *memory; /* the partition in Linux's address space, write-back */

	/* bell.c; (area) is set last, with release order */
	struct guest_cokernel *area;
	struct guest_slot *slots;
	u32 slot_count;
	struct waiter *waiters; /* slot_count, and one for COKERNEL_BUSY */
	struct list_head bells;
	bool stopped;

	/* program.c */
	struct rw_semaphore pages;
	struct address_space *mapping;
};

/* cpus.c */
int cpus_init(void);
void cpus_exit(void);
u32 cpus_available(void);
int cpus_take(struct lease *l, struct cokernel_reserve *r);
int cpus_boot(struct lease *l, const struct cokernel_boot *b);
int cpus_stop(struct lease *l); /* 0: none of them executes anything any more */
void cpus_give(struct lease *l);
int cpus_kick(struct lease *l, u32 apic_id, u32 vector);

/* trampoline.c: the page below 1 MiB where a CPU begins */
int trampoline_take(void);
void trampoline_drop(void);
int trampoline_start(u32 apic, const struct lease *l, const struct cokernel_boot *b);
int trampoline_park(u32 apic); /* stops whatever it does, and has seen that it has */

/* memory.c */
int memory_take(struct lease *l, u64 address, u64 bytes);
void memory_give(struct lease *l);
int memory_map(struct lease *l, struct vm_area_struct *vma);
static inline bool memory_has(const struct lease *l, u64 physical, u64 bytes)
{
	return physical >= l->address && bytes <= l->bytes && physical - l->address <= l->bytes - bytes;
}

/* bell.c */
int bells_init(void);
void bells_exit(void);
u64 bells_heard(void);
int bell_share(struct lease *l, const struct cokernel_share *s);
void bell_stop(struct lease *l); /* who waits, and will wait, hears that it was stopped */
void bell_drop(struct lease *l);
int bell_wait(struct lease *l, const struct cokernel_wait *w);
struct guest_slot *bell_slot(struct lease *l, struct waiter **w); /* the calling thread's */

/* program.c */
int program_map(struct lease *l, struct vm_area_struct *vma);
int program_forget(struct lease *l, const struct cokernel_range *r);
int program_copy(const struct cokernel_copy *c);

#endif
