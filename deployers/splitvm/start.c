/* SPDX-License-Identifier: MIT */
/*
 * start.c: from the plan to a QEMU that runs.
 */
#include "deployers/splitvm/split.h"

#include "cache/base/io.h"
#include "deployers/net.h"
#include "deployers/vmfiles.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PAIRS (sizeof(struct split_wires) / sizeof(int[2]))

static int open_wires(const struct split *s, struct split_wires *w, struct why *why)
{
	bool ports = s->plan.streams == STREAMS_PORTS;
	int(*pair)[2] = (int(*)[2])w;
	int err = 0;

	memset(w, 0xff, sizeof(*w));
	for (size_t i = 0; i < PAIRS && !err; i++) {
		if (pair[i] == w->words)
			err = pipe2(w->words, O_CLOEXEC) < 0 ? -errno : 0;
		else if (ports || (pair[i] != w->in && pair[i] != w->out))
			err = io_socketpair(pair[i]);
	}
	return err < 0 ? why_fail_errno(why, err, "cannot make the sockets of the machine") : 0;
}

static void close_side(struct split_wires *w, int side)
{
	int(*pair)[2] = (int(*)[2])w;

	for (size_t i = 0; i < PAIRS; i++) {
		if (pair[i][side] >= 0)
			close(pair[i][side]);
		pair[i][side] = -1;
	}
}

static int open_copy(const char *what, const char *path, struct why *why)
{
	if (!path)
		return why_fail(why, -EINVAL, "plan: no %s", what);
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return why_fail_errno(why, -errno, "cannot open %s %s", what, path);
	return vm_copy_file(fd, path, why);
}

static int open_files(struct split *s, struct why *why)
{
	struct image ros;

	if (!s->plan.image)
		return why_fail(why, -EINVAL, "plan: no image");
	s->image_fd = open(s->plan.image, O_RDONLY | O_CLOEXEC);
	if (s->image_fd < 0)
		return why_fail_errno(why, -errno, "cannot open image %s", s->plan.image);
	s->ros_fd = open_copy("ROS", s->plan.ros_image, why);
	if (s->ros_fd < 0)
		return s->ros_fd;
	int err = image_recognise(s->ros_fd, s->plan.ros_image, &ros, why);
	if (err < 0)
		return why_prefix(why, "the ROS");
	if (!s->plan.ros_initrd)
		return 0;
	s->initrd_fd = open_copy("initrd of the ROS", s->plan.ros_initrd, why);
	return s->initrd_fd < 0 ? s->initrd_fd : 0;
}

static pid_t run_qemu(struct split *s, const struct split_wires *w, struct why *why)
{
	struct split_fds fds = { w->qmp[1], w->ros[1], w->agent[1], w->console[1], w->debug[1], w->in[1],
		w->out[1] };
	const int all[] = { fds.qmp, fds.ros, fds.agent, fds.console, fds.debug, fds.in, fds.out, s->ros_fd,
		s->initrd_fd, s->root_fd };
	struct arguments a;
	pid_t pid = split_arguments(s, &fds, &a, why);

	if (!pid)
		pid = vm_spawn(
			&a, all, sizeof(all) / sizeof(all[0]), w->words[1], s->plan.accel == ACCEL_KVM, why);
	arguments_free(&a);
	return pid;
}

static void attach(struct split *s, struct split_wires *w)
{
	s->console.fd = w->console[0];
	s->debug.fd = w->debug[0];
	s->ros.fd = w->ros[0];
	stream_in_attach(&s->mon.keys, fcntl(w->console[0], F_DUPFD_CLOEXEC, 0));
	if (s->plan.streams == STREAMS_PORTS) {
		stream_in_attach(&s->mon.in, w->in[0]);
		stream_out_attach(&s->mon.out, w->out[0]);
	} else {
		s->mon.in.typed = true;
		stream_in_attach(&s->mon.in, fcntl(w->console[0], F_DUPFD_CLOEXEC, 0));
	}
	talk_open(&s->talk, s->mon.loop, w->agent[0], &split_talk, s);
	split_watch(s);
}

int split_prepare(struct split *s, struct split_wires *w, struct why *why)
{
	int err = open_files(s, why);

	if (err)
		return err;
	err = open_wires(s, w, why);
	if (err < 0) {
		close_side(w, 1);
		close_side(w, 0);
	}
	return err;
}

pid_t split_exec(struct split *s, struct split_wires *w, struct why *why)
{
	pid_t pid = run_qemu(s, w, why);

	close_side(w, 1);
	if (pid < 0)
		close_side(w, 0);
	return pid;
}

int split_launch(struct split *s, struct why *why)
{
	struct split_wires w;
	int err = split_prepare(s, &w, why);
	pid_t pid = err < 0 ? err : split_exec(s, &w, why);

	if (pid < 0)
		return (int)pid;
	s->q.pc = true;
	qemu_started(&s->q, pid, w.qmp[0], w.words[0], s->plan.timeout_s);
	net_begin(&s->q, &s->plan);
	attach(s, &w);
	return 0;
}

void split_fail(struct split *s, const struct why *why)
{
	struct machine_end e = { .failed = true, .status = DEPLOY_EXIT_FAILED, .how = "lost" };

	if (s->q.killed)
		e = (struct machine_end){ .how = s->q.killed, .status = s->q.killed_status };
	log_error("%s", why->text);
	snprintf(e.error, sizeof(e.error), "%s", why->text);
	monitor_end(&s->mon, &e);
}

void split_free(struct split *s)
{
	const int fds[] = { s->ros_fd, s->initrd_fd, s->image_fd, s->root_fd };

	timer_cancel(s->boot_timer);
	timer_cancel(s->silence_timer);
	watch_remove(s->packer_watch);
	qemu_free(&s->q);
	talk_close(&s->talk);
	port_close(&s->packed);
	port_close(&s->console);
	port_close(&s->debug);
	port_close(&s->ros);
	buf_free(&s->packer_said);
	split_out_end(s);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	plan_free(&s->plan);
	monitor_close(&s->mon);
}
