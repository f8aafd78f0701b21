/* SPDX-License-Identifier: MIT */
/* init.c: the agent as the ROS's first process: mounts, modules in the order of a list, the virtio ports by their names. */
#include "deployers/cokernel/agent/parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CLASS	 "/sys/class/virtio-ports"
#define VIRTIO	 "/sys/bus/virtio/devices"
#define MODULES	 "/lib/modules"
#define PORT_MS	 3000
#define INPUT_MS 20

static void mounts(void)
{
	static const struct {
		const char *type, *at;
	} all[] = { { "devtmpfs", "/dev" }, { "proc", "/proc" }, { "sysfs", "/sys" } };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		mkdir(all[i].at, 0755);
		if (mount("none", all[i].at, all[i].type, 0, NULL) < 0 && errno != EBUSY)
			say("cannot mount %s: %s", all[i].at, strerror(errno));
	}
}

static void open_console(void)
{
	int fd = open("/dev/console", O_RDWR | O_NOCTTY);

	for (int i = 0; fd >= 0 && i < 3; i++)
		dup2(fd, i);
	if (fd > 2)
		close(fd);
}

static void load(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), MODULES "/%s.ko", name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return; /* part of the kernel, or not needed */
	if (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST)
		say("module %s: %s", name, strerror(errno));
	close(fd);
}

static int is_kind(const char *device, unsigned kind)
{
	char path[512];
	unsigned its = 0;

	snprintf(path, sizeof(path), VIRTIO "/%s/device", device);
	FILE *f = fopen(path, "re");
	if (!f)
		return 0;
	int read = fscanf(f, "%x", &its);
	fclose(f);
	return read == 1 && its == kind;
}

static int has_device(unsigned kind)
{
	DIR *dir = opendir(VIRTIO);
	struct dirent *e;
	int found = 0;

	while (dir && !found && (e = readdir(dir)))
		found = *e->d_name != '.' && is_kind(e->d_name, kind);
	if (dir)
		closedir(dir);
	return found;
}

/* A line is NAME or NAME:KIND, for those that nobody needs without a virtio device of that kind (1 network, 2 disk): each takes
 * some 20 ms. */
static void load_modules(void)
{
	char line[128];
	FILE *order = fopen(MODULES "/order", "re");

	if (!order) {
		say("%s: %s", MODULES "/order", strerror(errno));
		return;
	}
	while (fscanf(order, "%127s", line) == 1) {
		char *kind = line, *name = strsep(&kind, ":");

		if (!kind || has_device((unsigned)strtoul(kind, NULL, 10)))
			load(name);
	}
	fclose(order);
}

/* "" as long as the driver does not know it. */
static void read_name(const char *port, char *text, int size)
{
	char path[512];

	snprintf(path, sizeof(path), CLASS "/%s/name", port);
	FILE *f = fopen(path, "re");
	if (!f || !fgets(text, size, f))
		*text = 0;
	if (f)
		fclose(f);
	text[strcspn(text, "\n")] = 0;
}

/* QEMU tells the driver of all ports before it tells the first one's name. */
static int all_are_named(void)
{
	DIR *dir = opendir(CLASS);
	int ports = 0, named = 0;

	for (struct dirent *e; dir && (e = readdir(dir));) {
		char text[128];

		if (*e->d_name == '.')
			continue;
		read_name(e->d_name, text, sizeof(text));
		ports++;
		named += *text != 0;
	}
	if (dir)
		closedir(dir);
	return ports && named == ports;
}

static int open_port(const char *name, int flags)
{
	DIR *dir = opendir(CLASS);
	struct dirent *e;
	int fd = -1;

	while (dir && fd < 0 && (e = readdir(dir))) {
		char path[300], text[128];

		if (*e->d_name == '.')
			continue;
		read_name(e->d_name, text, sizeof(text));
		if (strcmp(text, name))
			continue;
		snprintf(path, sizeof(path), "/dev/%s", e->d_name);
		fd = open(path, flags | O_CLOEXEC);
	}
	if (dir)
		closedir(dir);
	return fd;
}

/* The driver names its ports some time after it was loaded, one after another. One that has no name then is not there: without
 * streams of its own a kernel has no ports for them. */
static int wait_for_port(const char *name, int flags)
{
	int fd = -1, all = 0;

	for (int ms = 0; ms < PORT_MS && fd < 0 && !all; ms += 2) {
		all = all_are_named();
		fd = open_port(name, flags);
		if (fd < 0 && !all)
			usleep(2000);
	}
	return fd;
}

/* The driver learns that the host's end is open a moment after it learns the name, and until then a read would be the end of
 * input, and what is written would be lost. */
static void settle(int fd, int limit)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	for (int ms = 0; fd >= 0 && ms < limit && poll(&p, 1, 0) >= 0 && (p.revents & POLLHUP); ms++)
		usleep(1000);
}

/* Somebody ran it as a kernel of its own: an exit status that says so, where one is heard. */
static int not_alone(void)
{
	struct guest_message m[2] = { { GUEST_MESSAGE_MAGIC, GUEST_REV, GUEST_HELLO, 1 },
		{ GUEST_MESSAGE_MAGIC, GUEST_REV, GUEST_EXIT, 64 } };
	int fd = open_port(GUEST_PORT_CONTROL, O_WRONLY);

	fail(-ENODEV,
		"there is no port %s: this Linux is the part of splitVM that serves a specialised kernel, "
		"and is not run "
		"by itself",
		AGENT_PORT);
	if (fd < 0)
		return -ENODEV;
	say("%s", failure);
	for (int i = 0; i < 2; i++)
		(void)!write(fd, &m[i], sizeof(m[i]));
	for (;;)
		pause(); /* the host ends the machine */
}

int init_linux(struct streams *s)
{
	mounts();
	open_console();
	load_modules();
	s->agent = wait_for_port(AGENT_PORT, O_RDWR);
	if (s->agent < 0)
		return not_alone();
	s->console = wait_for_port(AGENT_PORT_CONSOLE, O_RDWR);
	s->in = wait_for_port(GUEST_PORT_STDIN, O_RDONLY);
	s->out = wait_for_port(GUEST_PORT_STDOUT, O_WRONLY);
	settle(s->agent, PORT_MS);
	settle(s->console, PORT_MS);
	settle(s->in, INPUT_MS); /* its end may be closed for good: there is no input */
	return 0;
}

void init_power_off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}
