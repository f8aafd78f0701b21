/* SPDX-License-Identifier: MIT */
/*
 * block.c: virtio block. One request at a time, through a buffer of the driver's own: what an application gives may be
 * anywhere, and not yet in memory. Source: VIRTIO 1.1, 5.2.
 */
#include "device.h"
#include "errors.h"

#define FEATURE_READ_ONLY (1ull << 5)
#define MOST_ORDER	  4
#define MOST		  (PAGE << MOST_ORDER)

enum { REQUEST_READ = 0, REQUEST_WRITE = 1 };

struct request { /* as the device wants it */
	uint32_t type, reserved;
	uint64_t sector;
	uint8_t status; /* a descriptor of its own; 0: done */
};

static struct mutex mutex; /* guards all below; (done) is the interrupt's, too */
static struct device device;
static struct virtio_queue queue;
static struct semaphore done;
static struct request *request;
static char *buffer;
static uint64_t sectors;
static bool read_only;

static void ring(struct device *d)
{
	(void)d;
	semaphore_up(&done);
}

static bool start(void)
{
	static bool tried;
	volatile uint32_t *config;

	if (tried)
		return sectors;
	tried = true;
	if (!device_open(&device, VIRTIO_ID_BLOCK, 0))
		return false;
	read_only = device.virtio.transport->get_features(&device.virtio, 0) & FEATURE_READ_ONLY;
	virtio_queue_init(&device.virtio, &queue, 0);
	request = page_alloc(0);
	buffer = page_alloc(MOST_ORDER);
	if (queue.slots < 3 || !request || !buffer)
		return false;
	device_start(&device, ring);
	config = (volatile uint32_t *)device.virtio.config;
	sectors = config[0] | (uint64_t)config[1] << 32;
	return sectors;
}

static int submit(uint32_t type, uint64_t at, size_t len)
{
	uint32_t got;

	*request = (struct request){ .type = type, .sector = at / BLOCK, .status = 0xff };
	virtio_put_parts(&queue, 0,
		(struct virtio_part[]){ { request, 16, false }, { buffer, len, type == REQUEST_READ },
			{ &request->status, 1, true } },
		3);
	virtio_kick(&queue);
	while (virtio_get(&queue, &got) < 0)
		semaphore_down(&done);
	return *(volatile uint8_t *)&request->status ? -EIO : 0;
}

unsigned long reef_disk_len(void)
{
	uint64_t len;

	mutex_lock(&mutex);
	len = start() ? sectors * BLOCK : 0;
	mutex_unlock(&mutex);
	return len;
}

bool disk_read_only(void)
{
	return reef_disk_len() && read_only;
}

static int check(uint64_t at, size_t len, uint64_t all)
{
	return at % BLOCK || len % BLOCK || at > all || len > all - at ? -EINVAL : 0;
}

int reef_disk_read(unsigned long at, void *buf, size_t len)
{
	int err = check(at, len, reef_disk_len());

	mutex_lock(&mutex);
	for (size_t n; !err && len; at += n, buf = (char *)buf + n, len -= n) {
		n = len < MOST ? len : MOST;
		err = submit(REQUEST_READ, at, n);
		if (!err)
			memcpy(buf, buffer, n);
	}
	mutex_unlock(&mutex);
	return err;
}

int reef_disk_write(unsigned long at, const void *buf, size_t len)
{
	int err = disk_read_only() ? -EROFS : check(at, len, reef_disk_len());

	mutex_lock(&mutex);
	for (size_t n; !err && len; at += n, buf = (const char *)buf + n, len -= n) {
		n = len < MOST ? len : MOST;
		memcpy(buffer, buf, n);
		err = submit(REQUEST_WRITE, at, n);
	}
	mutex_unlock(&mutex);
	return err;
}
