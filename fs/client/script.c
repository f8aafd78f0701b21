/* SPDX-License-Identifier: MIT */
/*
 * script.c: finds the mount and the kernel from the path of the script that the kernel (Linux) gave us. The
 * path may be relative, a symbolic link (search/ is full of them) or /dev/fd/N: what counts is where the open
 * file lies.
 */
#include "cache/base/buf.h"
#include "cache/base/io.h"
#include "fs/client/client.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BELOW "/kernels/"

static int real_path(const char *path, char out[PATH_MAX], dev_t *dev, struct why *why)
{
	char link[64];
	struct stat st;
	ssize_t n;
	autoclose int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		return why_fail_errno(why, -errno, "%s", path);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, out, PATH_MAX - 1);
	if (n < 0)
		return why_fail_errno(why, -errno, "%s: cannot find where it lies", path);
	out[n] = '\0';
	*dev = st.st_dev;
	return 0;
}

/* The mount's root is the first directory on the way that lies on the script's own file system. */
static char *split_at_mount(char *path, dev_t dev)
{
	struct stat st;

	for (char *p = strstr(path, BELOW); p; p = strstr(p + 1, BELOW)) {
		*p = '\0';
		if (stat(*path ? path : "/", &st) == 0 && st.st_dev == dev)
			return p + strlen(BELOW);
		*p = '/';
	}
	return NULL;
}

/* %2F stands for a slash where a tag and a repository share a path (DESIGN 2). */
static void put_name(struct buf *out, const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		bool slash = len - i >= 3 && strncasecmp(name + i, "%2F", 3) == 0;

		buf_append(out, slash ? "/" : name + i, 1);
		i += slash ? 2 : 0;
	}
}

/* (path) is NAME/TAG/run. */
static int split_kernel(char *path, struct script *s)
{
	char *run = strrchr(path, '/'), *tag;
	struct buf kernel = { 0 };

	if (!run || strcmp(run, "/run") != 0)
		return -EINVAL;
	*run = '\0';
	tag = strrchr(path, '/');
	if (!tag || tag == path || !tag[1])
		return -EINVAL;
	put_name(&kernel, path, tag - path);
	buf_printf(&kernel, "%s%s", strchr(tag, ':') ? "@" : ":", tag + 1);
	s->kernel = buf_steal(&kernel);
	return 0;
}

int script_find(const char *path, struct script *s, struct why *why)
{
	char real[PATH_MAX], *below;
	dev_t dev = 0;
	int err = real_path(path, real, &dev, why);

	if (err)
		return err;
	below = split_at_mount(real, dev);
	if (below)
		s->mount = open(*real ? real : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (!below || s->mount < 0 || split_kernel(below, s) < 0)
		return why_fail(why, -EINVAL,
			"%s is not a kernel's `run` in a diverfs mount; start it where it is, not a copy",
			path);
	s->dir = openat(s->mount, "kernels", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s->dir >= 0) {
		int kernels = s->dir;

		s->dir = openat(kernels, below, O_PATH | O_DIRECTORY | O_CLOEXEC);
		err = -errno;
		close(kernels);
	}
	return s->dir < 0 ? why_fail_errno(why, err ? err : -ENOENT, "kernels/%s", below) : 0;
}
