/* SPDX-License-Identifier: MIT */
/*
 * device.h: virtio devices for threads. One interrupt handler for all of them; each device then says who is to run.
 *
 * Threads  a device's own lock guards its queues; (ring) is called on an interrupt stack with interrupts off
 */
#ifndef DEVICE_H
#define DEVICE_H

#include "kernel.h"
#include "virtio.h"

struct device {
	struct virtio virtio;
	void (*ring)(struct device *d); /* it has interrupted */
	struct device *next;
};

/* Finds the first device of this kind and agrees on (features). False: there is none, or it has been taken already. */
bool device_open(struct device *d, uint32_t kind, uint64_t features);
/* After its queues were made: from now on it works, and interrupts. */
void device_start(struct device *d, void (*ring)(struct device *d));
/* The interrupt handler's part; false: no device had a reason to interrupt. */
bool devices_interrupt(void);

/* block.c: the disk; reading and writing are in reef.h. */
#define BLOCK 512ul
bool disk_read_only(void);

/* entropy.c: bytes from the host's random source, for random.c; returns how many, 0 without the device. */
size_t entropy_read(void *buf, size_t len);

#endif
