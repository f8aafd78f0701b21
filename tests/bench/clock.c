/* SPDX-License-Identifier: MIT */
/*
 * clock: what `make bench` measures in C, because a shell's fork and exec would be in every figure.
 *
 *     clock deploy INSTANCE           writes fullVM to INSTANCE/deploy; prints ms to the first byte of its console, then
 *                                     waits for its end
 *     clock prompt INSTANCE MODE      writes MODE to it; prints ms to a prompt ("> ") on the console, and kills it
 *     clock bare ARGS IMAGE           starts the program whose arguments are in ARGS (separated by NUL): the QEMU command
 *                                     line of a deployer, with sockets and IMAGE in place of its descriptors; prints
 *                                     ms to the first byte of the console or of stdout, which a deployer copies to
 *                                     the console when nobody reads it
 *     clock first COMMAND...          prints ms from exec to the first byte of its stdout, then waits for its end
 *     clock pipe BYTES COMMAND...     feeds BYTES to COMMAND and reads as many back; prints MB/s
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ARGS_MAX = 200, FDS_MAX = 16, BLOCK = 65536 };

static void die(const char *what)
{
	fprintf(stderr, "clock: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int open_in(const char *dir, const char *name, int flags)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		die(path);
	return fd;
}

static void write_in(const char *dir, const char *name, const char *word)
{
	int fd = open_in(dir, name, O_WRONLY);

	if (dprintf(fd, "%s\n", word) < 0)
		die(name);
	close(fd);
}

/* (text) is what is waited for on the console; NULL: a byte. Who then does not end by himself is told (word). */
static int deploy(const char *dir, const char *mode, const char *text, const char *word)
{
	char said[65536], rest[4096];
	double began = now_ms(), first;
	size_t len = 0;
	int fd;

	write_in(dir, "deploy", mode);
	fd = open_in(dir, "console", O_RDONLY);
	do {
		ssize_t n = len < sizeof(said) ? read(fd, said + len, text ? sizeof(said) - len : 1) : 0;

		if (n <= 0)
			die("console");
		len += (size_t)n;
	} while (text && !memmem(said, len, text, strlen(text)));
	first = now_ms();
	if (word)
		write_in(dir, "ctl", word);
	fd = open_in(dir, "wait", O_RDONLY);
	if (read(fd, rest, sizeof(rest)) < 0)
		die("wait");
	printf("%.1f\n", first - began);
	return 0;
}

/* The other ends of the sockets that the machine gets, by the descriptor's number there. */
static int ends[FDS_MAX], numbers[FDS_MAX], count;

static int new_end(void)
{
	int pair[2];

	if (count == FDS_MAX || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		die("socketpair");
	fcntl(pair[0], F_SETFD, FD_CLOEXEC);
	ends[count] = pair[0];
	numbers[count] = pair[1];
	return count++;
}

static char *with_own_fds(char *arg, const char *image, struct pollfd said[2])
{
	char *text, *fd = strstr(arg, ",fd=");

	if (strncmp(arg, "/dev/fd/", 8) == 0)
		return strdup(image);
	if (!fd || strncmp(arg, "socket,", 7) != 0)
		return arg;
	int n = new_end();
	if (strstr(arg, "id=console"))
		said[0].fd = ends[n];
	if (strstr(arg, "id=stdout"))
		said[1].fd = ends[n];
	if (asprintf(&text, "%.*s,fd=%d", (int)(fd - arg), arg, numbers[n]) < 0)
		die("memory");
	return text;
}

static int bare(const char *file, const char *image)
{
	static char data[65536], *args[ARGS_MAX];
	struct pollfd said[2] = { { .fd = -1, .events = POLLIN }, { .fd = -1, .events = POLLIN } };
	int fd = open(file, O_RDONLY | O_CLOEXEC), n = 0;
	ssize_t len = fd < 0 ? -1 : read(fd, data, sizeof(data) - 1);
	double began;
	pid_t pid;

	if (len < 0)
		die(file);
	for (char *p = data; p < data + len && n < ARGS_MAX - 1; p += strlen(p) + 1)
		args[n++] = p;
	began = now_ms();
	for (int i = 0; i < n; i++)
		args[i] = with_own_fds(args[i], image, said);
	pid = fork();
	if (pid == 0) {
		execvp(args[0], args);
		die(args[0]);
	}
	for (int i = 0; i < count; i++)
		close(numbers[i]);
	if (pid < 0 || said[0].fd < 0 || poll(said, 2, 20000) <= 0)
		die("console");
	printf("%.1f\n", now_ms() - began);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return 0;
}

static int first_byte(char **command)
{
	char c, rest[4096];
	int out[2], status;
	double began = now_ms(), first;
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) < 0)
		die("pipe");
	pid = fork();
	if (pid == 0) {
		dup2(open("/dev/null", O_RDWR), 0);
		dup2(out[1], 1);
		dup2(0, 2);
		execvp(command[0], command);
		die(command[0]);
	}
	close(out[1]);
	if (read(out[0], &c, 1) != 1)
		die("no output");
	first = now_ms();
	while (read(out[0], rest, sizeof(rest)) > 0)
		;
	if (waitpid(pid, &status, 0) < 0 || status != 0) {
		fprintf(stderr, "clock: %s: status %d\n", command[0], status);
		return 1;
	}
	printf("%.1f\n", first - began);
	return 0;
}

static void feed(int fd, long long bytes)
{
	static char block[BLOCK];

	memset(block, 'x', sizeof(block));
	while (bytes > 0) {
		ssize_t n = write(fd, block, bytes < BLOCK ? (size_t)bytes : BLOCK);

		if (n < 0)
			die("write");
		bytes -= n;
	}
	exit(0);
}

/* The clock runs from the first byte that comes back, so that a boot is not in it. */
static int pipe_through(long long bytes, char **command)
{
	static char block[BLOCK];
	int in[2], out[2], status;
	long long got = 0;
	double began = 0;
	ssize_t n;
	pid_t pid, feeder;

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		die("pipe");
	pid = fork();
	if (pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		execvp(command[0], command);
		die(command[0]);
	}
	feeder = fork();
	if (feeder == 0)
		feed(in[1], bytes);
	close(in[0]);
	close(in[1]);
	close(out[1]);
	while ((n = read(out[0], block, sizeof(block))) > 0) {
		if (!began)
			began = now_ms();
		got += n;
	}
	double ms = now_ms() - began;
	waitpid(feeder, NULL, 0);
	if (waitpid(pid, &status, 0) < 0 || status != 0 || got != bytes) {
		fprintf(stderr, "clock: %s: status %d, %lld bytes of %lld\n", command[0], status, got, bytes);
		return 1;
	}
	printf("%.1f\n", (double)bytes / 1e3 / ms);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "deploy") == 0)
		return deploy(argv[2], "fullVM", NULL, NULL);
	if (argc == 4 && strcmp(argv[1], "prompt") == 0)
		return deploy(argv[2], argv[3], "> ", "kill");
	if (argc == 4 && strcmp(argv[1], "bare") == 0)
		return bare(argv[2], argv[3]);
	if (argc > 2 && strcmp(argv[1], "first") == 0)
		return first_byte(argv + 2);
	if (argc > 3 && strcmp(argv[1], "pipe") == 0)
		return pipe_through(atoll(argv[2]), argv + 3);
	fprintf(stderr,
		"usage: clock deploy INSTANCE | prompt INSTANCE MODE | bare ARGS IMAGE | first COMMAND... "
		"| pipe BYTES "
		"COMMAND...\n");
	return 64;
}
