/* SPDX-License-Identifier: MIT */
/*
 * out.c: what the program wrote comes as an archive from beside the kernel, which is to say from a stranger. It is unpacked
 * into out.new, which takes the place of out/ when it is whole.
 */
#include "deployers/splitvm/split.h"

#include "cache/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void out_close(struct split *s)
{
	untar_end(&s->out);
	if (s->out_fd >= 0)
		close(s->out_fd);
	s->out_fd = -1;
}

static int out_begin(struct split *s, struct why *why)
{
	int err = io_remove_tree(s->mon.dirfd, "out.new");

	if (!err && mkdirat(s->mon.dirfd, "out.new", 0755) < 0)
		err = -errno;
	if (!err)
		s->out_fd = openat(s->mon.dirfd, "out.new", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!err && s->out_fd < 0)
		err = -errno;
	untar_begin(&s->out, s->out_fd, s->plan.limit_disk);
	return err ? why_fail_errno(why, err, "cannot make it") : 0;
}

/* out/ as it was, then as it is now: at every moment there is one. */
static int out_swap(struct split *s)
{
	int dir = s->mon.dirfd;

	if (renameat2(dir, "out.new", dir, "out", RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EEXIST || renameat2(dir, "out.new", dir, "out", RENAME_EXCHANGE) < 0)
		return -errno;
	return io_remove_tree(dir, "out.new");
}

static void out_finish(struct split *s)
{
	uint32_t entries = s->out.entries, skipped = s->out.skipped;

	if (!untar_whole(&s->out)) {
		split_out_end(s);
		return;
	}
	out_close(s);
	int err = out_swap(s);
	if (err)
		monitor_event(&s->mon, "out/ cannot be kept: %s", err_text(err));
	else if (skipped)
		monitor_event(&s->mon,
			"out/: of %u entries %u were left out: devices, sockets, links that lead out",
			entries, skipped);
	monitor_mark(&s->mon, "out");
}

void split_out(struct split *s, const void *data, size_t len)
{
	struct why why = { 0 };
	int err = 0;

	if (len && s->out_fd < 0 && !s->out_bad)
		err = out_begin(s, &why);
	if (!len && s->out_fd < 0) {
		s->out_bad = false; /* a next archive may be better */
		return;
	}
	if (!len) {
		out_finish(s);
		return;
	}
	if (!err && !s->out_bad)
		err = untar_feed(&s->out, data, len, &why);
	if (!err)
		return;
	monitor_event(&s->mon, "out/: what the program wrote is not kept: %s", why.text);
	s->out_bad = true;
	out_close(s);
	io_remove_tree(s->mon.dirfd, "out.new");
}

void split_out_end(struct split *s)
{
	if (s->out_fd < 0)
		return;
	monitor_event(&s->mon, "out/: the archive of what the program wrote has no end; it is not kept");
	out_close(s);
	io_remove_tree(s->mon.dirfd, "out.new");
}
