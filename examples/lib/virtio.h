/* SPDX-License-Identifier: MIT */
/*
 * virtio.h: devices and their queues, whatever bus they are on.
 *
 * A queue (virtqueue) is a table of descriptors in memory, each naming a buffer, and two rings of descriptor
 * numbers: "available", which we fill, and "used", which the device fills when it is done with a buffer. Here
 * descriptor number i always goes with buffer number i of the queue's owner (a slot).
 *
 * Source  Virtual I/O Device (VIRTIO) 1.1: 2.6 split virtqueues, 4.1 PCI, 4.2 MMIO
 */
#ifndef VIRTIO_H
#define VIRTIO_H

#include "lib.h"

#define VIRTIO_ID_NET	  1
#define VIRTIO_ID_BLOCK	  2
#define VIRTIO_ID_CONSOLE 3
#define VIRTIO_ID_ENTROPY 4
#define VIRTIO_SLOTS	  64 /* a queue has at most so many */

struct virtio_queue {
	uint16_t index, slots; /* slots 0: the device has no such queue */
	uint16_t put, got;     /* how many were made available, and seen used, since the start */
	struct virtio_desc *desc;
	struct virtio_avail *avail;
	volatile struct virtio_used *used;
	volatile void *notify;
	bool notify_wide; /* a 32-bit register, else 16 */
};

struct virtio_transport;
struct virtio {
	const struct virtio_transport *transport;
	volatile uint8_t *regs;	  /* MMIO: all; PCI: the common configuration */
	volatile uint8_t *config; /* the device's own */
	volatile uint8_t *isr;	  /* PCI */
	volatile uint8_t *notify; /* PCI */
	uint32_t notify_multiplier;
};

/* Finds the first device of that kind, on MMIO, then on PCI. */
bool virtio_find(struct virtio *v, uint32_t device_id);
/* Resets it and agrees on (features), all of which are needed. False: it does not have them. */
bool virtio_begin(struct virtio *v, uint64_t features);
/* Between virtio_begin and virtio_ready. */
void virtio_queue_init(struct virtio *v, struct virtio_queue *q, uint16_t index);
void virtio_ready(struct virtio *v);
/* Takes back the interrupt, so that the next event makes a new one; false: there was none. */
bool virtio_ack(struct virtio *v);
/* The same before looking at the queues and device_wait, where nobody else has done it: trap.c. A kernel whose
 * interrupt handler does it has an empty one of its own. */
void device_ack(struct virtio *v);

/* Gives a slot's buffer to the device, to be read, or to be written. */
void virtio_put(struct virtio_queue *q, unsigned slot, void *buf, size_t len, bool device_writes);
/* Several buffers as one request: they take the descriptors (slot) to (slot) + (count) - 1, and come back together, as
 * (slot). */
struct virtio_part {
	void *buf;
	size_t len;
	bool device_writes;
};
void virtio_put_parts(struct virtio_queue *q, unsigned slot, const struct virtio_part *parts, unsigned count);
/* Whether the device is to interrupt when it has used a buffer. It may all the same. */
void virtio_interrupts(struct virtio_queue *q, bool wanted);
/* Tells the device that there are new ones. */
void virtio_kick(struct virtio_queue *q);
/* The next slot that the device is done with, and how much it wrote; -1: none. */
bool virtio_used(const struct virtio_queue *q); /* virtio_get would give one */
int virtio_get(struct virtio_queue *q, uint32_t *len);

/* pci.c: the functions of bus 0. */
bool pci_find(uint16_t vendor, uint16_t device, uint8_t *slot);
uint32_t pci_read(uint8_t slot, uint8_t reg);
void pci_write(uint8_t slot, uint8_t reg, uint32_t value);
uint64_t pci_bar(uint8_t slot, unsigned bar); /* a memory region's address; 0: none */
bool virtio_pci_find(struct virtio *v, uint32_t device_id);
bool virtio_mmio_find(struct virtio *v, uint32_t device_id);

struct virtio_transport { /* all of them required */
	uint8_t (*get_status)(struct virtio *v);
	void (*set_status)(struct virtio *v, uint8_t status);
	uint32_t (*get_features)(struct virtio *v, uint32_t half);
	void (*set_features)(struct virtio *v, uint32_t half, uint32_t bits);
	uint16_t (*select_queue)(struct virtio *v, uint16_t index); /* its largest size; 0: there is none */
	void (*enable_queue)(struct virtio *v, struct virtio_queue *q);
	bool (*ack)(struct virtio *v);
};

#endif
