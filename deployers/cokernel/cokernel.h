/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * cokernel.h: what the agent and the kernel module say to each other.
 *
 * Lease    an open file is a lease on CPUs and memory: RESERVE takes them, closing it (the last descriptor and
 *          mapping, so also the end of the process however it comes) stops the CPUs and gives all back. Only root can open.
 * Order    RESERVE, mmap of the partition, load, SHARE, BOOT for each CPU; then WAIT, KICK, FORGET, COPY from any
 *          thread; STOP.
 * mmap     at offset COKERNEL_MEMORY + X: the partition from X on. At an offset that equals the address, both between
 *          GUEST_PROGRAM_START and _END: the program of the kernel, page by page when touched (guest.h section 7). Shared only.
 * Errors   -errno as ever; what was wrong with a range or a CPU is in the kernel's log
 * Trust    every range and CPU is checked for being the lease's; what the HRT writes is read once, masked, and bounds-checked
 */
#ifndef DEPLOYERS_COKERNEL_COKERNEL_H
#define DEPLOYERS_COKERNEL_COKERNEL_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define COKERNEL_REV	  1
#define COKERNEL_NAME	  "cokernel"
#define COKERNEL_DEVICE	  "/dev/cokernel"
#define COKERNEL_MEMORY	  (1ull << 48)
#define COKERNEL_CPUS_MAX 256u

struct cokernel_info {
	__u32 rev;
	__u32 cpus;   /* that can be had: all but the first and those of other leases */
	__u32 x2apic; /* 1: the local APICs are in x2APIC mode */
	__u32 ros_vector, ros_apic;
	__u32 pad;
	__u64 tsc_khz;
	__u64 rings; /* doorbells heard since the module was loaded */
};

/* Takes the last (cpus) CPUs of the machine, whose APIC ids must follow each other, and the memory at (address): RAM that
 * Linux was told to leave alone (mem=, memmap=). -EBUSY: it is in use; -ENXIO: it is not there. */
struct cokernel_reserve {
	__u32 cpus;
	__u32 first_apic, apics; /* out: the first of them, and the highest of the machine + 1 */
	__u32 pad;
	__u64 address, bytes; /* multiples of 2 MiB */
};

struct cokernel_share { /* where guest.h's struct guest_cokernel and slots are: offsets in the partition */
	__u64 area, slots;
	__u32 slot_count, pad;
};

struct cokernel_boot {	  /* addresses are those of the HRT, in its page table */
	__u32 cpu;	  /* number of the CPU in the lease */
	__u32 tr;	  /* selector of the task state, 0: none */
	__u64 cr3;	  /* physical, in the partition */
	__u64 direct_map; /* where physical 0 is mapped, in the high half */
	__u64 gdt, idt;
	__u32 gdt_limit, idt_limit;
	__u64 entry, rsp, rax, rbx, rcx, rdx;
};

struct cokernel_kick { /* an interrupt to a CPU of the lease */
	__u32 apic;
	__u32 vector; /* 0x20 .. 0xfe; 2: NMI */
};

/* Sleeps until slot (slot) rings, or COKERNEL_BUSY: a slot that nobody serves, or one that shall be cancelled.
 * -ETIMEDOUT, -EINTR, -ECANCELED: the HRT was stopped. The caller becomes the slot's thread. */
#define COKERNEL_BUSY 0xffffffffu
#define COKERNEL_NOW  0xffffffffu
struct cokernel_wait {
	__u32 slot;
	__u32 limit_ms; /* 0: none; COKERNEL_NOW: do not sleep */
};

struct cokernel_range {
	__u64 start, bytes;
};

struct cokernel_copy { /* from program memory; the rest of the last page may be missing: bytes copied are returned */
	__u64 from, to, bytes;
};

#define COKERNEL_INFO	 _IOR('d', 1, struct cokernel_info)
#define COKERNEL_RESERVE _IOWR('d', 2, struct cokernel_reserve)
#define COKERNEL_SHARE	 _IOW('d', 3, struct cokernel_share)
#define COKERNEL_BOOT	 _IOW('d', 4, struct cokernel_boot) /* returns when the CPU is about to enter */
#define COKERNEL_KICK	 _IOW('d', 5, struct cokernel_kick)
#define COKERNEL_STOP	 _IO('d', 6) /* returns when no CPU of the lease executes any more */
#define COKERNEL_WAIT	 _IOW('d', 7, struct cokernel_wait)
#define COKERNEL_FORGET	 _IOW('d', 8, struct cokernel_range) /* program pages: unmapped everywhere */
#define COKERNEL_COPY	 _IOW('d', 9, struct cokernel_copy)

#endif
