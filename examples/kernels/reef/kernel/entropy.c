/* SPDX-License-Identifier: MIT */
/* entropy.c: virtio entropy: the host fills a buffer with random bytes. Source: VIRTIO 1.1, 5.4. */
#include "device.h"

#define MOST 256u

static struct mutex mutex; /* guards all below; (done) and its queue are the interrupt's, too */
static struct device device;
static struct virtio_queue queue;
static struct semaphore done;
static uint8_t *buffer;

static void ring(struct device *d)
{
	(void)d;
	semaphore_up(&done);
}

static bool start(void)
{
	static bool tried;

	if (tried)
		return buffer;
	tried = true;
	if (!device_open(&device, VIRTIO_ID_ENTROPY, 0))
		return false;
	virtio_queue_init(&device.virtio, &queue, 0);
	if (!queue.slots)
		return false;
	buffer = page_alloc(0);
	device_start(&device, ring);
	return buffer;
}

static size_t fill(size_t len)
{
	uint32_t got = 0;

	virtio_put(&queue, 0, buffer, len, true);
	virtio_kick(&queue);
	while (virtio_get(&queue, &got) < 0)
		semaphore_down(&done);
	return got < len ? got : len;
}

size_t entropy_read(void *buf, size_t len)
{
	size_t got = 0;

	mutex_lock(&mutex);
	while (start() && got < len) {
		size_t n = fill(len - got < MOST ? len - got : MOST);

		memcpy((char *)buf + got, buffer, n);
		page_zero(buffer, MOST);
		got += n;
		if (!n)
			break;
	}
	mutex_unlock(&mutex);
	return got;
}
