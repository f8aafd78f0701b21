/* SPDX-License-Identifier: MIT */
/* virtio-mmio.c: the transport of machine microvm: registers at fixed addresses (guest.h section 3). */
#include "virtio.h"

enum {
	MAGIC = 0x00,
	VERSION = 0x04,
	DEVICE_ID = 0x08,
	DEVICE_FEATURES = 0x10,
	DEVICE_FEATURES_SELECT = 0x14,
	DRIVER_FEATURES = 0x20,
	DRIVER_FEATURES_SELECT = 0x24,
	QUEUE_SELECT = 0x30,
	QUEUE_MOST = 0x34,
	QUEUE_SIZE = 0x38,
	QUEUE_READY = 0x44,
	QUEUE_NOTIFY = 0x50,
	INTERRUPT_STATUS = 0x60,
	INTERRUPT_ACK = 0x64,
	STATUS = 0x70,
	QUEUE_DESC = 0x80, /* 64 bits in two registers, as are the next two */
	QUEUE_AVAIL = 0x90,
	QUEUE_USED = 0xa0,
	CONFIG = 0x100,
};

#define MAGIC_VALUE 0x74726976 /* "virt" */

static uint32_t get(struct virtio *v, unsigned reg)
{
	return *(volatile uint32_t *)(v->regs + reg);
}

static void set(struct virtio *v, unsigned reg, uint32_t value)
{
	*(volatile uint32_t *)(v->regs + reg) = value;
}

static void set_address(struct virtio *v, unsigned reg, const volatile void *p)
{
	set(v, reg, (uint32_t)physical(p));
	set(v, reg + 4, (uint32_t)(physical(p) >> 32));
}

static uint8_t get_status(struct virtio *v)
{
	return (uint8_t)get(v, STATUS);
}

static void set_status(struct virtio *v, uint8_t status)
{
	set(v, STATUS, status);
}

static uint32_t get_features(struct virtio *v, uint32_t half)
{
	set(v, DEVICE_FEATURES_SELECT, half);
	return get(v, DEVICE_FEATURES);
}

static void set_features(struct virtio *v, uint32_t half, uint32_t bits)
{
	set(v, DRIVER_FEATURES_SELECT, half);
	set(v, DRIVER_FEATURES, bits);
}

static uint16_t select_queue(struct virtio *v, uint16_t index)
{
	set(v, QUEUE_SELECT, index);
	return (uint16_t)get(v, QUEUE_MOST);
}

static void enable_queue(struct virtio *v, struct virtio_queue *q)
{
	set(v, QUEUE_SIZE, q->slots);
	set_address(v, QUEUE_DESC, q->desc);
	set_address(v, QUEUE_AVAIL, q->avail);
	set_address(v, QUEUE_USED, q->used);
	set(v, QUEUE_READY, 1);
	q->notify = v->regs + QUEUE_NOTIFY;
	q->notify_wide = true;
}

static bool ack(struct virtio *v)
{
	uint32_t status = get(v, INTERRUPT_STATUS);

	if (status)
		set(v, INTERRUPT_ACK, status);
	return status;
}

static const struct virtio_transport mmio = { get_status, set_status, get_features, set_features,
	select_queue, enable_queue, ack };

/* Where there is no transport the bus reads as 0 or as all ones. */
bool virtio_mmio_find(struct virtio *v, uint32_t device_id)
{
	for (unsigned i = 0; i < GUEST_MMIO_COUNT; i++) {
		v->regs = at_physical(GUEST_MMIO_BASE + i * GUEST_MMIO_STRIDE);
		if (get(v, MAGIC) != MAGIC_VALUE || get(v, DEVICE_ID) != device_id)
			continue;
		if (get(v, VERSION) != 2) {
			printk("virtio-mmio: the device is of the old version %u; give QEMU "
			       "-global virtio-mmio.force-legacy=false\n",
				get(v, VERSION));
			continue;
		}
		v->transport = &mmio;
		v->config = v->regs + CONFIG;
		return true;
	}
	return false;
}
