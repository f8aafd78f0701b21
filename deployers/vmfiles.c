/* SPDX-License-Identifier: MIT */
/*
 * vmfiles.c: files for who may open next to nothing, and how it is started.
 */
#include "deployers/vmfiles.h"

#include "cache/base/io.h"
#include "deployers/child.h"

#include <errno.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

int vm_copy_file(int fd, const char *path, struct why *why)
{
	autoclose int copy = memfd_create("image", MFD_CLOEXEC);

	if (copy < 0)
		return why_fail_errno(why, -errno, "cannot copy %s", path);
	int64_t n = io_copy(fd, copy);
	if (n < 0)
		return why_fail_errno(why, (int)n, "cannot copy %s", path);
	return io_steal(&copy);
}

/* For child.prepare, as root: QEMU will be nobody, and /dev/kvm may be root's alone. So it gets a node of its own,
 * seen by no other process. */
static int own_kvm(void *arg)
{
	static const char place[] = "/mnt", node[] = "/mnt/kvm";
	struct stat st;
	uid_t uid;
	gid_t gid;

	(void)arg;
	if (!child_drops(&uid, &gid) || stat("/dev/kvm", &st) < 0)
		return 0;
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NOEXEC, "size=64k,mode=755") < 0 ||
		mknod(node, S_IFCHR | 0600, st.st_rdev) < 0 || chown(node, uid, gid) < 0 ||
		mount(node, "/dev/kvm", NULL, MS_BIND, NULL) < 0 || umount2(place, MNT_DETACH) < 0)
		return -errno;
	return 0;
}

pid_t vm_spawn(const struct arguments *a, const int *fds, size_t count, int words, bool kvm, struct why *why)
{
	const struct child_limit limits[] = { { RLIMIT_CORE, 0 } };
	autofree int *keep = xcalloc(count + 1, sizeof(*keep));
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		if (fds[i] >= 0)
			keep[n++] = fds[i];
	struct child c = {
		.argv = (const char *const *)a->item,
		.out = words,
		.err = words,
		.keep = keep,
		.keep_count = n,
		.limits = limits,
		.limit_count = 1,
		.drop = true,
		.prepare = kvm && !child_keeps_kvm() ? own_kvm : NULL,
	};
	return child_spawn(&c, why);
}
