/* SPDX-License-Identifier: MIT */
/*
 * pty: runs a program in a terminal, and plays the person in front of it.
 *
 *     pty COMMAND [ARGUMENT]... <SCRIPT
 *
 * A line of the script is a word and what it takes; the texts may have \r \n \\ and \xHH:
 *     expect TEXT   waits until the program has written TEXT, after what the last expect found
 *     send TEXT     types it
 *     size C R      the window has C columns and R rows from now on (24 by 80 at first)
 *     raw | lines   waits until the terminal gives single keys, or lines
 *     same          waits until the terminal's modes are what they were at first
 *     signal N      sends a signal to the program
 *     pid           waits for "pid N." in the output: whom `signal` means from now on
 *     run COMMAND   of a shell outside the terminal; it must succeed
 *     exit N        waits for the end, which must be exit status N; 128 + N for signal N
 * There is no word that waits for a time. Fails, saying at which line and what was written since, if a wait lasts too long.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { OUTPUT_MAX = 1 << 20, WAIT_MS = 60000, LOOK_MS = 20 };

static int master;
static pid_t child, target;
static int status = -1; /* of the child, once it has ended */
static struct termios first;
static char output[OUTPUT_MAX + 1];
static size_t len, found;
static int line_number;

static void fail(const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "pty: line %d: ", line_number);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "; written since:\n%s\n", output + found);
	if (status < 0)
		kill(child, SIGKILL);
	exit(1);
}

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Takes what the program writes, for a moment. */
static void listen_a_moment(void)
{
	struct pollfd p = { .fd = master, .events = POLLIN };
	int w;

	if (poll(&p, 1, LOOK_MS) > 0) {
		ssize_t n = read(master, output + len, OUTPUT_MAX - len);

		if (n > 0) {
			len += (size_t)n;
			output[len] = '\0';
		} else {
			poll(NULL, 0, LOOK_MS); /* EIO: nobody has the terminal open */
		}
	}
	if (status < 0 && waitpid(child, &w, WNOHANG) == child)
		status = WIFEXITED(w) ? WEXITSTATUS(w) : 128 + WTERMSIG(w);
}

static int is_expected(const char *text)
{
	char *at = strstr(output + found, text);

	if (at)
		found = (size_t)(at - output) + strlen(text);
	return at != NULL;
}

static int is_raw(const char *unused)
{
	struct termios t;

	(void)unused;
	return tcgetattr(master, &t) == 0 && !(t.c_lflag & (ICANON | ECHO | ISIG));
}

static int is_lines(const char *unused)
{
	struct termios t;

	(void)unused;
	return tcgetattr(master, &t) == 0 && t.c_lflag & ICANON && t.c_lflag & ISIG;
}

static int is_same(const char *unused)
{
	struct termios t;

	(void)unused;
	return tcgetattr(master, &t) == 0 && t.c_lflag == first.c_lflag && t.c_iflag == first.c_iflag &&
	       t.c_oflag == first.c_oflag && t.c_cflag == first.c_cflag &&
	       memcmp(t.c_cc, first.c_cc, sizeof(t.c_cc)) == 0;
}

static int has_ended(const char *unused)
{
	(void)unused;
	return status >= 0;
}

static int has_pid(const char *unused)
{
	char *at = strstr(output + found, "pid "), *end;
	long pid = at ? strtol(at + 4, &end, 10) : 0;

	(void)unused;
	if (pid <= 0 || *end != '.')
		return 0;
	target = (pid_t)pid;
	found = (size_t)(end - output);
	return 1;
}

static void until(int (*is)(const char *), const char *text, const char *what)
{
	long end = now_ms() + WAIT_MS;

	while (!is(text)) {
		if (now_ms() > end)
			fail("%s %s: not within %d s", what, text, WAIT_MS / 1000);
		listen_a_moment();
	}
}

/* \r \n \\ \xHH in place; returns the length. */
static size_t unescape(char *s)
{
	char *to = s;

	for (char *p = s; *p;) {
		unsigned byte;

		if (*p != '\\') {
			*to++ = *p++;
		} else if (p[1] == 'x' && sscanf(p + 2, "%2x", &byte) == 1) {
			*to++ = (char)byte;
			p += 4;
		} else {
			*to++ = p[1] == 'n' ? '\n' : p[1] == 'r' ? '\r' : p[1];
			p += p[1] ? 2 : 1;
		}
	}
	*to = '\0';
	return (size_t)(to - s);
}

static void resize(const char *text)
{
	struct winsize w = { 0 };

	if (sscanf(text, "%hu %hu", &w.ws_col, &w.ws_row) != 2 || ioctl(master, TIOCSWINSZ, &w) < 0)
		fail("size %s", text);
}

static const struct {
	const char *word;
	int (*is)(const char *);
} waits[] = { { "expect", is_expected }, { "raw", is_raw }, { "lines", is_lines }, { "same", is_same },
	{ "pid", has_pid } };

static void obey(const char *word, char *text)
{
	size_t n = unescape(text);

	for (size_t i = 0; i < sizeof(waits) / sizeof(*waits); i++)
		if (!strcmp(word, waits[i].word)) {
			until(waits[i].is, text, word);
			return;
		}
	if (!strcmp(word, "send")) {
		if (write(master, text, n) != (ssize_t)n)
			fail("send: %s", strerror(errno));
	} else if (!strcmp(word, "size")) {
		resize(text);
	} else if (!strcmp(word, "signal")) {
		if (kill(target, atoi(text)) < 0)
			fail("signal: %s", strerror(errno));
	} else if (!strcmp(word, "run")) {
		if (system(text) != 0)
			fail("run %s: failed", text);
	} else if (!strcmp(word, "exit")) {
		until(has_ended, "", word);
		if (status != atoi(text))
			fail("exit %s: it was %d", text, status);
	} else {
		fail("there is no word %s", word);
	}
}

static void start(char **argv)
{
	struct winsize w = { .ws_col = 80, .ws_row = 24 };
	int slave;

	master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
		fail("no terminal: %s", strerror(errno));
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || ioctl(master, TIOCSWINSZ, &w) < 0 || tcgetattr(slave, &first) < 0)
		fail("no terminal: %s", strerror(errno));
	child = fork();
	if (child == 0) {
		setsid();
		ioctl(slave, TIOCSCTTY, 0);
		for (int fd = 0; fd < 3; fd++)
			dup2(slave, fd);
		execvp(argv[0], argv);
		_exit(127);
	}
	target = child; /* the slave stays open here: its modes last as long as somebody has it */
}

int main(int argc, char **argv)
{
	char line[1024];

	if (argc < 2) {
		fputs("usage: pty COMMAND [ARGUMENT]... <SCRIPT\n", stderr);
		return 2;
	}
	start(argv + 1);
	while (fgets(line, sizeof(line), stdin)) {
		char *text = line + strspn(line, " \t"), *word = strsep(&text, " \n");

		line_number++;
		if (!*word || *word == '#')
			continue;
		text = text ? text : line + strlen(line);
		text[strcspn(text, "\n")] = '\0';
		obey(word, text);
	}
	if (status < 0)
		fail("the script is over, the program is not");
	return 0;
}
