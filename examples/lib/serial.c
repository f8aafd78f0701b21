/* SPDX-License-Identifier: MIT */
/* serial.c: the console, a 16550 at its usual place. Output only, by waiting for room: it is for few words.
 */
#include "lib.h"

enum { DATA = GUEST_SERIAL_PORT, INTERRUPTS, FIFO, LINE, MODEM, LINE_STATUS };

#define LINE_8N1     0x03
#define LINE_DIVISOR 0x80 /* DATA and INTERRUPTS are the divisor */
#define STATUS_ROOM  0x20

void serial_init(void)
{
	out8(INTERRUPTS, 0);
	out8(LINE, LINE_DIVISOR);
	out8(DATA, 1); /* 115200 baud */
	out8(INTERRUPTS, 0);
	out8(LINE, LINE_8N1);
	out8(FIFO, 0x07); /* on, emptied */
	out8(MODEM, 0x03);
}

/* Without a serial line all bits read as one, so this ends. */
void serial_write(const void *buf, size_t len)
{
	const uint8_t *p = buf;

	while (len--) {
		while (!(in8(LINE_STATUS) & STATUS_ROOM))
			;
		out8(DATA, *p++);
	}
}
