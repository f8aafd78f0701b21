/* SPDX-License-Identifier: MIT */
/* device.c: which devices are in use, and the interrupt that all of them share. */
#include "cokernel.h"
#include "device.h"

static struct lock lock; /* guards the list, which only grows, at its head */
static struct device *volatile all;

bool device_open(struct device *d, uint32_t kind, uint64_t features)
{
	for (struct device *x = all; x; x = x->next)
		if (x == d)
			return false;
	if (cokernel) /* they are the ROS's */
		return false;
	if (!virtio_find(&d->virtio, kind))
		return false;
	if (virtio_begin(&d->virtio, features))
		return true;
	print("%s: virtio device %u lacks features %lx\n", KERNEL_NAME, kind, features);
	return false;
}

void device_start(struct device *d, void (*ring)(struct device *d))
{
	uint64_t flags = lock_save(&lock);

	d->ring = ring;
	d->next = all;
	__atomic_store_n(&all, d, __ATOMIC_RELEASE);
	lock_restore(&lock, flags);
	virtio_ready(&d->virtio);
}

bool devices_interrupt(void)
{
	bool any = false;

	for (struct device *d = __atomic_load_n(&all, __ATOMIC_ACQUIRE); d; d = d->next)
		if (virtio_ack(&d->virtio)) {
			any = true;
			d->ring(d);
		}
	return any;
}
