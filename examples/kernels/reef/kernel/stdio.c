/* SPDX-License-Identifier: MIT */
/* stdio.c: the descriptors 0, 1 and 2: the streams and the console as files. */
#include "cokernel.h"
#include "delegate.h"

static struct file *in, *out;

static long in_read(struct file *f, void *buf, size_t len)
{
	long err = touch_out(buf, len);

	if (!err && len)
		err = file_wait(f, POLLIN, NEVER);
	return err || !len ? err : (long)io_read(buf, len);
}

static unsigned in_poll(struct file *f)
{
	(void)f;
	return io_readable() ? POLLIN : 0;
}

static long out_write(struct file *f, const void *buf, size_t len)
{
	(void)f;
	if (touch_in(buf, len))
		return -EFAULT;
	io_write(buf, len);
	return (long)len;
}

static long err_write(struct file *f, const void *buf, size_t len)
{
	(void)f;
	if (touch_in(buf, len))
		return -EFAULT;
	io_console(buf, len);
	return (long)len;
}

static unsigned out_poll(struct file *f)
{
	(void)f;
	return POLLOUT;
}

static long stream_stat(struct file *f, struct stat *st)
{
	(void)f;
	st->mode = S_IFIFO | 0600;
	st->nlink = 1;
	st->blksize = PAGE;
	return 0;
}

static const struct file_ops in_ops = {
	.name = "stdin", .read = in_read, .stat = stream_stat, .poll = in_poll
};
static const struct file_ops out_ops = {
	.name = "stdout", .write = out_write, .stat = stream_stat, .poll = out_poll
};
static const struct file_ops console_ops = { .name = "console", .write = err_write, .poll = out_poll };

void stdio_init(void)
{
	struct file *console = file_new(&console_ops, O_RDWR, NULL);

	in = cokernel ? delegate_stream(0, O_RDONLY) : file_new(&in_ops, O_RDONLY, NULL);
	out = cokernel ? delegate_stream(1, O_WRONLY) : file_new(&out_ops, O_WRONLY, NULL);
	if (!in || !out || !console)
		panic("no memory for the first files");
	file_ref(in); /* the interrupt's */
	fd_init(in, out, console);
}

void stdio_changed(void)
{
	if (in)
		file_ready(in);
}
