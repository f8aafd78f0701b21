/* SPDX-License-Identifier: MIT */
/*
 * cokernel: a deployer for tests. Starts QEMU with a ROS and speaks agent.h with the agent in it, as its standard input says:
 *
 *     config KEY = VALUE   a line of CONFIG, kept for all boots     image FILE    the image, kept too
 *     boot COMMAND LINE    CONFIG, IMAGE, BOOT
 *     policy LINE          a line of POLICY, added                  lift          an empty POLICY
 *     stop  kill  halt     those frames                             resize C R
 *     type TEXT            a line for the console                   feed TEXT     a line for stdin      end  its end
 *     wait WHAT            until WHAT begins a line of the output   raw HEX       bytes to the agent
 *
 * What comes is written as lines: READY, ALIVE, HELLO, COUNT, OUT, ENDED, REFUSED, LOG, CONSOLE, STDOUT, ROS, GONE (QEMU has ended);
 * and BOOT where one was asked for. The ports are sockets of their own, so what comes on one may be read before what was sent
 * earlier on another: a line CONSOLE may stand before ALIVE, and behind ENDED. Between a BOOT and the next is all that belongs to it.
 * A wait looks at each line once, also at those that came before it was read: none is missed, however slow this is.
 * Options are the same for all: cokernel KERNEL INITRD CMDLINE ROS-CPUS HRT-CPUS MEGABYTES OUT [QEMU-OPTION...]
 */
#include "deployers/cokernel/agent.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { AGENT, CONSOLE, STDIN, STDOUT, ROS, CHANNELS };

static const char *const ports[] = { AGENT_PORT, AGENT_PORT_CONSOLE, "diverfs.stdin", "diverfs.stdout" };
static const char *const labels[] = { "", "CONSOLE", "STDIN", "STDOUT", "ROS" };

static struct {
	int fd[CHANNELS];
	struct text {
		char bytes[4096];
		size_t len;
	} line[CHANNELS];
	uint8_t in[sizeof(struct agent_frame) + AGENT_FRAME_MAX];
	size_t in_len;
	char config[8192], policy[8192], image[1024];
	char awaited[256];
	char *said; /* the lines that no wait has looked at */
	size_t said_len, said_room;
	const char *out_name;
	FILE *out;
	pid_t qemu;
	int outs;
} d;

/* Takes the lines up to the one that is awaited out of what was said. */
static void look(void)
{
	size_t at = 0;

	while (*d.awaited && at < d.said_len) {
		if (!strncmp(d.said + at, d.awaited, strlen(d.awaited)))
			*d.awaited = 0;
		at += strlen(d.said + at) + 1;
	}
	d.said_len -= at;
	if (at)
		memmove(d.said, d.said + at, d.said_len);
}

static void say(const char *fmt, ...)
{
	char text[AGENT_FRAME_MAX + 256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	printf("%s\n", text);
	fflush(stdout);
	size_t len = strlen(text) + 1;
	if (d.said_len + len > d.said_room) {
		d.said_room = (d.said_len + len) * 2;
		d.said = realloc(d.said, d.said_room);
		if (!d.said)
			exit(1);
	}
	memcpy(d.said + d.said_len, text, len);
	d.said_len += len;
	look();
}

static void put(int channel, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len) {
		ssize_t n = send(d.fd[channel], p, len, MSG_NOSIGNAL);
		if (n <= 0)
			return;
		p += n;
		len -= (size_t)n;
	}
}

static void frame(unsigned type, const void *body, size_t len)
{
	struct agent_frame head = { AGENT_MAGIC, AGENT_REV, (uint16_t)type, (uint32_t)len, 0 };

	put(AGENT, &head, sizeof(head));
	put(AGENT, body, len);
}

static void send_image(void)
{
	static char piece[AGENT_FRAME_MAX];
	FILE *f = fopen(d.image, "rb");
	size_t n;

	if (!f) {
		say("no image %s", d.image);
		exit(1);
	}
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
		frame(AGENT_IMAGE, piece, n);
	fclose(f);
}

static bool receive_now(int wait_ms);

static void boot(const char *cmdline)
{
	char config[sizeof(d.config) + 4200];
	int n = snprintf(config, sizeof(config), "%scmdline = %s\n", d.config, cmdline);

	while (receive_now(0)) /* the agent had put all of the last kernel's into the ports before its ENDED */
		;
	say("BOOT %s", cmdline);
	frame(AGENT_CONFIG, config, (size_t)n);
	send_image();
	frame(AGENT_BOOT, NULL, 0);
}

static void append(char *to, size_t size, const char *line)
{
	size_t used = strlen(to);

	snprintf(to + used, size - used, "%s\n", line);
}

/* In place of an earlier line with this key. */
static void set(char *to, size_t size, const char *line)
{
	size_t key = strcspn(line, "=");
	char *at = to;

	while (*at && strncmp(at, line, key + 1))
		at += strcspn(at, "\n") + 1;
	if (*at) {
		char *next = at + strcspn(at, "\n") + 1;
		memmove(at, next, strlen(next) + 1);
	}
	append(to, size, line);
}

static void raw(const char *hex)
{
	unsigned byte;
	int n;

	for (; sscanf(hex, "%2x%n", &byte, &n) == 1; hex += n) {
		uint8_t b = (uint8_t)byte;
		put(AGENT, &b, 1);
	}
}

static void obey(char *line)
{
	char *rest = strchr(line, ' ');
	uint32_t size[2];

	line[strcspn(line, "\n")] = 0;
	if (rest)
		*rest++ = 0;
	else
		rest = line + strlen(line);
	if (!strcmp(line, "config"))
		set(d.config, sizeof(d.config), rest);
	else if (!strcmp(line, "image"))
		snprintf(d.image, sizeof(d.image), "%s", rest);
	else if (!strcmp(line, "boot"))
		boot(rest);
	else if (!strcmp(line, "policy") || !strcmp(line, "lift")) {
		if (*line == 'l')
			*d.policy = 0;
		else
			append(d.policy, sizeof(d.policy), rest);
		frame(AGENT_POLICY, d.policy, strlen(d.policy));
	} else if (!strcmp(line, "stop"))
		frame(AGENT_STOP, NULL, 0);
	else if (!strcmp(line, "kill"))
		frame(AGENT_KILL, NULL, 0);
	else if (!strcmp(line, "halt"))
		frame(AGENT_HALT, NULL, 0);
	else if (!strcmp(line, "resize") && sscanf(rest, "%u %u", &size[0], &size[1]) == 2)
		frame(AGENT_RESIZE, size, sizeof(size));
	else if (!strcmp(line, "type") || !strcmp(line, "feed")) {
		put(*line == 't' ? CONSOLE : STDIN, rest, strlen(rest));
		put(*line == 't' ? CONSOLE : STDIN, "\n", 1);
	} else if (!strcmp(line, "end"))
		shutdown(d.fd[STDIN], SHUT_WR);
	else if (!strcmp(line, "wait")) {
		snprintf(d.awaited, sizeof(d.awaited), "%s", rest);
		look();
	} else if (!strcmp(line, "raw"))
		raw(rest);
	else if (*line && *line != '#')
		say("cannot understand: %s", line);
}

static void on_counts(const uint8_t *body, size_t len)
{
	struct agent_count c;

	for (; len >= sizeof(c); body += sizeof(c), len -= sizeof(c)) {
		memcpy(&c, body, sizeof(c));
		say("COUNT %u served %llu delegated %llu refused %llu unknown %llu", c.number,
			(unsigned long long)c.served, (unsigned long long)c.delegated,
			(unsigned long long)c.refused, (unsigned long long)c.unknown);
	}
}

/* One archive a boot: OUT.1, OUT.2 ... */
static void on_out(const uint8_t *body, size_t len)
{
	char name[1100];

	if (!d.out) {
		snprintf(name, sizeof(name), "%s.%d", d.out_name, ++d.outs);
		d.out = fopen(name, "wb");
	}
	if (d.out && len)
		fwrite(body, 1, len, d.out);
	if (d.out && !len) {
		fclose(d.out);
		d.out = NULL;
		say("OUT %d", d.outs);
	}
}

static void on_frame(const struct agent_frame *h, const uint8_t *body)
{
	static const char *const how[] = { "", "exited", "faulted", "stopped", "restart", "lost" };
	struct agent_end e;
	int len = (int)h->len;

	switch (h->type) {
	case AGENT_READY:
		say("READY %.*s", len, body);
		break;
	case AGENT_ALIVE:
		say("ALIVE");
		break;
	case AGENT_HELLO:
		say("HELLO %u", *(const uint32_t *)body);
		break;
	case AGENT_COUNTS:
		on_counts(body, h->len);
		break;
	case AGENT_OUT:
		on_out(body, h->len);
		break;
	case AGENT_ENDED:
		memcpy(&e, body, sizeof(e));
		say("ENDED %s %u stray %llu: %.*s", e.how < 6 ? how[e.how] : "?", e.status,
			(unsigned long long)e.stray, len - (int)sizeof(e), body + sizeof(e));
		break;
	default:
		say("%s %.*s",
			h->type == AGENT_LOG	   ? "LOG"
			: h->type == AGENT_REFUSED ? "REFUSED"
						   : "?",
			len, body);
	}
}

static void on_agent(const uint8_t *data, size_t len)
{
	struct agent_frame h;

	memcpy(d.in + d.in_len, data, len);
	d.in_len += len;
	while (d.in_len >= sizeof(h)) {
		memcpy(&h, d.in, sizeof(h));
		if (h.magic != AGENT_MAGIC || h.rev != AGENT_REV || h.len > AGENT_FRAME_MAX) {
			say("the agent says nonsense");
			exit(1);
		}
		if (d.in_len < sizeof(h) + h.len)
			return;
		on_frame(&h, d.in + sizeof(h));
		d.in_len -= sizeof(h) + h.len;
		memmove(d.in, d.in + sizeof(h) + h.len, d.in_len);
	}
}

static void on_text(int channel, const char *data, size_t len)
{
	struct text *t = &d.line[channel];

	for (size_t i = 0; i < len; i++) {
		if (data[i] == '\n' || t->len == sizeof(t->bytes) - 1) {
			t->bytes[t->len] = 0;
			t->len = 0;
			say("%s %s", labels[channel], t->bytes);
		} else if (data[i] != '\r') {
			t->bytes[t->len++] = data[i];
		}
	}
}

static void receive(int channel)
{
	char data[4096];
	size_t room = channel == AGENT ? sizeof(d.in) - d.in_len : sizeof(data);
	ssize_t n = recv(d.fd[channel], data, room < sizeof(data) ? room : sizeof(data), 0);

	if (n <= 0) {
		close(d.fd[channel]);
		d.fd[channel] = -1;
	} else if (channel == AGENT) {
		on_agent((uint8_t *)data, (size_t)n);
	} else {
		on_text(channel, data, (size_t)n);
	}
}

/* False: nothing came. */
static bool receive_now(int wait_ms)
{
	struct pollfd p[CHANNELS];
	int n;

	for (int c = 0; c < CHANNELS; c++)
		p[c] = (struct pollfd){ .fd = c == STDIN ? -1 : d.fd[c], .events = POLLIN };
	n = poll(p, CHANNELS, wait_ms);
	for (int c = 0; c < CHANNELS; c++)
		if (p[c].fd >= 0 && p[c].revents)
			receive(c);
	return n > 0;
}

#define ARGS 256
static void start_qemu(int argc, char **argv)
{
	static char text[16][512];
	const char *a[ARGS] = { "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot",
		"-display", "none", "-accel", "tcg,thread=multi", "-cpu", "max", "-M", "pc", "-nic", "none",
		"-device", "virtio-serial-pci,max_ports=8" };
	int n = 16, far[CHANNELS];

	for (int c = 0; c < CHANNELS; c++) {
		int pair[2];
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
		d.fd[c] = pair[0];
		far[c] = dup(pair[1]); /* kept over exec */
		close(pair[1]);
		snprintf(text[c], 512, "socket,id=c%d,fd=%d", c, far[c]);
		a[n++] = "-chardev";
		a[n++] = text[c];
		if (c < ROS) {
			snprintf(text[8 + c], 512, "virtserialport,chardev=c%d,name=%s", c, ports[c]);
			a[n++] = "-device";
			a[n++] = text[8 + c];
		}
	}
	snprintf(text[5], 512, "%d", atoi(argv[4]) + atoi(argv[5]));
	snprintf(text[6], 512, "%sM", argv[6]);
	const char *rest[] = { "-serial", "chardev:c4", "-kernel", argv[1], "-initrd", argv[2], "-append",
		argv[3], "-smp", text[5], "-m", text[6] };
	for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]); i++)
		a[n++] = rest[i];
	for (int i = 8; i < argc && n < ARGS - 1; i++)
		a[n++] = argv[i];
	d.qemu = fork();
	if (!d.qemu) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execvp(a[0], (char **)a);
		_exit(127);
	}
	for (int c = 0; c < CHANNELS; c++)
		close(far[c]);
}

static void stop_qemu(int unused)
{
	(void)unused;
	kill(d.qemu, SIGKILL);
	_exit(1);
}

static int all_closed(void)
{
	for (int c = 0; c < CHANNELS; c++)
		if (c != STDIN && d.fd[c] >= 0)
			return 0;
	return 1;
}

int main(int argc, char **argv)
{
	char line[4096];
	bool over = false;

	if (argc < 8)
		return 64;
	signal(SIGTERM, stop_qemu);
	d.out_name = argv[7];
	start_qemu(argc, argv);
	while (!all_closed()) {
		while (!over && !*d.awaited)
			if (fgets(line, sizeof(line), stdin))
				obey(line);
			else
				over = true;
		if (over && !*d.awaited)
			break;
		receive_now(-1);
	}
	if (all_closed())
		say("GONE");
	kill(d.qemu, SIGKILL);
	waitpid(d.qemu, NULL, 0);
	return *d.awaited ? 1 : 0;
}
