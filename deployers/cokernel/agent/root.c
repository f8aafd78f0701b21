/* SPDX-License-Identifier: MIT */
/*
 * root.c: the program's root: a squashfs from a disk, if there is one, under an overlay in memory, so that what the program writes is
 * all in one place and bounded. With devices that are harmless, and /proc and /sys to be read.
 */
#include "deployers/cokernel/agent/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define LOWER "/run/lower"
#define RW    "/run/rw"
#define ROOT  "/run/root"

const char root_path[] = ROOT, root_written[] = RW "/upper";

static int mount_or(
	const char *what, const char *at, const char *type, unsigned long flags, const char *options)
{
	mkdir(at, 0755);
	if (mount(what, at, type, flags, options) < 0)
		return fail(
			-errno, "the program's root: %s on %s: %s", type ? type : what, at, strerror(errno));
	return 0;
}

static int mount_lower(const struct config *c)
{
	char device[80];

	if (!*c->root) {
		mkdir(LOWER, 0755); /* empty */
		return 0;
	}
	snprintf(device, sizeof(device), "/dev/%s", c->root + (strncmp(c->root, "/dev/", 5) ? 0 : 5));
	return mount_or(device, LOWER, "squashfs", MS_RDONLY, NULL);
}

static int mount_overlay(const struct config *c)
{
	char size[64];

	snprintf(size, sizeof(size), "size=%um,mode=755", c->writable_mb);
	int err = mount_or("rw", RW, "tmpfs", 0, size);
	if (err)
		return err;
	mkdir(RW "/upper", 0755);
	mkdir(RW "/work", 0755);
	return mount_or(
		"root", ROOT, "overlay", 0, "lowerdir=" LOWER ",upperdir=" RW "/upper,workdir=" RW "/work");
}

static int make_dev(void)
{
	static const struct {
		const char *path;
		unsigned minor;
	} nodes[] = { { ROOT "/dev/null", 3 }, { ROOT "/dev/zero", 5 }, { ROOT "/dev/full", 7 },
		{ ROOT "/dev/random", 8 }, { ROOT "/dev/urandom", 9 } };
	int err = mount_or("dev", ROOT "/dev", "tmpfs", 0, "size=16m,mode=755");

	if (err)
		return err;
	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++)
		mknod(nodes[i].path, S_IFCHR | 0666, makedev(1, nodes[i].minor));
	mkdir(ROOT "/dev/shm", 01777);
	chmod(ROOT "/dev/shm", 01777);
	(void)!symlink("/proc/self/fd", ROOT "/dev/fd");
	(void)!symlink("/proc/self/fd/0", ROOT "/dev/stdin");
	(void)!symlink("/proc/self/fd/1", ROOT "/dev/stdout");
	(void)!symlink("/proc/self/fd/2", ROOT "/dev/stderr");
	return 0;
}

static int show(const char *what, const char *at)
{
	int err = mount_or(what, at, NULL, MS_BIND, NULL);

	if (!err && mount(NULL, at, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0)
		err = fail(-errno, "the program's root: %s: %s", at, strerror(errno));
	return err;
}

int root_make(const struct config *c)
{
	mode_t mask = umask(0);
	int err = mount_lower(c);

	if (!err)
		err = mount_overlay(c);
	if (!err)
		err = make_dev();
	if (!err)
		err = show("/proc", ROOT "/proc");
	if (!err)
		err = show("/sys", ROOT "/sys");
	if (!err && mkdir(ROOT "/tmp", 01777) == 0)
		chmod(ROOT "/tmp", 01777);
	umask(mask);
	return err;
}

void root_drop(void)
{
	static const char *const all[] = { ROOT "/sys", ROOT "/proc", ROOT "/dev", ROOT, RW, LOWER };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		umount2(all[i], MNT_DETACH);
}
