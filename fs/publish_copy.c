/* SPDX-License-Identifier: MIT */
/*
 * publish_copy.c: the directory that is published: kernel.conf with another name and version, the kernel's sources
 * with what was changed in kernel/ and the application as their template, and the images.
 */
#include "cache/base/conf.h"
#include "cache/base/io.h"
#include "fs/difference.h"
#include "fs/publish_inner.h"
#include "fs/start.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONF_MAX (1u << 20)

/* --- where to ---------------------------------------------------------------------------------- */

static bool is_address(const char *where)
{
	return strstr(where, "://") != NULL;
}

static int find_default(struct publishing *p, struct why *why)
{
	const struct registry_choices *r = &p->in->fs->opt.registries;
	autofree char *embedded = options_installed("share/diverfs/registry");

	for (size_t i = 0; i < r->count; i++) {
		const char *where = r->list[i].where;

		if (!p->can[i] || strcmp(where, embedded) == 0)
			continue;
		if (!is_address(where) && access(where, W_OK) < 0)
			continue;
		p->where = xstrdup(where);
		return 0;
	}
	return why_fail(why, -EROFS,
		"publish: no registry of this mount can be written to: name one, as in echo %s:%s /DIRECTORY "
		"> "
		"publish, or mount with one besides the embedded",
		p->name, p->tag);
}

/* The daemon must not wait for itself. */
static int check_place(const struct publishing *p, struct why *why)
{
	autofree char *above = xstrdup(p->where);
	char *slash = strrchr(above, '/');
	struct stat st;

	if (is_address(p->where))
		return 0;
	if (stat(p->where, &st) < 0) {
		slash[slash == above] = '\0';
		if (stat(above, &st) < 0)
			return why_fail_errno(why, -errno, "publish: %s", above);
	}
	if (st.st_dev == p->in->fs->own_dev)
		return why_fail(why, -EINVAL, "publish: %s is in this mount itself", p->where);
	return 0;
}

void publish_clear(struct work_job *j)
{
	struct publishing *p = j->in->work.publishing;

	if (!p->where)
		j->err = find_default(p, &j->why);
	if (!j->err)
		j->err = check_place(p, &j->why);
	if (j->err)
		return;
	j->err = io_remove_tree(j->dirfd, "publish");
	if (!j->err)
		j->err = io_mkdirs(j->dirfd, "publish", 0700);
	p->dirfd = j->err ? -1 : openat(j->dirfd, "publish", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (!j->err && p->dirfd < 0)
		j->err = -errno;
	if (j->err)
		why_fail_errno(&j->why, j->err, "publish: cannot make %s/publish", j->in->dir);
}

/* --- what -------------------------------------------------------------------------------------- */

struct rewriting {
	struct publishing *p;
	struct buf text;
};

static int keep_line(void *arg, unsigned line, const char *key, const char *value, struct why *why)
{
	struct rewriting *r = arg;

	(void)line;
	(void)why;
	if (strcmp(key, "name") && strcmp(key, "version") && !(r->p->build && strcmp(key, "build") == 0))
		conf_put(&r->text, key, value);
	return 0;
}

static int put_conf(struct publishing *p, struct why *why)
{
	autobuf struct buf was = { 0 };
	struct rewriting r = { .p = p };
	int err = io_read_file(p->dirfd, CONF_OF_KERNEL, CONF_MAX, &was);

	conf_put(&r.text, "name", p->name);
	conf_put(&r.text, "version", p->tag);
	if (p->build)
		conf_put(&r.text, "build", p->build);
	if (err)
		why_fail_errno(why, err, "publish: kernel.conf of %s", p->kernel->text);
	else
		err = conf_parse(was.data ? was.data : "", was.len, keep_line, &r, why);
	if (!err) {
		err = io_write_file(p->dirfd, "kernel.conf", r.text.data, r.text.len, 0600, false);
		if (err)
			why_fail_errno(why, err, "publish: cannot write kernel.conf");
	}
	buf_free(&r.text);
	return err;
}

static int put_readme(struct publishing *p, struct why *why)
{
	autofree char *text = NULL;
	int err;

	if (faccessat(p->dirfd, "README.md", F_OK, 0) == 0)
		return 0;
	text = xasprintf("# %s\n\n%s\n", p->name, p->kernel->conf.description);
	err = io_write_file(p->dirfd, "README.md", text, strlen(text), 0600, false);
	return err ? why_fail_errno(why, err, "publish: cannot write README.md") : 0;
}

/* The directory that (path) is in, made if need be; symbolic links, which kernel/ may hold, are not followed. */
static int open_above(int dirfd, const char *path, const char **last)
{
	int fd = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);

	for (const char *slash; fd >= 0 && (slash = strchr(path, '/')); path = slash + 1) {
		autofree char *name = xstrndup(path, (size_t)(slash - path));
		autoclose int above = fd;

		if (mkdirat(above, name, 0755) < 0 && errno != EEXIST)
			return -errno;
		fd = openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
	*last = path;
	return fd < 0 ? -errno : fd;
}

static int put_template(struct publishing *p, int from, struct why *why)
{
	autofree char *path = xasprintf("src/%s", p->kernel->conf.template_dir);
	const char *last = "";
	autoclose int above = open_above(p->dirfd, path, &last);
	int err = above < 0 ? above : io_remove_tree(above, last);

	if (!err)
		err = io_copy_tree(from, "src", above, last);
	return err ? why_fail_errno(why, err, "publish: cannot put src/ where %s has its template, %s",
			     p->kernel->text, path)
		   : 0;
}

static int put_sources(struct publishing *p, struct work_job *j)
{
	int err = 0;

	if (p->changed)
		err = difference_apply(j->base, j->view, j->root, p->dirfd, "lower", "src");
	if (err)
		return why_fail_errno(&j->why, err, "publish: cannot take what was changed in kernel/");
	return p->with_src ? put_template(p, j->dirfd, &j->why) : 0;
}

void publish_assemble(struct work_job *j)
{
	struct publishing *p = j->in->work.publishing;

	j->err = put_conf(p, &j->why);
	if (!j->err)
		j->err = put_readme(p, &j->why);
	if (!j->err)
		j->err = put_sources(p, j);
	if (j->err)
		return;
	j->err = io_copy_tree(j->dirfd, "images", p->dirfd, "images");
	if (j->err)
		why_fail_errno(&j->why, j->err, "publish: cannot copy images/");
}
