/* SPDX-License-Identifier: MIT */
/*
 * monitor.c: the daemon's connection and the life of a deployer. Daemons come and go; the offsets stay.
 */
#include "deployers/monitor.h"

#include "cache/base/conf.h"
#include "cache/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define EVENTS_MAX	 65536u /* bytes kept for a daemon to come */
#define EVENTS_A_SECOND	 50u
#define CONSOLE_DELAY_MS 20	/* a slow daemon hears of the console this often */
#define QUEUE_HIGH	 65536u
#define FLUSH_S		 10 /* for a daemon that stopped reading, at the very end */

static void orphan_start(struct monitor *m);
static void tell_console(void *arg);

/* The work is done when nobody needs us: the machine has ended and all of stdout is where it should be. */
static void maybe_leave(struct monitor *m)
{
	bool delivered = m->out.eof && m->out.acked == stream_out_end(&m->out);

	if (m->chan && !m->greeted)
		return; /* it hears how it ended when it has said HELLO */
	if (m->ended && (delivered || m->bye || m->orphaned))
		loop_stop(m->loop);
}

/* Without a daemon nobody acknowledges; what is in the console's log too may then be dropped here. */
static void shed_stdout(struct monitor *m)
{
	if (!m->chan && m->tee && stream_out_full(&m->out)) {
		m->out.sent = stream_out_end(&m->out);
		stream_out_ack(&m->out, m->out.sent - DEPLOY_WINDOW / 2);
	}
}

static void stdout_moved(void *arg)
{
	struct monitor *m = arg;

	if (!m->out_seen && stream_out_end(&m->out)) {
		m->out_seen = true;
		monitor_mark(m, "stdout");
	}
	shed_stdout(m);
	if (m->chan && m->greeted)
		stream_out_send(&m->out, m->chan);
}

static void stdout_tee(void *arg, const void *data, size_t len)
{
	struct monitor *m = arg;

	if (m->tee)
		monitor_console(m, data, len);
}

static void stdin_moved(void *arg)
{
	struct monitor *m = arg;

	if (m->chan)
		chan_send(m->chan, FRAME_ACK, DEPLOY_STDIN, m->in.taken, NULL, 0);
}

static void keys_moved(void *arg)
{
	(void)arg;
}

/* The connection */

static void send_hello(struct monitor *m)
{
	struct deploy_hello h = {
		.rev = DEPLOY_REV,
		.pid = (uint32_t)getpid(),
		.console_end = m->logs[MONITOR_CONSOLE].end,
		.stdin_acked = m->in.taken,
		.stdin_ended = m->in.ended,
	};
	chan_send(m->chan, FRAME_HELLO, 0, m->in.received, &h, sizeof(h));
}

static void send_events(struct monitor *m)
{
	for (size_t at = 0; at < m->events.len;) {
		size_t len = strlen(m->events.data + at);
		chan_send(m->chan, FRAME_EVENT, 0, 0, m->events.data + at, len);
		at += len + 1;
	}
	buf_clear(&m->events);
}

static void send_exit(struct monitor *m)
{
	chan_send(m->chan, FRAME_STATE, 0, 0, m->state, strlen(m->state));
	chan_send(m->chan, FRAME_EXIT, 0, 0, m->end.data, m->end.len);
}

static void drop_daemon(struct monitor *m, const char *reason)
{
	if (reason)
		log_warn("the daemon's connection ended: %s", reason);
	chan_free(m->chan);
	m->chan = NULL;
	m->greeted = false;
	orphan_start(m);
	shed_stdout(m);
	maybe_leave(m);
}

static void on_hello(struct monitor *m, const struct frame *f, const void *payload)
{
	struct deploy_hello h;

	if (f->size != sizeof(h) || m->greeted) {
		drop_daemon(m, "it did not say HELLO as it should");
		return;
	}
	memcpy(&h, payload, sizeof(h));
	if (h.rev != DEPLOY_REV) {
		drop_daemon(m, "it is of another revision");
		return;
	}
	if (stream_out_resume(&m->out, f->offset) < 0) {
		drop_daemon(m, "it asks for stdout that was never sent");
		return;
	}
	m->greeted = true;
	timer_cancel(m->orphan);
	m->orphan = NULL;
	m->bye = m->keep = false;
	send_events(m);
	tell_console(m);
	if (m->ended)
		send_exit(m);
	else if (m->state)
		chan_send(m->chan, FRAME_STATE, 0, 0, m->state, strlen(m->state));
	stream_out_send(&m->out, m->chan);
	maybe_leave(m);
}

static void on_command(struct monitor *m, const struct frame *f, const void *payload)
{
	autofree char *line = xstrndup(payload ? payload : "", f->size);
	char *rest = line + strcspn(line, " \t\n");

	if (*rest)
		*rest++ = 0;
	rest += strspn(rest, " \t\n");
	rest[strcspn(rest, "\n")] = 0;
	if (m->ended)
		monitor_answer(m, f->offset, -ESRCH, "it has ended");
	else
		m->ops->command(m->arg, f->offset, line, rest);
}

/* The daemon does not wait for a console; a machine that does not read one is no reason to keep all that is typed. */
static void on_keys(struct monitor *m, const void *payload, size_t len)
{
	if (stream_in_data(&m->keys, m->keys.received, payload, len) == 0 || m->keys_lost)
		return;
	m->keys_lost = true;
	monitor_event(m, "console: the kernel does not read what is typed: from the next %zu bytes on it is lost", len);
}

static void on_data(struct monitor *m, const struct frame *f, const void *payload)
{
	if (f->stream == DEPLOY_CONSOLE && !m->ended)
		on_keys(m, payload, f->size);
	if (f->stream == DEPLOY_STDIN && stream_in_data(&m->in, f->offset, payload, f->size) < 0)
		drop_daemon(m, "its stdin has a gap or ignores the window");
}

static void on_bye(struct monitor *m, const struct frame *f, const void *payload)
{
	m->bye = true;
	m->keep = f->size == 4 && !memcmp(payload, "keep", 4);
	maybe_leave(m);
}

static void on_frame(void *arg, const struct frame *f, const void *payload)
{
	struct monitor *m = arg;

	if (!m->greeted && f->type != FRAME_HELLO) {
		drop_daemon(m, "it did not begin with HELLO");
		return;
	}
	switch (f->type) {
	case FRAME_HELLO:
		on_hello(m, f, payload);
		break;
	case FRAME_DATA:
		on_data(m, f, payload);
		break;
	case FRAME_END:
		if (f->stream == DEPLOY_STDIN)
			stream_in_end(&m->in);
		break;
	case FRAME_ACK:
		if (f->stream == DEPLOY_STDOUT && stream_out_ack(&m->out, f->offset) < 0) {
			drop_daemon(m, "it acknowledges what was never sent");
			break;
		}
		stream_out_send(&m->out, m->chan);
		maybe_leave(m);
		break;
	case FRAME_COMMAND:
		on_command(m, f, payload);
		break;
	case FRAME_TEE:
		m->tee = f->offset == 1 && m->out.fd >= 0;
		break;
	case FRAME_BYE:
		on_bye(m, f, payload);
		break;
	}
}

static void on_closed(void *arg, int err)
{
	drop_daemon(arg, err < 0 ? err_text(err) : NULL);
}

static void take_daemon(struct monitor *m, int fd)
{
	chan_free(m->chan); /* an older daemon's, dead or about to be */
	m->chan = chan_new(m->loop, fd, on_frame, on_closed, m);
	m->greeted = false;
	m->logs[MONITOR_CONSOLE].told = m->logs[MONITOR_CONSOLE].end;
	m->logs[MONITOR_ROS].told = 0; /* HELLO does not name it */
	send_hello(m);
}

static void on_listen(void *arg, uint32_t events)
{
	struct monitor *m = arg;
	int fd = accept4(m->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	pid_t pid;
	uid_t uid;

	(void)events;
	if (fd < 0)
		return;
	if (io_unix_peer(fd, &pid, &uid) < 0 || (uid != geteuid() && uid != 0)) {
		log_warn("refused a connection of another user");
		close(fd);
		return;
	}
	take_daemon(m, fd);
}

/* Without a daemon */

static void on_orphan(void *arg)
{
	struct monitor *m = arg;

	m->orphan = NULL;
	m->orphaned = true;
	if (m->ended)
		maybe_leave(m);
	else
		m->ops->stop(m->arg, "no daemon came back for it");
}

static void orphan_start(struct monitor *m)
{
	if (!m->orphan && !m->chan && !(m->keep && !m->ended))
		m->orphan = loop_after(m->loop, m->orphan_ms, on_orphan, m);
}

static void on_signal(void *arg, uint32_t events)
{
	struct monitor *m = arg;
	struct signalfd_siginfo info;

	(void)events;
	if (read(m->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (!m->ended)
		m->ops->stop(m->arg, "the deployer was told to end");
}

/* Start and end */

static int log_open_one(struct monitor *m, int which, const char *name, uint64_t max, struct why *why)
{
	struct monitor_log *l = &m->logs[which];
	int err = seglog_create(m->dirfd, name, max, &l->log);

	if (err < 0)
		return why_fail_errno(why, err, "cannot write its %s", name);
	l->stream = which == MONITOR_ROS ? DEPLOY_ROS : DEPLOY_CONSOLE;
	l->end = l->told = seglog_end(l->log);
	return 0;
}

int monitor_ros_open(struct monitor *m, uint64_t max, struct why *why)
{
	return log_open_one(m, MONITOR_ROS, "ros.console", max, why);
}

static int open_files(struct monitor *m, const char *log_name, uint64_t log_max, struct why *why)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%d\n", getpid());

	m->dirfd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->dirfd < 0)
		return why_fail_errno(why, -errno, "cannot open the instance's directory");
	m->lock_fd = openat(m->dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (m->lock_fd < 0)
		return why_fail_errno(why, -errno, "cannot make its lock");
	if (flock(m->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return why_fail(why, -EBUSY, "another deployer holds this instance");
	int err = io_write_file(m->dirfd, "pid", text, (size_t)n, 0600, false);
	if (err < 0)
		return why_fail_errno(why, err, "cannot write its pid");
	unlinkat(m->dirfd, "end", 0);
	unlinkat(m->dirfd, "sock", 0);
	m->listen_fd = io_unix_listen(m->dirfd, "sock");
	if (m->listen_fd < 0)
		return why_fail_errno(why, m->listen_fd, "cannot listen on its socket");
	io_set_nonblock(m->listen_fd, true);
	return log_open_one(m, MONITOR_CONSOLE, log_name, log_max, why);
}

static void open_signals(struct monitor *m)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	m->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	m->signal_watch = loop_watch(m->loop, m->signal_fd, EPOLLIN, on_signal, m);
}

int monitor_open(struct monitor *m, const char *log_name, uint64_t log_max, const struct monitor_ops *ops,
	void *arg, struct why *why)
{
	struct stat st;

	*m = (struct monitor){
		.dirfd = -1,
		.lock_fd = -1,
		.listen_fd = -1,
		.signal_fd = -1,
		.orphan_ms = DEPLOY_ORPHAN_MS,
		.ops = ops,
		.arg = arg,
	};
	if (fstat(DEPLOY_FD, &st) < 0 || !S_ISSOCK(st.st_mode))
		return why_fail(
			why, -EBADF, "fd %d is not a socket: only the daemon starts a deployer", DEPLOY_FD);
	umask(077);
	fcntl(DEPLOY_FD, F_SETFD, FD_CLOEXEC);
	int err = open_files(m, log_name, log_max, why);
	if (err < 0)
		return err;
	m->loop = loop_new();
	stream_in_init(&m->in, m->loop, stdin_moved, m);
	stream_in_init(&m->keys, m->loop, keys_moved, m);
	stream_out_init(&m->out, m->loop, stdout_moved, m);
	m->out.tee = stdout_tee;
	m->listen_watch = loop_watch(m->loop, m->listen_fd, EPOLLIN, on_listen, m);
	open_signals(m);
	take_daemon(m, DEPLOY_FD);
	return 0;
}

void monitor_plan(struct monitor *m, const struct plan *p)
{
	m->orphan_ms = p->orphan_ms;
	m->tee = p->tee && p->streams == STREAMS_PORTS;
}

int monitor_run(struct monitor *m)
{
	loop_run(m->loop);
	if (m->chan) {
		alarm(FLUSH_S); /* `end` is written: to be killed here is no loss */
		chan_flush(m->chan);
	}
	unlinkat(m->dirfd, "sock", 0);
	return m->failed ? DEPLOY_EXIT_FAILED : DEPLOY_EXIT_OK;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void monitor_close(struct monitor *m)
{
	timer_cancel(m->orphan);
	timer_cancel(m->console_timer);
	chan_free(m->chan);
	stream_in_free(&m->in);
	stream_in_free(&m->keys);
	stream_out_free(&m->out);
	watch_remove(m->listen_watch);
	watch_remove(m->signal_watch);
	for (int i = 0; i < MONITOR_LOGS; i++)
		seglog_close(m->logs[i].log);
	buf_free(&m->events);
	buf_free(&m->end);
	close_fd(&m->listen_fd);
	close_fd(&m->signal_fd);
	close_fd(&m->dirfd);
	if (m->loop)
		loop_free(m->loop);
	close_fd(&m->lock_fd);
}

/* What the mode tells */

void monitor_state(struct monitor *m, const char *state)
{
	if (m->state && !strcmp(m->state, state))
		return;
	m->state = state;
	if (m->chan && m->greeted)
		chan_send(m->chan, FRAME_STATE, 0, 0, state, strlen(state));
}

static void tell_event(struct monitor *m, const char *text)
{
	if (m->chan && m->greeted)
		chan_send(m->chan, FRAME_EVENT, 0, 0, text, strlen(text));
	else if (m->events.len + strlen(text) < EVENTS_MAX)
		buf_append(&m->events, text, strlen(text) + 1);
}

static void tell_unsaid(struct monitor *m)
{
	autofree char *text = xasprintf("%u more events, of %u a second", m->events_unsaid, EVENTS_A_SECOND);

	if (!m->events_unsaid)
		return;
	m->events_unsaid = 0;
	log_info("%s", text);
	tell_event(m, text);
}

static bool is_flooded(struct monitor *m)
{
	uint64_t now = clock_mono_ns();

	if (now - m->events_ns >= 1000000000) {
		tell_unsaid(m);
		m->events_ns = now;
		m->events_told = 0;
	}
	if (m->events_told < EVENTS_A_SECOND) {
		m->events_told++;
		return false;
	}
	m->events_unsaid++;
	return true;
}

void monitor_event(struct monitor *m, const char *fmt, ...)
{
	autobuf struct buf b = { 0 };
	va_list ap;

	if (is_flooded(m))
		return;
	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	log_info("%s", b.data);
	for (char *c = b.data; *c; c++)
		if ((unsigned char)*c < 0x20)
			*c = ' ';
	tell_event(m, b.data);
}

void monitor_mark(struct monitor *m, const char *name)
{
	autofree char *text = xasprintf("mark %s %" PRIu64, name, clock_real_ns());

	tell_event(m, text);
}

static bool log_untold(const struct monitor *m)
{
	bool untold = false;

	for (int i = 0; i < MONITOR_LOGS; i++)
		untold = untold || m->logs[i].told != m->logs[i].end;
	return untold;
}

static void tell_console(void *arg)
{
	struct monitor *m = arg;

	m->console_timer = NULL;
	if (!m->chan || !m->greeted || !log_untold(m))
		return;
	if (chan_queued(m->chan) > QUEUE_HIGH && !m->ended) {
		m->console_timer = loop_after(m->loop, CONSOLE_DELAY_MS, tell_console, m);
		return;
	}
	for (int i = 0; i < MONITOR_LOGS; i++) {
		struct monitor_log *l = &m->logs[i];

		if (l->told != l->end)
			chan_send(m->chan, FRAME_CONSOLE, l->stream, l->end, NULL, 0);
		l->told = l->end;
	}
}

static void log_append(struct monitor *m, int which, const void *data, size_t len)
{
	struct monitor_log *l = &m->logs[which];

	seglog_append(l->log, data, len);
	l->end = seglog_end(l->log);
	if (!m->console_timer)
		tell_console(m);
}

void monitor_console(struct monitor *m, const void *data, size_t len)
{
	log_append(m, MONITOR_CONSOLE, data, len);
}

void monitor_ros(struct monitor *m, const void *data, size_t len)
{
	log_append(m, MONITOR_ROS, data, len);
}

void monitor_answer(struct monitor *m, uint64_t number, int err, const char *words)
{
	autobuf struct buf b = { 0 };
	int32_t code = err;

	if (!m->chan)
		return;
	buf_append(&b, &code, sizeof(code));
	buf_puts(&b, words ? words : "");
	chan_send(m->chan, FRAME_ANSWER, 0, number, b.data, b.len);
}

static void put_end(struct buf *out, const struct machine_end *e)
{
	struct rusage u = { 0 };
	uint64_t now = clock_real_ns();

	getrusage(RUSAGE_CHILDREN, &u); /* the machine is reaped, and was our only child */
	uint64_t cpu_us = (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
			  (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
	conf_put(out, END_STATE, e->failed ? "failed" : "exited");
	conf_putf(out, END_STATUS, "%u", e->status);
	conf_put(out, END_HOW, e->how);
	if (*e->error)
		conf_put(out, END_ERROR, e->error);
	conf_putf(out, END_TIME, "%" PRIu64 ".%09" PRIu64, now / 1000000000, now % 1000000000);
	conf_putf(out, END_CPU, "%" PRIu64 ".%06" PRIu64, cpu_us / 1000000, cpu_us % 1000000);
	conf_putf(out, END_MEMORY, "%" PRIu64, (uint64_t)u.ru_maxrss * 1024);
}

void monitor_end(struct monitor *m, const struct machine_end *e)
{
	if (m->ended)
		return;
	tell_unsaid(m);
	monitor_mark(m, "exit");
	m->ended = true;
	m->failed = e->failed;
	put_end(&m->end, e);
	int err = io_write_file(m->dirfd, "end", m->end.data, m->end.len, 0600, false);
	if (err < 0)
		log_error("cannot write end: %s", err_text(err));
	timer_cancel(m->console_timer);
	tell_console(m);
	stream_out_finish(&m->out);
	m->state = e->failed ? "failed" : m->building ? "built" : "exited";
	if (m->chan && m->greeted)
		send_exit(m);
	orphan_start(m);
	maybe_leave(m);
}
