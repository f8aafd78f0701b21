/* SPDX-License-Identifier: MIT */
/*
 * proxy.c: the process that holds one HRT, from BOOT to its end. The lease is a descriptor of this process, and the program's
 * files are its files: when it ends nothing of the HRT is left.
 *
 * Descriptors 0 to 2 are the program's, the device and the line to the first process are put where no program looks.
 */
#include "deployers/cokernel/agent/parts.h"
#include "deployers/cokernel/agent/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS	    50 /* how often the HRT's state is looked at: a panic may come without a bell */
#define COUNTS_MS   1000
#define STACK_BYTES (64u * 1024)
#define LAST_MS	    30000 /* for what an HRT said that ended by itself: less than the deployer waits for a sign of life */
#define KILLED_MS   2000

static struct hrt hrt;
static int parent, ended;	 /* (ended): an event, set by the thread that reads messages */
static int children;		 /* a signalfd: one of the program's has ended */
static struct agent_end verdict; /* written before (ended) is */

void note(const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	wire_post(parent, AGENT_LOG, text, strlen(text));
}

int thread_start(void *(*run)(void *), void *argument)
{
	pthread_attr_t a;
	pthread_t t;

	pthread_attr_init(&a);
	pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&a, STACK_BYTES);
	int err = pthread_create(&t, &a, run, argument);
	pthread_attr_destroy(&a);
	return -err;
}

static void end_with(uint32_t how, uint32_t status)
{
	static int once;
	uint64_t one = 1;

	if (__atomic_exchange_n(&once, 1, __ATOMIC_SEQ_CST))
		return;
	verdict.how = how;
	verdict.status = status;
	(void)!write(ended, &one, sizeof(one));
}

static void on_message(const struct guest_message *m)
{
	uint32_t level = (uint32_t)m->value;

	if (m->magic != GUEST_MESSAGE_MAGIC || m->rev != GUEST_REV) {
		note("the kernel sent a message of another revision (magic %#x, revision %u): it is ignored",
			m->magic, m->rev);
		return;
	}
	if (m->type == GUEST_HELLO)
		wire_post(parent, AGENT_HELLO, &level, sizeof(level));
	else if (m->type == GUEST_EXIT)
		end_with(AGENT_EXITED, m->value & 0xff);
	else if (m->type == GUEST_RESTART)
		end_with(AGENT_RESTART, 0);
}

/* The program's addresses, but for what the agent itself has there: nothing, as it is a PIE, and brk was spent (main.c). */
static int map_program(void)
{
	void *start = (void *)GUEST_PROGRAM_START;
	size_t bytes = GUEST_PROGRAM_END - GUEST_PROGRAM_START;

	if (mmap(start, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_NORESERVE,
		    hrt.device, (off_t)GUEST_PROGRAM_START) != start)
		return fail(-errno, "the program's addresses cannot be had: %s", strerror(errno));
	return 0;
}

static int high_fd(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, PRIVATE_FDS);

	close(fd);
	return high;
}

static int open_device(void)
{
	struct rlimit files = { PRIVATE_FDS + 64, PRIVATE_FDS + 64 };
	sigset_t child;

	setrlimit(RLIMIT_NOFILE, &files);
	int fd = open(COKERNEL_DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return fail(-errno, "%s: %s (is the module loaded?)", COKERNEL_DEVICE, strerror(errno));
	hrt.device = high_fd(fd);
	parent = high_fd(parent);
	ended = high_fd(eventfd(0, EFD_CLOEXEC));
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	children = high_fd(signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
	return hrt.device < 0 || parent < 0 || ended < 0 || children < 0 ? fail(-EMFILE, "no descriptors")
									 : 0;
}

static int open_or(int fd, int flags)
{
	return fd >= 0 ? fd : open("/dev/null", flags);
}

/* The program's root, directory, descriptors and user. Returns the console's descriptor for the rings. */
static int become_program(const struct run *r)
{
	const struct config *c = r->config;
	struct rlimit files = { 1024, PRIVATE_FDS };
	int in = open_or(r->streams.in, O_RDONLY), out = open_or(r->streams.out, O_WRONLY);
	int console = open_or(r->streams.console, O_RDWR);
	int private = fcntl(console, F_DUPFD_CLOEXEC, PRIVATE_FDS);

	dup2(in, 0);
	dup2(out, 1);
	dup2(console, 2);
	for (int fd = 3; fd < 256; fd++)
		close(fd);
	if (r->root && (chroot(r->root) < 0 || chdir("/") < 0))
		return fail(-errno, "%s: %s", r->root, strerror(errno));
	if (chdir(c->cwd) < 0)
		return fail(-errno, "cwd = %s: %s", c->cwd, strerror(errno));
	setrlimit(RLIMIT_NOFILE, &files);
	umask(022);
	if (c->gid && (setgroups(0, NULL) < 0 || setgid(c->gid) < 0))
		return fail(-errno, "gid = %u: %s", c->gid, strerror(errno));
	if (c->uid && setuid(c->uid) < 0)
		return fail(-errno, "uid = %u: %s", c->uid, strerror(errno));
	return private;
}

/* Synchronous ones end the proxy, which the first process tells; the others (alarms, of a program) do nothing. */
static void block_signals(void)
{
	sigset_t all;

	sigfillset(&all);
	sigdelset(&all, SIGUSR1);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGFPE);
	sigprocmask(SIG_SETMASK, &all, NULL);
}

static int begin(const struct run *r)
{
	parent = r->parent;
	block_signals();
	int err = policy_set(r->policy, r->policy_len);
	if (err || (err = open_device()) || (err = hrt_load(&hrt, r->image, r->image_size, r->config)) ||
		(err = map_program()))
		return err;
	int console = become_program(r);
	if (console < 0)
		return console;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	rings_open(&hrt, console, on_message);
	err = hrt_boot(&hrt);
	if (err)
		return err;
	wire_post(parent, AGENT_ALIVE, NULL, 0); /* before all messages of the HRT; the console is another port */
	err = rings_start();
	if (!err)
		err = slots_start(&hrt);
	if (err)
		return fail(err, "no threads can be had: %s", strerror(-err));
	return 0;
}

static void hear(const struct frame *f)
{
	uint32_t size[2];

	switch (f->type) {
	case AGENT_POLICY:
		if (policy_set((const char *)f->body, f->len) < 0)
			wire_post(parent, AGENT_REFUSED, failure, strlen(failure));
		break;
	case AGENT_STOP:
		rings_send(GUEST_STOP, 0);
		break;
	case AGENT_KILL:
		end_with(AGENT_STOPPED, 0);
		break;
	case AGENT_RESIZE:
		memcpy(size, f->body, sizeof(size));
		if (f->len == sizeof(size))
			rings_send(GUEST_RESIZE, (uint64_t)size[0] << 16 | (size[1] & 0xffff));
		break;
	}
}

void proxy_tell_children(void)
{
	static pthread_mutex_t telling = PTHREAD_MUTEX_INITIALIZER;
	struct signalfd_siginfo info;
	bool some = false;

	pthread_mutex_lock(&telling);
	while (read(children, &info, sizeof(info)) == sizeof(info))
		some = true;
	if (some)
		rings_send(GUEST_CHILD, 0);
	pthread_mutex_unlock(&telling);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Until it has ended by itself or was told to, or its state says that it has failed. */
static void watch(void)
{
	static struct frame f;
	struct pollfd p[] = { { .fd = ended, .events = POLLIN }, { .fd = parent, .events = POLLIN },
		{ .fd = children, .events = POLLIN } };
	uint64_t counted = now_ms();

	for (;;) {
		poll(p, 3, LOOK_MS);
		if (p[0].revents & POLLIN)
			return;
		slots_look();
		if (__atomic_load_n(&hrt.area->state, __ATOMIC_ACQUIRE) == GUEST_FAILED)
			end_with(AGENT_FAULTED, 0);
		if (p[1].revents && wire_take(parent, &f) == 1)
			hear(&f);
		else if (p[1].revents)
			end_with(AGENT_STOPPED, 0);
		if (p[2].revents & POLLIN)
			proxy_tell_children();
		/* Not when nothing happened: a shell's children may end all the time. */
		if (now_ms() - counted >= COUNTS_MS) {
			counts_send(&hrt, parent);
			counted = now_ms();
		}
	}
}

/* What the HRT wrote into its panic record may be anything, also not text and not ended. */
static int describe(char *to, size_t size)
{
	struct guest_panic p;

	memcpy(&p, (void *)&hrt.area->panic, sizeof(p));
	p.words[sizeof(p.words) - 1] = 0;
	for (char *c = p.words; *c; c++)
		if ((unsigned char)*c < ' ' && *c != '\n')
			*c = '?';
	return snprintf(to, size,
		"the kernel failed on its CPU %u: %s%svector %u, error %#llx, rip %#llx, rsp %#llx, rbp "
		"%#llx, cr2 %#llx, "
		"cr3 %#llx",
		p.cpu, p.words, *p.words ? "; " : "", p.vector, (unsigned long long)p.error,
		(unsigned long long)p.rip, (unsigned long long)p.rsp, (unsigned long long)p.rbp,
		(unsigned long long)p.cr2, (unsigned long long)p.cr3);
}

static void finish(void)
{
	char text[sizeof(verdict) + 600];
	int words = 0;

	if (ioctl(hrt.device, COKERNEL_STOP) < 0)
		note("a CPU of the kernel does not stop: %s", strerror(errno));
	rings_drain(verdict.how == AGENT_STOPPED ? KILLED_MS : LAST_MS);
	if (verdict.how == AGENT_FAULTED)
		words = describe(text + sizeof(verdict), sizeof(text) - sizeof(verdict));
	verdict.stray = hrt.area->stray;
	memcpy(text, &verdict, sizeof(verdict));
	counts_send(&hrt, parent);
	wire_post(parent, AGENT_ENDED, text, sizeof(verdict) + (size_t)words);
}

_Noreturn void proxy_run(const struct run *r)
{
	if (begin(r) < 0) {
		wire_post(parent, AGENT_REFUSED, failure, strlen(failure));
		_exit(1);
	}
	watch();
	finish();
	_exit(0);
}
