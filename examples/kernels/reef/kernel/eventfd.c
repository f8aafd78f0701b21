/* SPDX-License-Identifier: MIT */
/* eventfd.c: a number as a file: writing adds to it, reading takes it, or one of it. */
#include "file.h"

#define ONE_BY_ONE 1u /* EFD_SEMAPHORE */
#define MOST	   0xfffffffffffffffeull

struct event {
	struct mutex mutex;
	volatile uint64_t count;
	bool one_by_one;
};

static long event_read(struct file *f, void *buf, size_t len)
{
	struct event *e = f->own;

	if (len < 8)
		return -EINVAL;
	for (;;) {
		uint64_t n;
		long err;

		mutex_lock(&e->mutex);
		n = e->one_by_one && e->count ? 1 : e->count;
		e->count -= n;
		mutex_unlock(&e->mutex);
		if (n) {
			file_ready(f);
			return copy_out(buf, &n, 8) ? -EFAULT : 8;
		}
		err = file_wait(f, POLLIN, NEVER);
		if (err)
			return err;
	}
}

static long event_write(struct file *f, const void *buf, size_t len)
{
	struct event *e = f->own;
	uint64_t n;

	if (len < 8 || copy_in(&n, buf, 8))
		return len < 8 ? -EINVAL : -EFAULT;
	if (n > MOST)
		return -EINVAL;
	for (;;) {
		bool fits;
		long err;

		mutex_lock(&e->mutex);
		fits = n <= MOST - e->count;
		if (fits)
			e->count += n;
		mutex_unlock(&e->mutex);
		if (fits) {
			file_ready(f);
			return 8;
		}
		err = file_wait(f, POLLOUT, NEVER);
		if (err)
			return err;
	}
}

static unsigned event_poll(struct file *f)
{
	struct event *e = f->own;

	return (e->count ? POLLIN : 0) | (e->count < MOST ? POLLOUT : 0);
}

static void event_close(struct file *f)
{
	free(f->own);
}

static const struct file_ops event_ops = {
	.name = "eventfd", .read = event_read, .write = event_write, .poll = event_poll, .close = event_close
};

static long make(uint32_t count, unsigned flags)
{
	struct event *e = malloc(sizeof(*e));
	struct file *file = e ? file_new(&event_ops, O_RDWR | (flags & O_NONBLOCK), e) : NULL;

	if (!file) {
		free(e);
		return -ENOMEM;
	}
	*e = (struct event){ .count = count, .one_by_one = flags & ONE_BY_ONE };
	return fd_add(file, flags);
}

CALL(eventfd)
{
	return make((uint32_t)ARG1, 0);
}

CALL(eventfd2)
{
	if (ARG2 & ~(uint64_t)(ONE_BY_ONE | O_NONBLOCK | O_CLOEXEC))
		return -EINVAL;
	return make((uint32_t)ARG1, (unsigned)ARG2);
}
