/* SPDX-License-Identifier: MIT */
/* devfile.c: the files in /dev: null, zero, full, random, urandom, console. */
#include "memfs.h"

static long nothing(struct file *f, void *buf, size_t len)
{
	(void)f;
	(void)buf;
	(void)len;
	return 0;
}

static long swallow(struct file *f, const void *buf, size_t len)
{
	(void)f;
	(void)buf;
	return (long)len;
}

static long full(struct file *f, const void *buf, size_t len)
{
	(void)f;
	(void)buf;
	(void)len;
	return -ENOSPC;
}

static long zeroes(struct file *f, void *buf, size_t len)
{
	(void)f;
	if (touch_out(buf, len))
		return -EFAULT;
	memset(buf, 0, len);
	return (long)len;
}

static long noise(struct file *f, void *buf, size_t len)
{
	(void)f;
	if (touch_out(buf, len))
		return -EFAULT;
	random_bytes(buf, len);
	return (long)len;
}

static long to_console(struct file *f, const void *buf, size_t len)
{
	(void)f;
	if (touch_in(buf, len))
		return -EFAULT;
	io_console(buf, len);
	return (long)len;
}

static long no_seek(struct file *f, int64_t offset, int whence)
{
	(void)f;
	(void)offset;
	(void)whence;
	return 0;
}

static const struct file_ops null_ops = {
	.name = "null", .read = nothing, .write = swallow, .lseek = no_seek
};
static const struct file_ops zero_ops = {
	.name = "zero", .read = zeroes, .write = swallow, .lseek = no_seek
};
static const struct file_ops full_ops = { .name = "full", .read = zeroes, .write = full, .lseek = no_seek };
static const struct file_ops random_ops = {
	.name = "random", .read = noise, .write = swallow, .lseek = no_seek
};
static const struct file_ops console_ops = { .name = "console", .read = nothing, .write = to_console };

long devfile_init(void)
{
	static const struct {
		const char *path;
		const struct file_ops *ops;
	} devices[] = { { "/dev/null", &null_ops }, { "/dev/zero", &zero_ops }, { "/dev/full", &full_ops },
		{ "/dev/random", &random_ops }, { "/dev/urandom", &random_ops },
		{ "/dev/console", &console_ops }, { "/dev/tty", &console_ops } };
	long err = 0;

	for (unsigned i = 0; i < sizeof(devices) / sizeof(devices[0]) && !err; i++)
		err = memfs_put(devices[i].path, S_IFCHR | 0666, NULL, 0, devices[i].ops);
	return err;
}
