/* SPDX-License-Identifier: MIT */
/* virtio.c: what is the same on every bus: bringing a device up, and the rings. */
#include "virtio.h"

#define STATUS_ACKNOWLEDGE 1
#define STATUS_DRIVER	   2
#define STATUS_DRIVER_OK   4
#define STATUS_FEATURES_OK 8

#define FEATURE_VERSION_1 (1ull << 32)

#define DESC_NEXT	   1
#define DESC_DEVICE_WRITES 2
#define USED_NO_NOTIFY	   1
#define AVAIL_NO_INTERRUPT 1

struct virtio_desc {
	uint64_t address;
	uint32_t len;
	uint16_t flags, next;
};
struct virtio_avail {
	uint16_t flags, index, ring[VIRTIO_SLOTS];
};
struct virtio_used {
	uint16_t flags, index;
	struct {
		uint32_t slot, len;
	} ring[VIRTIO_SLOTS];
};

/* One allocation a queue, each part aligned as the device wants it. */
struct rings {
	struct virtio_desc desc[VIRTIO_SLOTS];
	struct virtio_avail avail;
	struct virtio_used used __attribute__((aligned(4)));
};

bool virtio_find(struct virtio *v, uint32_t device_id)
{
	return virtio_mmio_find(v, device_id) || virtio_pci_find(v, device_id);
}

bool virtio_begin(struct virtio *v, uint64_t features)
{
	const struct virtio_transport *t = v->transport;
	uint64_t offered;

	t->set_status(v, 0);
	while (t->get_status(v)) /* the reset is done when it reads 0 */
		;
	t->set_status(v, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	features |= FEATURE_VERSION_1;
	offered = t->get_features(v, 0) | (uint64_t)t->get_features(v, 1) << 32;
	if ((offered & features) != features)
		return false;
	t->set_features(v, 0, (uint32_t)features);
	t->set_features(v, 1, (uint32_t)(features >> 32));
	t->set_status(v, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
	return t->get_status(v) & STATUS_FEATURES_OK;
}

void virtio_queue_init(struct virtio *v, struct virtio_queue *q, uint16_t index)
{
	uint16_t most = v->transport->select_queue(v, index);
	struct rings *r;

	*q = (struct virtio_queue){ .index = index };
	if (!most)
		return;
	r = malloc(sizeof(*r));
	if (!r)
		panic("no memory for a virtio queue");
	memset(r, 0, sizeof(*r));
	q->slots = most < VIRTIO_SLOTS ? most : VIRTIO_SLOTS;
	q->desc = r->desc;
	q->avail = &r->avail;
	q->used = &r->used;
	v->transport->enable_queue(v, q);
}

void virtio_ready(struct virtio *v)
{
	v->transport->set_status(
		v, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK);
}

bool virtio_ack(struct virtio *v)
{
	return v->transport->ack(v);
}

void virtio_put(struct virtio_queue *q, unsigned slot, void *buf, size_t len, bool device_writes)
{
	virtio_put_parts(q, slot, &(struct virtio_part){ buf, len, device_writes }, 1);
}

void virtio_put_parts(struct virtio_queue *q, unsigned slot, const struct virtio_part *parts, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		q->desc[slot + i] = (struct virtio_desc){ .address = physical(parts[i].buf),
			.len = (uint32_t)parts[i].len,
			.flags = (parts[i].device_writes ? DESC_DEVICE_WRITES : 0) |
				 (i + 1 < count ? DESC_NEXT : 0),
			.next = (uint16_t)(slot + i + 1) };
	q->avail->ring[q->put % q->slots] = (uint16_t)slot;
	q->put++;
	/* the device must not see the new index before what it covers */
	__atomic_store_n(&q->avail->index, q->put, __ATOMIC_RELEASE);
}

void virtio_interrupts(struct virtio_queue *q, bool wanted)
{
	__atomic_store_n(&q->avail->flags, wanted ? 0 : AVAIL_NO_INTERRUPT, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* before the look that follows */
}

void virtio_kick(struct virtio_queue *q)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* the index goes out before the flags come in */
	if (q->used->flags & USED_NO_NOTIFY)
		return;
	if (q->notify_wide)
		*(volatile uint32_t *)q->notify = q->index;
	else
		*(volatile uint16_t *)q->notify = q->index;
}

bool virtio_used(const struct virtio_queue *q)
{
	return __atomic_load_n(&q->used->index, __ATOMIC_ACQUIRE) != q->got;
}

int virtio_get(struct virtio_queue *q, uint32_t *len)
{
	unsigned at = q->got % q->slots;
	uint32_t slot;

	if (!virtio_used(q))
		return -1;
	slot = q->used->ring[at].slot;
	*len = q->used->ring[at].len;
	if (slot >= q->slots)
		panic("a virtio device used slot %u of %u", slot, q->slots);
	q->got++;
	return (int)slot;
}
