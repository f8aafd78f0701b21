/* SPDX-License-Identifier: MIT */
/*
 * probe.c: what can this machine run? That /dev/kvm can be opened says little (it may hang, die or loop with
 * an ordinary kernel), so a small kernel is really launched, by this very program, in bounded time.
 */
#include "deployers/fullvm/vm.h"

#include "cache/base/conf.h"
#include "cache/base/io.h"
#include "deployers/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define VERSION_MS    5000
#define BOOT_S	      5	   /* the plan's timeout */
#define BOOT_LIMIT_MS 8000 /* for a deployer that cannot even end its machine */

struct trial {
	struct loop *loop;
	struct chan *chan;
	struct timer *limit;
	const char *dir;
	sigset_t ends; /* the signals that end it early */
	bool works;
	char state[16], how[16], status[8], error[WHY_MAX];
};

static void end_child(pid_t pid)
{
	kill(-pid, SIGKILL); /* its session (child.c): a wrapper around QEMU has children */
	waitpid(pid, NULL, 0);
}

/* The first line of what `qemu --version` prints. */
static int qemu_version(const char *qemu, char *out, size_t size, struct why *why)
{
	const char *argv[] = { qemu, "--version", NULL };
	size_t len = 0;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return why_fail_errno(why, -errno, "pipe");
	struct child c = { .argv = argv, .out = fds[1], .err = -1 };
	pid_t pid = child_spawn(&c, why);
	close(fds[1]);
	uint64_t end = clock_mono_ns() + VERSION_MS * UINT64_C(1000000);
	while (pid > 0 && len + 1 < size && clock_mono_ns() < end) {
		struct pollfd p = { .fd = fds[0], .events = POLLIN };
		if (poll(&p, 1, 100) <= 0)
			continue;
		ssize_t n = read(fds[0], out + len, size - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	close(fds[0]);
	if (pid < 0)
		return (int)pid;
	end_child(pid);
	out[len] = 0;
	out[strcspn(out, "\n")] = 0;
	if (strncmp(out, "QEMU", 4))
		return why_fail(why, -ENOEXEC, "%s --version does not answer as QEMU does", qemu);
	return 0;
}

static int kvm_opens(struct why *why)
{
	autoclose int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return why_fail(why, -ENOENT,
			"kvm is not used: there is no /dev/kvm (virtualisation is off in the firmware, the "
			"module kvm_intel or "
			"kvm_amd is not loaded, or this is a virtual machine without nesting)");
	if (fd < 0 && (errno == EACCES || errno == EPERM))
		return why_fail(why, -EACCES,
			"kvm is not used: /dev/kvm may not be opened: join its group (sudo usermod -aG kvm "
			"$USER) and log in anew");
	if (fd < 0)
		return why_fail_errno(why, -errno, "kvm is not used: /dev/kvm");
	if (ioctl(fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return why_fail(why, -ENOTSUP, "kvm is not used: /dev/kvm speaks another version");
	return 0;
}

static int end_line(void *arg, unsigned line, const char *key, const char *value, struct why *why)
{
	struct trial *t = arg;

	(void)line;
	(void)why;
	if (!strcmp(key, END_HOW))
		snprintf(t->how, sizeof(t->how), "%s", value);
	else if (!strcmp(key, END_STATUS))
		snprintf(t->status, sizeof(t->status), "%s", value);
	else if (!strcmp(key, END_ERROR))
		snprintf(t->error, sizeof(t->error), "%s", value);
	return 0;
}

static void on_frame(void *arg, const struct frame *f, const void *payload)
{
	struct trial *t = arg;

	if (f->type != FRAME_EXIT)
		return;
	conf_parse(payload, f->size, end_line, t, NULL);
	t->works = !strcmp(t->how, "guest") && !strcmp(t->status, "0");
	loop_stop(t->loop);
}

static void on_closed(void *arg, int err)
{
	struct trial *t = arg;

	(void)err;
	if (*t->how) /* it has told all */
		return;
	snprintf(t->error, sizeof(t->error), "its deployer ended without a word");
	loop_stop(t->loop);
}

static void on_time(void *arg)
{
	struct trial *t = arg;

	t->limit = NULL;
	snprintf(t->error, sizeof(t->error), "QEMU hangs and had to be killed");
	loop_stop(t->loop);
}

/* Whoever asked wants to know no more; the signal is obeyed when nothing is left behind. */
static void on_signal(void *arg, uint32_t events)
{
	struct trial *t = arg;

	(void)events;
	loop_stop(t->loop);
}

static int enter_dir(void *arg)
{
	const struct trial *t = arg;

	return chdir(t->dir) < 0 ? -errno : 0;
}

/* The socket pair with one end on DEPLOY_FD, where the deployer looks for it. */
static int open_pair(int pair[2])
{
	int err = io_socketpair(pair);

	if (err < 0)
		return err;
	int ours = fcntl(pair[0], F_DUPFD_CLOEXEC, DEPLOY_FD + 1);
	int theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, DEPLOY_FD + 1);
	close(pair[0]);
	close(pair[1]);
	if (ours < 0 || theirs < 0 || dup3(theirs, DEPLOY_FD, O_CLOEXEC) < 0)
		return -errno;
	close(theirs);
	pair[0] = ours;
	pair[1] = DEPLOY_FD;
	return 0;
}

static void talk(struct trial *t, int fd)
{
	struct deploy_hello h = { .rev = DEPLOY_REV, .pid = (uint32_t)getpid() };

	t->loop = loop_new();
	autoclose int signals = signalfd(-1, &t->ends, SFD_CLOEXEC | SFD_NONBLOCK);
	struct watch *early = loop_watch(t->loop, signals, EPOLLIN, on_signal, t);
	t->chan = chan_new(t->loop, fd, on_frame, on_closed, t);
	chan_send(t->chan, FRAME_HELLO, 0, 0, &h, sizeof(h));
	chan_send(t->chan, FRAME_END, DEPLOY_STDIN, 0, NULL, 0);
	chan_send(t->chan, FRAME_BYE, 0, 0, NULL, 0);
	t->limit = loop_after(t->loop, BOOT_LIMIT_MS, on_time, t);
	loop_run(t->loop);
	timer_cancel(t->limit);
	watch_remove(early);
	chan_free(t->chan);
	loop_free(t->loop);
}

static int launch(struct trial *t, const char *qemu, const char *kernel, struct why *why)
{
	const char *argv[] = { "/proc/self/exe", t->dir, NULL };
	autobuf struct buf plan = { 0 };
	autofree char *path = xasprintf("%s/plan", t->dir);
	int pair[2];

	conf_put(&plan, PLAN_NAME, "probe");
	conf_put(&plan, PLAN_IMAGE, kernel);
	conf_put(&plan, PLAN_QEMU, qemu);
	conf_put(&plan, PLAN_ACCEL, "kvm");
	conf_put(&plan, PLAN_MEMORY, "67108864");
	conf_putf(&plan, PLAN_TIMEOUT, "%d", BOOT_S);
	int err = io_write_file(AT_FDCWD, path, plan.data, plan.len, 0600, false);
	if (err >= 0)
		err = open_pair(pair);
	if (err < 0)
		return why_fail_errno(why, err, "kvm is not used: cannot prepare the probe in %s", t->dir);
	const int keep[] = { DEPLOY_FD };
	struct child c = { .argv = argv,
		.out = -1,
		.err = -1,
		.keep = keep,
		.keep_count = 1,
		.prepare = enter_dir,
		.arg = t };
	pid_t pid = child_spawn(&c, why);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return (int)pid;
	}
	talk(t, pair[0]);
	end_child(pid); /* and QEMU with it */
	return 0;
}

/* The signals that end a program wait as long as there is something to be removed. */
static int launch_within(struct trial *t, const char *qemu, const char *image, struct why *why)
{
	const char *tmp = getenv("TMPDIR");
	autofree char *dir = xasprintf("%s/diverfs-probe-XXXXXX", tmp && *tmp == '/' ? tmp : "/tmp");
	sigset_t before;
	int err;

	sigemptyset(&t->ends);
	sigaddset(&t->ends, SIGHUP);
	sigaddset(&t->ends, SIGINT);
	sigaddset(&t->ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &t->ends, &before);
	t->dir = dir;
	if (!mkdtemp(dir)) {
		err = why_fail_errno(why, -errno, "kvm is not used: cannot make %s for the probe", dir);
	} else {
		err = launch(t, qemu, image, why);
		io_remove_tree(AT_FDCWD, dir);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return err;
}

static int kvm_boots(const char *qemu, const char *kernel, struct why *why)
{
	autofree char *image = realpath(kernel, NULL);
	struct trial t = { 0 };

	if (!image)
		return why_fail_errno(why, -errno, "kvm is not used: the probe kernel %s", kernel);
	int err = launch_within(&t, qemu, image, why);
	if (err < 0 || t.works)
		return err;
	t.error[strcspn(t.error, "\n")] = 0;
	if (!strcmp(t.how, "timeout"))
		snprintf(t.error, sizeof(t.error), "it did not end within %d seconds", BOOT_S);
	return why_fail(why, -EIO,
		"kvm is not used: /dev/kvm opens, but a small kernel does not run on it (%s)",
		*t.error ? t.error
		: *t.how ? t.how
			 : "no reason given");
}

static void put(const char *key, const char *value)
{
	autobuf struct buf line = { 0 };

	conf_put(&line, key, value);
	fputs(line.data, stdout);
}

int vm_probe(const char *qemu, const char *kernel)
{
	char version[256];
	struct why why = { 0 };

	if (!child_found(qemu, NULL)) {
		put(PROBE_AVAILABLE, "no");
		autofree char *words = xasprintf(
			"QEMU (%s) is not there: install it (Debian: apt-get install qemu-system-x86)", qemu);
		put(PROBE_WHY, words);
		return DEPLOY_EXIT_FAILED;
	}
	if (qemu_version(qemu, version, sizeof(version), &why) < 0) {
		put(PROBE_AVAILABLE, "no");
		put(PROBE_WHY, why.text);
		return DEPLOY_EXIT_FAILED;
	}
	put(PROBE_AVAILABLE, "yes");
	put(PROBE_VERSION, version);
	int err = kvm_opens(&why);
	if (!err && !kernel)
		err = why_fail(&why, -EINVAL, "kvm was not tried: no probe kernel was given (--kernel)");
	if (!err)
		err = kvm_boots(qemu, kernel, &why);
	put(PROBE_WITH, err ? "tcg" : "kvm tcg");
	if (err)
		put(PROBE_WHY, why.text);
	return DEPLOY_EXIT_OK;
}
