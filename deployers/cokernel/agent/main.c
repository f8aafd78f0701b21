/* SPDX-License-Identifier: MIT */
/*
 * main.c: the agent, the Linux side of a co-kernel. As process 1 of the ROS it sets Linux up and speaks with the deployer on a
 * virtio port; else  agent SOCKET  speaks on a Unix socket that the deployer listens on.
 */
#include "deployers/cokernel/agent/parts.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* The heap would lie among the program's addresses. With a page in its way the C library, which tries brk once, takes all its
 * memory elsewhere. */
static void spend_brk(void)
{
	void *end = (void *)((syscall(SYS_brk, 0) + 4095) & ~4095l);
	void *page = mmap(end, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	void *volatile first = malloc(64);

	free(first);
	if (page != MAP_FAILED)
		munmap(page, 4096);
}

static int connect_to(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(a.sun_path))
		return fail(-ENAMETOOLONG, "%s: too long for a socket", path);
	strcpy(a.sun_path, path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return fail(-errno, "%s: %s", path, strerror(errno));
	return fd;
}

static int as_init(void)
{
	struct streams s = { -1, -1, -1, -1 };
	bool halt = false;

	if (init_linux(&s) < 0 || talk(&s, &halt) < 0)
		say("%s", failure);
	init_power_off();
}

static int on_socket(const char *path)
{
	struct streams s = { connect_to(path), -1, 0, 1 };
	bool halt;

	if (s.agent < 0 || talk(&s, &halt) < 0) {
		say("%s", failure);
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	spend_brk();
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_CHILD_SUBREAPER, 1); /* for orphans.c */
	if (getpid() == 1)
		return as_init();
	if (argc == 2)
		return on_socket(argv[1]);
	fprintf(stderr, "usage: agent SOCKET\n");
	return 64;
}
