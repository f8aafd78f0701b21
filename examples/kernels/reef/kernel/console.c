/* SPDX-License-Identifier: MIT */
/* console.c: the console: the serial line, or as a co-kernel, which has none, the ring to the agent. */
#include "cokernel.h"

void console_init(void)
{
	if (!cokernel)
		serial_init();
}

void console_write(const void *buf, size_t len)
{
	if (cokernel)
		cokernel_console_write(buf, len);
	else
		serial_write(buf, len);
}

size_t console_read(void *buf, size_t len)
{
	return cokernel ? cokernel_console_read(buf, len) : serial_read(buf, len);
}
