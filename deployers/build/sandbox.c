/* SPDX-License-Identifier: MIT */
/*
 * sandbox.c: what a build sees: the system read-only, its own two directories, a bounded /tmp, no network, no
 * other process, and no way to make namespaces of its own.
 */
#include "deployers/build/build.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* The limit on processes is set inside, where only the sandbox counts: outside, bubblewrap itself could not
 * fork for a user with many processes (PITFALLS 22). dash and busybox call it -p, bash -u. */
#define ENTER "ulimit -p %" PRIu64 " 2>/dev/null || ulimit -u %" PRIu64 "; exec /bin/sh -c \"$1\""

static void add(struct sandbox_args *a, char *text)
{
	a->item = xrealloc(a->item, (a->count + 2) * sizeof(*a->item));
	a->item[a->count++] = text;
	a->item[a->count] = NULL;
}

static void add_all(struct sandbox_args *a, const char *const *texts)
{
	for (; *texts; texts++)
		add(a, xstrdup(*texts));
}

#define ADD(a, ...) add_all(a, (const char *const[]){ __VA_ARGS__, NULL })

void sandbox_args_free(struct sandbox_args *a)
{
	for (size_t i = 0; i < a->count; i++)
		free(a->item[i]);
	free(a->item);
	*a = (struct sandbox_args){ 0 };
}

/* /bin and the like are links into /usr on most systems, directories on others. */
static void add_system(struct sandbox_args *a)
{
	static const char *const tops[] = { "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32" };
	static const char *const more[] = {
		"/opt",
		"/nix",
		"/gnu",
		"/etc/alternatives",
		"/etc/ld.so.cache",
		"/etc/ld.so.conf",
		"/etc/ld.so.conf.d",
		"/etc/passwd",
		"/etc/group",
		"/etc/nsswitch.conf",
		"/etc/localtime",
	};

	ADD(a, "--ro-bind", "/usr", "/usr");
	for (size_t i = 0; i < sizeof(tops) / sizeof(tops[0]); i++) {
		char target[256];
		ssize_t n = readlink(tops[i], target, sizeof(target) - 1);

		if (n > 0) {
			target[n] = 0;
			ADD(a, "--symlink", target, tops[i]);
		} else {
			ADD(a, "--ro-bind-try", tops[i], tops[i]);
		}
	}
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++)
		ADD(a, "--ro-bind-try", more[i], more[i]);
}

static void add_environment(struct sandbox_args *a)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	autofree char *jobs = xasprintf("-j%ld", cpus > 0 ? cpus : 1);

	ADD(a, "--clearenv");
	ADD(a, "--setenv", "PATH", BUILD_PATH);
	ADD(a, "--setenv", "HOME", "/tmp");
	ADD(a, "--setenv", "TMPDIR", "/tmp");
	ADD(a, "--setenv", "APP", "/build/app");
	ADD(a, "--setenv", "OUT", "/build/out");
	ADD(a, "--setenv", "LANG", "C.UTF-8");
	ADD(a, "--setenv", "TZ", "UTC");
	ADD(a, "--setenv", "SOURCE_DATE_EPOCH", "0");
	ADD(a, "--setenv", "MAKEFLAGS", jobs);
}

/* An empty directory that every system has: a file system of our own goes over it, unseen by others. */
static const char *place(void)
{
	struct stat st;

	return stat("/mnt", &st) == 0 && S_ISDIR(st.st_mode) ? "/mnt" : "/tmp";
}

static char *shown(const struct sandbox *s, const char *name, const char *path)
{
	return s->drops ? xasprintf("%s/%s", place(), name) : xstrdup(path);
}

static void add_places(const struct sandbox *s, struct sandbox_args *a)
{
	uint64_t tmp = s->plan->limit_disk / 2;
	autofree char *size = xasprintf("%" PRIu64, tmp);

	ADD(a, "--proc", "/proc", "--dev", "/dev");
	ADD(a, "--size", size, "--tmpfs", "/tmp");
	autofree char *kernel = shown(s, "kernel", s->kernel);
	autofree char *out = shown(s, "out", s->out);
	autofree char *app = s->app ? shown(s, "app", s->app) : NULL;
	ADD(a, "--bind", kernel, "/build/kernel");
	ADD(a, "--bind", out, "/build/out");
	if (app)
		ADD(a, "--ro-bind", app, "/build/app");
	/* These two are file systems in memory, without a bound of their own. */
	ADD(a, "--remount-ro", "/dev", "--remount-ro", "/");
	ADD(a, "--chdir", "/build/kernel");
}

void sandbox_args(const struct sandbox *s, struct sandbox_args *out)
{
	autofree char *fd = xasprintf("%d", s->status_fd);
	autofree char *enter = xasprintf(ENTER, s->plan->limit_procs, s->plan->limit_procs);

	*out = (struct sandbox_args){ 0 };
	ADD(out, s->plan->bwrap, "--die-with-parent", "--new-session", "--unshare-all", "--unshare-user",
		"--disable-userns", "--hostname", "build", "--json-status-fd", fd);
	add_environment(out);
	add_system(out);
	add_places(s, out);
	ADD(out, "--", "/bin/sh", "-c", enter, "build", s->plan->build);
}

/* The sandbox runs as nobody, for whom the state directory is closed: its directories are shown at a place
 * that only this process and its children see. */
static int show(const char *name, int from)
{
	autofree char *source = xasprintf("/proc/self/fd/%d", from);
	autofree char *target = xasprintf("%s/%s", place(), name);

	if (from < 0)
		return 0;
	if (mkdir(target, 0755) < 0 || mount(source, target, NULL, MS_BIND, NULL) < 0)
		return -errno;
	return 0;
}

int sandbox_prepare(void *arg)
{
	const struct sandbox *s = arg;

	if (!s->drops)
		return 0;
	umask(022);
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	int kernel = open(s->kernel, O_PATH | O_CLOEXEC);
	int out = open(s->out, O_PATH | O_CLOEXEC);
	int app = s->app ? open(s->app, O_PATH | O_CLOEXEC) : -1;
	if (kernel < 0 || out < 0 || (s->app && app < 0))
		return -errno;
	if (mount("tmpfs", place(), "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=755") < 0 || chdir("/") < 0)
		return -errno;
	int err = show("kernel", kernel);
	if (!err)
		err = show("out", out);
	return err ? err : show("app", app);
}
