/* SPDX-License-Identifier: MIT */
/*
 * serial.c: the console, a 16550 at its usual place. Output waits for room: it is for few words. Input is for what
 * somebody types; from the first look on, the line interrupts when there is something.
 */
#include "lib.h"

enum { DATA = GUEST_SERIAL_PORT, INTERRUPTS, FIFO, LINE, MODEM, LINE_STATUS };

#define LINE_8N1     0x03
#define LINE_DIVISOR 0x80 /* DATA and INTERRUPTS are the divisor */
#define STATUS_DATA  0x01
#define STATUS_ROOM  0x20
#define STATUS_NONE  0xff /* there is no serial line */

#define INTERRUPT_DATA 0x01
#define MODEM_READY    0x03
#define MODEM_WIRED    0x08 /* on a PC: connects the interrupt */

void serial_init(void)
{
	out8(INTERRUPTS, 0);
	out8(LINE, LINE_DIVISOR);
	out8(DATA, 1); /* 115200 baud */
	out8(INTERRUPTS, 0);
	out8(LINE, LINE_8N1);
	out8(FIFO, 0x07); /* on, emptied */
	out8(MODEM, MODEM_READY);
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

size_t serial_read(void *buf, size_t len)
{
	static bool listening;
	uint8_t *p = buf, status;
	size_t n = 0;

	if (!listening) {
		listening = true;
		interrupt_pin(SERIAL_PIN);
		out8(MODEM, MODEM_READY | MODEM_WIRED);
		out8(INTERRUPTS, INTERRUPT_DATA);
	}
	while (n < len && (status = in8(LINE_STATUS)) & STATUS_DATA && status != STATUS_NONE)
		p[n++] = in8(DATA);
	return n;
}
