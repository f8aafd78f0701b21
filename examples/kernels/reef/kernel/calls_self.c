/* SPDX-License-Identifier: MIT */
/* calls_self.c: who the program is: there is one user, root. */
#include "syscall.h"

CALL(getuid)
{
	(void)f;
	return 0;
}
CALL(getgid)
{
	(void)f;
	return 0;
}
CALL(geteuid)
{
	(void)f;
	return 0;
}
CALL(getegid)
{
	(void)f;
	return 0;
}

CALL(getrandom)
{
	if (touch_out((void *)ARG1, ARG2))
		return -EFAULT;
	random_bytes((void *)ARG1, ARG2);
	return (long)ARG2;
}
