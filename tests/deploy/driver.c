/* SPDX-License-Identifier: MIT */
/*
 * driver.c: plays the daemon against a real deployer, so that deployers are tested without a mount.
 *
 *     driver [options] PROGRAM DIR [KEY=VALUE ...]
 *
 * writes DIR/plan, starts PROGRAM as deploy.h says, carries stdin and stdout, copies the console to stderr,
 * and exits with the status that `end` tells. Options:
 *     --attach        connect to DIR/sock: a daemon that was restarted (PROGRAM is not started)
 *     --from N        the first byte of stdout wanted, and where our stdin stands
 *     --in-from N     stdin's first byte has this offset (earlier ones were sent by another driver)
 *     --crash N       end without a word once N bytes of stdout have come, as kill -9 of the daemon does
 *     --lag N         acknowledge only what is N bytes behind
 *     --no-input      send no end of stdin; stdin is not read
 *     --at MS WORDS   send a command; prints its answer. May be repeated. "bye", "bye keep", "tee 0", "tee
 * 1", "type X", "raw" (rubbish) and "leave" (just go) are not commands but done by the driver
 *     --verbose       states, events, answers and `end` on stderr, each line after "# "
 *     --times         microseconds from the start to: running, console, stdout, exit
 */
#include "cache/base/chan.h"
#include "cache/base/conf.h"
#include "cache/base/io.h"
#include "cache/base/seglog.h"
#include "deployers/deploy.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#define ACTIONS_MAX 32

struct driver;

struct action {
	struct driver *d;
	uint64_t ms;
	const char *words;
};

static struct driver {
	struct loop *loop;
	struct chan *chan;
	const char *program, *dir;
	pid_t pid;
	int dirfd;
	bool attach, no_input, verbose, times;
	uint64_t from, in_from, crash, lag;
	struct action actions[ACTIONS_MAX];
	size_t action_count;

	struct watch *input;
	uint64_t in_sent, in_acked, out_got;
	bool in_ended, out_ended, exited, saw_console, saw_stdout;
	const char *log_name;
	uint64_t log_at;
	uint64_t start_ns;
	int status;
} driver = { .status = 125 };

static void die(const char *what)
{
	fprintf(stderr, "driver: %s: %s\n", what, strerror(errno));
	exit(99);
}

__attribute__((format(printf, 2, 3))) static void say(struct driver *d, const char *fmt, ...)
{
	va_list ap;

	if (!d->verbose)
		return;
	fputs("# ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs("\n", stderr);
}

static void took(struct driver *d, const char *what)
{
	if (d->times)
		fprintf(stderr, "# time %s %" PRIu64 "\n", what, (clock_mono_ns() - d->start_ns) / 1000);
}

/* Input */

static void feed(void *arg, uint32_t events)
{
	struct driver *d = arg;
	static char data[65536];
	uint64_t room = DEPLOY_WINDOW - (d->in_sent - d->in_acked);

	(void)events;
	if (!room) {
		watch_events(d->input, 0);
		return;
	}
	ssize_t n = read(0, data, room < sizeof(data) ? room : sizeof(data));
	if (n > 0) {
		chan_send(d->chan, FRAME_DATA, DEPLOY_STDIN, d->in_sent, data, (size_t)n);
		d->in_sent += (uint64_t)n;
		return;
	}
	chan_send(d->chan, FRAME_END, DEPLOY_STDIN, d->in_sent, NULL, 0);
	d->in_ended = true;
	watch_remove(d->input);
	d->input = NULL;
}

/* Output */

static void show_console(struct driver *d)
{
	struct seglog *log;
	char data[65536];
	ssize_t n;

	if (seglog_open(d->dirfd, d->log_name, &log) < 0)
		die(d->log_name);
	if (d->log_at < seglog_start(log))
		d->log_at = seglog_start(log);
	while ((n = seglog_read(log, d->log_at, data, sizeof(data))) > 0) {
		d->log_at += (uint64_t)n;
		io_write_full(2, data, (size_t)n);
	}
	seglog_close(log);
}

static void on_stdout(struct driver *d, const struct frame *f, const void *payload)
{
	if (f->offset != d->out_got) {
		fprintf(stderr, "driver: stdout comes at %" PRIu64 ", not %" PRIu64 "\n", f->offset,
			d->out_got);
		exit(98);
	}
	if (!d->saw_stdout)
		took(d, "stdout");
	d->saw_stdout = true;
	io_write_full(1, payload, f->size);
	d->out_got += f->size;
	if (d->crash && d->out_got >= d->crash)
		_exit(97);
	if (d->out_got > d->lag)
		chan_send(d->chan, FRAME_ACK, DEPLOY_STDOUT, d->out_got - d->lag, NULL, 0);
}

static int end_line(void *arg, unsigned line, const char *key, const char *value, struct why *why)
{
	struct driver *d = arg;

	(void)line;
	(void)why;
	if (!strcmp(key, END_STATUS))
		d->status = atoi(value);
	say(d, "end %s = %s", key, value);
	return 0;
}

static void on_exit_frame(struct driver *d, const struct frame *f, const void *payload)
{
	took(d, "exit");
	d->exited = true;
	conf_parse(payload, f->size, end_line, d, NULL);
	watch_remove(d->input);
	d->input = NULL;
}

static void on_answer(struct driver *d, const struct frame *f, const void *payload)
{
	int32_t err;

	if (f->size < sizeof(err))
		exit(98);
	memcpy(&err, payload, sizeof(err));
	say(d, "answer %" PRIu64 " %d %.*s", f->offset, err, (int)(f->size - sizeof(err)),
		(const char *)payload + sizeof(err));
}

static void on_hello(struct driver *d, const struct frame *f, const void *payload)
{
	struct deploy_hello h;

	memcpy(&h, payload, sizeof(h));
	say(d, "hello rev %u pid %u stdin %" PRIu64 " taken %" PRIu64 " ended %u console %" PRIu64, h.rev,
		h.pid, f->offset, h.stdin_acked, h.stdin_ended, h.console_end);
}

static void on_frame(void *arg, const struct frame *f, const void *payload)
{
	struct driver *d = arg;
	int size = (int)f->size;

	switch (f->type) {
	case FRAME_HELLO:
		on_hello(d, f, payload);
		break;
	case FRAME_DATA:
		on_stdout(d, f, payload);
		break;
	case FRAME_END:
		d->out_ended = true;
		chan_send(d->chan, FRAME_ACK, DEPLOY_STDOUT, d->out_got, NULL, 0);
		break;
	case FRAME_ACK:
		d->in_acked = f->offset;
		if (d->input)
			watch_events(d->input, EPOLLIN);
		break;
	case FRAME_CONSOLE:
		if (!d->saw_console)
			took(d, "console");
		d->saw_console = true;
		show_console(d);
		break;
	case FRAME_STATE:
		if (size == 7 && !memcmp(payload, "running", 7))
			took(d, "running");
		say(d, "state %.*s", size, (const char *)payload);
		break;
	case FRAME_EVENT:
		say(d, "event %.*s", size, (const char *)payload);
		break;
	case FRAME_ANSWER:
		on_answer(d, f, payload);
		break;
	case FRAME_EXIT:
		on_exit_frame(d, f, payload);
		break;
	}
}

static void on_closed(void *arg, int err)
{
	struct driver *d = arg;

	if (err)
		say(d, "closed: %s", strerror(-err));
	loop_stop(d->loop);
}

/* What the user asks for */

static void act(void *arg)
{
	struct action *a = arg;
	struct driver *d = a->d;
	const char *w = a->words;

	if (!strncmp(w, "type ", 5))
		chan_send(d->chan, FRAME_DATA, DEPLOY_CONSOLE, 0, w + 5, strlen(w + 5));
	else if (!strncmp(w, "bye", 3))
		chan_send(d->chan, FRAME_BYE, 0, 0, w[3] ? w + 4 : "", w[3] ? strlen(w + 4) : 0);
	else if (!strncmp(w, "tee ", 4))
		chan_send(d->chan, FRAME_TEE, 0, (uint64_t)atoi(w + 4), NULL, 0);
	else if (!strcmp(w, "raw"))
		chan_send(d->chan, FRAME_DATA, DEPLOY_STDIN, UINT64_MAX - 3, "rubbish", 7);
	else if (!strcmp(w, "leave"))
		loop_stop(d->loop);
	else
		chan_send(d->chan, FRAME_COMMAND, 0, (uint64_t)(a - d->actions), w, strlen(w));
}

static void write_plan(struct driver *d, char **pairs, int count)
{
	autobuf struct buf b = { 0 };

	for (int i = 0; i < count; i++) {
		char *eq = strchr(pairs[i], '=');
		if (!eq) {
			fprintf(stderr, "driver: %s: not KEY=VALUE\n", pairs[i]);
			exit(64);
		}
		*eq = 0;
		conf_put(&b, pairs[i], eq + 1);
	}
	if (io_write_file(d->dirfd, "plan", b.data ? b.data : "", b.len, 0600, false) < 0)
		die("plan");
}

static _Noreturn void become_deployer(struct driver *d, int fd)
{
	int null = open("/dev/null", O_RDONLY);
	int log = openat(d->dirfd, "deployer.log", O_WRONLY | O_CREAT | O_APPEND, 0600);
	int high = fcntl(fd, F_DUPFD_CLOEXEC, 100);

	if (fchdir(d->dirfd) < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0 ||
		dup2(high, DEPLOY_FD) < 0)
		die("start");
	setsid();
	close_range(DEPLOY_FD + 1, ~0u, 0);
	execl(d->program, d->program, d->dir, NULL);
	die(d->program);
	_exit(99);
}

static int connect_deployer(struct driver *d)
{
	int pair[2];

	if (d->attach) {
		int fd = io_unix_connect(d->dirfd, "sock");
		if (fd < 0) {
			errno = -fd;
			die("sock");
		}
		return fd;
	}
	if (io_socketpair(pair) < 0)
		die("socketpair");
	d->pid = fork();
	if (d->pid == 0)
		become_deployer(d, pair[1]);
	close(pair[1]);
	return pair[0];
}

static void options(struct driver *d, int argc, char **argv)
{
	static const struct option known[] = {
		{ "attach", no_argument, NULL, 'a' },
		{ "from", required_argument, NULL, 'f' },
		{ "in-from", required_argument, NULL, 'i' },
		{ "crash", required_argument, NULL, 'c' },
		{ "lag", required_argument, NULL, 'l' },
		{ "no-input", no_argument, NULL, 'n' },
		{ "at", required_argument, NULL, '@' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "times", no_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "+", known, NULL)) != -1) {
		if (c == 'a')
			d->attach = true;
		else if (c == 'f')
			d->from = strtoull(optarg, NULL, 10);
		else if (c == 'i')
			d->in_from = strtoull(optarg, NULL, 10);
		else if (c == 'c')
			d->crash = strtoull(optarg, NULL, 10);
		else if (c == 'l')
			d->lag = strtoull(optarg, NULL, 10);
		else if (c == 'n')
			d->no_input = true;
		else if (c == 'v')
			d->verbose = true;
		else if (c == 't')
			d->times = true;
		else if (c == '@' && optind < argc && d->action_count < ACTIONS_MAX)
			d->actions[d->action_count++] =
				(struct action){ d, strtoull(optarg, NULL, 10), argv[optind++] };
		else
			exit(64);
	}
	if (argc - optind < 2) {
		fputs("usage: driver [options] PROGRAM DIR [KEY=VALUE ...]\n", stderr);
		exit(64);
	}
}

int main(int argc, char **argv)
{
	struct driver *d = &driver;
	struct deploy_hello h = { .rev = DEPLOY_REV, .pid = (uint32_t)getpid() };

	signal(SIGPIPE, SIG_IGN);
	options(d, argc, argv);
	d->program = argv[optind];
	d->dir = argv[optind + 1];
	d->dirfd = open(d->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->dirfd < 0)
		die(d->dir);
	d->log_name = strstr(d->program, "diverfs-build") ? "build.log" : "console";
	if (!d->attach)
		write_plan(d, argv + optind + 2, argc - optind - 2);
	d->out_got = d->from;
	d->in_sent = d->in_acked = d->in_from;
	d->start_ns = clock_mono_ns();
	int fd = connect_deployer(d);

	d->loop = loop_new();
	d->chan = chan_new(d->loop, fd, on_frame, on_closed, d);
	chan_send(d->chan, FRAME_HELLO, 0, d->from, &h, sizeof(h));
	if (!d->no_input)
		d->input = loop_watch(d->loop, 0, EPOLLIN, feed, d);
	for (size_t i = 0; i < d->action_count; i++)
		loop_after(d->loop, d->actions[i].ms, act, &d->actions[i]);
	loop_run(d->loop);
	if (d->exited || !d->pid)
		chan_free(d->chan);
	if (d->exited) {
		int status = 0;
		if (d->pid)
			waitpid(d->pid, &status, 0);
		say(d, "deployer exit %d", WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status));
		say(d, "stdout %s", d->out_ended ? "ended" : "not ended");
	}
	return d->exited ? d->status : 96;
}
