/* SPDX-License-Identifier: MIT */
/* file.c: files from beginning to end, their numbers, and waiting for them. */
#include "file.h"

struct mutex file_links;
static struct lock lock; /* guards the next two */
static struct slot {
	struct file *file;
	bool close_on_exec;
} fds[FDS_MAX];

struct file *file_new(const struct file_ops *ops, unsigned flags, void *own)
{
	struct file *f = malloc(sizeof(*f));

	if (f)
		*f = (struct file){ .ops = ops,
			.own = own,
			.users = 1,
			.flags = flags & (O_ACCESS | O_NONBLOCK | O_APPEND) };
	return f;
}

struct file *file_ref(struct file *f)
{
	__atomic_fetch_add(&f->users, 1, __ATOMIC_RELAXED);
	return f;
}

void file_put(struct file *f)
{
	if (__atomic_sub_fetch(&f->users, 1, __ATOMIC_ACQ_REL))
		return;
	if (f->watches) { /* only such as do not count as users */
		mutex_lock(&file_links);
		while (f->watches)
			f->watches->gone(f->watches);
		mutex_unlock(&file_links);
	}
	if (f->ops->close)
		f->ops->close(f);
	free(f);
}

static long add_from(struct file *f, uint64_t from, unsigned flags)
{
	uint64_t irq = lock_save(&lock), fd = from;

	while (fd < FDS_MAX && fds[fd].file)
		fd++;
	if (fd < FDS_MAX)
		fds[fd] = (struct slot){ f, flags & O_CLOEXEC };
	lock_restore(&lock, irq);
	if (fd < FDS_MAX)
		return (long)fd;
	file_put(f);
	return -EMFILE;
}

long fd_add(struct file *f, unsigned flags)
{
	return add_from(f, 0, flags);
}

struct file *fd_get(uint64_t fd)
{
	struct file *f = NULL;
	uint64_t irq = lock_save(&lock);

	if (fd < FDS_MAX && fds[fd].file)
		f = file_ref(fds[fd].file);
	lock_restore(&lock, irq);
	return f;
}

/* Puts (f), which may be NULL, at the number (fd), and returns who was there. */
static struct file *exchange(uint64_t fd, struct file *f, bool close_on_exec)
{
	uint64_t irq = lock_save(&lock);
	struct file *old = fds[fd].file;

	fds[fd] = (struct slot){ f, close_on_exec };
	lock_restore(&lock, irq);
	return old;
}

void fd_close_all(bool exec)
{
	for (uint64_t fd = 0; fd < FDS_MAX; fd++) {
		struct file *old = !exec || fds[fd].close_on_exec ? exchange(fd, NULL, false) : NULL;

		if (old)
			file_put(old);
	}
}

void fd_init(struct file *in, struct file *out, struct file *console)
{
	exchange(0, in, false);
	exchange(1, out, false);
	exchange(2, console, false);
}

void file_watch(struct file *f, struct watch *w)
{
	uint64_t irq = lock_save(&f->watch_lock);

	w->file = f;
	w->next = f->watches;
	w->link = &f->watches;
	if (w->next)
		w->next->link = &w->next;
	f->watches = w;
	lock_restore(&f->watch_lock, irq);
}

void file_unwatch(struct watch *w)
{
	uint64_t irq = lock_save(&w->file->watch_lock);

	*w->link = w->next;
	if (w->next)
		w->next->link = w->link;
	lock_restore(&w->file->watch_lock, irq);
}

void file_ready(struct file *f)
{
	uint64_t irq;

	if (!f->watches) /* who begins to watch looks afterwards */
		return;
	irq = lock_save(&f->watch_lock);
	for (struct watch *w = f->watches; w; w = w->next)
		w->ring(w);
	lock_restore(&f->watch_lock, irq);
}

unsigned file_poll(struct file *f)
{
	return f->ops->poll ? f->ops->poll(f) : POLLIN | POLLOUT;
}

struct waiter {
	struct watch watch;
	struct bell bell;
};

static void ring_waiter(struct watch *w)
{
	bell_ring(&((struct waiter *)w)->bell);
}

long file_wait(struct file *f, unsigned events, uint64_t until)
{
	struct waiter waiter = { .watch.ring = ring_waiter };
	long err = 0;

	if (f->flags & O_NONBLOCK)
		return -EAGAIN;
	file_watch(f, &waiter.watch);
	do {
		bell_reset(&waiter.bell);
		if (file_poll(f) & (events | POLLERR | POLLHUP))
			break;
		err = bell_wait(&waiter.bell, until, true);
	} while (!err);
	file_unwatch(&waiter.watch);
	return err == -ETIMEDOUT ? -EAGAIN : err == -EINTR ? -ERESTART : err;
}

long fd_close(uint64_t fd)
{
	struct file *old = fd < FDS_MAX ? exchange(fd, NULL, false) : NULL;

	if (!old)
		return -EBADF;
	file_put(old);
	return 0;
}

CALL(close)
{
	return fd_close(ARG1);
}

CALL(close_range)
{
	if (ARG1 > ARG2)
		return -EINVAL;
	for (uint64_t fd = ARG1; fd < FDS_MAX && fd <= (uint32_t)ARG2; fd++) {
		if (ARG3 & 4) /* CLOSE_RANGE_CLOEXEC */
			fds[fd].close_on_exec = true;
		else
			fd_close(fd);
	}
	return 0;
}

CALL(dup)
{
	struct file *file = fd_get(ARG1);

	return file ? fd_add(file, 0) : -EBADF;
}

static long dup_to(uint64_t from, uint64_t to, unsigned flags)
{
	struct file *file = to < FDS_MAX ? fd_get(from) : NULL, *old;

	if (!file)
		return -EBADF;
	old = exchange(to, file, flags & O_CLOEXEC);
	if (old)
		file_put(old);
	return (long)to;
}

CALL(dup2)
{
	struct file *same;

	if (ARG1 != ARG2)
		return dup_to(ARG1, ARG2, 0);
	same = fd_get(ARG1);
	if (!same)
		return -EBADF;
	file_put(same);
	return (long)ARG1;
}

CALL(dup3)
{
	if (ARG1 == ARG2 || ARG3 & ~O_CLOEXEC)
		return -EINVAL;
	return dup_to(ARG1, ARG2, (unsigned)ARG3);
}

enum { F_DUPFD = 0, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK, F_SETLKW, F_DUPFD_CLOEXEC = 1030 };

CALL(fcntl)
{
	struct file *file = fd_get(ARG1);
	long result = 0;

	if (!file)
		return -EBADF;
	switch (ARG2) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		return ARG3 >= FDS_MAX ? (file_put(file), -EINVAL)
				       : add_from(file, ARG3, ARG2 == F_DUPFD ? 0 : O_CLOEXEC);
	case F_GETFD:
		result = fds[ARG1].close_on_exec;
		break;
	case F_SETFD:
		fds[ARG1].close_on_exec = ARG3 & 1;
		break;
	case F_GETFL:
		result = (long)file->flags;
		break;
	case F_SETFL:
		file->flags = (file->flags & O_ACCESS) | ((unsigned)ARG3 & (O_NONBLOCK | O_APPEND));
		break;
	case F_GETLK: /* one process: nobody else has a lock */
		result = copy_out((void *)ARG3, &(short){ 2 }, sizeof(short));
		break;
	case F_SETLK:
	case F_SETLKW:
		break;
	default:
		result = -EINVAL;
	}
	file_put(file);
	return result;
}
