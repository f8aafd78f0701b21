/* SPDX-License-Identifier: MIT */
/*
 * fakevm.c: stands in for QEMU, with a ROS and its agent that do as they are told: what a real one does only when it is broken
 * or hostile. The scenario is the word of the HRT's command line, "fake=WORD" (CONFIG). With FAKE_MUTE=yes in the environment
 * its Linux never comes up.
 */
#include "cache/base/io.h"
#include "deployers/cokernel/agent.h"
#include "deployers/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int qmp = -1, agent = -1, console = -1, ros = -1, in = -1, out = -1;
static char scenario[64];
static unsigned boots;
static bool paused;

static void put(int fd, const char *text)
{
	if (fd >= 0)
		io_write_full(fd, text, strlen(text));
}

static void frame(unsigned type, const void *data, size_t len)
{
	struct agent_frame f = { AGENT_MAGIC, AGENT_REV, (uint16_t)type, (uint32_t)len, 0 };

	io_write_full(agent, &f, sizeof(f));
	io_write_full(agent, data, len);
}

static void ended(unsigned how, unsigned status, const char *words)
{
	autobuf struct buf b = { 0 };
	struct agent_end e = { .how = how, .status = status };

	buf_append(&b, &e, sizeof(e));
	buf_puts(&b, words);
	frame(AGENT_ENDED, b.data, b.len);
}

static _Noreturn void die(const char *reason)
{
	char line[128];

	snprintf(line, sizeof(line), "{\"event\":\"SHUTDOWN\",\"data\":{\"guest\":true,\"reason\":\"%s\"}}\n",
		reason);
	put(qmp, line);
	exit(0);
}

static bool is(const char *word)
{
	return !strcmp(scenario, word);
}

static void counts(void)
{
	struct agent_count c[2] = {
		{ .number = 1, .delegated = 3, .delegated_ns = 9000, .delegated_ns_max = 5000 },
		{ .number = 9, .served = 12, .served_ns = 12000, .served_ns_max = 2000, .unknown = 1 },
	};

	if (is("badcount"))
		c[0].number = 70000;
	frame(AGENT_COUNTS, c, is("oddcount") ? sizeof(c) - 1 : sizeof(c));
}

static void archive(const char *path)
{
	char piece[4096];
	autoclose int fd = open(path, O_RDONLY);
	ssize_t n;

	while (fd >= 0 && (n = read(fd, piece, sizeof(piece))) > 0)
		frame(AGENT_OUT, piece, (size_t)n);
	frame(AGENT_OUT, NULL, 0);
}

/* stdin in capitals to stdout, as upper does. */
static void upper(void)
{
	char piece[4096];
	ssize_t n;

	while ((n = read(in, piece, sizeof(piece))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			piece[i] = piece[i] >= 'a' && piece[i] <= 'z' ? (char)(piece[i] - 32) : piece[i];
		io_write_full(out, piece, (size_t)n);
	}
}

static void boot(void)
{
	uint32_t level = 2;

	boots++;
	if (is("refuse")) {
		frame(AGENT_REFUSED, "the image has no \1co-kernel note", 33);
		return;
	}
	if (is("early"))
		ended(AGENT_EXITED, 0, "");
	if (is("dumb"))
		return;
	if (is("hello"))
		frame(AGENT_HELLO, &level, 4);
	frame(AGENT_ALIVE, NULL, 0);
	frame(AGENT_HELLO, &level, 4);
	put(console, boots == 1 ? "console of the kernel\n" : "console again\n");
	counts();
	if (is("magic"))
		put(agent, "this is no frame at all, is it?");
	if (is("long")) {
		struct agent_frame f = { AGENT_MAGIC, AGENT_REV, AGENT_LOG, 0xfffffff0u, 0 };
		io_write_full(agent, &f, sizeof(f));
	}
	if (is("log"))
		frame(AGENT_LOG, "refused openat /etc/\033[2Jshadow\nstate running", 45);
	for (int i = 0; is("flood") && i < 100000; i++)
		frame(AGENT_LOG, "refused openat /etc/shadow, again and again", 43);
	if (is("flood"))
		ended(AGENT_EXITED, 0, "");
	if (is("fault"))
		ended(AGENT_FAULTED, 0, "vector 14 (page fault) at 0x1234\ncr2 0xdead");
	if (is("lost"))
		ended(AGENT_LOST, 0, "the agent's process was ended by signal 9");
	if (is("badend"))
		ended(99, 0, "");
	if (is("shortend"))
		frame(AGENT_ENDED, "abc", 3);
	if (is("twice"))
		frame(AGENT_ALIVE, NULL, 0);
	if (is("unknown")) { /* of a later revision: to be ignored */
		frame(200, "?", 1);
		ended(AGENT_EXITED, 0, "");
	}
	if (is("rospanic")) {
		put(ros, "[    3.1] Kernel panic - not syncing: Attempted to kill init! "
			 "exitcode=0x00000009\r\n[    3.2] CPU: 0\r\n");
		die("guest-reset");
	}
	if (is("rosreset"))
		die("guest-reset");
	if (is("rosoff"))
		die("guest-shutdown");
	if (is("restart") && boots < 3) {
		ended(AGENT_RESTART, 0, "");
		return;
	}
	if (is("tar"))
		archive(getenv("FAKE_TAR"));
	if (is("tar") || is("restart") || is("log")) {
		counts();
		ended(AGENT_EXITED, 0, "");
	}
	if (is("upper")) {
		upper();
		ended(AGENT_EXITED, 7, "");
	}
}

static void take(const struct agent_frame *f, const char *data)
{
	const char *word;

	switch (f->type) {
	case AGENT_CONFIG:
		word = strstr(data, "fake=");
		if (word)
			sscanf(word, "fake=%63[a-z]", scenario);
		break;
	case AGENT_POLICY:
		put(console, "policy: ");
		put(console, data);
		break;
	case AGENT_BOOT:
		boot();
		break;
	case AGENT_STOP:
		if (!is("deaf"))
			ended(AGENT_EXITED, 143, "");
		break;
	case AGENT_KILL:
		if (is("deaf"))
			put(console, "does not stop\n");
		else
			ended(AGENT_STOPPED, 0, "");
		break;
	}
}

static void agent_bytes(void)
{
	static struct buf b;
	char *p = buf_reserve(&b, 65536);
	ssize_t n = read(agent, p, 65536);
	struct agent_frame f;

	if (n <= 0)
		exit(0);
	b.len += (size_t)n;
	while (b.len >= sizeof(f)) {
		memcpy(&f, b.data, sizeof(f));
		if (b.len < sizeof(f) + f.len)
			return;
		autofree char *data = xstrndup(b.data + sizeof(f), f.len);
		buf_consume(&b, sizeof(f) + f.len);
		take(&f, data);
	}
}

static void ready(void)
{
	put(ros, "Linux of the ROS\r\n");
	if (!getenv("FAKE_MUTE"))
		frame(AGENT_READY, "linux = 6.1\n", 12);
}

static void obey(const char *command)
{
	if (!strncmp(command, "stop\"", 5) || !strncmp(command, "cont\"", 5)) {
		paused = *command == 's';
		put(qmp, paused ? "{\"event\":\"STOP\"}\n" : "{\"event\":\"RESUME\"}\n");
	} else if (!strncmp(command, "system_reset\"", 13)) {
		put(qmp, "{\"event\":\"RESET\",\"data\":{\"guest\":false,\"reason\":\"host-qmp-system-reset\"}}\n");
		boots = 0;
		ready();
	}
}

static void qmp_bytes(void)
{
	static const char execute[] = "\"execute\":\"";
	char text[4096];
	ssize_t n = read(qmp, text, sizeof(text) - 1);
	unsigned long long id;

	if (n <= 0)
		exit(0);
	text[n] = 0;
	for (char *s = text; (s = strstr(s, execute)); s++) {
		char line[128], *at = strstr(s, "\"id\":"), *end = strchr(s, '\n');

		if (!at || (end && at > end) || sscanf(at, "\"id\":%llu", &id) != 1)
			continue;
		obey(s + strlen(execute));
		snprintf(line, sizeof(line), "{\"return\":{\"running\":%s,\"status\":\"%s\"},\"id\":%llu}\n",
			paused ? "false" : "true", paused ? "paused" : "running", id);
		put(qmp, line);
	}
}

static void take_fd(const char *chardev)
{
	static const struct {
		const char *id;
		int *fd;
	} lines[] = { { "qmp", &qmp }, { "agent", &agent }, { "console", &console }, { "ros", &ros },
		{ "stdin", &in }, { "stdout", &out } };
	char id[32];
	int fd;

	if (sscanf(chardev, "socket,id=%31[a-z],fd=%d", id, &fd) != 2)
		return;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (!strcmp(lines[i].id, id))
			*lines[i].fd = fd;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--version")) {
			puts("QEMU emulator version 0 (fake)");
			return 0;
		}
		if (i + 1 < argc && !strcmp(argv[i], "-chardev"))
			take_fd(argv[i + 1]);
	}
	if (qmp < 0 || agent < 0)
		return 1;
	put(qmp, "{\"QMP\":{}}\n");
	ready();
	for (;;) {
		struct pollfd p[] = { { qmp, POLLIN, 0 }, { agent, POLLIN, 0 } };

		int n = poll(p, 2, 1000);
		if (n < 0)
			return 1;
		if (n == 0 && boots && !is("silent"))
			frame(AGENT_COUNTS, NULL, 0);
		if (p[0].revents)
			qmp_bytes();
		if (p[1].revents)
			agent_bytes();
	}
}
