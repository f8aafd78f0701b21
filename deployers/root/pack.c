/* SPDX-License-Identifier: MIT */
/*
 * pack.c: mksquashfs reads an archive from a pipe and writes to a file that it is given open: it needs no other file, and so
 * may be nobody. What it made is kept under the tree's fingerprint.
 */
#include "deployers/root/root.h"

#include "cache/base/io.h"
#include "deployers/child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEPT_MAX   8		       /* packed roots, */
#define KEPT_BYTES (UINT64_C(2) << 30) /* and all together */
#define CPU_S	   600
#define MEMORY	   (UINT64_C(2) << 30)
#define SUFFIX	   ".squashfs"

/* Its stdin is the archive; (keep) is the file that it writes. */
static int take_stdin(void *arg)
{
	return dup2(*(int *)arg, STDIN_FILENO) < 0 ? -errno : 0;
}

static pid_t run(int archive, int to, struct why *why)
{
	autofree char *out = xasprintf("/dev/fd/%d", to);
	const char *argv[] = { "mksquashfs", "-", out, "-tar", "-noappend", "-comp", "lz4", "-no-progress",
		"-quiet", "-processors", "2", "-mem", "256M", "-no-xattrs", "-all-root", "-root-mode", "755",
		NULL };
	const struct child_limit limits[] = { { RLIMIT_CORE, 0 }, { RLIMIT_CPU, CPU_S },
		{ RLIMIT_AS, MEMORY }, { RLIMIT_FSIZE, ROOT_BYTES_MAX } };
	const int keep[] = { to, archive };
	struct child c = {
		.argv = argv,
		.out = STDERR_FILENO,
		.err = STDERR_FILENO,
		.keep = keep,
		.keep_count = 2,
		.limits = limits,
		.limit_count = sizeof(limits) / sizeof(limits[0]),
		.drop = true,
		.prepare = take_stdin,
		.arg = &archive,
	};

	return child_spawn(&c, why);
}

static int wait_for(pid_t pid, struct why *why)
{
	int status;

	if (waitpid(pid, &status, 0) < 0)
		return why_fail_errno(why, -errno, "mksquashfs");
	if (WIFSIGNALED(status))
		return why_fail(why, -EIO, "mksquashfs was ended by signal %d (%s)", WTERMSIG(status),
			strsignal(WTERMSIG(status)));
	if (WEXITSTATUS(status))
		return why_fail(why, -EIO, "mksquashfs failed with status %d: deployer.log has its words",
			WEXITSTATUS(status));
	return 0;
}

/* Who writes it is somebody else by then; nobody finds it by a name. */
static int open_out(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	uid_t uid;
	gid_t gid;

	if (fd < 0)
		return -errno;
	if (child_drops(&uid, &gid) && fchown(fd, uid, gid) < 0) {
		int err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int make(const struct root_tree *t, int dir, const char *name, struct why *why)
{
	autofree char *temporary = xasprintf(".%s.%d", name, getpid());
	autoclose int to = open_out(dir, temporary);
	int fds[2], err, werr;
	pid_t pid;

	if (to < 0)
		return why_fail_errno(why, to, "cannot write the packed root");
	if (pipe2(fds, O_CLOEXEC) < 0)
		return why_fail_errno(why, -errno, "pipe");
	signal(SIGPIPE, SIG_IGN);
	pid = run(fds[0], to, why);
	close(fds[0]);
	err = pid < 0 ? (int)pid : tar_write(t, fds[1], why);
	close(fds[1]);
	if (pid > 0) {
		struct why mine = { 0 };
		werr = wait_for(pid, &mine);
		if (werr && (!err || err == -EPIPE)) { /* it went first */
			err = werr;
			*why = mine;
		}
	}
	if (!err && (fchown(to, geteuid(), getegid()) < 0 || renameat(dir, temporary, dir, name) < 0))
		err = why_fail_errno(why, -errno, "cannot keep the packed root");
	if (err)
		unlinkat(dir, temporary, 0);
	return err;
}

/* Old ones */

struct kept {
	char name[64];
	struct timespec used; /* when it was last wanted */
	uint64_t size;
};

static int newest_first(const void *a, const void *b)
{
	const struct kept *x = a, *y = b;

	if (x->used.tv_sec != y->used.tv_sec)
		return x->used.tv_sec < y->used.tv_sec ? 1 : -1;
	return x->used.tv_nsec < y->used.tv_nsec ? 1 : -1;
}

static size_t list_kept(int dir, struct kept *kept, size_t max)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	struct stat st;
	size_t n = 0;

	while (d && n < max && (e = readdir(d))) {
		size_t len = strlen(e->d_name);

		if (len >= sizeof(kept->name) || len < strlen(SUFFIX) ||
			strcmp(e->d_name + len - strlen(SUFFIX), SUFFIX) || *e->d_name == '.' ||
			fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		memcpy(kept[n].name, e->d_name, len + 1);
		kept[n].used = st.st_mtim;
		kept[n++].size = (uint64_t)st.st_size;
	}
	if (d)
		closedir(d);
	return n;
}

/* Who has one open keeps it all the same. */
static void forget_old(int dir)
{
	struct kept kept[256];
	size_t n = list_kept(dir, kept, sizeof(kept) / sizeof(kept[0]));
	uint64_t bytes = 0;

	qsort(kept, n, sizeof(kept[0]), newest_first);
	for (size_t i = 0; i < n; i++) {
		bytes += kept[i].size;
		if (i >= KEPT_MAX || (i && bytes > KEPT_BYTES))
			unlinkat(dir, kept[i].name, 0);
	}
}

int pack(const struct root_tree *t, const char *roots, char *path, size_t size, struct why *why)
{
	char name[64], print[33];
	int err = io_mkdirs(AT_FDCWD, roots, 0700);
	autoclose int dir = err ? -1 : open(roots, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return why_fail_errno(why, err ? err : -errno, "cannot make %s", roots);
	tree_fingerprint(t, print);
	snprintf(name, sizeof(name), "%s" SUFFIX, print);
	snprintf(path, size, "%s/%s", roots, name);
	if (utimensat(dir, name, NULL, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	if (!child_found("mksquashfs", NULL))
		return why_fail(why, -ENOENT,
			"mksquashfs is not there, which packs the program's root: install it (Debian: "
			"apt-get install "
			"squashfs-tools)");
	err = make(t, dir, name, why);
	forget_old(dir);
	return err;
}
