/* SPDX-License-Identifier: MIT */
/*
 * ports.c: Linux numbers the ports of a virtio console as vport0p1, vport0p2 ...; their names are in sysfs.
 */
#include "init.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CLASS "/sys/class/virtio-ports"

static int is_named(const char *port, const char *name)
{
	char path[512], text[128] = "";

	snprintf(path, sizeof(path), CLASS "/%s/name", port);
	FILE *f = fopen(path, "re");
	if (!f)
		return 0;
	if (!fgets(text, sizeof(text), f))
		*text = 0;
	fclose(f);
	text[strcspn(text, "\n")] = 0;
	return !strcmp(text, name);
}

/* The device of the port called (name), as vport0p1; 0: there is none, yet. */
static int find(const char *name, char *out, size_t size)
{
	DIR *dir = opendir(CLASS);
	struct dirent *e;
	int found = 0;

	while (dir && !found && (e = readdir(dir)))
		if (*e->d_name != '.' && is_named(e->d_name, name))
			found = snprintf(out, size, "/dev/%s", e->d_name) > 0;
	if (dir)
		closedir(dir);
	return found;
}

/* The driver names its ports some time after it was loaded. Without its device there is nothing to wait for. */
int ports_wait(const char *name, int limit_ms)
{
	char path[300];

	for (int ms = 0; ms < limit_ms; ms++) {
		if (find(name, path, sizeof(path)))
			return 0;
		if (access("/sys/bus/virtio/drivers/virtio_console/virtio0", F_OK) < 0 && ms > 100)
			return -1;
		usleep(1000);
	}
	return -1;
}

int port_open(const char *name, int flags)
{
	char path[300];

	return find(name, path, sizeof(path)) ? open(path, flags | O_CLOEXEC) : -1;
}

/* The driver learns that the host's end is open a moment after it learns the name, and until then a read would be the
 * end of input. */
void port_settle(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	for (int ms = 0; ms < 10 && poll(&p, 1, 0) >= 0 && (p.revents & POLLHUP); ms++)
		usleep(1000);
}
