/* SPDX-License-Identifier: MIT */
/*
 * root.c: the program's root is packed by a process of its own, diverfs-root, which may take a while: the loop goes on.
 */
#include "deployers/splitvm/split.h"

#include "cache/base/conf.h"
#include "cache/base/io.h"
#include "deployers/child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAID_MAX 8192

struct said {
	char image[PATH_MAX];
	char error[WHY_MAX - 64];
};

static int take(void *arg, unsigned line, const char *key, const char *value, struct why *why)
{
	struct said *a = arg;

	(void)line;
	(void)why;
	if (!strcmp(key, "image"))
		snprintf(a->image, sizeof(a->image), "%s", value);
	else if (!strcmp(key, "error"))
		snprintf(a->error, sizeof(a->error), "%s", value);
	return 0;
}

static int open_root(struct split *s, struct why *why)
{
	struct said a = { "", "" };

	conf_parse(s->packer_said.data ? s->packer_said.data : "", s->packer_said.len, take, &a, NULL);
	if (WIFSIGNALED(s->packer_status))
		return why_fail(why, -EIO, "packing the program's root was ended by signal %d (%s)",
			WTERMSIG(s->packer_status), strsignal(WTERMSIG(s->packer_status)));
	if (!*a.image)
		return why_fail(
			why, -EIO, "%s", *a.error ? a.error : "the program's root could not be packed");
	s->root_fd = open(a.image, O_RDONLY | O_CLOEXEC);
	return s->root_fd < 0 ? why_fail_errno(why, -errno, "cannot open %s", a.image) : 0;
}

static void packed(void *arg)
{
	struct split *s = arg;
	struct why why = { 0 };
	int err = 0;

	port_close(&s->packed);
	if (s->q.killed) {
		why_fail(&why, -EINTR, "it was ended while the program's root was being packed");
		split_fail(s, &why);
		return;
	}
	err = open_root(s, &why);
	if (!err) {
		monitor_mark(&s->mon, "root");
		err = split_launch(s, &why);
	}
	if (err)
		split_fail(s, &why);
}

static void packed_if_over(struct split *s)
{
	if (s->packer_ended && !s->packed.watch)
		loop_defer(s->mon.loop, packed, s);
}

static void on_said(void *arg, uint32_t events)
{
	struct split *s = arg;
	char piece[1024];
	ssize_t n = read(s->packed.fd, piece, sizeof(piece));

	(void)events;
	if (n > 0 && s->packer_said.len + (size_t)n <= SAID_MAX) {
		buf_append(&s->packer_said, piece, (size_t)n);
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	port_unwatch(&s->packed);
	packed_if_over(s);
}

static void on_packer_gone(void *arg, pid_t pid, int status)
{
	struct split *s = arg;

	(void)pid;
	watch_remove(s->packer_watch);
	s->packer_watch = NULL;
	s->packer = 0;
	s->packer_status = status;
	s->packer_ended = true;
	packed_if_over(s);
}

void split_pack_kill(struct split *s)
{
	s->q.killed = "killed";
	s->q.killed_status = 137;
	if (s->packer)
		kill(-s->packer, SIGKILL);
}

/* Beside us: both are installed in one directory. */
static int packer_path(char *out, size_t size, struct why *why)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return why_fail_errno(why, -errno, "cannot find where this program is");
	self[n] = 0;
	*strrchr(self, '/') = 0;
	snprintf(out, size, "%.3900s/diverfs-root", self);
	return 0;
}

static bool root_wanted(const struct plan *p)
{
	return p->exec || p->root || p->files.count;
}

int split_pack(struct split *s, struct why *why)
{
	char path[PATH_MAX];
	const char *argv[] = { path, "plan", NULL };
	int fds[2], err;

	if (!root_wanted(&s->plan))
		return split_launch(s, why);
	err = packer_path(path, sizeof(path), why);
	if (err)
		return err;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return why_fail_errno(why, -errno, "pipe");
	struct child c = { .argv = argv, .out = fds[1], .err = STDERR_FILENO };
	s->packer = child_spawn(&c, why);
	close(fds[1]);
	if (s->packer < 0) {
		err = (int)s->packer;
		s->packer = 0;
		close(fds[0]);
		return err;
	}
	s->packed.fd = fds[0];
	io_set_nonblock(fds[0], true);
	s->packed.watch = loop_watch(s->mon.loop, fds[0], EPOLLIN, on_said, s);
	s->packer_watch = loop_child(s->mon.loop, s->packer, on_packer_gone, s);
	return 0;
}
