/* SPDX-License-Identifier: MIT */
/*
 * delegate_file.c: files of the ROS as files of this kernel, to load programs from, and as the streams of an application that
 * is linked with the kernel. The ROS does not see the kernel's memory, so each has a buffer among the program's addresses.
 */
#include "delegate.h"

enum {
	CALL_READ = 0,
	CALL_WRITE = 1,
	CALL_CLOSE = 3,
	CALL_FSTAT = 5,
	CALL_POLL = 7,
	CALL_PREAD = 17,
	CALL_FCNTL = 72,
	CALL_OPENAT = 257
};
#define AT_FDCWD   ((uint64_t)-100)
#define BUFFER	   65536u
#define F_GETFD	   1u
#define FD_CLOEXEC 1

struct remote {
	uint64_t fd;
	char *buffer; /* under the file's mutex */
	bool keep;    /* the descriptor is not ours to close */
};

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* A call that fills the buffer; what it got goes to (to). */
static long fetch(struct file *f, uint64_t call, void *to, size_t len, uint64_t at)
{
	struct remote *r = f->own;
	long n;

	len = least(len, BUFFER);
	mutex_lock(&f->mutex);
	n = DELEGATE(call, r->fd, (uint64_t)r->buffer, len, at);
	if (n > 0 && ((size_t)n > len || copy_out(to, r->buffer, (size_t)n)))
		n = -EFAULT;
	mutex_unlock(&f->mutex);
	return n;
}

static long remote_pread(struct file *f, void *buf, size_t len, uint64_t at)
{
	return fetch(f, CALL_PREAD, buf, len, at);
}

static long remote_read(struct file *f, void *buf, size_t len)
{
	return fetch(f, CALL_READ, buf, len, 0);
}

static long remote_write(struct file *f, const void *buf, size_t len)
{
	struct remote *r = f->own;
	long n;

	len = least(len, BUFFER);
	mutex_lock(&f->mutex);
	n = copy_in(r->buffer, buf, len);
	if (!n)
		n = DELEGATE(CALL_WRITE, r->fd, (uint64_t)r->buffer, len);
	mutex_unlock(&f->mutex);
	return n;
}

static long remote_stat(struct file *f, struct stat *st)
{
	struct remote *r = f->own;
	long err;

	mutex_lock(&f->mutex);
	err = DELEGATE(CALL_FSTAT, r->fd, (uint64_t)r->buffer);
	if (!err)
		err = copy_in(st, r->buffer, sizeof(*st));
	mutex_unlock(&f->mutex);
	return err;
}

static void remote_close(struct file *f)
{
	struct remote *r = f->own;

	if (!r->keep)
		DELEGATE(CALL_CLOSE, r->fd);
	region_remove((uint64_t)r->buffer, BUFFER);
	free(r);
}

static const struct file_ops remote_ops = { .name = "remote",
	.read = remote_read,
	.write = remote_write,
	.pread = remote_pread,
	.stat = remote_stat,
	.close = remote_close };

static struct file *make(uint64_t fd, unsigned flags, bool keep)
{
	struct remote *r = malloc(sizeof(*r));
	char *buffer = (char *)region_add(REGION_PROGRAM, BUFFER, REGION_READ | REGION_WRITE);
	struct file *file = r && buffer ? file_new(&remote_ops, flags, r) : NULL;

	if (file) {
		*r = (struct remote){ fd, buffer, keep };
		return file;
	}
	free(r);
	if (buffer)
		region_remove((uint64_t)buffer, BUFFER);
	return NULL;
}

long delegate_open(const char *path, struct file **file)
{
	size_t len = strlen(path) + 1;
	struct remote *r;
	long fd;

	*file = make(0, O_RDONLY, true);
	if (!*file || len > BUFFER)
		return -ENOMEM;
	r = (*file)->own;
	memcpy(r->buffer, path, len);
	fd = DELEGATE(CALL_OPENAT, AT_FDCWD, (uint64_t)r->buffer, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		file_put(*file);
		return fd;
	}
	r->fd = (uint64_t)fd;
	r->keep = false;
	return 0;
}

/* Descriptors are handed out from the lowest on: behind so many that are free there are none of the program's. */
#define GAP 64

void delegate_exec(void)
{
	unsigned gap = 0;

	for (uint64_t fd = 3; gap < GAP; fd++) {
		long flags = DELEGATE(CALL_FCNTL, fd, F_GETFD);

		gap = flags < 0 ? gap + 1 : 0;
		if (flags > 0 && flags & FD_CLOEXEC)
			DELEGATE(CALL_CLOSE, fd);
	}
}

int delegate_fd(const struct file *f)
{
	const struct remote *r = f->own;

	return f->ops == &remote_ops ? (int)r->fd : -1;
}

struct file *delegate_stream(uint64_t fd, unsigned flags)
{
	return make(fd, flags, true);
}

struct file *delegate_own(uint64_t fd)
{
	return make(fd, O_RDONLY, false);
}
