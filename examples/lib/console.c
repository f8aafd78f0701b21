/* SPDX-License-Identifier: MIT */
/* console.c: the console of these kernels is the serial line, always. A kernel that has another writes its own of this. */
#include "lib.h"

void console_init(void)
{
	serial_init();
}

void console_write(const void *buf, size_t len)
{
	serial_write(buf, len);
}

size_t console_read(void *buf, size_t len)
{
	return serial_read(buf, len);
}
