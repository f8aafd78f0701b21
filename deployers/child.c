/* SPDX-License-Identifier: MIT */
/*
 * child.c: fork, tie the child to our life, drop root, exec; what fails before exec comes back through a
 * pipe.
 */
#include "deployers/child.h"

#include "cache/base/buf.h"
#include "cache/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

/* What the child tells when it could not become the program. */
struct failure {
	int err;
	char step[28];
};

/* In a user namespace of one user (rootless containers) there is nobody to become. */
static bool mapped(const char *map, unsigned id)
{
	FILE *f = fopen(map, "re");
	unsigned first, outside, count;
	bool found = false;

	while (f && !found && fscanf(f, "%u %u %u", &first, &outside, &count) == 3)
		found = id >= first && id - first < count;
	if (f)
		fclose(f);
	return found;
}

bool child_drops(uid_t *uid, gid_t *gid)
{
	const struct passwd *pw;

	if (geteuid() != 0)
		return false;
	pw = getpwnam("nobody");
	*uid = pw ? pw->pw_uid : NOBODY;
	*gid = pw ? pw->pw_gid : NOBODY;
	return mapped("/proc/self/uid_map", *uid) && mapped("/proc/self/gid_map", *gid);
}

bool child_found(const char *program, const char *path)
{
	if (!path)
		path = getenv("PATH");
	if (strchr(program, '/'))
		return access(program, X_OK) == 0;
	for (path = path ? path : "/usr/bin:/bin"; *path;) {
		size_t len = strcspn(path, ":");
		autofree char *full = xasprintf("%.*s/%s", (int)len, path, program);
		struct stat st;

		if (access(full, X_OK) == 0 && stat(full, &st) == 0 && S_ISREG(st.st_mode))
			return true;
		path += len + (path[len] == ':');
	}
	return false;
}

static _Noreturn void give_up(int report, const char *step, int err)
{
	struct failure f = { .err = err };

	strncpy(f.step, step, sizeof(f.step) - 1);
	(void)!write(report, &f, sizeof(f));
	_exit(127);
}

static void set_limits(const struct child *c, int report)
{
	for (size_t i = 0; i < c->limit_count; i++) {
		struct rlimit r;

		if (getrlimit(c->limits[i].resource, &r) < 0)
			give_up(report, "getrlimit", errno);
		if (r.rlim_max == RLIM_INFINITY || c->limits[i].value < r.rlim_max)
			r.rlim_max = c->limits[i].value;
		r.rlim_cur = r.rlim_max;
		if (setrlimit(c->limits[i].resource, &r) < 0)
			give_up(report, "setrlimit", errno);
	}
}

/* A /dev/kvm that a group may use is worth keeping that group for. */
static gid_t kvm_group(void)
{
	struct stat st;

	if (stat("/dev/kvm", &st) < 0 || (st.st_mode & 060) != 060)
		return 0;
	return st.st_gid;
}

bool child_keeps_kvm(void)
{
	return kvm_group() != 0;
}

static void drop_root(int report)
{
	uid_t uid;
	gid_t gid, extra = kvm_group();

	if (!child_drops(&uid, &gid))
		return;
	if (setgroups(extra ? 1 : 0, &extra) < 0 || setresgid(gid, gid, gid) < 0 ||
		setresuid(uid, uid, uid) < 0)
		give_up(report, "becoming nobody", errno);
}

static void set_streams(const struct child *c, int report)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		give_up(report, "opening /dev/null", errno);
	if (dup2(null, 0) < 0 || dup2(c->out < 0 ? null : c->out, 1) < 0 ||
		dup2(c->err < 0 ? null : c->err, 2) < 0)
		give_up(report, "dup2", errno);
	for (size_t i = 0; i < c->keep_count; i++)
		if (fcntl(c->keep[i], F_SETFD, 0) < 0)
			give_up(report, "keeping a descriptor", errno);
}

static _Noreturn void become(const struct child *c, pid_t parent, int report)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setsid();
	set_streams(c, report);
	int err = c->prepare ? c->prepare(c->arg) : 0;
	if (err < 0)
		give_up(report, "preparing", -err);
	if (c->drop)
		drop_root(report);
	/* After the change of user, which would clear it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		give_up(report, "prctl", errno);
	if (getppid() != parent)
		_exit(127);
	set_limits(c, report); /* last: they are the program's, and what is done before may need more */
	execvp(c->argv[0], (char *const *)c->argv);
	give_up(report, "exec", errno);
}

static int explain(const struct child *c, const struct failure *f, struct why *why)
{
	if (strcmp(f->step, "exec"))
		return why_fail_errno(why, -f->err, "cannot start %s: %s", c->argv[0], f->step);
	if (f->err == ENOENT)
		return why_fail(why, -f->err, "%s is not there: install it, or name it in the configuration",
			c->argv[0]);
	return why_fail_errno(why, -f->err, "cannot execute %s", c->argv[0]);
}

pid_t child_spawn(const struct child *c, struct why *why)
{
	struct failure f;
	int report[2];
	pid_t self = getpid();

	if (pipe2(report, O_CLOEXEC) < 0)
		return why_fail_errno(why, -errno, "cannot start %s: pipe", c->argv[0]);
	pid_t pid = fork();
	if (pid == 0) {
		close(report[0]);
		become(c, self, report[1]);
	}
	int err = pid < 0 ? -errno : 0;
	close(report[1]);
	if (pid < 0) {
		close(report[0]);
		return why_fail_errno(why, err, "cannot start %s: fork", c->argv[0]);
	}
	ssize_t n = io_read_full(report[0], &f, sizeof(f));
	close(report[0]);
	if (n != sizeof(f))
		return pid;
	waitpid(pid, NULL, 0);
	f.step[sizeof(f.step) - 1] = 0;
	return explain(c, &f, why);
}
