/* SPDX-License-Identifier: MIT */
/*
 * policy.c: words of a line, names into numbers.
 */
#include "cache/base/policy.h"

#include "cache/base/sysnames.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES 4095u

static const char *const net_calls[] = { "socket", "socketpair", "bind", "connect", "listen", "accept",
	"accept4", "sendto", "recvfrom", "sendmsg", "recvmsg", "sendmmsg", "recvmmsg", "shutdown",
	"getsockname", "getpeername", "setsockopt", "getsockopt", NULL };
static const char *const path_calls[] = { "open", "openat", "openat2", "creat", "stat", "lstat", "newfstatat",
	"statx", "access", "faccessat", "faccessat2", "readlink", "readlinkat", "truncate", "rename",
	"renameat", "renameat2", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "link", "linkat",
	"symlink", "symlinkat", "chmod", "fchmodat", "chown", "lchown", "fchownat", "utime", "utimes",
	"utimensat", "futimesat", "mknod", "mknodat", "chdir", "chroot", "statfs", "getxattr", "lgetxattr",
	"setxattr", "lsetxattr", "listxattr", "llistxattr", "removexattr", "lremovexattr", "execve",
	"execveat", "mount", "umount2", "inotify_add_watch", NULL };

static const struct {
	const char *name;
	const char *const *calls;
} groups[] = { { "@net", net_calls }, { "@path", path_calls } };

static void put_number(struct buf *out, unsigned long n, bool *first)
{
	buf_printf(out, "%s%lu", *first ? "" : ",", n);
	*first = false;
}

static void put_group(struct buf *out, const char *const *calls, bool *first)
{
	for (; *calls; calls++) {
		int n = sysname_number(*calls);
		if (n >= 0)
			put_number(out, (unsigned long)n, first);
	}
}

/* One of the calls between the commas. */
static int put_call(struct buf *out, const char *call, bool *first, struct why *why)
{
	char *end;
	unsigned long n = strtoul(call, &end, 10);
	int named;

	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (!strcmp(call, groups[i].name)) {
			put_group(out, groups[i].calls, first);
			return 0;
		}
	if (*call >= '0' && *call <= '9' && !*end && n <= POLICY_CALL_MAX) {
		put_number(out, n, first);
		return 0;
	}
	named = sysname_number(call);
	if (named < 0)
		return why_fail(why, -EINVAL,
			"there is no system call '%s' (a name, a number, all, @net or @path)", call);
	put_number(out, (unsigned long)named, first);
	return 0;
}

static int put_calls(struct buf *out, char *calls, struct why *why)
{
	bool first = true;
	int err = 0;

	if (!strcmp(calls, "all")) {
		buf_puts(out, "all");
		return 0;
	}
	for (char *call; !err && (call = strsep(&calls, ","));)
		err = put_call(out, call, &first, why);
	return err;
}

static char *take_word(char **rest)
{
	char *word = *rest + strspn(*rest, " \t");

	*rest = word + strcspn(word, " \t");
	if (**rest)
		*(*rest)++ = 0;
	*rest += strspn(*rest, " \t");
	return word;
}

static int take_line(char *line, struct buf *out, struct why *why)
{
	size_t len = strlen(line);

	while (len && strchr(" \t\r", line[len - 1]))
		line[--len] = 0;
	char *rest = line, *verb = take_word(&rest), *calls = take_word(&rest);
	if (!*verb || *verb == '#')
		return 0;
	if (strcmp(verb, "allow") && strcmp(verb, "refuse") && strcmp(verb, "tell"))
		return why_fail(why, -EINVAL, "'%s': a rule begins with allow, refuse or tell", verb);
	if (!*calls)
		return why_fail(why, -EINVAL, "%s what? (system calls by name, all, @net or @path)", verb);
	if (*rest && (*rest != '/' || strlen(rest) > PATH_BYTES))
		return why_fail(why, -EINVAL, "'%s': a path begins with / and has at most %u bytes", rest,
			PATH_BYTES);
	buf_printf(out, "%s ", verb);
	int err = put_calls(out, calls, why);
	if (err)
		return err;
	if (*rest)
		buf_printf(out, " %s", rest);
	buf_puts(out, "\n");
	return 0;
}

int policy_parse(const char *text, size_t len, struct buf *out, struct why *why)
{
	autobuf struct buf mine = { 0 };
	autofree char *copy = xstrndup(text, len);
	char *rest = copy;
	unsigned number = 0;
	int err = 0;

	if (len > POLICY_TEXT_MAX)
		return why_fail(why, -EFBIG, "delegate: more than %u bytes", POLICY_TEXT_MAX);
	if (memchr(text, 0, len))
		return why_fail(why, -EINVAL, "delegate: it is no text");
	for (char *line; !err && (line = strsep(&rest, "\n"));) {
		number++;
		err = take_line(line, &mine, why);
		if (err)
			why_prefix(why, "delegate: line %u", number);
	}
	if (!err && mine.len > POLICY_SENT_MAX)
		err = why_fail(why, -EFBIG, "delegate: the rules make more than %u bytes", POLICY_SENT_MAX);
	if (!err && out && mine.len)
		buf_append(out, mine.data, mine.len);
	return err;
}
