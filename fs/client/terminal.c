/* SPDX-License-Identifier: MIT */
/*
 * terminal.c: our terminal, lent to a kernel. Raw, so that each key arrives as it is typed, ^C among them; and given
 * back as it was on every way out on which we still run: the end, the escape, a signal, a stop.
 *
 * A thread takes the keys, another one follows the window's size. Signal handlers do no more than give the terminal
 * back, and wake that second thread.
 *
 * Only who is in the foreground may change a terminal's modes. In the background it is somebody else's, whose modes
 * we neither set nor restore; a shell has put its own in place.
 */
#include "cache/base/buf.h"
#include "cache/base/io.h"
#include "fs/client/client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define BACKGROUND_MS 100
#define KEYS_MAX      4096

static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGALRM, SIGUSR1, SIGUSR2, SIGXCPU,
	SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };

static atomic_flag busy = ATOMIC_FLAG_INIT; /* who has it may change what follows; with all signals blocked */
static struct termios before;
static bool raw, over;

static atomic_bool is_raw; /* the same as raw, for a look without the lock */
static atomic_bool attached;
static sem_t changed; /* the window's size, or whose the terminal is */
static int instance, console, escape, left_status;

/* --- modes of the terminal --- */

/* Also if it is not our controlling terminal: then there is no foreground. */
static bool in_foreground(void)
{
	pid_t group = tcgetpgrp(0);

	return group < 0 || group == getpgrp();
}

/* Handlers take it too: the holder must not be interrupted by one, nor stopped by SIGTTOU. */
static void lock(sigset_t *mask)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, mask);
	while (atomic_flag_test_and_set(&busy))
		;
}

static void unlock(const sigset_t *mask)
{
	atomic_flag_clear(&busy);
	pthread_sigmask(SIG_SETMASK, mask, NULL);
}

/* Output stays as it is: most kernels end a line with a bare newline. */
static void set_raw(void)
{
	struct termios t;
	sigset_t mask;

	lock(&mask);
	if (!over && in_foreground() && (raw || tcgetattr(0, &before) == 0)) {
		t = before;
		cfmakeraw(&t);
		t.c_oflag = before.c_oflag;
		t.c_cc[VMIN] = 1;
		t.c_cc[VTIME] = 0;
		raw = tcsetattr(0, TCSANOW, &t) == 0;
	} else if (!in_foreground()) {
		raw = false; /* we were stopped without a word (SIGSTOP): its modes are the shell's by now */
	}
	atomic_store(&is_raw, raw);
	unlock(&mask);
}

static void give_back(bool for_good)
{
	sigset_t mask;

	lock(&mask);
	if (raw && in_foreground())
		tcsetattr(0, TCSANOW, &before);
	raw = false;
	over = over || for_good;
	atomic_store(&is_raw, false);
	unlock(&mask);
}

void terminal_leave(void)
{
	if (atomic_load(&attached))
		give_back(true);
}

/* --- signals --- */

static void on_end(int sig)
{
	int saved = errno;

	give_back(true);
	signal(sig, SIG_DFL);
	raise(sig); /* blocked until we return */
	errno = saved;
}

static void on_stop(int sig);

static void take_signal(int sig, void (*handler)(int))
{
	struct sigaction old, sa = { .sa_handler = handler, .sa_flags = SA_RESTART };

	sigfillset(&sa.sa_mask);
	if (sigaction(sig, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
		sigaction(sig, &sa, NULL);
}

/* We stop as if we had not caught it. What continues us sends SIGCONT, which on_change takes. */
static void on_stop(int sig)
{
	int saved = errno;
	sigset_t only, mask;

	give_back(false);
	signal(sig, SIG_DFL);
	raise(sig);
	sigemptyset(&only);
	sigaddset(&only, sig);
	pthread_sigmask(SIG_UNBLOCK, &only, &mask); /* here we stop */
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	take_signal(sig, on_stop);
	errno = saved;
}

static void on_change(int sig)
{
	int saved = errno;

	(void)sig;
	sem_post(&changed);
	errno = saved;
}

static void catch_signals(void)
{
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		take_signal(ends[i], on_end);
	take_signal(SIGTSTP, on_stop);
	take_signal(SIGCONT, on_change);
	take_signal(SIGWINCH, on_change);
}

/* --- the window's size --- */

/* A command that is refused is the instance's last error, and would hide what ended the kernel. */
static bool runs(void)
{
	autobuf struct buf state = { 0 };

	return io_read_file(instance, "state", 64, &state) == 0 && state.data &&
	       !strncmp(state.data, "running", 7);
}

static void tell_size(void)
{
	autoclose int ctl = openat(instance, "ctl", O_WRONLY | O_CLOEXEC);
	struct winsize w = { 0 };
	char words[64];
	int n;

	if (ctl < 0 || ioctl(0, TIOCGWINSZ, &w) < 0 || !runs())
		return;
	/* one that does not know its size is told of, too: kernels learn by it that there is a terminal */
	n = snprintf(
		words, sizeof(words), "resize %u %u", w.ws_col ? w.ws_col : 80, w.ws_row ? w.ws_row : 24);
	(void)!write(ctl, words, (size_t)n);
}

/* Nobody tells us that we are in the foreground again: a shell's fg sends SIGCONT only to what is stopped. */
static void wait_for_change(void)
{
	struct timespec until;

	if (atomic_load(&is_raw)) {
		sem_wait(&changed);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += BACKGROUND_MS * 1000000l;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	sem_timedwait(&changed, &until);
}

static void *window_thread(void *arg)
{
	(void)arg;
	for (;;) {
		set_raw();
		if (atomic_load(&is_raw))
			tell_size();
		wait_for_change();
	}
	return NULL;
}

/* --- keys --- */

static _Noreturn void leave(void)
{
	terminal_leave();
	_exit(left_status); /* with us run/new is closed, and the kernel ends */
}

/* In the background keys are somebody else's. */
static bool wait_for_key(void)
{
	struct pollfd p = { .fd = 0, .events = POLLIN };

	if (poll(&p, 1, -1) <= 0)
		return false;
	if (p.revents & (POLLHUP | POLLERR) || (in_foreground() && atomic_load(&is_raw)))
		return true;
	poll(NULL, 0, BACKGROUND_MS);
	return false;
}

/* The console takes all of a write, or what the line has room for: it never waits. */
static void type(const char *keys, size_t len)
{
	while (len && write(console, keys, len) < 0 && errno == EINTR)
		;
}

static void *keys_thread(void *arg)
{
	char keys[KEYS_MAX], *left;
	ssize_t n;

	(void)arg;
	for (;;) {
		if (!wait_for_key())
			continue;
		n = read(0, keys, sizeof(keys));
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0) /* the terminal is gone */
			leave();
		left = escape < 0 ? NULL : memchr(keys, escape, (size_t)n);
		type(keys, left ? (size_t)(left - keys) : (size_t)n);
		if (left)
			leave();
	}
	return NULL;
}

/* --- beginning --- */

void terminal_key_name(int key, char out[TERMINAL_KEY_NAME])
{
	if (key < 0x20 || key == 0x7f)
		snprintf(out, TERMINAL_KEY_NAME, "^%c", key ^ 0x40);
	else
		snprintf(out, TERMINAL_KEY_NAME, "%c", key);
}

int terminal_key(const char *text)
{
	size_t len = strlen(text);

	if (strcmp(text, "none") == 0)
		return TERMINAL_NO_KEY;
	if (len == 1)
		return (unsigned char)text[0];
	if (len == 2 && text[0] == '^' && text[1] == '?')
		return 0x7f;
	if (len == 2 && text[0] == '^' &&
		((text[1] >= '@' && text[1] <= '_') || (text[1] >= 'a' && text[1] <= 'z')))
		return text[1] & 0x1f;
	return -EINVAL;
}

static int start(void *(*fn)(void *))
{
	pthread_t t;
	int err = pthread_create(&t, NULL, fn, NULL);

	if (!err)
		pthread_detach(t);
	return -err;
}

int terminal_attach(int dir, int key, int status, struct why *why)
{
	int err;

	instance = dir;
	escape = key;
	left_status = status;
	console = openat(dir, "console", O_WRONLY | O_CLOEXEC);
	if (console < 0)
		return why_fail_errno(why, -errno, "cannot type on the console");
	if (sem_init(&changed, 0, 0) < 0)
		return why_fail_errno(why, -errno, "cannot attach the terminal");
	catch_signals();
	atomic_store(&attached, true);
	err = start(window_thread);
	if (!err)
		err = start(keys_thread);
	return err ? why_fail_errno(why, err, "cannot start a thread") : 0;
}
