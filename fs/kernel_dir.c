/* SPDX-License-Identifier: MIT */
/*
 * kernel_dir.c: which artifact an instance's kernel/ lies over. The digest decides, so that what was changed in
 * one version never shows in another, and comes back when that one is chosen again.
 */
#include "fs/kernel_dir.h"

#include "cache/base/io.h"
#include "fs/difference.h"
#include "fs/work_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIR_NAME_MAX (8 + DIGEST_TEXT_LEN + 1)

static void dir_name(const char *digest, char out[DIR_NAME_MAX])
{
	const char *hex = strchr(digest, ':');

	snprintf(out, DIR_NAME_MAX, "kernels/%s", hex ? hex + 1 : digest);
}

static int open_base(const struct instance *in, const char *digest)
{
	char name[DIR_NAME_MAX];
	int fd;

	dir_name(digest, name);
	fd = openat(in->dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* --- one that is left -------------------------------------------------------------------------- */

/* Removed if nothing was changed in it, kept with a word if something was. */
struct leaving {
	struct instance *in;
	struct view *view;
	uint32_t root;
	int base;
	uint64_t changes;
	int err;
	char gone[32];
};

static void leaving_end(struct leaving *l)
{
	view_put(l->view);
	if (l->base >= 0)
		close(l->base);
	instance_release(l->in);
	free(l);
}

static void leaving_remove(void *arg)
{
	struct leaving *l = arg;

	io_remove_tree(l->in->dirfd, l->gone);
}

static void leaving_removed(void *arg)
{
	leaving_end(arg);
}

static void leaving_scan(void *arg)
{
	struct leaving *l = arg;

	l->err = difference_scan(l->base, l->view, l->root, &l->changes);
}

static void leaving_scanned(void *arg)
{
	struct leaving *l = arg;
	struct instance *in = l->in;
	const char *digest = view_digest(l->view);
	char name[DIR_NAME_MAX];

	if (l->changes)
		instance_event(in, "kernel: what was changed in the sources of %s:%s is kept for %s@%s",
			view_name(l->view), view_tag(l->view), view_name(l->view), digest);
	if (l->err || l->changes || in->removing || strcmp(in->kernel_dir_of, digest) == 0) {
		leaving_end(l);
		return;
	}
	dir_name(digest, name);
	snprintf(l->gone, sizeof(l->gone), "kernels/.gone-%x", ++in->kernel_dirs);
	if (renameat(in->dirfd, name, in->dirfd, l->gone) < 0)
		leaving_end(l);
	else
		pool_submit(in->fs->pool, leaving_remove, leaving_removed, l);
}

static void leave(struct instance *in)
{
	struct view *v = workspace_lower(in->kernel_dir);
	struct entry e;

	if (v && view_path(v, "src", &e) == 0) {
		struct leaving *l = xcalloc(1, sizeof(*l));

		l->in = instance_hold(in);
		l->view = view_get(v);
		l->root = e.index;
		l->base = open_base(in, in->kernel_dir_of);
		l->err = -ECANCELED;
		pool_submit(in->fs->pool, leaving_scan, leaving_scanned, l);
	}
	kernel_dir_free(in);
}

/* --- the one that is chosen -------------------------------------------------------------------- */

void kernel_dir_free(struct instance *in)
{
	workspace_free(in->kernel_dir);
	in->kernel_dir = NULL;
	in->kernel_dir_of[0] = '\0';
	in->work.scanned = false;
}

static void begin(struct instance *in)
{
	char name[DIR_NAME_MAX];
	int err, fd;

	dir_name(in->pin, name);
	err = io_mkdirs(in->dirfd, name, 0700);
	fd = err ? err : open_base(in, in->pin);
	if (fd < 0) {
		log_error("%s: cannot make %s/%s: %s", in->name, in->dir, name, err_text(fd));
		return;
	}
	in->kernel_dir = workspace_new_over(in->fs, fd);
	close(fd);
	workspace_set_removable(in->kernel_dir, !instance_busy(in));
	snprintf(in->kernel_dir_of, sizeof(in->kernel_dir_of), "%s", in->pin);
}

void kernel_dir_set(struct instance *in)
{
	struct entry e;

	if (in->kernel_dir && strcmp(in->kernel_dir_of, in->pin) != 0)
		leave(in);
	if (in->anonymous || in->gone || !*in->pin)
		return;
	if (in->kernel && (view_path(in->kernel->view, "src", &e) || e.type != ENTRY_DIR)) {
		kernel_dir_free(in); /* it has no sources */
		return;
	}
	if (!in->kernel_dir)
		begin(in);
	if (in->kernel_dir && in->kernel)
		workspace_set_lower(in->kernel_dir, in->kernel->view, e.index);
}

static void found(void *arg, int err, const struct why *why, struct chosen *k)
{
	struct instance *in = arg;

	in->kernel_dir_asks = false;
	if (err && !in->gone) {
		instance_error(in, err, why->text);
		if (in->kernel_dir)
			workspace_thaw(in->kernel_dir);
	}
	if (!err && !in->kernel && strcmp(view_digest(k->view), in->pin) == 0) {
		in->kernel = chosen_get(k);
		kernel_dir_set(in);
	}
	chosen_put(k);
	instance_release(in);
}

struct workspace *kernel_dir_get(struct instance *in)
{
	if (in->kernel_dir && !workspace_lower(in->kernel_dir) && !in->kernel_dir_asks && in->cfg.kernel) {
		in->kernel_dir_asks = true;
		workspace_freeze(in->kernel_dir);
		chosen_find(in->fs->cache, in->cfg.kernel, in->pin, false, found, instance_hold(in));
	}
	return in->kernel_dir;
}

int kernel_dir_source(struct instance *in, int *base, uint32_t *root)
{
	struct entry e;

	if (!in->kernel_dir || !in->kernel || view_path(in->kernel->view, "src", &e))
		return -ENOENT;
	*root = e.index;
	*base = open_base(in, in->kernel_dir_of);
	return *base < 0 ? *base : 0;
}

/* --- back to the registry's -------------------------------------------------------------------- */

static void pristine_run(struct work_job *j)
{
	j->err = io_remove_tree(j->dirfd, j->note);
}

static void pristine_done(struct instance *in, struct work_job *j)
{
	if (j->err)
		instance_error(in, j->err, "pristine: some files could not be removed");
}

int kernel_dir_pristine(struct instance *in, struct why *why)
{
	struct work_job *j;
	char name[DIR_NAME_MAX], gone[32];

	if (instance_busy(in))
		return why_fail(
			why, -EBUSY, "pristine: %s is %s; stop it first", in->name, instance_state(in));
	if (!in->kernel_dir)
		return why_fail(why, -ENOENT, "pristine: there is no kernel/ yet: choose a kernel first");
	dir_name(in->kernel_dir_of, name);
	snprintf(gone, sizeof(gone), "kernels/.gone-%x", ++in->kernel_dirs);
	if (renameat(in->dirfd, name, in->dirfd, gone) < 0)
		return why_fail_errno(why, -errno, "pristine: %s/%s", in->dir, name);
	kernel_dir_free(in);
	kernel_dir_set(in);
	instance_event(in, "kernel/ is as the registry has it");
	j = work_job_new(in);
	j->note = xstrdup(gone);
	work_job_submit(j, pristine_run, pristine_done);
	return 0;
}
