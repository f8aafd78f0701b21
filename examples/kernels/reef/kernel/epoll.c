/* SPDX-License-Identifier: MIT */
/*
 * epoll.c: waiting for many files. Each has an item, which comes into the list of those to be looked at when its file says
 * that something has changed. Who waits takes items from the list and asks their files; an item that still has something
 * stays in it, unless only changes are wanted (EPOLLET).
 *
 * An item does not keep its file open: when that goes, file.c calls gone(). Locks: file_links, then the epoll's mutex;
 * who has the first may follow an item to its epoll.
 */
#include "file.h"

#define EPOLLONESHOT (1u << 30)
#define EPOLLET	     (1u << 31)
#define EPOLL_FLAGS  (0xfu << 28)
#define AT_ONCE	     1024

struct event {
	uint32_t events;
	uint64_t data;
} __attribute__((packed));

struct epoll;
struct item {
	struct watch watch;
	struct epoll *epoll;
	uint64_t fd;
	struct event event;
	unsigned told; /* in which round of collect() */
	volatile bool listed;
	struct item *next, *listed_next;
};
struct epoll {
	struct mutex mutex; /* guards the items */
	struct item *items;
	unsigned round;
	struct wait_queue queue; /* its lock guards the list */
	struct item *first, *last;
	struct file *file;
};

/* The queue's lock is held. */
static void list_add(struct epoll *e, struct item *i)
{
	if (i->listed)
		return;
	i->listed = true;
	i->listed_next = NULL;
	*(e->first ? &e->last->listed_next : &e->first) = i;
	e->last = i;
}

static struct item *list_take(struct epoll *e)
{
	struct item *i = e->first;

	if (i) {
		e->first = i->listed_next;
		i->listed = false;
	}
	return i;
}

static void list_remove(struct epoll *e, struct item *gone)
{
	struct item *before = NULL;

	for (struct item *i = e->first; i; before = i, i = i->listed_next)
		if (i == gone) {
			*(before ? &before->listed_next : &e->first) = i->listed_next;
			if (e->last == i)
				e->last = before;
			return;
		}
}

static void ring(struct watch *w)
{
	struct item *i = (struct item *)w;

	lock_take(&i->epoll->queue.lock);
	list_add(i->epoll, i);
	wake_locked(&i->epoll->queue, 0, 1);
	lock_drop(&i->epoll->queue.lock);
	file_ready(i->epoll->file); /* it may be watched itself */
}

static void drop(struct epoll *e, struct item **at)
{
	struct item *i = *at;
	uint64_t irq;

	*at = i->next;
	file_unwatch(&i->watch);
	irq = lock_save(&e->queue.lock);
	list_remove(e, i);
	lock_restore(&e->queue.lock, irq);
	free(i);
}

static void gone(struct watch *w)
{
	struct item *i = (struct item *)w, **at = &i->epoll->items;
	struct epoll *e = i->epoll;

	mutex_lock(&e->mutex);
	while (*at != i)
		at = &(*at)->next;
	drop(e, at);
	mutex_unlock(&e->mutex);
}

static struct item **find(struct epoll *e, uint64_t fd)
{
	struct item **at = &e->items;

	while (*at && (*at)->fd != fd)
		at = &(*at)->next;
	return at;
}

/* Whether it is ready now nobody has said yet: it is looked at once. */
static void list_now(struct epoll *e, struct item *i)
{
	uint64_t irq = lock_save(&e->queue.lock);

	list_add(e, i);
	wake_locked(&e->queue, 0, 1);
	lock_restore(&e->queue.lock, irq);
}

static long add(struct epoll *e, uint64_t fd, struct file *file, const struct event *event)
{
	struct item *i = malloc(sizeof(*i));

	if (!i)
		return -ENOMEM;
	*i = (struct item){ .watch = { .ring = ring, .gone = gone },
		.epoll = e,
		.fd = fd,
		.event = *event,
		.next = e->items };
	e->items = i;
	file_watch(file, &i->watch);
	list_now(e, i);
	return 0;
}

enum { CTL_ADD = 1, CTL_DEL, CTL_MOD };

static long control(struct epoll *e, int op, uint64_t fd, struct file *file, const struct event *event)
{
	struct item **at = find(e, fd);

	if (*at && (*at)->watch.file != file) { /* the number was closed and means another file now */
		drop(e, at);
		at = find(e, fd);
	}
	if (op == CTL_ADD)
		return *at ? -EEXIST : add(e, fd, file, event);
	if (!*at)
		return -ENOENT;
	if (op == CTL_DEL) {
		drop(e, at);
		return 0;
	}
	(*at)->event = *event;
	list_now(e, *at);
	return 0;
}

/* Puts an item aside for the list's end, if it has not come there by itself. */
static void keep(struct epoll *e, struct item *i, struct item **again)
{
	uint64_t irq = lock_save(&e->queue.lock);

	if (!i->listed) {
		i->listed = true;
		i->listed_next = *again;
		*again = i;
	}
	lock_restore(&e->queue.lock, irq);
}

/* What the list's items have, as far as it fits. One that rings meanwhile is not told of twice: who is told may close the
 * file, and would find it once more. */
static long collect(struct epoll *e, struct event *events, long most)
{
	struct item *again = NULL, *i;
	long n = 0;
	uint64_t irq;

	mutex_lock(&e->mutex);
	e->round++;
	for (irq = lock_save(&e->queue.lock); n < most && (i = list_take(e));
		irq = lock_save(&e->queue.lock)) {
		unsigned now;

		lock_restore(&e->queue.lock, irq);
		if (i->told == e->round) {
			keep(e, i, &again);
			continue;
		}
		now = i->event.events & ~EPOLL_FLAGS
			      ? file_poll(i->watch.file) & (i->event.events | POLLERR | POLLHUP) &
					~EPOLL_FLAGS
			      : 0;
		if (!now)
			continue;
		i->told = e->round;
		events[n++] = (struct event){ now, i->event.data };
		if (i->event.events & EPOLLONESHOT) {
			i->event.events &= EPOLL_FLAGS;
		} else if (!(i->event.events & EPOLLET)) {
			keep(e, i, &again); /* not at the end: it would be taken again at once */
		}
	}
	while (again) {
		struct item *next = again->listed_next;

		again->listed = false;
		list_add(e, again);
		again = next;
	}
	lock_restore(&e->queue.lock, irq);
	mutex_unlock(&e->mutex);
	return n;
}

static long wait_events(struct epoll *e, struct event *events, long most, uint64_t until)
{
	for (;;) {
		long n = collect(e, events, most);
		uint64_t irq;

		if (n || !until)
			return n;
		irq = wait_begin(&e->queue, until);
		if (e->first) {
			wait_not(&e->queue, irq);
			continue;
		}
		n = wait_interruptible(&e->queue, 0, irq);
		if (n)
			return n == -ETIMEDOUT ? 0 : n;
	}
}

static unsigned epoll_poll(struct file *f)
{
	struct epoll *e = f->own;
	unsigned now = 0;

	mutex_lock(&e->mutex);
	for (struct item *i = e->items; i && !now; i = i->next)
		if (i->event.events & ~EPOLL_FLAGS &&
			file_poll(i->watch.file) & (i->event.events | POLLERR | POLLHUP))
			now = POLLIN;
	mutex_unlock(&e->mutex);
	return now;
}

static void epoll_close(struct file *f)
{
	struct epoll *e = f->own;

	mutex_lock(&file_links);
	while (e->items)
		drop(e, &e->items);
	mutex_unlock(&file_links);
	free(e);
}

static const struct file_ops epoll_ops = { .name = "epoll", .poll = epoll_poll, .close = epoll_close };

static struct file *get(uint64_t fd)
{
	struct file *file = fd_get(fd);

	if (!file || file->ops == &epoll_ops)
		return file;
	file_put(file);
	return NULL;
}

/* One may be in another, but not further, nor in a circle. */
static bool too_deep(struct file *self, struct file *file)
{
	if (file->ops != &epoll_ops)
		return false;
	if (self->watches)
		return true;
	for (struct item *i = ((struct epoll *)file->own)->items; i; i = i->next)
		if (i->watch.file->ops == &epoll_ops)
			return true;
	return false;
}

static long make(unsigned flags)
{
	struct epoll *e = calloc(1, sizeof(*e));
	struct file *file = e ? file_new(&epoll_ops, O_RDWR, e) : NULL;

	if (!file) {
		free(e);
		return -ENOMEM;
	}
	e->file = file;
	return fd_add(file, flags);
}

CALL(epoll_create)
{
	return (int)ARG1 <= 0 ? -EINVAL : make(0);
}

CALL(epoll_create1)
{
	return ARG1 & ~(uint64_t)O_CLOEXEC ? -EINVAL : make((unsigned)ARG1);
}

CALL(epoll_ctl)
{
	struct file *self = get(ARG1), *file = fd_get(ARG3);
	struct event event = { 0 };
	long err = !self || !file ? -EBADF : self == file || ARG2 < CTL_ADD || ARG2 > CTL_MOD ? -EINVAL : 0;

	if (!err && ARG2 != CTL_DEL)
		err = copy_in(&event, (void *)ARG4, sizeof(event));
	if (!err) {
		struct epoll *e = self->own;

		mutex_lock(&file_links);
		mutex_lock(&e->mutex);
		err = too_deep(self, file) ? -ELOOP : control(e, (int)ARG2, ARG3, file, &event);
		mutex_unlock(&e->mutex);
		mutex_unlock(&file_links);
	}
	if (self)
		file_put(self);
	if (file)
		file_put(file);
	return err;
}

static long epoll_wait_user(uint64_t fd, void *user, int most, int ms)
{
	struct file *self;
	struct event *events;
	long n;

	if (most <= 0)
		return -EINVAL;
	most = most < AT_ONCE ? most : AT_ONCE;
	events = malloc((size_t)most * sizeof(*events));
	if (!events)
		return -ENOMEM;
	self = get(fd);
	n = self ? wait_events(self->own, events, most,
			   ms < 0 ? NEVER
			   : ms	  ? clock_ns() + (uint64_t)ms * 1000000
				  : 0)
		 : -EBADF;
	if (n > 0 && copy_out(user, events, (size_t)n * sizeof(*events)))
		n = -EFAULT;
	if (self)
		file_put(self);
	free(events);
	return n;
}

CALL(epoll_wait)
{
	return epoll_wait_user(ARG1, (void *)ARG2, (int)ARG3, (int)ARG4);
}

CALL(epoll_pwait)
{
	long err = signal_mask_for_call((void *)ARG5, ARG6);

	return err ? err : epoll_wait_user(ARG1, (void *)ARG2, (int)ARG3, (int)ARG4);
}
