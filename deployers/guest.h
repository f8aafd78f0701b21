/* SPDX-License-Identifier: MIT */
/*
 * guest.h: the contract between deployers and kernels.
 *
 * Freestanding: a kernel includes it as it is. A kernel may meet part of it; the levels say which.
 *
 * Level 0  It boots (section 1). Its console is the serial line. It ends by powering off. Nothing of
 *          this file need be known to it.
 * Level 1  Arguments, the clean streams and the exit status (sections 2 to 4): it can run as a filter.
 * Level 2  Co-kernel entry (sections 5 and 6): it can boot on a part of a machine that a Linux runs (splitVM,
 *          splitHW). Its console is a ring; its streams and its status go by delegated calls and messages (section 7).
 *
 * Every number is little endian; offsets and sizes are fixed; GUEST_REV rises with any change, and
 * deployers refuse messages of another revision.
 */
#ifndef DEPLOYERS_GUEST_H
#define DEPLOYERS_GUEST_H

#include <stdint.h>

#define GUEST_REV 2

/*
 * 1. Images and entry
 *
 * A deployer recognises an image by its content, in this order:
 *   PVH        ELF with a note of owner "Xen" and type 18 (XEN_ELFNOTE_PHYS32_ENTRY): entered in 32-bit protected
 *              mode without paging, EBX = physical address of the start info (magic below)
 *   Linux      bzImage: "HdrS" at 0x202, boot flag 0xaa55 at 0x1fe, boot protocol 2.06 or later, loaded high: entered as
 *              Linux's Documentation/x86/boot.rst says, with an initrd where one is given
 *   Multiboot  magic 0x1badb002 in the first 8 KiB, 4-aligned, checksum right: entered in 32-bit protected mode
 *              without paging, EAX = 0x2badb002, EBX = the information structure
 * All give a command line and a memory map. Later revisions: Multiboot 2, disks, UEFI.
 */
#define GUEST_PVH_NOTE_TYPE     18u
#define GUEST_PVH_START_MAGIC   0x336ec578u
#define GUEST_MULTIBOOT_MAGIC   0x1badb002u
#define GUEST_MULTIBOOT_ENTERED 0x2badb002u
#define GUEST_MULTIBOOT_SEARCH  8192u
#define GUEST_LINUX_MAGIC       0x53726448u /* "HdrS" */
#define GUEST_LINUX_PROTOCOL    0x0206u     /* the oldest that is booted */

/*
 * 2. Arguments
 *
 * The command line is  PARAMETERS -- ARGUMENT ARGUMENT ...   Parameters are the kernel's own
 * (kernel.conf and config: cmdline). Without arguments " --" is left out. An argument that is empty or has a byte
 * other than [A-Za-z0-9_./:=@%+,-] stands in double quotes, in which \\ and \" are that byte and \xHH is any byte;
 * bytes outside printable ASCII are always written \xHH. The whole line has at most GUEST_CMDLINE_MAX bytes, or what a
 * bzImage says that it takes if that is less.
 *
 * Linux leaves what is behind " -- " to init. As init's argv it is split without the rules above, at most 32
 * words, so an init reads /proc/cmdline.
 */
#define GUEST_CMDLINE_MAX 2048u

/*
 * 3. Console and streams
 *
 * The console is the first serial line (16550 at I/O port 0x3f8): boot text, messages, a terminal.
 *
 * The streams are ports of a virtio console device (virtio 1.x, device id 3, with
 * VIRTIO_CONSOLE_F_MULTIPORT), found by name: the number of a port is not fixed. The device is on PCI (machine pc)
 * or behind a virtio-mmio transport (machine microvm, see GUEST_MMIO_*).
 *   stdin    the host writes. End of input is PORT_OPEN with value 0 in the control queue; bytes that are already in the
 *            receive queue come before it: drain, then end.
 *   stdout   the guest writes; 8-bit clean, in order, lossless. The host does not return transmit buffers while nobody
 *            reads (back pressure).
 *   control  messages, struct guest_message, both ways.
 * A kernel opens a port by sending PORT_OPEN 1 for it, after PORT_READY.
 */
#define GUEST_PORT_STDIN   "diverfs.stdin"
#define GUEST_PORT_STDOUT  "diverfs.stdout"
#define GUEST_PORT_CONTROL "diverfs.control"

#define GUEST_SERIAL_PORT  0x3f8u
#define GUEST_MMIO_BASE    0xfeb00000u /* microvm: virtio-mmio transports, each GUEST_MMIO_STRIDE bytes; those without */
#define GUEST_MMIO_STRIDE  0x200u      /* a device have device id 0 */
#define GUEST_MMIO_COUNT   24u

/*
 * 4. Control messages
 *
 * HELLO    guest, once, when it has opened the port: value = its level. Only then does the host send messages.
 * EXIT     guest, last of all: value = exit status, 0..255. Sent after all transmit buffers of stdout came back. The
 *          host ends the machine; the guest halts. Status 0 is thereby told apart from a crash.
 *          A guest that cannot see its transmit buffers come back (an init above Linux's driver cannot) adds
 *          GUEST_EXIT_QUEUED: the host then takes what is queued for stdout before it ends the machine.
 * STOP     host: please end (ctl stop); the guest may finish its work, then EXIT.
 * RESIZE   host: the terminal has value = columns << 16 | rows.
 * RESTART  guest: please reset the machine.
 * CHILD    agent, to a co-kernel: a process that GUEST_CALL_FORK began has ended or stopped; wait4 tells which;
 *          CHILD is in the ring before wait4 and waitid tell.
 * Unknown types are ignored. Messages with another magic or revision end the conversation (and are told in `events`).
 */
#define GUEST_MESSAGE_MAGIC 0x67766964u /* "divg" */

enum guest_message_type {
	GUEST_HELLO = 1,
	GUEST_EXIT = 2,
	GUEST_STOP = 3,
	GUEST_RESIZE = 4,
	GUEST_RESTART = 5,
	GUEST_CHILD = 6,
};

#define GUEST_EXIT_QUEUED 0x100u

struct guest_message {
	uint32_t magic; /* GUEST_MESSAGE_MAGIC */
	uint16_t rev;   /* GUEST_REV */
	uint16_t type;  /* enum guest_message_type */
	uint64_t value;
};
_Static_assert(sizeof(struct guest_message) == 16, "kernels already built rely on it");

/*
 * 5. Co-kernel entry
 *
 * A Linux (the ROS, "regular OS") keeps some CPUs and some memory of the machine; the kernel (the HRT, "hybrid runtime")
 * gets the rest: its partition. An agent in the ROS loads the image and starts the CPUs. Devices, the I/O APIC, PIT, PCI,
 * ACPI, the serial lines and every byte outside the partition stay the ROS's. The kernel has its CPUs' local APICs; it
 * sends interrupts to APIC ids, never by shorthand, never INIT or STARTUP to a CPU that is not its own.
 *
 * The image is an ELF64 for x86-64 with one of
 *   note        owner GUEST_NOTE_OWNER, type GUEST_NOTE_COKERNEL, a struct guest_note. The loader puts the PT_LOADs into the
 *               partition at p_paddr + one distance, a multiple of 2 MiB, the same for all (at most 2 MiB is wasted below
 *               the lowest), and maps them at p_vaddr, in 2 MiB or 4 KiB pages, writable and executable.
 *   HRT header  a Multiboot 2 header in the first 32 KiB with the tag 0xf00d of Nautilus (struct guest_hrt_header). The
 *               PT_LOADs go to physical p_vaddr - offset, which must lie in the partition.
 *
 * State of every CPU of the kernel at entry; all enter at the same address, at about the same time:
 *   64-bit mode, ring 0, interrupts off, direction flag clear; CR0 PG WP NE MP ET PE, CR4 PAE OSFXSR OSXMMEXCPT,
 *     EFER LMA LME NXE SCE
 *   physical 0 .. as far as the partition, the local APIC (0xfee00000) and the boot information need is mapped at the
 *     kernel's direct map (guest_note.direct_map, or the HRT header's offset), in 2 MiB pages; the image as above.
 *     The low half of the address space is empty.
 *   GDT with 64-bit code at 0x08 and data at 0x10; an IDT that writes guest_cokernel.panic and halts: both of
 *     the loader, in the direct map, good until the kernel loads its own
 *   RAX  GUEST_MULTIBOOT2_ENTERED
 *   RBX  address, in the direct map, of the Multiboot 2 information: command line (1), memory map (6), HRT (below),
 *        GUEST_TAG_COKERNEL, end
 *   RCX  APIC id    RDX  number of this CPU among the kernel's, 0 first    RSP  16-byte aligned, 16 KiB, its own
 *
 * Memory map: type 1 is the kernel's to use (its image lies in it); everything else is type 2, among it the loader's
 * tables, the boot information and the shared area, which stay valid to the end.
 */
#define GUEST_NOTE_OWNER	 "diverfs"
#define GUEST_NOTE_COKERNEL	 1u
#define GUEST_MULTIBOOT2_MAGIC	 0xe85250d6u
#define GUEST_MULTIBOOT2_ENTERED 0x36d76289u
#define GUEST_MULTIBOOT2_SEARCH	 32768u

struct guest_note {
	uint32_t rev;	     /* GUEST_REV */
	uint32_t flags;	     /* 0 */
	uint64_t entry;	     /* virtual */
	uint64_t direct_map; /* virtual address of physical 0; 2 MiB aligned, in the high half */
};
_Static_assert(sizeof(struct guest_note) == 24, "kernels already built rely on it");

#define GUEST_HRT_HEADER_TAG 0xf00du
struct guest_hrt_header { /* tag of the Multiboot 2 header; Nautilus, include/nautilus/multiboot2.h */
	uint16_t type, tag_flags;
	uint32_t size;
	uint64_t flags;	  /* wanted page size: 0x100 4K, 0x200 2M, 0x400 1G */
	uint64_t mapped;  /* bytes of physical memory wanted from 0 */
	uint64_t offset;  /* virtual address of physical 0 */
	uint64_t entry;	  /* 0: the Multiboot entry tag */
	uint64_t comm;	  /* wanted physical address of the communication page; another may be granted */
	uint8_t vector;	  /* of upcalls */
	uint8_t pad[7];
};
_Static_assert(sizeof(struct guest_hrt_header) == 56, "fixed by Nautilus");

#define GUEST_TAG_HRT 0xf00df00du
struct guest_tag_hrt { /* always there: its presence is how Nautilus knows */
	uint32_t type, size;
	uint32_t apics;	     /* all CPUs of the machine, the ROS's too */
	uint32_t first_apic; /* the kernel's are first_apic .. apics - 1 */
	uint32_t have_ioapic, first_ioapic_entry; /* 0 */
	uint64_t tsc_khz;
	uint64_t flags;	     /* granted */
	uint64_t mapped;
	uint64_t memory;     /* physical start of the partition */
	uint64_t boot_state; /* physical; the loader's tables */
	uint64_t offset;
	uint64_t comm;
	uint8_t vector;
	uint8_t pad[7];
};
_Static_assert(sizeof(struct guest_tag_hrt) == 88, "fixed by Nautilus");

#define GUEST_TAG_COKERNEL 0xd17e0001u
struct guest_tag_cokernel {
	uint32_t type, size;
	uint64_t area;	     /* physical address of struct guest_cokernel */
	uint64_t area_bytes; /* of all that offsets in it reach */
	uint64_t distance;   /* where the image is: physical = p_paddr + distance, modulo 2^64 */
};
_Static_assert(sizeof(struct guest_tag_cokernel) == 32, "kernels already built rely on it");

/*
 * 6. The shared area: rings and doorbells
 *
 * Written by one side each, as marked: (A) agent, (K) kernel. Neither side trusts the other's numbers: indices are masked
 * and copied before use. Offsets are from the start of the area. Data first, then the index or state with release order.
 *
 * A ring's indices count bytes and wrap at 2^64; (bytes) is a power of two; bytes in it = head - tail. The writer
 * of the console waits a little when it is full, then drops and counts. Messages are struct guest_message, whole.
 *
 * Doorbells. To the ROS: if that slot's agent sleeps set the slot's bit in pending[], then send the interrupt ros_vector to
 * ros_apic (physical destination, fixed). Slot 0 is no slot for calls: its bit means the rings. To the kernel: the interrupt
 * hrt_vector, which the kernel chooses (0x20..0xfe; 0: it polls), to the CPU that the slot names, or to CPU 0 for rings.
 * Who sleeps sets the flag, then looks once more.
 */
#define GUEST_COKERNEL_MAGIC 0x6b6f6364u /* "dcok" */
#define GUEST_SLOTS_MAX	     1024u
#define GUEST_CALLS	     512u /* system calls that are counted by number; the last counts all above */

enum guest_ring_number { GUEST_CONSOLE_OUT, GUEST_CONSOLE_IN, GUEST_MESSAGES_OUT, GUEST_MESSAGES_IN, GUEST_RINGS };

struct guest_ring { /* the data follow at (offset) */
	uint64_t head __attribute__((aligned(64))); /* who writes: K for *_OUT, A for *_IN */
	uint64_t tail __attribute__((aligned(64))); /* who reads */
	uint64_t dropped;			    /* K: console bytes */
	uint32_t offset, bytes;			    /* A */
};
_Static_assert(sizeof(struct guest_ring) == 128, "kernels already built rely on it");

enum guest_state {
	GUEST_LOADED = 0,
	GUEST_ENTERED = 1, /* K: the first instruction of ours was reached */
	GUEST_FAILED = 2,  /* K, or the loader's IDT: see panic */
};

struct guest_panic {
	uint32_t cpu, vector;
	uint64_t error, rip, rsp, rbp, cr2, cr3;
	char words[192]; /* what the kernel has to say; ends with 0 */
};
_Static_assert(sizeof(struct guest_panic) == 248, "kernels already built rely on it");

struct guest_cokernel {
	uint32_t magic, rev;		       /* A */
	uint64_t memory, memory_bytes;	       /* A: the partition, physical */
	uint32_t cpus;			       /* A: their APIC ids are first_apic .. in the HRT tag */
	uint32_t x2apic;		       /* A: 1: the APICs are in x2APIC mode */
	uint32_t slots, slots_offset;	       /* A: struct guest_slot[slots] */
	uint32_t counts_offset;		       /* A: struct guest_count[GUEST_CALLS] */
	uint32_t ros_vector, ros_apic;	       /* A: may change; read at each use */
	uint32_t level;			       /* K: as in HELLO */
	uint64_t tsc_khz, wall_ns, wall_tsc;   /* A: it was wall_ns since 1970 at TSC wall_tsc */
	uint32_t state;			       /* K: enum guest_state */
	uint32_t hrt_vector;		       /* K */
	uint64_t program_cr3;		       /* K: page table of the program, physical; 0: none. Section 7 */
	uint64_t stray;			       /* K: interrupts that nobody asked for */
	uint64_t pending[GUEST_SLOTS_MAX / 64]; /* K sets, A clears */
	uint32_t rings_asleep;		       /* A: 1: ring for slot 0 */
	uint32_t pad;
	struct guest_panic panic;	       /* K */
	struct guest_ring rings[GUEST_RINGS];
};
_Static_assert(sizeof(struct guest_cokernel) == 1024, "kernels already built rely on it");

/*
 * 7. Messages and delegated system calls
 *
 * Messages are those of section 4, in the rings instead of on a port: HELLO, EXIT (status; the agent then stops the CPUs),
 * RESTART from the kernel; STOP and RESIZE to it.
 *
 * A delegated call is a Linux system call of x86-64: number and six arguments in a slot; the agent makes it and gives back the
 * result or -errno. One thread of the kernel uses a slot at a time; each slot has a thread of its own in the agent, so a
 * call that blocks stops nobody else. Descriptors 0 and 1 are the instance's stdin and stdout (read returns 0 at the end of
 * input), 2 is its console.
 *
 * Pointers need no translation: program addresses, GUEST_PROGRAM_START .. GUEST_PROGRAM_END, are the same in the agent. The
 * ROS walks program_cr3's tables when the agent touches one. If the page is not there, or not writable and shall be
 * written, the slot's state becomes GUEST_SLOT_FAULT; the kernel makes it so and answers GUEST_SLOT_FAULTED with
 * result 0, or -EFAULT. The ROS sets GUEST_PTE_SHARED in each entry that it used: before such a page gets another use or
 * protection the kernel clears the entry and makes the call GUEST_CALL_FORGET(start, length), from any slot, which returns when
 * the ROS has forgotten it. Data outside program addresses (of the kernel itself) cannot be passed.
 *
 * States: FREE -> REQUEST (K) -> [FAULT (A) -> FAULTED (K)]* -> DONE (A) -> FREE (K). While it waits the kernel spins a
 * while, then may set hrt_asleep and do something else; the agent sends the doorbell if it is set. To interrupt a call
 * that blocks (a signal came) the kernel sets (cancel) and rings, whether the agent sleeps or not: the call ends with -EINTR, or
 * with its result.
 *
 * GUEST_CALL_FORK(address of struct guest_fork) makes a child of the program, as an ordinary Linux process in the ROS, which
 * from then on is Linux's: its result is the child's process id. The agent copies the memory of the regions, as program_cr3's
 * tables have it when the call is made (an entry with an address has a page, present or not), so other threads of the
 * program should not change it meanwhile. The child goes on behind the frame. It has the program's descriptors, directory and
 * root, and no capabilities but those over files, users and its own processes. wait4, waitid and kill are delegated as any call.
 * (An agent that does not know this call answers -ENOSYS, a kernel ignores messages that it does not know: no new revision.)
 */
#define GUEST_PROGRAM_START 0x10000ull
#define GUEST_PROGRAM_END   0x7e0000000000ull
#define GUEST_PTE_SHARED    (1ull << 9)

#define GUEST_CALL_FORGET 0x10000000u
#define GUEST_CALL_FORK	  0x10000001u

#define GUEST_FORK_REGIONS 16384u /* at most */
struct guest_region { /* of program addresses, whole pages, in their order, none over another */
	uint64_t start, end;
	uint32_t protection; /* as mprotect has it */
	int32_t fd;	     /* what was not touched yet is in this file of the ROS's, from (offset) on; -1: it is zero */
	uint64_t offset;
};
_Static_assert(sizeof(struct guest_region) == 32, "kernels already built rely on it");

struct guest_fork {
	uint64_t frame;	  /* what rt_sigreturn, with this as its stack pointer, restores: Linux's struct ucontext is there */
	uint64_t fs;	  /* the base of FS */
	uint64_t actions; /* address of what rt_sigaction takes, for the signals 1 .. 64 */
	uint64_t set_tid, clear_tid; /* as of clone; 0: none */
	uint64_t brk_start, brk;
	uint64_t program; /* address of the path of the file that it runs */
	uint64_t regions; /* address of struct guest_region[count] */
	uint64_t count;
};
_Static_assert(sizeof(struct guest_fork) == 80, "kernels already built rely on it");

enum guest_slot_state {
	GUEST_SLOT_FREE = 0,
	GUEST_SLOT_REQUEST = 1,
	GUEST_SLOT_DONE = 2,
	GUEST_SLOT_FAULT = 3,
	GUEST_SLOT_FAULTED = 4,
};

struct guest_slot {
	uint32_t state;		/* both, as said */
	uint32_t agent_asleep;	/* A */
	uint32_t hrt_asleep;	/* K */
	uint32_t apic;		/* K: where hrt_vector goes */
	uint64_t number;	/* K */
	uint64_t arguments[6];	/* K */
	int64_t result;		/* A; K for FAULTED */
	uint64_t fault;		/* A: the address; bit 0 of fault_flags: it is to be written */
	uint32_t fault_flags;	/* A */
	uint32_t cancel;	/* K sets, A clears */
	uint32_t thread;	/* K: the program's thread id, for messages */
	uint32_t pad0;
	uint64_t pad[3];
};
_Static_assert(sizeof(struct guest_slot) == 128, "kernels already built rely on it");

/* By system call number; K: calls that it served itself, and those that it does not know. Delegated ones the agent counts. */
struct guest_count {
	uint64_t served, unknown; /* unknown: answered -ENOSYS */
	uint64_t ticks, ticks_max; /* TSC, of those served */
};
_Static_assert(sizeof(struct guest_count) == 32, "kernels already built rely on it");

#endif
