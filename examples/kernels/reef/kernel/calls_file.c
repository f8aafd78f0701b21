/* SPDX-License-Identifier: MIT */
/* calls_file.c: reading, writing and asking of open files, whatever they are. */
#include "file.h"

#define AT_EMPTY_PATH 0x1000u
#define IOVS_MAX      1024u
#define FIONBIO	      0x5421u

/* What the file must have been opened for. */
static struct file *get_for(uint64_t fd, unsigned not_access)
{
	struct file *f = fd_get(fd);

	if (f && (f->flags & O_ACCESS) == not_access) {
		file_put(f);
		return NULL;
	}
	return f;
}

static long put(struct file *f, long result)
{
	file_put(f);
	return result;
}

static long read_at(struct file *f, void *buf, size_t len, const uint64_t *at)
{
	if (at)
		return f->ops->pread ? f->ops->pread(f, buf, len, *at) : -ESPIPE;
	return f->ops->read ? f->ops->read(f, buf, len) : -EINVAL;
}

static long write_at(struct file *f, const void *buf, size_t len, const uint64_t *at)
{
	if (at)
		return f->ops->pwrite ? f->ops->pwrite(f, buf, len, *at) : -ESPIPE;
	return f->ops->write ? f->ops->write(f, buf, len) : -EINVAL;
}

CALL(read)
{
	struct file *file = get_for(ARG1, O_WRONLY);

	return file ? put(file, read_at(file, (void *)ARG2, ARG3, NULL)) : -EBADF;
}

CALL(write)
{
	struct file *file = get_for(ARG1, O_RDONLY);

	return file ? put(file, write_at(file, (void *)ARG2, ARG3, NULL)) : -EBADF;
}

CALL(pread64)
{
	struct file *file = get_for(ARG1, O_WRONLY);

	return file ? put(file, read_at(file, (void *)ARG2, ARG3, &ARG4)) : -EBADF;
}

CALL(pwrite64)
{
	struct file *file = get_for(ARG1, O_RDONLY);

	return file ? put(file, write_at(file, (void *)ARG2, ARG3, &ARG4)) : -EBADF;
}

/* Piece by piece, until one is not done whole. */
static long vector(struct file *f, const struct iovec *user, uint64_t count, uint64_t *at, bool write)
{
	long done = 0;

	if (count > IOVS_MAX)
		return -EINVAL;
	for (uint64_t i = 0; i < count; i++) {
		struct iovec v;
		long n = copy_in(&v, &user[i], sizeof(v));

		if (!n && v.len)
			n = write ? write_at(f, v.base, v.len, at) : read_at(f, v.base, v.len, at);
		if (n < 0)
			return done ? done : n;
		done += n;
		if (at)
			*at += (uint64_t)n;
		if ((size_t)n < v.len)
			break;
	}
	return done;
}

CALL(readv)
{
	struct file *file = get_for(ARG1, O_WRONLY);

	return file ? put(file, vector(file, (void *)ARG2, ARG3, NULL, false)) : -EBADF;
}

CALL(writev)
{
	struct file *file = get_for(ARG1, O_RDONLY);

	return file ? put(file, vector(file, (void *)ARG2, ARG3, NULL, true)) : -EBADF;
}

CALL(preadv)
{
	struct file *file = get_for(ARG1, O_WRONLY);
	uint64_t at = ARG4;

	return file ? put(file, vector(file, (void *)ARG2, ARG3, &at, false)) : -EBADF;
}

CALL(pwritev)
{
	struct file *file = get_for(ARG1, O_RDONLY);
	uint64_t at = ARG4;

	return file ? put(file, vector(file, (void *)ARG2, ARG3, &at, true)) : -EBADF;
}

CALL(lseek)
{
	struct file *file = fd_get(ARG1);

	if (!file)
		return -EBADF;
	return put(file, file->ops->lseek ? file->ops->lseek(file, (int64_t)ARG2, (int)ARG3) : -ESPIPE);
}

CALL(ioctl)
{
	struct file *file = fd_get(ARG1);
	int on;
	long result = -ENOTTY;

	if (!file)
		return -EBADF;
	if ((uint32_t)ARG2 == FIONBIO) {
		result = copy_in(&on, (void *)ARG3, sizeof(on));
		if (!result)
			file->flags = on ? file->flags | O_NONBLOCK : file->flags & ~O_NONBLOCK;
	} else if (file->ops->ioctl) {
		result = file->ops->ioctl(file, (unsigned)ARG2, ARG3);
	}
	return put(file, result);
}

long file_stat(struct file *f, struct stat *st)
{
	*st = (struct stat){ .nlink = 1, .mode = S_IFCHR | 0620, .blksize = PAGE };
	if (!f->ops->stat)
		return 0;
	*st = (struct stat){ 0 };
	return f->ops->stat(f, st);
}

CALL(fstat)
{
	struct file *file = fd_get(ARG1);
	struct stat st;
	long err;

	if (!file)
		return -EBADF;
	err = put(file, file_stat(file, &st));
	return err ? err : copy_out((void *)ARG2, &st, sizeof(st));
}

CALL(getdents64)
{
	struct file *file = fd_get(ARG1);

	if (!file)
		return -EBADF;
	return put(file, file->ops->getdents ? file->ops->getdents(file, (void *)ARG2, ARG3) : -ENOTDIR);
}

CALL(ftruncate)
{
	struct file *file = get_for(ARG1, O_RDONLY);

	if (!file)
		return -EBADF;
	return put(file, file->ops->truncate ? file->ops->truncate(file, ARG2) : -EINVAL);
}

static long just_there(uint64_t fd)
{
	struct file *file = fd_get(fd);

	return file ? put(file, 0) : -EBADF;
}

CALL(fsync)
{
	return just_there(ARG1);
}

CALL(fdatasync)
{
	return just_there(ARG1);
}

CALL(fadvise64)
{
	return just_there(ARG1);
}
CALL(flock)
{
	return just_there(ARG1);
}
