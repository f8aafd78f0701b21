/* SPDX-License-Identifier: MIT */
/*
 * The application: what this Linux runs, and with whose status it ends. As it stands it runs the command that
 * its arguments name, or without arguments a shell: on the console where somebody has a terminal there, else one
 * that reads commands from stdin.
 *
 * Write any program here: all *.c files of this directory are compiled and linked statically.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void ignore(int number)
{
	(void)number;
}

/* The console has a size, and a change of it is a signal, once the host has told that a terminal is there. Waits
 * for that, or for stdin to have something or end. */
static int somebody_is_there(int tty)
{
	struct sigaction changed = { .sa_handler = ignore };
	struct pollfd input = { .fd = 0, .events = POLLIN };
	struct winsize size = { 0 };
	sigset_t block, none;

	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGWINCH);
	sigprocmask(SIG_BLOCK, &block, NULL);
	sigaction(SIGWINCH, &changed, NULL);
	do {
		if (ioctl(tty, TIOCGWINSZ, &size) < 0 || size.ws_col)
			break;
	} while (ppoll(&input, 1, NULL, &none) < 0 && errno == EINTR);
	signal(SIGWINCH, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	return size.ws_col;
}

static void choose_terminal(void)
{
	int tty = open("/dev/console", O_RDWR | O_NOCTTY);

	if (tty < 0 || isatty(0) || ioctl(tty, TIOCSCTTY, 0) < 0) {
		close(tty);
		return;
	}
	if (somebody_is_there(tty)) {
		dup2(tty, 0);
		dup2(tty, 1);
		dup2(tty, 2);
	} else {
		signal(SIGHUP, SIG_IGN); /* what who gives a terminal back is sent */
		ioctl(tty, TIOCNOTTY);
		signal(SIGHUP, SIG_DFL);
	}
	if (tty > 2)
		close(tty);
}

int main(int argc, char **argv)
{
	static char *shell[] = { "sh", NULL };
	char **command = argc > 1 ? argv + 1 : shell;

	if (argc < 2)
		choose_terminal();
	execvp(command[0], command);
	int err = errno;
	fprintf(stderr, "%s: %s\n", command[0], strerror(err));
	return err == ENOENT ? 127 : 126;
}
