/* SPDX-License-Identifier: MIT */
/*
 * virtio-pci.c: the transport of machine pc. Vendor capabilities say in which memory region the registers
 * are. Interrupts come by the old INTx line: nothing to set up, and reading the ISR register takes it back.
 */
#include "virtio.h"

#define VENDOR	      0x1af4
#define DEVICE_MODERN 0x1040 /* + device id */

#define REG_COMMAND	  0x04
#define COMMAND_MEMORY	  2u
#define COMMAND_MASTER	  4u
#define COMMAND_NO_INTX	  0x400u
#define STATUS_HAS_LIST	  (0x10u << 16)
#define REG_CAPABILITIES  0x34
#define CAPABILITY_VENDOR 9

enum { CAP_COMMON = 1, CAP_NOTIFY, CAP_ISR, CAP_DEVICE };

struct common {
	uint32_t device_feature_select, device_feature, driver_feature_select, driver_feature;
	uint16_t msix_config, queues;
	uint8_t status, generation;
	uint16_t queue_select, queue_size, queue_msix, queue_enable, queue_notify_offset;
	uint64_t queue_desc, queue_avail, queue_used;
};
_Static_assert(sizeof(struct common) == 56, "the device's layout");

static volatile struct common *common(struct virtio *v)
{
	return (volatile struct common *)v->regs;
}

static uint8_t get_status(struct virtio *v)
{
	return common(v)->status;
}

static void set_status(struct virtio *v, uint8_t status)
{
	common(v)->status = status;
}

static uint32_t get_features(struct virtio *v, uint32_t half)
{
	common(v)->device_feature_select = half;
	return common(v)->device_feature;
}

static void set_features(struct virtio *v, uint32_t half, uint32_t bits)
{
	common(v)->driver_feature_select = half;
	common(v)->driver_feature = bits;
}

static uint16_t select_queue(struct virtio *v, uint16_t index)
{
	if (index >= common(v)->queues)
		return 0;
	common(v)->queue_select = index;
	return common(v)->queue_size;
}

/* 64-bit registers are written in halves: not every device model takes them whole. */
static void set_address(volatile uint64_t *reg, const volatile void *p)
{
	volatile uint32_t *half = (volatile uint32_t *)reg;

	half[0] = (uint32_t)physical(p);
	half[1] = (uint32_t)(physical(p) >> 32);
}

static void enable_queue(struct virtio *v, struct virtio_queue *q)
{
	volatile struct common *c = common(v);

	c->queue_size = q->slots;
	set_address(&c->queue_desc, q->desc);
	set_address(&c->queue_avail, q->avail);
	set_address(&c->queue_used, q->used);
	q->notify = v->notify + c->queue_notify_offset * v->notify_multiplier;
	q->notify_wide = false;
	c->queue_enable = 1;
}

static bool ack(struct virtio *v)
{
	return *v->isr; /* reading clears it */
}

static const struct virtio_transport pci = { get_status, set_status, get_features, set_features, select_queue,
	enable_queue, ack };

/* One vendor capability at (at): kind, region, and where in the region. */
static void read_capability(struct virtio *v, uint8_t slot, uint8_t at)
{
	uint32_t kind = pci_read(slot, at) >> 24, bar = pci_read(slot, (uint8_t)(at + 4)) & 0xff;
	uint32_t offset = pci_read(slot, (uint8_t)(at + 8)), len = pci_read(slot, (uint8_t)(at + 12));
	uint64_t base = bar < 6 ? pci_bar(slot, bar) : 0;
	volatile uint8_t *p;

	if (!base || kind < CAP_COMMON || kind > CAP_DEVICE)
		return;
	p = map_device(base + offset, len);
	if (kind == CAP_COMMON)
		v->regs = p;
	else if (kind == CAP_ISR)
		v->isr = p;
	else if (kind == CAP_DEVICE)
		v->config = p;
	else {
		v->notify = p;
		v->notify_multiplier = pci_read(slot, (uint8_t)(at + 16));
	}
}

/* What a device that also speaks the old interface is called instead. */
static uint16_t old_device(uint32_t device_id)
{
	switch (device_id) {
	case VIRTIO_ID_NET:
		return 0x1000;
	case VIRTIO_ID_BLOCK:
		return 0x1001;
	case VIRTIO_ID_ENTROPY:
		return 0x1005;
	default:
		return (uint16_t)(0x1000 + device_id);
	}
}

bool virtio_pci_find(struct virtio *v, uint32_t device_id)
{
	unsigned left = 48; /* as many capabilities fit; a list that loops ends */
	uint8_t slot, at;
	uint32_t command;

	if (!pci_find(VENDOR, (uint16_t)(DEVICE_MODERN + device_id), &slot) &&
		!pci_find(VENDOR, old_device(device_id), &slot))
		return false;
	command = pci_read(slot, REG_COMMAND);
	pci_write(
		slot, REG_COMMAND, ((command | COMMAND_MEMORY | COMMAND_MASTER) & ~COMMAND_NO_INTX) & 0xffff);
	*v = (struct virtio){ .transport = &pci };
	at = command & STATUS_HAS_LIST ? pci_read(slot, REG_CAPABILITIES) & 0xfc : 0;
	for (; at && left--; at = pci_read(slot, at) >> 8 & 0xfc)
		if ((pci_read(slot, at) & 0xff) == CAPABILITY_VENDOR)
			read_capability(v, slot, at);
	if (v->regs && v->isr && v->notify && v->config)
		return true;
	printk("virtio-pci: a device has no modern interface, or the firmware has given it no "
	       "addresses\n");
	return false;
}
