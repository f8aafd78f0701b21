/* SPDX-License-Identifier: MIT */
/*
 * trial.c: every callback writes down what it saw and then looks whether that is what somebody waits for.
 *
 * Whether EXIT comes before the output is out cannot be seen while the host takes everything at once: so with
 * (held) stdout's socket is filled to the brim before QEMU gets it. A kernel's first byte then stays in its
 * transmit buffer until we read, and so must its EXIT.
 */
#include "deployers/conform/trial.h"

#include "cache/base/io.h"
#include "deployers/guest.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK	   65536
#define STEP_MS	   20
#define ANSWER_MS  3000 /* of QEMU, on a busy host */
#define IDLE_MS	   1000
#define LOADED	   10 /* times longer than on a quiet host, and no more */
#define IDLE_TRIES 3  /* it may still have something to finish */

void trial_heard(struct trial *t)
{
	t->heard_ns = clock_mono_ns();
	if (t->until && t->until(t))
		loop_stop(t->loop);
}

size_t trial_take(struct port *p, struct buf *out)
{
	static char data[CHUNK];
	ssize_t n = p->fd < 0 ? -1 : read(p->fd, data, sizeof(data));

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		port_unwatch(p);
	if (n <= 0)
		return 0;
	size_t room = TRIAL_KEPT - out->len;
	buf_append(out, data, (size_t)n < room ? (size_t)n : room);
	return (size_t)n;
}

/* Console, QEMU's words, stdout */

static bool console_read(struct trial *t)
{
	size_t n = trial_take(&t->console, &t->printed);

	t->console_bytes += n;
	if (n)
		trial_heard(t);
	return n;
}

static void on_console(void *arg, uint32_t events)
{
	(void)events;
	console_read(arg);
}

static void on_words(void *arg, uint32_t events)
{
	struct trial *t = arg;

	(void)events;
	trial_take(&t->words, &t->said);
}

/* The filler comes first and is nobody's output. */
static bool out_read(struct trial *t)
{
	autobuf struct buf got = { 0 };
	size_t n = trial_take(&t->out_port, &got), skip = 0;

	if (t->out_raw < t->out_filler)
		skip = t->out_filler - t->out_raw < n ? (size_t)(t->out_filler - t->out_raw) : n;
	t->out_raw += n;
	t->out_bytes += n - skip;
	if (n > skip && got.len > skip && t->out.len < TRIAL_KEPT) {
		size_t room = TRIAL_KEPT - t->out.len, len = got.len - skip;
		buf_append(&t->out, got.data + skip, len < room ? len : room);
	}
	if (t->exit_told && t->out_raw > t->raw_at_exit)
		t->out_late = t->out_raw - t->raw_at_exit;
	if (n > skip)
		trial_heard(t);
	return n;
}

static void on_out(void *arg, uint32_t events)
{
	(void)events;
	out_read(arg);
}

void trial_release(struct trial *t)
{
	if (t->held && t->out_port.fd >= 0)
		t->out_port.watch = loop_watch(t->loop, t->out_port.fd, EPOLLIN, on_out, t);
	t->held = false;
}

static uint64_t fill(int fd)
{
	static const char zeroes[4096];
	uint64_t all = 0;

	for (size_t len = sizeof(zeroes); len; len /= 64)
		for (ssize_t n; (n = send(fd, zeroes, len, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0;)
			all += (uint64_t)n;
	return all;
}

/* Messages */

static void guest_exit(struct trial *t, uint64_t value)
{
	int waiting = 0;

	if (t->exit_told)
		return;
	t->exit_told = true;
	t->exit_value = value;
	if (t->out_port.fd >= 0 && ioctl(t->out_port.fd, FIONREAD, &waiting) < 0)
		waiting = 0;
	t->raw_at_exit = t->out_raw + (uint64_t)waiting;
	trial_release(t);
}

static void guest_said(struct trial *t, const struct guest_message *g)
{
	t->messages++;
	if (g->type == GUEST_HELLO && !t->hellos++)
		t->level = g->value;
	if (g->type == GUEST_EXIT)
		guest_exit(t, g->value);
	if (g->type == GUEST_RESTART)
		t->restart = true;
}

static bool control_read(struct trial *t)
{
	struct guest_message g;
	autobuf struct buf got = { 0 };
	size_t n = trial_take(&t->control, &got);

	if (!*t->malformed)
		buf_append(&t->message, got.data, got.len);
	while (t->message.len >= sizeof(g) && !*t->malformed) {
		memcpy(&g, t->message.data, sizeof(g));
		buf_consume(&t->message, sizeof(g));
		if (g.magic == GUEST_MESSAGE_MAGIC && g.rev == GUEST_REV)
			guest_said(t, &g);
		else
			snprintf(t->malformed, sizeof(t->malformed),
				"a message has magic %08x and revision %u, not %08x and %u", g.magic, g.rev,
				GUEST_MESSAGE_MAGIC, GUEST_REV);
	}
	if (n)
		trial_heard(t);
	return n;
}

static void on_control(void *arg, uint32_t events)
{
	(void)events;
	control_read(arg);
}

/* QEMU */

static void on_event(void *arg, const char *event, const char *line)
{
	static const char *const ids[PORTS] = { VM_PORT_ID "stdin", VM_PORT_ID "stdout",
		VM_PORT_ID "control" };
	struct trial *t = arg;
	char id[32], open[8];

	/* The first reason counts: a kernel that powers off may run on for a moment, into a reset. */
	if (!strcmp(event, "SHUTDOWN") && !*t->shutdown &&
		!json_find(line, "data.reason", t->shutdown, sizeof(t->shutdown)))
		strcpy(t->shutdown, "unknown");
	if (!strcmp(event, "VSERPORT_CHANGE") && json_find(line, "data.id", id, sizeof(id)) &&
		json_find(line, "data.open", open, sizeof(open)))
		for (int i = 0; i < PORTS; i++)
			t->port_open[i] |= !strcmp(id, ids[i]) && !strcmp(open, "true");
	trial_heard(t);
}

/* The answer to query-chardev is a list of flat objects; "frontend-open" is the kernel's side. */
static void on_reply(void *arg, uint64_t id, const char *line, const char *error)
{
	static const char *const labels[PORTS] = { "stdin", "stdout", "control" };
	struct trial *t = arg;
	char label[32], open[8];

	if (id != QMP_STATUS || error)
		return;
	for (const char *at = strchr(line, '['); at && (at = strchr(at, '{')); at++) {
		autofree char *object = xstrndup(at, strcspn(at, "}") + 1);
		if (!json_find(object, "label", label, sizeof(label)) ||
			!json_find(object, "frontend-open", open, sizeof(open)))
			continue;
		for (int i = 0; i < PORTS; i++)
			t->port_open[i] |= !strcmp(label, labels[i]) && !strcmp(open, "true");
	}
	t->asked = false;
	trial_heard(t);
}

static bool answered(const struct trial *t)
{
	return t->gone || !t->asked;
}

void trial_ask_ports(struct trial *t)
{
	t->asked = !t->gone;
	if (t->asked)
		qmp_send(t->qmp, QMP_STATUS, "query-chardev", NULL);
	trial_wait(t, ANSWER_MS, answered);
	/* What was heard at a port, somebody has opened. */
	t->port_open[PORT_OUT] |= t->out_bytes > 0;
	t->port_open[PORT_CONTROL] |= t->messages || *t->malformed;
}

static void drain(struct trial *t)
{
	trial_release(t);
	while (console_read(t) || control_read(t) || out_read(t) || trial_take(&t->words, &t->said))
		;
	qmp_drain(t->qmp);
}

static void on_gone(void *arg, pid_t pid, int status)
{
	struct trial *t = arg;

	(void)pid, (void)status;
	t->vm.q.pid = 0;
	t->gone = true;
	drain(t);
	trial_heard(t);
}

void trial_adopt(struct trial *t, pid_t pid, const struct wires *w)
{
	const struct {
		struct port *port;
		int fd;
		watch_fn *fn;
	} rows[] = {
		{ &t->console, w->serial[0], on_console },
		{ &t->control, w->control[0], on_control },
		{ &t->words, w->words[0], on_words },
	};
	t->loop = loop_new();
	t->vm.q.pid = pid;
	t->child = loop_child(t->loop, pid, on_gone, t);
	t->heard_ns = clock_mono_ns();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		rows[i].port->fd = rows[i].fd;
		if (rows[i].fd < 0)
			continue;
		io_set_nonblock(rows[i].fd, true);
		rows[i].port->watch = loop_watch(t->loop, rows[i].fd, EPOLLIN, rows[i].fn, t);
	}
	t->in_port.fd = w->in[0];
	t->out_port.fd = w->out[0];
	io_set_nonblock(w->out[0], true);
	t->qmp = qmp_new(t->loop, w->qmp[0], on_event, on_reply, t);
	/* So that QEMU can still be asked when the machine has ended. */
	qmp_send(t->qmp, QMP_QUIET, "set-action", "{\"shutdown\":\"pause\"}");
	qmp_send(t->qmp, QMP_QUIET, "cont", NULL);
	bool held = t->held;
	t->held = true;
	if (!held)
		trial_release(t);
}

void trial_init(struct trial *t)
{
	*t = (struct trial){ .vm = { .image_fd = -1, .initrd_fd = -1, .disk_fd = -1 } };
	t->console.fd = t->in_port.fd = t->out_port.fd = t->control.fd = t->words.fd = -1;
}

int trial_begin(struct trial *t, const char *plan_text, size_t len, bool held, struct why *why)
{
	struct wires w;

	trial_init(t);
	t->held = held;
	int err = plan_parse(plan_text, len, &t->vm.plan, why);
	if (!err)
		err = vm_prepare(&t->vm, &w, why);
	if (err < 0)
		return err;
	if (held)
		t->out_filler = fill(w.out[1]);
	pid_t pid = vm_exec(&t->vm, &w, why);
	if (pid < 0)
		return (int)pid;
	trial_adopt(t, pid, &w);
	return 0;
}

static bool is_gone(const struct trial *t)
{
	return t->gone;
}

void trial_end(struct trial *t)
{
	if (t->loop) {
		t->killed = !trial_ended(t);
		if (t->vm.q.pid)
			kill(-t->vm.q.pid, SIGKILL);
		while (!t->gone)
			trial_wait(t, 1000, is_gone);
		watch_remove(t->child);
		qmp_free(t->qmp);
		port_close(&t->console);
		port_close(&t->in_port);
		port_close(&t->out_port);
		port_close(&t->control);
		port_close(&t->words);
		loop_free(t->loop);
	}
	if (t->vm.image_fd >= 0)
		close(t->vm.image_fd);
	if (t->vm.initrd_fd >= 0)
		close(t->vm.initrd_fd);
	t->vm.image_fd = t->vm.initrd_fd = -1;
	plan_free(&t->vm.plan);
	buf_free(&t->food);
	t->loop = NULL;
}

void trial_free(struct trial *t)
{
	buf_free(&t->out);
	buf_free(&t->printed);
	buf_free(&t->said);
	buf_free(&t->message);
}

/* Waiting */

bool trial_ended(const struct trial *t)
{
	return (t->gone && !t->killed) || t->exit_told || t->restart || *t->shutdown;
}

static void on_time(void *arg)
{
	struct trial *t = arg;

	t->timer = NULL;
	loop_stop(t->loop);
}

bool trial_wait(struct trial *t, uint64_t ms, trial_until *until)
{
	uint64_t end = clock_mono_ns() + ms * 1000000;

	while (!until(t)) {
		uint64_t now = clock_mono_ns();
		if (now >= end)
			return false;
		t->until = until;
		t->timer = loop_after(t->loop, (end - now) / 1000000 + 1, on_time, t);
		loop_run(t->loop);
		timer_cancel(t->timer);
		t->timer = NULL;
		t->until = NULL;
	}
	return true;
}

bool trial_settle(struct trial *t, uint64_t quiet_ms, uint64_t ms, trial_until *until)
{
	uint64_t end = clock_mono_ns() + ms * 1000000;

	for (;;) {
		uint64_t now = clock_mono_ns();
		if (until(t) || now >= end || now - t->heard_ns >= quiet_ms * 1000000)
			break;
		trial_wait(t, STEP_MS, until);
	}
	return until(t);
}

/* Towards the kernel */

static void on_in(void *arg, uint32_t events)
{
	struct trial *t = arg;

	(void)events;
	ssize_t n = send(t->in_port.fd, t->food.data, t->food.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0)
		buf_consume(&t->food, (size_t)n);
	if (!t->food.len || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		t->feeding = t->food.len > 0;
		port_unwatch(&t->in_port);
	}
	if (n > 0)
		trial_heard(t);
}

void trial_feed(struct trial *t, const char *data, size_t len)
{
	if (t->in_port.fd < 0 || t->in_port.watch)
		return;
	buf_append(&t->food, data, len);
	t->feeding = true;
	t->heard_ns = clock_mono_ns();
	t->in_port.watch = loop_watch(t->loop, t->in_port.fd, EPOLLOUT, on_in, t);
}

bool trial_fed(const struct trial *t)
{
	int queued = 0;

	return !t->feeding && (t->in_port.fd < 0 || ioctl(t->in_port.fd, SIOCOUTQ, &queued) < 0 || !queued);
}

void trial_close_input(struct trial *t)
{
	port_unwatch(&t->in_port);
	if (t->in_port.fd >= 0)
		shutdown(t->in_port.fd, SHUT_WR);
}

void trial_tell(struct trial *t, unsigned type, uint64_t value)
{
	struct guest_message g = { GUEST_MESSAGE_MAGIC, GUEST_REV, (uint16_t)type, value };

	if (t->control.fd >= 0)
		(void)!send(t->control.fd, &g, sizeof(g), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void trial_type(struct trial *t, const char *text)
{
	if (t->console.fd >= 0)
		(void)!send(t->console.fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool trial_answered(const struct trial *t, size_t from)
{
	return t->printed.len > from &&
	       memmem(t->printed.data + from, t->printed.len - from, TYPED, strlen(TYPED));
}

/* CPU time that QEMU has used, and time that its threads were ready to run but did not get a CPU of a busy host. */
struct cpu_time {
	uint64_t used_ns, waited_ns;
};

/* Of one thread; its file has used and waited time first. */
static void add_thread(int tasks, const char *name, struct cpu_time *sum)
{
	autofree char *path = xasprintf("%s/schedstat", name);
	autobuf struct buf text = { 0 };
	uint64_t used, waited;

	if (io_read_file(tasks, path, 128, &text) < 0 || !text.len)
		return;
	if (sscanf(text.data, "%" SCNu64 " %" SCNu64, &used, &waited) == 2) {
		sum->used_ns += used;
		sum->waited_ns += waited;
	}
}

static struct cpu_time cpu_time(const struct trial *t)
{
	autofree char *path = xasprintf("/proc/%d/task", (int)t->vm.q.pid);
	struct cpu_time sum = { 0 };
	DIR *dir = t->vm.q.pid ? opendir(path) : NULL;

	for (struct dirent *e; dir && (e = readdir(dir));)
		if (e->d_name[0] != '.')
			add_thread(dirfd(dir), e->d_name, &sum);
	if (dir)
		closedir(dir);
	return sum;
}

bool trial_wait_served(struct trial *t, uint64_t ms, trial_until *until)
{
	uint64_t began = clock_mono_ns(), from = cpu_time(t).waited_ns;

	for (;;) {
		uint64_t passed = (clock_mono_ns() - began) / 1000000;
		uint64_t waited = (cpu_time(t).waited_ns - from) / 1000000;
		uint64_t counts = waited < passed ? passed - waited : 0;
		if (until(t) || counts >= ms || passed >= LOADED * ms)
			return until(t);
		trial_wait(t, ms - counts, until);
	}
}

/* In percent of what it could have used: on a busy host a kernel that spins gets little. */
static unsigned part_used(struct cpu_time from, struct cpu_time to)
{
	uint64_t had = IDLE_MS * 1000000ull, waited = to.waited_ns - from.waited_ns;

	had = waited < had - had / 10 ? had - waited : had / 10;
	return (unsigned)((to.used_ns - from.used_ns) * 100 / had);
}

bool trial_idle(struct trial *t, trial_until *until, unsigned *part)
{
	for (int i = 0; i < IDLE_TRIES; i++) {
		struct cpu_time from = cpu_time(t);
		if (trial_wait(t, IDLE_MS, until))
			return i > 0;
		unsigned now = part_used(from, cpu_time(t));
		*part = i && *part < now ? *part : now;
		if (*part < IDLE_PERCENT)
			break;
	}
	return true;
}
