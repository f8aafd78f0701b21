/* SPDX-License-Identifier: MIT */
/*
 * mountpoint.c: where it is mounted, and the state directory that belongs to that place.
 *
 * A daemon that was killed leaves a mount behind on which every access fails (ENOTCONN): it is taken away
 * before the new one is made. A daemon that is ending leaves no mount but its kernels for a few seconds: the
 * new one waits for the lock on the state.
 */
#include "cache/base/io.h"
#include "fs/start.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define ASK_WAIT_MS  5000
#define LOCK_WAIT_MS 30000
#define LOCK_STEP_MS 50
#define CORPSES_MAX  16
#define LOG_KEEP     (4u << 20)

extern char **environ;

/* --- what is mounted --------------------------------------------------------------------------- */

/* Undoes the octal escapes of mountinfo, in place. */
static void unescape(char *s)
{
	char *to = s;
	for (; *s; s++) {
		unsigned c;
		if (s[0] == '\\' && sscanf(s + 1, "%3o", &c) == 1) {
			*to++ = (char)c;
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

int mount_at(const char *path, dev_t *dev, bool *is_diverfs)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t cap = 0;
	int found = 0;
	if (!f)
		return -errno;
	while (getline(&line, &cap, f) > 0) {
		unsigned major, minor;
		int at = 0, end = 0;
		if (sscanf(line, "%*d %*d %u:%u %*s %n%*s%n", &major, &minor, &at, &end) != 2 || !end)
			continue;
		bool more = line[end] != '\0';
		line[end] = '\0';
		unescape(line + at);
		if (strcmp(line + at, path) || !more)
			continue;
		const char *type = strstr(line + end + 1, " - ");
		if (dev)
			*dev = makedev(major, minor);
		if (is_diverfs)
			*is_diverfs = type && !strncmp(type + 3, "fuse.diverfs ", 13);
		found = 1; /* a later line is mounted over it */
	}
	free(line);
	fclose(f);
	return found;
}

bool mount_seen(dev_t dev)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t cap = 0;
	bool seen = !f;
	while (f && !seen && getline(&line, &cap, f) > 0) {
		unsigned major, minor;
		seen = sscanf(line, "%*d %*d %u:%u", &major, &minor) == 2 && makedev(major, minor) == dev;
	}
	free(line);
	if (f)
		fclose(f);
	return seen;
}

int mount_detach(const char *path)
{
	char *argv[] = { "fusermount3", "-u", "-z", "-q", "--", (char *)path, NULL };
	pid_t pid;
	int status;
	if (!umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW))
		return 0;
	int err = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
	if (err)
		return -err;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EBUSY;
}

/* Asks the daemon of a mount. Not with stat: the kernel may know that answer and keep the death to itself. A
 * daemon that does not answer could be waited for for ever, so a child asks. 0 or -errno; -ETIMEDOUT. */
static int ask_daemon(const char *path)
{
	pid_t pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		struct statfs st;
		_exit(statfs(path, &st) ? errno : 0);
	}
	int status = 0, pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	bool ended = poll(&p, 1, ASK_WAIT_MS) > 0;
	if (pidfd >= 0)
		close(pidfd);
	if (!ended) {
		kill(pid, SIGKILL);
		return -ETIMEDOUT;
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

/* --- the mount point --------------------------------------------------------------------------- */

static int take_corpses_away(const char *path, struct why *why)
{
	for (int i = 0; i < CORPSES_MAX; i++) {
		bool ours = false;
		if (mount_at(path, NULL, &ours) <= 0 || !ours)
			return 0;
		int err = ask_daemon(path);
		if (!err)
			return why_fail(why, -EBUSY,
				"%s: a diverfs is mounted here already; to end it: fusermount3 -u %s", path,
				path);
		if (err == -ETIMEDOUT)
			return why_fail(why, -EBUSY,
				"%s: a diverfs is mounted here and does not answer; to take it away: "
				"fusermount3 -uz %s",
				path, path);
		if (err != -ENOTCONN && err != -ECONNABORTED)
			return why_fail_errno(why, err, "%s", path);
		if (mount_detach(path))
			return why_fail(why, -EBUSY,
				"%s: a dead mount is here and cannot be taken away; as its owner or root: "
				"fusermount3 -uz %s",
				path, path);
		log_info("%s: the mount of a daemon that was killed was taken away", path);
	}
	return why_fail(why, -EBUSY, "%s: too many dead mounts over one another; umount them", path);
}

static int fuse_usable(struct why *why)
{
	if (access("/dev/fuse", F_OK))
		return why_fail_errno(why, -errno,
			"/dev/fuse is missing; as root: modprobe fuse; in a container: start it with "
			"--device /dev/fuse "
			"--cap-add SYS_ADMIN");
	if (access("/dev/fuse", R_OK | W_OK))
		return why_fail_errno(
			why, -errno, "/dev/fuse may not be used by this user; as root: chmod 666 /dev/fuse");
	if (!geteuid())
		return 0;
	const char *path = getenv("PATH");
	autofree char *dirs = xasprintf("/usr/bin:/bin:%s", path ? path : "");
	for (char *save, *dir = strtok_r(dirs, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
		autofree char *program = xasprintf("%s/fusermount3", dir);
		if (!access(program, X_OK))
			return 0;
	}
	return why_fail(
		why, -ENOENT, "fusermount3 is missing, without which only root can mount; install fuse3");
}

/* (path) is not below (top), nor the same. */
static bool outside(const char *path, const char *top)
{
	size_t len = strlen(top);
	return strncmp(path, top, len) || (path[len] && path[len] != '/' && len > 1);
}

static int own_paths_outside(const struct fs_options *o, struct why *why)
{
	const char *paths[] = { o->cache_dir, o->state_dir, o->libexec_dir };
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		if (!outside(paths[i], o->mountpoint))
			return why_fail(why, -EINVAL,
				"%s: would be hidden by the mount on %s: choose another place (-o cache=, -o "
				"state=)",
				paths[i], o->mountpoint);
	for (size_t i = 0; i < o->registries.count; i++)
		if (!outside(o->registries.list[i].where, o->mountpoint))
			return why_fail(why, -EINVAL,
				"%s: the registry would be hidden by the mount on %s: mount elsewhere",
				o->registries.list[i].where, o->mountpoint);
	return 0;
}

int mountpoint_ready(const struct fs_options *o, struct why *why)
{
	struct stat st;
	int err = fuse_usable(why);
	if (!err)
		err = own_paths_outside(o, why);
	if (!err)
		err = take_corpses_away(o->mountpoint, why);
	if (err)
		return err;
	if (stat(o->mountpoint, &st)) {
		if (errno == ENOENT)
			return why_fail(why, -ENOENT, "%s: no such directory; make it first: mkdir -p %s",
				o->mountpoint, o->mountpoint);
		return why_fail_errno(why, -errno, "%s", o->mountpoint);
	}
	if (!S_ISDIR(st.st_mode))
		return why_fail(why, -ENOTDIR,
			"%s: is not a directory; a mount needs one: mkdir it elsewhere", o->mountpoint);
	return 0;
}

/* --- the state --------------------------------------------------------------------------------- */

/* A file name for a path: readable, and never the same for two paths. */
static char *state_name(const char *path)
{
	struct buf out = { 0 };
	uint64_t h = 14695981039346656037u;
	for (const unsigned char *s = (const unsigned char *)path; *s; s++) {
		h = (h ^ *s) * 1099511628211u;
		if (*s == '/')
			buf_puts(&out, s == (const unsigned char *)path && s[1] ? "" : "-");
		else if (*s == '-' || *s == '%' || *s <= ' ' || *s >= 127 || (*s == '.' && !out.len))
			buf_printf(&out, "%%%02X", *s);
		else
			buf_append(&out, s, 1);
	}
	if (out.len > 120) { /* too long for a name: its beginning and a number */
		out.len = 100;
		buf_printf(&out, "-%%%016llx", (unsigned long long)h);
	}
	return buf_steal(&out);
}

static long locked_by(int fd)
{
	char text[32] = "";
	ssize_t n = pread(fd, text, sizeof text - 1, 0);
	return n > 0 ? strtol(text, NULL, 10) : 0;
}

/* SIGINT and SIGTERM are blocked already and belong to the loop; here they end the waiting. */
static bool told_to_end(unsigned ms)
{
	sigset_t set;
	struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	return sigtimedwait(&set, NULL, &t) > 0;
}

static int take_lock(int dir, const char *mountpoint, struct why *why)
{
	int fd = openat(dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return why_fail_errno(why, -errno, "cannot write there: lock");
	for (unsigned waited = 0; flock(fd, LOCK_EX | LOCK_NB); waited += LOCK_STEP_MS) {
		long pid = locked_by(fd);
		if (!waited)
			log_info("%s: waiting for the daemon that is still stopping its kernels (pid %ld)",
				mountpoint, pid);
		bool end = told_to_end(LOCK_STEP_MS);
		if (!end && waited < LOCK_WAIT_MS)
			continue;
		close(fd);
		return end ? why_fail(why, -EINTR, "interrupted")
			   : why_fail(why, -EBUSY,
				     "the daemon with pid %ld still has it after %d s; end it (kill %ld) and "
				     "mount again",
				     pid, LOCK_WAIT_MS / 1000, pid);
	}
	autofree char *text = xasprintf("%ld\n", (long)getpid());
	int err = ftruncate(fd, 0) ? -errno : io_pwrite_full(fd, text, strlen(text), 0);
	if (!err)
		return 0; /* (fd) stays open, and with it the lock */
	close(fd);
	return why_fail_errno(why, err, "cannot write there");
}

int state_open(struct fs_options *o, int *out, struct why *why)
{
	autofree char *name = state_name(o->mountpoint);
	char *path = xasprintf("%s/%s", o->state_dir, name);
	int err = io_mkdirs(AT_FDCWD, path, 0700);
	free(o->state_dir);
	o->state_dir = path;
	if (err)
		return why_fail_errno(
			why, err, "%s: cannot make the state directory (-o state=DIR chooses another)", path);
	autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return why_fail_errno(why, -errno, "%s", path);
	err = take_lock(fd, o->mountpoint, why);
	if (!err) {
		err = io_write_file(fd, "mountpoint", o->mountpoint, strlen(o->mountpoint), 0600, false);
		if (err)
			why_fail_errno(why, err, "cannot write there");
	}
	if (err) {
		why_prefix(why, "%s: the state of this mount", path);
		return err;
	}
	*out = io_steal(&fd);
	return 0;
}

int state_log(int state_fd, struct why *why)
{
	struct stat st;
	if (!fstatat(state_fd, "log", &st, AT_SYMLINK_NOFOLLOW) && st.st_size > LOG_KEEP)
		renameat(state_fd, "log", state_fd, "log.1");
	int fd = openat(state_fd, "log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	return fd >= 0 ? fd : why_fail_errno(why, -errno, "cannot write the log");
}
