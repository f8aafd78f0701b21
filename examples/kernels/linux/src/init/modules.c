/* SPDX-License-Identifier: MIT */
/*
 * modules.c: no depmod and no modprobe here: the order is a file, so that a boot reads nothing else.
 */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int load(const char *dir, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s.ko", dir, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0;
	int err = fd < 0 ? -1 : (int)syscall(SYS_finit_module, fd, "", 0);
	if (err < 0 && errno != EEXIST)
		say("module %s: %s", name, strerror(errno));
	else
		err = 0;
	if (fd >= 0)
		close(fd);
	return err;
}

int modules_load(const char *dir)
{
	char path[256], name[128];
	int err = 0;

	snprintf(path, sizeof(path), "%s/order", dir);
	FILE *order = fopen(path, "re");
	if (!order) {
		say("%s: %s", path, strerror(errno));
		return -1;
	}
	while (fscanf(order, "%127s", name) == 1)
		err |= load(dir, name);
	fclose(order);
	return err;
}
