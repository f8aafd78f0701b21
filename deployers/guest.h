/* SPDX-License-Identifier: MIT */
/*
 * guest.h: the contract between deployers and kernels.
 *
 * Freestanding: a kernel includes it as it is. A kernel may meet part of it; the levels say which.
 *
 * Level 0  It boots (section 1). Its console is the serial line. It ends by powering off. Nothing of
 *          this file need be known to it.
 * Level 1  Arguments, the clean streams and the exit status (sections 2 to 4): it can run as a filter.
 * Level 2  (reserved for co-kernel entry and delegated system calls; revision 2 will say how.)
 *
 * Every number is little endian; offsets and sizes are fixed; GUEST_REV rises with any change, and
 * deployers refuse messages of another revision.
 */
#ifndef DEPLOYERS_GUEST_H
#define DEPLOYERS_GUEST_H

#include <stdint.h>

#define GUEST_REV 1

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
 * Unknown types are ignored. Messages with another magic or revision end the conversation (and are told in `events`).
 */
#define GUEST_MESSAGE_MAGIC 0x67766964u /* "divg" */

enum guest_message_type {
	GUEST_HELLO = 1,
	GUEST_EXIT = 2,
	GUEST_STOP = 3,
	GUEST_RESIZE = 4,
	GUEST_RESTART = 5,
};

#define GUEST_EXIT_QUEUED 0x100u

struct guest_message {
	uint32_t magic; /* GUEST_MESSAGE_MAGIC */
	uint16_t rev;   /* GUEST_REV */
	uint16_t type;  /* enum guest_message_type */
	uint64_t value;
};
_Static_assert(sizeof(struct guest_message) == 16, "kernels already built rely on it");

#endif
