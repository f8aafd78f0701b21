/* SPDX-License-Identifier: MIT */
/*
 * calls.c: makes a delegated call, if it is one that may be made here (table.h) and the policy allows it.
 *
 * A call of the program must not damage the process that makes it: what concerns its own descriptors, signals to itself, its
 * limits and device nodes is caught here. This keeps honest programs from breaking the agent; it is no wall around a
 * kernel in ring 0, for which the VM is the wall.
 */
#include "deployers/cokernel/agent/parts.h"
#include "deployers/cokernel/agent/policy.h"
#include "deployers/cokernel/agent/table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PATH_BYTES    4096
#define LOGS_A_SECOND 10
#define OWN_FDS	      16
#define TOLD	      512 /* different failures */

enum kind { UNKNOWN, MADE, NEVER };

struct entry {
	enum kind kind;
	const char *name, *arguments;
};

#define MADE_ENTRY(call, arguments) [SYS_##call] = { MADE, #call, arguments },
#define NEVER_ENTRY(call)	    [SYS_##call] = { NEVER, #call, "" },
static const struct entry table[GUEST_CALLS] = { MADE(MADE_ENTRY) NEVER(NEVER_ENTRY) };

struct named { /* what the paths of a call are, and a copy of them that the program cannot change meanwhile */
	char said[2][PATH_BYTES], absolute[2][PATH_BYTES], real[2][PATH_BYTES];
	size_t count;
};

/* Not by syscall(), which is as long again as a short call. */
static int64_t make(uint64_t number, const uint64_t *a)
{
	register uint64_t r10 __asm__("r10") = a[3], r8 __asm__("r8") = a[4], r9 __asm__("r9") = a[5];
	int64_t result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

/* --- paths ------------------------------------------------------------------------------------------------------ */

static int copy_path(struct hrt *h, uint64_t from, char *to)
{
	struct cokernel_copy c = { from, (uint64_t)to, PATH_BYTES };
	int got = ioctl(h->device, COKERNEL_COPY, &c);

	if (got < 0)
		return -errno;
	if (memchr(to, 0, (size_t)got))
		return 0;
	return got == PATH_BYTES ? -ENAMETOOLONG : -EFAULT;
}

static int name_of(int fd, char *to)
{
	char link[64];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, to, PATH_BYTES - 1);
	if (n < 0)
		return -errno;
	to[n] = 0;
	return *to == '/' ? 0 : -ENOENT;
}

static int real_name(int dir, const char *path, int flags, char *to)
{
	int fd = openat(dir, path, O_PATH | O_CLOEXEC | flags);

	if (fd < 0)
		return -errno;
	int err = name_of(fd, to);
	close(fd);
	return err;
}

/* The directory that it is in, links followed, and the last name, which may be a link or not be there. */
static int absolute_name(int dir, const char *path, char *to)
{
	char parent[PATH_BYTES];
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	size_t slash = len;
	while (slash > 0 && path[slash - 1] != '/')
		slash--;
	const char *last = path + slash;
	size_t last_len = len - slash;

	if (!last_len || (last_len <= 2 && !memcmp(last, "..", last_len)))
		return real_name(dir, path, 0, to);
	memcpy(parent, path, slash);
	strcpy(parent + slash, slash ? "" : ".");
	int err = real_name(dir, parent, O_DIRECTORY, to);
	if (err)
		return err;
	size_t used = strcmp(to, "/") ? strlen(to) : 0;
	if (used + last_len + 2 > PATH_BYTES)
		return -ENAMETOOLONG;
	to[used] = '/';
	memcpy(to + used + 1, last, last_len);
	to[used + 1 + last_len] = 0;
	return 0;
}

/* The paths of (c), which from then on points to our copies. A path whose directory is not there is left to the call
 * itself to refuse. */
static int name_paths(struct hrt *h, const struct entry *e, struct call *c, struct named *n)
{
	int dir = AT_FDCWD, err;

	n->count = 0;
	for (size_t i = 0; e->arguments[i]; i++) {
		if (e->arguments[i] == 'd')
			dir = (int)c->arguments[i];
		if (e->arguments[i] != 'p' || n->count == 2 || !c->arguments[i])
			continue;
		size_t k = n->count++;

		err = copy_path(h, c->arguments[i], n->said[k]);
		if (err)
			return err;
		c->arguments[i] = (uint64_t)n->said[k];
		if (!n->said[k][0]) /* AT_EMPTY_PATH: the descriptor itself */
			err = name_of(dir, n->absolute[k]);
		else
			err = absolute_name(dir, n->said[k], n->absolute[k]);
		if (err || real_name(dir, n->said[k], 0, n->real[k]) < 0)
			strcpy(n->real[k], err ? "" : n->absolute[k]);
		if (err)
			n->absolute[k][0] = 0;
	}
	return 0;
}

/* --- refusals ----------------------------------------------------------------------------------------------------- */

static void log_refusal(const struct call *c, const struct entry *e, const char *path)
{
	static time_t second;
	static int count;
	time_t now = time(NULL);

	if (__atomic_exchange_n(&second, now, __ATOMIC_RELAXED) != now)
		__atomic_store_n(&count, 0, __ATOMIC_RELAXED);
	if (__atomic_add_fetch(&count, 1, __ATOMIC_RELAXED) > LOGS_A_SECOND)
		return;
	if (e->name)
		note("refused %s%s%s (thread %u)", e->name, path ? " " : "", path ? path : "", c->thread);
	else
		note("refused call %llu (thread %u)", (unsigned long long)c->number, c->thread);
}

/* Absolute and real ones. */
static size_t list_paths(const struct named *n, const char *paths[4])
{
	size_t count = 0;

	for (size_t i = 0; i < n->count; i++) {
		paths[count++] = n->absolute[i];
		paths[count++] = n->real[i];
	}
	return count;
}

static bool policy_refuses(
	struct hrt *h, const struct entry *e, struct call *c, struct named *n, int64_t *result)
{
	const char *paths[4];
	size_t count = 0;

	*result = -EPERM;
	if (!policy_has_paths(c->number)) {
		if (policy_allows(c->number, NULL, 0))
			return false;
	} else {
		int err = name_paths(h, e, c, n);

		if (err) {
			*result = err; /* as Linux would have said */
			return true;
		}
		count = list_paths(n, paths);
		if (policy_allows(c->number, paths, count))
			return false;
	}
	log_refusal(c, e, count ? paths[0] : NULL);
	return true;
}

/* --- failures that the policy wants to hear of --- */

/* The same failure of the same call was told, or there were too many. */
static bool was_told(const char *line)
{
	static uint64_t told[TOLD];
	uint64_t hash = 0xcbf29ce484222325;

	for (const char *s = line; *s; s++)
		hash = (hash ^ (unsigned char)*s) * 0x100000001b3; /* FNV-1a */
	hash += !hash;
	for (size_t i = 0; i < TOLD; i++) {
		uint64_t *slot = &told[(hash + i) % TOLD], none = 0;

		if (__atomic_compare_exchange_n(slot, &none, hash, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return false;
		if (none == hash)
			return true;
	}
	return true;
}

static void tell_failure(const struct call *c, const struct entry *e, const struct named *n, int64_t result)
{
	const char *paths[4], *path = "";
	char line[400];

	if (result == -EAGAIN || result == -EINTR || result == -EINPROGRESS ||
		!policy_tells(c->number, paths, list_paths(n, paths)))
		return;
	if (n->count) /* of two names, the last is the one that is made */
		path = *n->absolute[n->count - 1] ? n->absolute[n->count - 1] : n->said[n->count - 1];
	snprintf(line, sizeof(line), "%s%s%.300s: %s", e->name, *path ? " " : "", path,
		strerror((int)-result));
	if (!was_told(line))
		note("%s", line);
}

/* --- calls that need a look ------------------------------------------------------------------------------------------ */

static bool is_private(uint64_t fd)
{
	return (uint32_t)fd >= PRIVATE_FDS && (uint32_t)fd < PRIVATE_FDS + 64;
}

static bool names_private(const struct entry *e, const struct call *c)
{
	for (size_t i = 0; e->arguments[i]; i++)
		if ((e->arguments[i] == 'f' || e->arguments[i] == 'd') && is_private(c->arguments[i]))
			return true;
	return false;
}

static int64_t close_some(const uint64_t *a)
{
	uint64_t below[3] = { a[0], PRIVATE_FDS - 1, a[2] };
	uint64_t first[6] = { below[0], (uint32_t)a[1] < PRIVATE_FDS ? a[1] : below[1], below[2] };

	if ((uint32_t)a[0] >= PRIVATE_FDS)
		return 0;
	return make(SYS_close_range, first);
}

/* Limits that would end the agent are not set; those on files and cores are. */
static bool may_limit(uint64_t resource)
{
	return resource == RLIMIT_FSIZE || resource == RLIMIT_CORE || resource == RLIMIT_STACK;
}

/* The program may have as many descriptors as lie below the private ones; the hard limit is the agent's. It is the process's own
 * limit, and poll(2) takes no more entries than that: what the agent itself needs is left. */
static int64_t limit_files(struct hrt *h, uint64_t value, uint64_t old_value)
{
	struct rlimit wanted;
	struct cokernel_copy c = { value, (uint64_t)&wanted, sizeof(wanted) };
	int got = ioctl(h->device, COKERNEL_COPY, &c);

	if (got != sizeof(wanted))
		return got < 0 ? -errno : -EFAULT;
	if (wanted.rlim_cur > wanted.rlim_max)
		return -EINVAL;
	if (wanted.rlim_cur > PRIVATE_FDS)
		return -EPERM;
	if (wanted.rlim_cur < OWN_FDS)
		wanted.rlim_cur = OWN_FDS;
	wanted.rlim_max = PRIVATE_FDS;
	uint64_t a[6] = { 0, RLIMIT_NOFILE, (uint64_t)&wanted, old_value };
	return make(SYS_prlimit64, a);
}

static int64_t limit(struct hrt *h, const struct call *c)
{
	const uint64_t *a = c->arguments;
	bool old = c->number == SYS_setrlimit;
	uint64_t resource = old ? a[0] : a[1], value = old ? a[1] : a[2];

	if (!old && a[0] && (pid_t)a[0] != getpid())
		return -EPERM;
	if (value && resource == RLIMIT_NOFILE)
		return limit_files(h, value, old ? 0 : a[3]);
	return !value || may_limit(resource) ? make(c->number, a) : -EPERM;
}

/* To children of the program, not to the agent. */
static int64_t signal_to(const struct call *c)
{
	uint64_t number = c->arguments[c->number == SYS_tgkill ? 2 : 1];
	pid_t to = (pid_t)c->arguments[0];
	bool ours = to == getpid() || to == getppid() || -to == getpgrp();

	if (number == 0 || (c->number == SYS_kill && !ours && (to > 1 || to < -1)))
		return make(c->number, c->arguments);
	return -EPERM;
}

static int64_t make_node(const struct call *c)
{
	uint64_t mode = c->arguments[c->number == SYS_mknod ? 1 : 2] & S_IFMT;

	return mode == S_IFCHR || mode == S_IFBLK ? -EPERM : make(c->number, c->arguments);
}

/* As on Linux, where SIGCHLD comes before the child can be waited for. */
static int64_t wait_for_child(const struct call *c)
{
	int64_t result = make(c->number, c->arguments);

	proxy_tell_children();
	return result;
}

static int64_t make_with_care(struct hrt *h, const struct call *c)
{
	switch (c->number) {
	case SYS_close_range:
		return close_some(c->arguments);
	case SYS_setrlimit:
	case SYS_prlimit64:
		return limit(h, c);
	case SYS_kill:
	case SYS_tkill:
	case SYS_tgkill:
		return signal_to(c);
	case SYS_mknod:
	case SYS_mknodat:
		return make_node(c);
	case SYS_prctl: /* the rest is about the process that would be asked: the agent */
		return c->arguments[0] == PR_GET_NAME || c->arguments[0] == PR_SET_NAME
			       ? make(c->number, c->arguments)
			       : -EINVAL;
	case SYS_wait4:
	case SYS_waitid:
		return wait_for_child(c);
	default:
		return make(c->number, c->arguments);
	}
}

static int64_t forget(struct hrt *h, const struct call *c)
{
	struct cokernel_range r = { c->arguments[0], c->arguments[1] };

	return ioctl(h->device, COKERNEL_FORGET, &r) < 0 ? -errno : 0;
}

static int64_t make_child(struct hrt *h, const struct call *c, bool *refused)
{
	static const struct entry fork = { MADE, "fork", "" };

	if (policy_allows_children())
		return fork_program(h, c->arguments[0]);
	log_refusal(c, &fork, NULL);
	*refused = true;
	return -EPERM;
}

static int64_t make_named(struct hrt *h, const struct entry *e, struct call *c, bool *refused)
{
	struct named n;
	int64_t result;

	if (policy_refuses(h, e, c, &n, &result)) {
		*refused = result == -EPERM;
		return result;
	}
	result = make_with_care(h, c);
	if (result < 0)
		tell_failure(c, e, &n, result);
	return result;
}

int64_t call_make(struct hrt *h, struct call *c, bool *refused)
{
	static const struct entry unknown;
	const struct entry *e = c->number < GUEST_CALLS ? &table[c->number] : &unknown;

	if (c->number == GUEST_CALL_FORGET)
		return forget(h, c);
	if (c->number == GUEST_CALL_FORK)
		return make_child(h, c, refused);
	if (e->kind == UNKNOWN)
		return -ENOSYS;
	if (e->kind == NEVER) {
		log_refusal(c, e, NULL);
		*refused = true;
		return -EPERM;
	}
	if (names_private(e, c))
		return -EBADF;
	if (policy_has_paths(c->number))
		return make_named(h, e, c, refused);
	if (!policy_allows(c->number, NULL, 0)) {
		log_refusal(c, e, NULL);
		*refused = true;
		return -EPERM;
	}
	return make_with_care(h, c);
}
