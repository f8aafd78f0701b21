/* SPDX-License-Identifier: MIT */
/*
 * main.c: diverfs-build, the deployer that runs a kernel's build command (deployers/deploy.h).
 *
 * The kernel's sources are copied first, on a worker, because that may take long and must not keep us from
 * hearing "stop". Then bubblewrap runs; it says on a pipe of its own how the command ended, so that a sandbox
 * that could not be made is never mistaken for a build that failed.
 */
#include "cache/base/io.h"
#include "deployers/build/build.h"
#include "deployers/child.h"
#include "deployers/monitor.h"
#include "deployers/program.h"
#include "deployers/qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOG_MAX	      (16u << 20)
#define TIMEOUT_S     600
#define DISK_CHECK_MS 1000
#define STATUS_MAX    4096

static struct build {
	struct monitor mon;
	struct plan plan;
	struct pool *pool;
	char *kernel, *app; /* the copies; (app) is the plan's own when it need not be copied */
	uid_t uid;
	gid_t gid;
	bool drops;
	int copy_err;

	pid_t pid; /* 0: not begun, or reaped */
	struct watch *child, *output_watch;
	int output, status_fd;
	struct complaints complaints;
	struct timer *timeout, *disk_timer;
	bool measuring;
	uint64_t disk_bytes;
	const char *killed; /* how, when it was us */
	unsigned killed_status;
	char reason[WHY_MAX];
} build = { .output = -1, .status_fd = -1 };

/* The end */

static void finish(struct build *b, struct machine_end *e)
{
	timer_cancel(b->timeout);
	timer_cancel(b->disk_timer);
	b->timeout = b->disk_timer = NULL;
	monitor_end(&b->mon, e);
}

static void fail(struct build *b, const struct why *why)
{
	struct machine_end e = { .failed = true, .status = DEPLOY_EXIT_FAILED, .how = "build" };

	log_error("%s", why->text);
	snprintf(e.error, sizeof(e.error), "%s", why->text);
	finish(b, &e);
}

static void end_killed(struct build *b)
{
	struct machine_end e = { .failed = true, .status = b->killed_status, .how = b->killed };

	snprintf(e.error, sizeof(e.error), "%s", b->reason);
	finish(b, &e);
}

static void stop_build(struct build *b, const char *how, unsigned status, const char *reason)
{
	if (!b->killed) {
		b->killed = how;
		b->killed_status = status;
		snprintf(b->reason, sizeof(b->reason), "%s", reason);
	}
	if (b->pid)
		kill(-b->pid, SIGKILL); /* the whole sandbox dies with it: --die-with-parent, or kill_stray */
	else
		end_killed(b); /* still copying: the worker ends with this process */
}

/* The output */

static bool read_output(struct build *b)
{
	static char data[65536];
	ssize_t n = read(b->output, data, sizeof(data));

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		watch_remove(b->output_watch);
		b->output_watch = NULL;
	}
	if (n <= 0)
		return false;
	monitor_console(&b->mon, data, (size_t)n);
	complaints_feed(&b->complaints, data, (size_t)n);
	return true;
}

static void on_output(void *arg, uint32_t events)
{
	(void)events;
	read_output(arg);
}

/* What bubblewrap says of itself: a number, or -1. */
static int told(const char *text, const char *what)
{
	char value[16];

	for (const char *line = text, *next; line; line = next) {
		next = strchr(line, '\n');
		autofree char *one = xstrndup(line, next ? (size_t)(next - line) : strlen(line));
		if (json_find(one, what, value, sizeof(value)))
			return atoi(value);
		next += next != NULL;
	}
	return -1;
}

/* Bubblewrap's second process asks late to die with the first: one that was killed before that leaves the second one
 * behind. It is ours then (PR_SET_CHILD_SUBREAPER), and if it is not, it has ended. */
static void kill_stray(int pid)
{
	siginfo_t in = { 0 };

	if (pid > 0 && waitid(P_PID, (id_t)pid, &in, WEXITED | WNOHANG | WNOWAIT) == 0 && !in.si_pid)
		kill(pid, SIGKILL);
}

static void explain_sandbox(struct build *b, int status, struct why *why)
{
	autobuf struct buf said = { 0 };

	complaints_text(&b->complaints, &said);
	if (said.len)
		why_fail(why, -EPERM,
			"the sandbox of the build could not be made: %s\nbubblewrap needs user namespaces: "
			"sysctl "
			"user.max_user_namespaces must not be 0 and, where they exist, "
			"kernel.unprivileged_userns_clone must be 1, "
			"kernel.apparmor_restrict_unprivileged_userns 0. Nothing is built outside of a "
			"sandbox",
			said.data);
	else
		why_fail(why, -EPERM, "the sandbox of the build ended without a word (%s %d)",
			WIFSIGNALED(status) ? "signal" : "status",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static int collect(struct build *b, struct why *why)
{
	autobuf struct buf said = { 0 };
	int err = b->drops ? tree_give(b->plan.out, geteuid(), getegid()) : 0;

	if (!err)
		err = tree_tidy(b->plan.out, &said);
	if (said.len)
		monitor_console(&b->mon, said.data, said.len);
	return err < 0 ? why_fail_errno(why, err, "cannot take over what the build made") : 0;
}

static void command_ended(struct build *b, int code)
{
	struct machine_end e = { .status = (unsigned)code, .how = "build" };
	autobuf struct buf said = { 0 };
	struct why why = { 0 };

	if (!code && collect(b, &why) < 0) {
		fail(b, &why);
		return;
	}
	e.failed = code != 0;
	if (e.failed) {
		complaints_text(&b->complaints, &said);
		snprintf(e.error, sizeof(e.error),
			"the build failed with status %d%s%s (build.log has all of it)", code,
			said.len ? ": " : "", said.len ? said.data : "");
	}
	finish(b, &e);
}

static void on_child(void *arg, pid_t pid, int status)
{
	struct build *b = arg;
	struct why why = { 0 };
	char text[STATUS_MAX] = "";

	(void)pid;
	(void)!read(b->status_fd, text, sizeof(text) - 1);
	kill_stray(told(text, "child-pid"));
	watch_remove(b->child);
	b->child = NULL;
	b->pid = 0;
	while (b->output_watch && read_output(b))
		;
	int code = told(text, "exit-code"); /* -1: bubblewrap never came to run the command */
	if (b->killed) {
		end_killed(b);
	} else if (code < 0) {
		explain_sandbox(b, status, &why);
		fail(b, &why);
	} else {
		command_ended(b, code);
	}
	io_remove_tree(b->mon.dirfd, "work");
}

/* The disk */

static void measure(void *arg)
{
	struct build *b = arg;

	b->disk_bytes = tree_bytes("work") + tree_bytes(b->plan.out);
}

static void disk_check(void *arg);

static void measured(void *arg)
{
	struct build *b = arg;
	char words[128];

	b->measuring = false;
	if (!b->pid)
		return;
	if (b->disk_bytes > b->plan.limit_disk) {
		snprintf(words, sizeof(words), "the build wrote more than its limit of %" PRIu64 " MiB",
			b->plan.limit_disk >> 20);
		stop_build(b, "killed", 137, words);
		return;
	}
	b->disk_timer = loop_after(b->mon.loop, DISK_CHECK_MS, disk_check, b);
}

static void disk_check(void *arg)
{
	struct build *b = arg;

	b->disk_timer = NULL;
	b->measuring = true;
	pool_submit(b->pool, measure, measured, b);
}

/* The start */

static void too_long(void *arg)
{
	struct build *b = arg;
	char words[96];

	b->timeout = NULL;
	snprintf(words, sizeof(words), "the build took longer than %" PRIu64 " seconds", b->plan.timeout_s);
	stop_build(b, "timeout", 124, words);
}

static int start_sandbox(struct build *b, struct why *why)
{
	int output[2], status[2];

	if (pipe2(output, O_CLOEXEC) < 0 || pipe2(status, O_CLOEXEC) < 0)
		return why_fail_errno(why, -errno, "cannot start the build");
	struct sandbox s = { &b->plan, b->kernel, b->app, b->plan.out, status[1], b->drops };
	struct sandbox_args a;
	sandbox_args(&s, &a);
	const struct child_limit limits[] = {
		{ RLIMIT_AS, b->plan.limit_memory },
		{ RLIMIT_FSIZE, b->plan.limit_disk },
		{ RLIMIT_CPU, b->plan.timeout_s },
		{ RLIMIT_CORE, 0 },
	};
	struct child c = {
		.argv = (const char *const *)a.item,
		.out = output[1],
		.err = output[1],
		.keep = &status[1],
		.keep_count = 1,
		.limits = limits,
		.limit_count = sizeof(limits) / sizeof(limits[0]),
		.drop = b->drops,
		.prepare = sandbox_prepare,
		.arg = &s,
	};
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid_t pid = child_spawn(&c, why);
	sandbox_args_free(&a);
	close(output[1]);
	close(status[1]);
	b->output = output[0];
	b->status_fd = status[0];
	io_set_nonblock(b->output, true);
	io_set_nonblock(b->status_fd, true);
	if (pid < 0)
		return (int)pid;
	b->pid = pid;
	b->child = loop_child(b->mon.loop, pid, on_child, b);
	b->output_watch = loop_watch(b->mon.loop, b->output, EPOLLIN, on_output, b);
	b->disk_timer = loop_after(b->mon.loop, DISK_CHECK_MS, disk_check, b);
	return 0;
}

static void copy_sources(void *arg)
{
	struct build *b = arg;
	int dirfd = b->mon.dirfd, err = io_remove_tree(dirfd, "work");

	if (!err)
		err = io_mkdirs(dirfd, "work", 0700);
	if (!err)
		err = io_copy_tree(AT_FDCWD, b->plan.kernel, dirfd, "work/kernel");
	if (!err && b->drops && b->plan.app)
		err = io_copy_tree(AT_FDCWD, b->plan.app, dirfd, "work/app");
	if (!err && b->drops)
		err = tree_give("work", b->uid, b->gid);
	if (!err && b->drops)
		err = tree_give(b->plan.out, b->uid, b->gid);
	b->copy_err = err;
}

static void copied(void *arg)
{
	struct build *b = arg;
	struct why why = { 0 };
	int err = b->copy_err;

	if (b->mon.ended)
		return;
	if (err < 0)
		why_fail_errno(
			&why, err, "cannot copy the kernel's sources (%s) for the build", b->plan.kernel);
	else
		err = start_sandbox(b, &why);
	if (err < 0)
		fail(b, &why);
}

static int check_tools(struct build *b, struct why *why)
{
	if (!child_found(b->plan.bwrap, NULL))
		return why_fail(why, -ENOENT,
			"bubblewrap (%s) is not there, and nothing is built outside of its sandbox: install "
			"it (Debian: apt-get "
			"install bubblewrap)",
			b->plan.bwrap);
	for (size_t i = 0; i < b->plan.tools.count; i++)
		if (!child_found(b->plan.tools.item[i], BUILD_PATH))
			return why_fail(why, -ENOENT,
				"this kernel's build needs %s, which is not in %s: install it (the kernel's "
				"`tools` line has all that "
				"it needs)",
				b->plan.tools.item[i], BUILD_PATH);
	return 0;
}

static int check_plan(struct build *b, struct why *why)
{
	struct stat st;

	if (!b->plan.build || !*b->plan.build || !b->plan.kernel || !b->plan.out)
		return why_fail(why, -EINVAL, "plan: build, kernel and out are needed");
	if (stat(b->plan.kernel, &st) < 0)
		return why_fail_errno(why, -errno, "the kernel's sources, %s", b->plan.kernel);
	int err = io_mkdirs(AT_FDCWD, b->plan.out, 0700);
	if (err < 0)
		return why_fail_errno(why, err, "cannot make %s", b->plan.out);
	return check_tools(b, why);
}

static int begin(struct build *b, struct why *why)
{
	int err = plan_read(b->mon.dirfd, &b->plan, why);

	if (err < 0)
		return err;
	monitor_plan(&b->mon, &b->plan);
	if (!b->plan.timeout_s)
		b->plan.timeout_s = TIMEOUT_S;
	err = check_plan(b, why);
	if (err < 0)
		return err;
	autofree char *dir = getcwd(NULL, 0);
	if (!dir)
		return why_fail_errno(why, -errno, "the build's directory");
	b->drops = child_drops(&b->uid, &b->gid);
	b->kernel = xasprintf("%s/work/kernel", dir);
	b->app = !b->plan.app ? NULL : b->drops ? xasprintf("%s/work/app", dir) : xstrdup(b->plan.app);
	b->pool = pool_new(b->mon.loop, 1);
	b->timeout = loop_after(b->mon.loop, b->plan.timeout_s * 1000, too_long, b);
	pool_submit(b->pool, copy_sources, copied, b);
	return 0;
}

/* The daemon */

static void command(void *arg, uint64_t number, const char *word, const char *rest)
{
	struct build *b = arg;
	bool known = !strcmp(word, "stop") || !strcmp(word, "kill");

	(void)rest;
	monitor_answer(&b->mon, number, known ? 0 : -EOPNOTSUPP, known ? "" : "a build takes stop and kill");
	if (known)
		stop_build(b, "killed", 137, "the build was stopped");
}

static void stop(void *arg, const char *reason)
{
	stop_build(arg, "killed", 137, reason);
}

static const struct monitor_ops build_ops = { .command = command, .stop = stop };

static int deploy(const char *dir)
{
	struct why why = { 0 };

	if (chdir(dir) < 0) {
		log_error("%s: cannot enter the build's directory", dir);
		return DEPLOY_EXIT_FAILED;
	}
	if (monitor_open(&build.mon, "build.log", LOG_MAX, &build_ops, &build, &why) < 0) {
		log_error("%s", why.text);
		return DEPLOY_EXIT_FAILED;
	}
	build.mon.building = true;
	monitor_state(&build.mon, "building");
	if (begin(&build, &why) < 0)
		fail(&build, &why);
	return monitor_run(&build.mon); /* build stays: of a build that was stopped, sources may still be copied */
}

static const char usage[] =
	"usage: diverfs-build DIR\n"
	"       diverfs-build --probe [--bwrap PATH]\n"
	"Runs the build that DIR/plan describes in a sandbox. diverfs starts it; deploy.h is the contract.\n";

static int probe(const struct probe_with *with)
{
	bool found = child_found(with->bwrap, NULL);

	printf("%s = %s\n", PROBE_AVAILABLE, found ? "yes" : "no");
	if (!found)
		printf("%s = bubblewrap is not there: install it (Debian: apt-get install bubblewrap)\n",
			PROBE_WHY);
	return found ? DEPLOY_EXIT_OK : DEPLOY_EXIT_FAILED;
}

int main(int argc, char **argv)
{
	static const struct program program = { "diverfs-build", usage, probe, deploy };

	return program_main(&program, argc, argv);
}
