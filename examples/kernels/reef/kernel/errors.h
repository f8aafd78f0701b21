/* SPDX-License-Identifier: MIT */
/* errors.h: Linux's error numbers, as system calls return them, negated. */
#ifndef ERRORS_H
#define ERRORS_H

enum {
	EPERM = 1,
	ENOENT = 2,
	ESRCH = 3,
	EINTR = 4,
	EIO = 5,
	E2BIG = 7,
	ENOEXEC = 8,
	EBADF = 9,
	ECHILD = 10,
	EAGAIN = 11,
	ENOMEM = 12,
	EACCES = 13,
	EFAULT = 14,
	EBUSY = 16,
	EEXIST = 17,
	EXDEV = 18,
	ENODEV = 19,
	ENOTDIR = 20,
	EISDIR = 21,
	EINVAL = 22,
	EMFILE = 24,
	ENOTTY = 25,
	EFBIG = 27,
	ENOSPC = 28,
	ESPIPE = 29,
	EROFS = 30,
	EMLINK = 31,
	EPIPE = 32,
	ERANGE = 34,
	ENAMETOOLONG = 36,
	ENOSYS = 38,
	ENOTEMPTY = 39,
	ELOOP = 40,
	EOVERFLOW = 75,
	ENOTSOCK = 88,
	EOPNOTSUPP = 95,
	ETIMEDOUT = 110,
	ECANCELED = 125,
	ERESTART =
		512, /* never seen by a program: EINTR, or, if the handler of the signal or there being none allows it, once more */
};

#endif
