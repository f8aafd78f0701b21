/* SPDX-License-Identifier: MIT */
/*
 * launch.c: starts a deployer, hears its frames, and knows when it is really over: the process reaped and its
 * channel read to the end. Only then is gone() called, so that nothing that a dying deployer still said is
 * lost.
 */
#include "fs/launch.h"

#include "cache/base/io.h"
#include "deployers/deploy.h"
#include "fs/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CLOSED_KILL_MS 5000 /* a deployer that closed its channel but does not end */
#define REAPED_WAIT_MS 1000 /* a channel that somebody else still holds open */

extern char **environ;

static void deployer_free(struct deployer *d)
{
	struct instance *in = d->in;

	timer_cancel(d->hard);
	watch_remove(d->child);
	chan_free(d->chan);
	free(d);
	instance_release(in);
}

static void end_words(const struct deployer *d, char *out, size_t size)
{
	if (d->wstatus == -1)
		snprintf(out, size, "the deployer is gone");
	else if (WIFSIGNALED(d->wstatus))
		snprintf(out, size, "the deployer was killed by signal %d (%s)", WTERMSIG(d->wstatus),
			strsignal(WTERMSIG(d->wstatus)));
	else
		snprintf(out, size, "the deployer exited with status %d", WEXITSTATUS(d->wstatus));
}

/* Deferred, so that neither the channel nor the watch is freed from its own callback. */
static void finish(void *arg)
{
	struct deployer *d = arg;
	bool clean =
		d->wstatus != -1 && WIFEXITED(d->wstatus) &&
		(WEXITSTATUS(d->wstatus) == DEPLOY_EXIT_OK || WEXITSTATUS(d->wstatus) == DEPLOY_EXIT_FAILED);
	char words[128];

	end_words(d, words, sizeof(words));
	if (!d->let_go)
		d->ev->gone(d->in, clean, words);
	deployer_free(d);
}

static void finish_if_over(struct deployer *d)
{
	if (d->closed && d->reaped)
		loop_defer(d->in->fs->loop, finish, d);
}

static void held_open(void *arg)
{
	struct deployer *d = arg;

	d->hard = NULL;
	if (!d->closed) {
		d->closed = true;
		finish_if_over(d);
	}
}

static void on_child(void *arg, pid_t pid, int status)
{
	struct deployer *d = arg;

	(void)pid;
	d->wstatus = status;
	d->reaped = true;
	timer_cancel(d->hard);
	d->hard = NULL;
	if (!d->closed)
		d->hard = loop_after(d->in->fs->loop, REAPED_WAIT_MS, held_open, d);
	finish_if_over(d);
}

static void on_closed(void *arg, int err)
{
	struct deployer *d = arg;

	if (err && err != -ECONNRESET && err != -EPIPE) /* those come with a kill, which is told elsewhere */
		log_warn("%s: deployer %d: channel: %s", d->in->name, (int)d->pid, err_text(err));
	if (d->closed)
		return;
	d->closed = true;
	if (!d->reaped)
		deployer_kill_after(d, CLOSED_KILL_MS);
	finish_if_over(d);
}

static bool hello_ok(const struct deployer *d, const struct frame *f, const void *payload)
{
	struct deploy_hello h;

	if (f->size < sizeof(h))
		return false;
	memcpy(&h, payload, sizeof(h));
	if (h.rev != DEPLOY_REV)
		log_error(
			"%s: the deployer speaks revision %u, this is %u: was diverfs replaced while it ran?",
			d->in->name, h.rev, DEPLOY_REV);
	return h.rev == DEPLOY_REV;
}

static void on_frame(void *arg, const struct frame *f, const void *payload)
{
	struct deployer *d = arg;

	if (d->let_go)
		return;
	if (f->type == FRAME_HELLO && !hello_ok(d, f, payload)) {
		deployer_kill(d);
		return;
	}
	d->ev->frame(d->in, f, payload);
}

static struct deployer *deployer_new(
	struct instance *in, pid_t pid, int sock, const struct deployer_events *ev)
{
	struct deployer *d = xcalloc(1, sizeof(*d));
	struct deploy_hello hello = { .rev = DEPLOY_REV, .pid = (uint32_t)getpid() };

	d->in = instance_hold(in);
	d->pid = pid;
	d->wstatus = -1;
	d->ev = ev;
	d->chan = chan_new(in->fs->loop, sock, on_frame, on_closed, d);
	d->child = loop_child(in->fs->loop, pid, on_child, d);
	chan_send(d->chan, FRAME_HELLO, 0, 0, &hello, sizeof(hello));
	return d;
}

int launch_spawn(char *const argv[], const posix_spawn_file_actions_t *files, pid_t *pid)
{
	posix_spawnattr_t at;
	sigset_t none, all;
	int err;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&at);
	posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&at, &none);
	posix_spawnattr_setsigdefault(&at, &all);
	err = -posix_spawn(pid, argv[0], files, &at, argv, environ);
	posix_spawnattr_destroy(&at);
	return err;
}

static int spawn(const char *path, const char *dir, int sock, pid_t *pid)
{
	char *argv[] = { (char *)path, (char *)dir, NULL };
	posix_spawn_file_actions_t fa;
	int err;

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addchdir_np(&fa, dir);
	/* The socket first: the opens below may land on any number, but never on one that is in use. */
	posix_spawn_file_actions_adddup2(&fa, sock, DEPLOY_FD);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(
		&fa, 1, "deployer.log", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
	posix_spawn_file_actions_adddup2(&fa, 1, 2);
	err = launch_spawn(argv, &fa, pid);
	posix_spawn_file_actions_destroy(&fa);
	return err;
}

int deployer_start(struct instance *in, const char *program, const char *dir,
	const struct deployer_events *ev, struct deployer **out, struct why *why)
{
	autofree char *path = xasprintf("%s/%s", in->fs->opt.libexec_dir, program);
	int pair[2], err;
	pid_t pid;

	err = io_socketpair(pair);
	if (err)
		return why_fail_errno(why, err, "cannot make a socket for %s", program);
	err = spawn(path, dir, pair[1], &pid);
	close(pair[1]);
	if (err) {
		close(pair[0]);
		return why_fail_errno(why, err, "cannot start %s in %s", path, dir);
	}
	*out = deployer_new(in, pid, pair[0], ev);
	return 0;
}

/* The lock tells who lives: a pid in a file could be anybody's by now. */
static bool lives(int dirfd)
{
	autoclose int fd = openat(dirfd, "lock", O_RDWR | O_CLOEXEC);

	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

int deployer_find(struct instance *in, int dirfd, const struct deployer_events *ev, struct deployer **out)
{
	uid_t uid;
	pid_t pid;
	int sock, err;

	if (!lives(dirfd))
		return -ENOENT;
	sock = io_unix_connect(dirfd, "sock");
	if (sock < 0)
		return sock;
	err = io_unix_peer(sock, &pid, &uid);
	if (!err && uid != geteuid() && uid != 0)
		err = -EPERM;
	if (err) {
		close(sock);
		return err;
	}
	*out = deployer_new(in, pid, sock, ev);
	return 0;
}

void deployer_send(
	struct deployer *d, uint16_t type, uint16_t stream, uint64_t offset, const void *data, size_t len)
{
	if (d && !d->closed)
		chan_send(d->chan, type, stream, offset, data, len);
}

uint64_t deployer_command(struct deployer *d, const char *words)
{
	deployer_send(d, FRAME_COMMAND, 0, ++d->commands, words, strlen(words));
	return d->commands;
}

void deployer_kill(struct deployer *d)
{
	if (d->child && !d->reaped)
		syscall(SYS_pidfd_send_signal, watch_pidfd(d->child), SIGKILL, NULL, 0);
}

static void hard_kill(void *arg)
{
	struct deployer *d = arg;

	d->hard = NULL;
	log_warn("%s: deployer %d did not end in time: killed", d->in->name, (int)d->pid);
	deployer_kill(d);
}

void deployer_kill_after(struct deployer *d, uint64_t ms)
{
	if (d->hard || d->reaped)
		return;
	d->hard = loop_after(d->in->fs->loop, ms, hard_kill, d);
}

void deployer_spare(struct deployer *d)
{
	if (d->reaped) /* (hard) has another meaning now */
		return;
	timer_cancel(d->hard);
	d->hard = NULL;
}

void deployer_let_go(struct deployer *d)
{
	static const char keep[] = "keep";

	if (d->closed && d->reaped) { /* finish() is on its way and frees it */
		d->let_go = true;
		return;
	}
	deployer_send(d, FRAME_BYE, 0, 0, keep, strlen(keep));
	if (!d->closed)
		chan_flush(d->chan);
	d->let_go = true;
	deployer_free(d);
}
