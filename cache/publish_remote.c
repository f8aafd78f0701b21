/* SPDX-License-Identifier: MIT */
/*
 * publish_remote.c: publishing to a registry over the network: first into a layout of its own, which is
 * checked as any other, and from there.
 */
#include "cache/base/io.h"
#include "cache/cache.h"
#include "cache/publish_push.h"
#include "cache/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Removes (path) when the pipe's other end is closed, by us or by the end of this process, however it comes. */
static pid_t keep_watch(const char *path, int *end)
{
	int p[2];
	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid == 0) {
		char c;
		setsid(); /* ^C is not for it */
		close(p[1]);
		for (int s = 1; s < 16; s++)
			signal(s, SIG_IGN);
		while (read(p[0], &c, 1) < 0 && errno == EINTR)
			continue;
		io_remove_tree(AT_FDCWD, path);
		_exit(0);
	}
	close(p[0]);
	if (pid < 0)
		close(p[1]);
	*end = p[1];
	return pid;
}

/* The name and tag that it was published under. */
static int published_as(const char *layout, char **name, char **tag, struct why *why)
{
	autobuf struct buf index = { 0 };
	struct names *names = NULL;
	autofree char *path = xasprintf("%s/index.json", layout);
	int err = io_read_file(AT_FDCWD, path, 1u << 20, &index);
	if (err < 0)
		return why_fail_errno(why, err, "%s", path);
	err = layout_names(index.data, index.len, layout, &names, why);
	if (err)
		return err;
	const struct name *n = names_at(names, 0);
	if (n) {
		*name = xstrdup(n->name);
		*tag = xstrdup(n->tag);
	} else {
		err = why_fail(why, -EIO, "%s: what was just published is not there", layout);
	}
	names_put(names);
	return err;
}

int publish_to_registry(const char *dir, const struct push_to *to, const char *reference,
	publish_progress_fn *progress, void *arg, char *digest, struct why *why)
{
	const char *tmp = getenv("TMPDIR");
	autofree char *layout = xasprintf("%s/diverfs-publish-XXXXXX", tmp && *tmp ? tmp : "/var/tmp");
	autofree char *name = NULL;
	autofree char *tag = NULL;
	int end = -1;
	if (!mkdtemp(layout))
		return why_fail_errno(
			why, -errno, "cannot make a directory in %s", tmp && *tmp ? tmp : "/var/tmp");
	pid_t watcher = keep_watch(layout, &end);
	if (watcher < 0) {
		rmdir(layout);
		return why_fail_errno(why, (int)watcher, "cannot start a process");
	}
	int err = publish_directory(dir, layout, reference, progress, arg, digest, why);
	if (!err)
		err = published_as(layout, &name, &tag, why);
	if (!err)
		err = publish_push(layout, digest, to, name, tag, progress, arg, why);
	close(end);
	waitpid(watcher, NULL, 0);
	return err;
}
