/* SPDX-License-Identifier: MIT */
/*
 * main.c: the first process. Makes Linux a kernel that runs one program and ends with its status:
 * /app with the arguments of the command line, stdin and stdout on the ports, stderr on the console.
 *
 * Without the ports (a bare QEMU) the program has the console for all three, and the machine is powered off
 * after it.
 */
#include "init.h"

#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM	 "/app"
#define PORTS_MS 5000 /* for the driver to name its ports */
#define STOP_MS	 3000 /* from SIGTERM to the end; the host waits five seconds */

static int console = 2;

void say(const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	dprintf(console, "init: %s\n", text);
}

static void mounts(void)
{
	static const struct {
		const char *type, *at;
	} all[] = { { "devtmpfs", "/dev" }, { "proc", "/proc" }, { "sysfs", "/sys" },
		{ "devpts", "/dev/pts" }, { "tmpfs", "/dev/shm" } };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		mkdir(all[i].at, 0755);
		if (mount("none", all[i].at, all[i].type, 0, NULL) < 0 && errno != EBUSY)
			say("cannot mount %s: %s", all[i].at, strerror(errno));
	}
	(void)!symlink("/proc/self/fd", "/dev/fd");
	(void)!symlink("/proc/self/fd/0", "/dev/stdin");
	(void)!symlink("/proc/self/fd/1", "/dev/stdout");
	(void)!symlink("/proc/self/fd/2", "/dev/stderr");
}

/* Linux itself says nothing with "quiet": a line shows that it is there. */
static void greet(void)
{
	struct utsname u;
	struct timespec up;

	if (!uname(&u) && !clock_gettime(CLOCK_BOOTTIME, &up))
		say("%s %s, up after %ld.%02ld s, runs %s", u.sysname, u.release, (long)up.tv_sec,
			up.tv_nsec / 10000000, PROGRAM);
}

static char **arguments(void)
{
	static char line[8192], name[] = PROGRAM;
	int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, line, sizeof(line) - 1);

	if (fd >= 0)
		close(fd);
	line[n > 0 ? n : 0] = 0;
	line[strcspn(line, "\n")] = 0;
	return args_parse(line, name);
}

/* The child: a session of its own, so that what it starts can be ended with it. */
static _Noreturn void become(char **argv, int in, int out)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	if (in < 0)
		ioctl(console, TIOCSCTTY, 0);
	dup2(in < 0 ? console : in, 0);
	dup2(out < 0 ? console : out, 1);
	dup2(console, 2);
	execv(PROGRAM, argv);
	say("cannot run %s: %s", PROGRAM, strerror(errno));
	_exit(127);
}

/* Processes that lost their parent are ours to bury, too. Returns 1 when (pid) has ended. */
static int bury(pid_t pid, int *status)
{
	pid_t gone;
	int s, ended = 0;

	while ((gone = waitpid(-1, &s, WNOHANG)) > 0)
		if (gone == pid) {
			*status = WIFSIGNALED(s) ? 128 + WTERMSIG(s) : WEXITSTATUS(s);
			ended = 1;
		}
	return ended;
}

static void resize(uint64_t value)
{
	struct winsize size = { .ws_col = (unsigned short)(value >> 16), .ws_row = (unsigned short)value };

	ioctl(console, TIOCSWINSZ, &size);
}

/* Until the program has ended, or the host wanted it to and it did not. */
static int watch(pid_t pid, int control, int signals)
{
	struct pollfd p[2] = { { .fd = signals, .events = POLLIN }, { .fd = control, .events = POLLIN } };
	struct signalfd_siginfo unused;
	uint64_t value;
	int status = 128 + SIGTERM, limit = -1;

	for (;;) {
		int n = poll(p, control < 0 ? 1 : 2, limit);
		if (n == 0)
			return 128 + SIGKILL;
		if (p[0].revents & POLLIN)
			(void)!read(signals, &unused, sizeof(unused));
		if (bury(pid, &status))
			return status;
		if (n < 0 || control < 0)
			continue;
		switch (p[1].revents & POLLIN ? control_read(control, &value) : 0) {
		case GUEST_STOP:
			kill(-pid, SIGTERM);
			kill(pid, SIGTERM);
			limit = STOP_MS;
			break;
		case GUEST_RESIZE:
			resize(value);
			break;
		}
		if (p[1].revents & POLLHUP)
			control = -1;
	}
}

/* The host ends the machine when it hears EXIT. The driver does not tell when the host has taken what was
 * written, so EXIT says that some may be queued. */
static _Noreturn void end(int control, int status)
{
	sync();
	if (control >= 0)
		control_send(control, GUEST_EXIT, (uint64_t)status | GUEST_EXIT_QUEUED);
	else
		reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static int watch_children(void)
{
	sigset_t children;

	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	sigprocmask(SIG_BLOCK, &children, NULL);
	return signalfd(-1, &children, SFD_CLOEXEC);
}

int main(void)
{
	int in = -1, out = -1, control = -1;

	mounts();
	console = open("/dev/console", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (console < 0)
		console = 2;
	modules_load("/lib/modules");
	if (!ports_wait(GUEST_PORT_CONTROL, PORTS_MS)) {
		control = port_open(GUEST_PORT_CONTROL, O_RDWR);
		in = port_open(GUEST_PORT_STDIN, O_RDONLY);
		out = port_open(GUEST_PORT_STDOUT, O_WRONLY);
	}
	if (in >= 0)
		port_settle(in);
	char **argv = arguments();
	setenv("PATH", "/bin", 1);
	setenv("HOME", "/root", 1);
	setenv("TERM", "linux", 0);
	greet();
	int signals = watch_children();
	control_send(control, GUEST_HELLO, 1);
	pid_t pid = fork();
	if (!pid)
		become(argv, in, out);
	if (pid < 0)
		say("cannot fork: %s", strerror(errno));
	end(control, pid < 0 ? 125 : watch(pid, control, signals));
}
