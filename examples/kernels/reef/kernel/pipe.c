/* SPDX-License-Identifier: MIT */
/* pipe.c: two files with a ring of bytes between them; what is written to one is read from the other. */
#include "file.h"

#define ROOM 65536u
#define ATOM 4096u /* PIPE_BUF: this much is not mixed with other writers' */

struct pipe {
	struct mutex mutex; /* guards the next two, and the bytes */
	uint64_t in, out;
	struct file *volatile reader,
		*volatile writer; /* NULL: closed. Under (ends), as are the calls of file_ready */
	struct lock ends;
	char bytes[ROOM];
};

static void tell(struct pipe *p, struct file *volatile *end)
{
	uint64_t irq = lock_save(&p->ends);

	if (*end)
		file_ready(*end);
	lock_restore(&p->ends, irq);
}

static long take(struct pipe *p, char *buf, size_t len)
{
	size_t n = p->in - p->out, first = ROOM - p->out % ROOM;

	n = n < len ? n : len;
	first = first < n ? first : n;
	if (copy_out(buf, p->bytes + p->out % ROOM, first) || copy_out(buf + first, p->bytes, n - first))
		return -EFAULT;
	p->out += n;
	return (long)n;
}

static long give(struct pipe *p, const char *buf, size_t len)
{
	size_t n = ROOM - (p->in - p->out), first = ROOM - p->in % ROOM;

	if (len <= ATOM && n < len)
		return 0;
	n = n < len ? n : len;
	first = first < n ? first : n;
	if (copy_in(p->bytes + p->in % ROOM, buf, first) || copy_in(p->bytes, buf + first, n - first))
		return -EFAULT;
	p->in += n;
	return (long)n;
}

static long pipe_read(struct file *f, void *buf, size_t len)
{
	struct pipe *p = f->own;

	while (len) {
		bool ended = !p->writer; /* before the look: its last bytes are in by then */
		long n;

		mutex_lock(&p->mutex);
		n = take(p, buf, len);
		mutex_unlock(&p->mutex);
		if (n > 0)
			tell(p, &p->writer);
		if (n || ended)
			return n;
		n = file_wait(f, POLLIN, NEVER);
		if (n)
			return n;
	}
	return 0;
}

static long pipe_write(struct file *f, const void *buf, size_t len)
{
	struct pipe *p = f->own;
	size_t done = 0;

	while (done < len) {
		long n;

		if (!p->reader) {
			signal_self(13); /* SIGPIPE */
			return done ? (long)done : -EPIPE;
		}
		mutex_lock(&p->mutex);
		n = give(p, (const char *)buf + done, len - done);
		mutex_unlock(&p->mutex);
		if (n > 0) {
			tell(p, &p->reader);
			done += (size_t)n;
			continue;
		}
		if (!n)
			n = file_wait(f, POLLOUT, NEVER);
		if (n)
			return done ? (long)done : n;
	}
	return (long)done;
}

static unsigned pipe_poll(struct file *f)
{
	struct pipe *p = f->own;

	if ((f->flags & O_ACCESS) == O_RDONLY)
		return (p->in != p->out ? POLLIN : 0) | (p->writer ? 0 : POLLHUP);
	return (ROOM - (p->in - p->out) >= ATOM ? POLLOUT : 0) | (p->reader ? 0 : POLLERR);
}

static long pipe_stat(struct file *f, struct stat *st)
{
	st->mode = S_IFIFO | 0600;
	st->ino = (uint64_t)f->own;
	st->nlink = 1;
	st->blksize = ATOM;
	return 0;
}

static void pipe_close(struct file *f)
{
	struct pipe *p = f->own;
	bool last;
	uint64_t irq = lock_save(&p->ends);

	*(f == p->reader ? &p->reader : &p->writer) = NULL;
	if (p->reader)
		file_ready(p->reader);
	if (p->writer)
		file_ready(p->writer);
	last = !p->reader && !p->writer;
	lock_restore(&p->ends, irq);
	if (last)
		free(p);
}

static const struct file_ops pipe_ops = { .name = "pipe",
	.read = pipe_read,
	.write = pipe_write,
	.stat = pipe_stat,
	.poll = pipe_poll,
	.close = pipe_close };

static long pipe_make(int *user_fds, unsigned flags)
{
	struct pipe *p = malloc(sizeof(*p));
	struct file *reader = p ? file_new(&pipe_ops, O_RDONLY | flags, p) : NULL;
	struct file *writer = reader ? file_new(&pipe_ops, O_WRONLY | flags, p) : NULL;
	int fds[2];

	if (!writer) {
		free(reader);
		free(p);
		return -ENOMEM;
	}
	memset(p, 0, offsetof(struct pipe, bytes));
	p->reader = reader;
	p->writer = writer;
	fds[0] = (int)fd_add(reader, flags);
	fds[1] = (int)fd_add(writer, flags);
	if (fds[0] < 0 || fds[1] < 0) {
		if (fds[0] >= 0)
			fd_close((uint64_t)fds[0]);
		if (fds[1] >= 0)
			fd_close((uint64_t)fds[1]);
		return -EMFILE;
	}
	return copy_out(user_fds, fds, sizeof(fds));
}

CALL(pipe)
{
	return pipe_make((int *)ARG1, 0);
}

CALL(pipe2)
{
	return pipe_make((int *)ARG1, (unsigned)ARG2);
}
