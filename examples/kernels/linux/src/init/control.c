/* SPDX-License-Identifier: MIT */
/* control.c: messages with the host. A message is one write, and arrives as one read. */
#include "init.h"

#include "guest.h"

#include <unistd.h>

void control_send(int fd, unsigned type, uint64_t value)
{
	struct guest_message m = { GUEST_MESSAGE_MAGIC, GUEST_REV, (uint16_t)type, value };

	if (fd >= 0 && write(fd, &m, sizeof(m)) != sizeof(m))
		say("the host does not take messages");
}

unsigned control_read(int fd, uint64_t *value)
{
	struct guest_message m;

	if (read(fd, &m, sizeof(m)) != sizeof(m) || m.magic != GUEST_MESSAGE_MAGIC || m.rev != GUEST_REV)
		return 0;
	*value = m.value;
	return m.type;
}
