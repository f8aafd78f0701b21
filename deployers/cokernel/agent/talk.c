/* SPDX-License-Identifier: MIT */
/*
 * talk.c: the conversation with the deployer (agent.h). What it sends is kept until BOOT, and a proxy is started with it;
 * while that runs, its packets are passed on.
 */
#include "deployers/cokernel/agent/parts.h"
#include "deployers/cokernel/agent/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define IMAGE_MAX (1ull << 30)

static struct {
	const struct streams *streams;
	struct config config;
	bool configured, rooted;
	uint8_t *image;
	size_t image_size, image_room;
	char *policy;
	size_t policy_len;
	pid_t proxy; /* 0: none runs */
	int line;    /* to it */
	bool alive, halt;
	uint8_t end[sizeof(struct agent_end) + 700]; /* its ENDED or REFUSED, kept until it is gone */
	uint16_t end_type;
	size_t end_len;
	unsigned long kills; /* out_of_memory() when it began */
} t;

static int refuse(void)
{
	return wire_text(t.streams->agent, AGENT_REFUSED, "%s", failure);
}

static unsigned long long uptime_ms(void)
{
	struct timespec up;

	clock_gettime(CLOCK_BOOTTIME, &up);
	return (unsigned long long)up.tv_sec * 1000 + (unsigned long long)up.tv_nsec / 1000000;
}

static int send_ready(void)
{
	struct cokernel_info info = { 0 };
	struct utsname u;
	struct sysinfo s;
	int fd = open(COKERNEL_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, COKERNEL_INFO, &info) < 0)
		say("%s: %s", COKERNEL_DEVICE, strerror(errno));
	if (fd >= 0)
		close(fd);
	uname(&u);
	sysinfo(&s);
	return wire_text(t.streams->agent, AGENT_READY,
		"linux = %s\ncpus = %u\nros_memory = %llu\nuptime_ms = %llu\n", u.release, info.cpus,
		(unsigned long long)s.totalram * s.mem_unit, uptime_ms());
}

static int take_config(struct frame *f)
{
	t.image_size = 0;
	t.configured = !config_parse((char *)f->body, &t.config);
	return t.configured ? 0 : refuse();
}

static int take_image(const struct frame *f)
{
	if (t.image_size + f->len > t.image_room) {
		size_t room = (t.image_size + f->len) * 2;
		uint8_t *bigger = room > IMAGE_MAX ? NULL : realloc(t.image, room);

		if (!bigger) {
			fail(-ENOMEM,
				"an image of more than %zu bytes: the ROS has no memory for it (ros_memory)",
				t.image_size);
			return refuse();
		}
		t.image = bigger;
		t.image_room = room;
	}
	memcpy(t.image + t.image_size, f->body, f->len);
	t.image_size += f->len;
	return 0;
}

static int take_policy(const struct frame *f)
{
	char *copy = malloc(f->len + 1);

	if (!copy)
		return 0;
	memcpy(copy, f->body, f->len + 1);
	free(t.policy);
	t.policy = copy;
	t.policy_len = f->len;
	if (t.proxy)
		wire_post(t.line, AGENT_POLICY, f->body, f->len);
	else if (policy_set(copy, f->len) < 0)
		return refuse();
	return 0;
}

/* How many processes Linux has ended because there was no memory. */
static unsigned long out_of_memory(void)
{
	FILE *f = fopen("/proc/vmstat", "re");
	unsigned long n = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "oom_kill %lu", &n) == 1)
			break;
	if (f)
		fclose(f);
	return n;
}

static int spawn(void)
{
	struct run r = { &t.config, t.image, t.image_size, t.policy, t.policy_len, *t.streams, root_path,
		-1 };
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return fail(-errno, "no socket pair: %s", strerror(errno));
	t.proxy = fork();
	if (!t.proxy) {
		close(pair[0]);
		r.parent = pair[1];
		proxy_run(&r);
	}
	close(pair[1]);
	if (t.proxy < 0) {
		t.proxy = 0;
		close(pair[0]);
		return fail(-errno, "the ROS cannot start another process: %s", strerror(errno));
	}
	t.line = pair[0];
	t.alive = false;
	t.end_len = 0;
	t.kills = out_of_memory();
	return 0;
}

static int boot(void)
{
	int err = 0;

	if (t.proxy)
		err = fail(-EBUSY, "a kernel runs already");
	else if (!t.configured || !t.image_size)
		err = fail(-EINVAL, "BOOT before CONFIG and IMAGE");
	if (err)
		return refuse();
	err = net_up(t.config.net);
	if (!err)
		err = root_make(&t.config);
	if (!err)
		err = spawn();
	if (err) {
		root_drop();
		return refuse();
	}
	return 0;
}

static void tell_proxy(unsigned type, const struct frame *f)
{
	if (t.proxy)
		wire_post(t.line, type, f->body, f->len);
}

static int hear(struct frame *f)
{
	switch (f->type) {
	case AGENT_CONFIG:
		return take_config(f);
	case AGENT_IMAGE:
		return take_image(f);
	case AGENT_POLICY:
		return take_policy(f);
	case AGENT_BOOT:
		return boot();
	case AGENT_HALT:
		t.halt = true;
		tell_proxy(AGENT_KILL, f);
		return 0;
	case AGENT_STOP:
	case AGENT_KILL:
	case AGENT_RESIZE:
		tell_proxy(f->type, f);
		return 0;
	default:
		return 0;
	}
}

/* The proxy went away without an ENDED: words for that. */
static void make_end(int status)
{
	struct agent_end end = { AGENT_LOST, 0, 0 };
	int n;

	t.end_type = AGENT_ENDED;
	memcpy(t.end, &end, sizeof(end));
	if (out_of_memory() != t.kills)
		n = snprintf((char *)t.end + sizeof(end), sizeof(t.end) - sizeof(end),
			"the ROS ran out of memory, and Linux ended the agent's process for the kernel: give "
			"it more (ros_memory)");
	else
		n = snprintf((char *)t.end + sizeof(end), sizeof(t.end) - sizeof(end),
			"the agent's process for the kernel was ended by %s %d",
			WIFSIGNALED(status) ? "signal" : "status",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	t.end_len = sizeof(end) + (size_t)n;
}

/* Its lease is closed when it is gone: CPUs and memory are back. */
static int bury(void)
{
	int fd = t.streams->agent, status = 0, err = 0;

	waitpid(t.proxy, &status, 0);
	orphans_end();
	close(t.line);
	t.proxy = 0;
	if (!t.end_len)
		make_end(status);
	if (t.end_type == AGENT_ENDED && t.config.out)
		err = tar_send(fd, root_written);
	root_drop();
	return err ? err : wire_send(fd, t.end_type, t.end, t.end_len);
}

static int pass_on(struct frame *f)
{
	int got = wire_take(t.line, f);

	if (got <= 0)
		return bury();
	if (f->type == AGENT_ENDED || (f->type == AGENT_REFUSED && !t.alive)) {
		t.end_type = f->type;
		t.end_len = f->len < sizeof(t.end) ? f->len : sizeof(t.end);
		memcpy(t.end, f->body, t.end_len);
		return 0;
	}
	t.alive |= f->type == AGENT_ALIVE;
	return wire_send(t.streams->agent, f->type, f->body, f->len);
}

int talk(const struct streams *s, bool *halt)
{
	static struct frame f;
	int err;

	t.streams = s;
	err = send_ready();
	while (!err && !(t.halt && !t.proxy)) {
		struct pollfd p[2] = { { .fd = s->agent, .events = POLLIN },
			{ .fd = t.line, .events = POLLIN } };

		if (poll(p, t.proxy ? 2 : 1, -1) < 0)
			continue;
		if (t.proxy && p[1].revents) {
			err = pass_on(&f);
		} else if (p[0].revents) {
			err = wire_read(s->agent, &f);
			if (err == 0)
				break;
			err = err > 0 ? hear(&f) : err;
		}
	}
	if (t.proxy) {
		close(t.line); /* the proxy stops the kernel */
		waitpid(t.proxy, NULL, 0);
		orphans_end();
		root_drop();
	}
	*halt = t.halt;
	return err;
}
