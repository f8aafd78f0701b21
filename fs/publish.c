/* SPDX-License-Identifier: MIT */
/*
 * publish.c: from the write that asks for it to its answer. What fails here is the writer's to know and no error
 * of the work, which goes on, to a launch perhaps.
 */
#include "fs/publish.h"

#include "cache/base/io.h"
#include "cache/kernel_raw.h"
#include "fs/content.h"
#include "fs/publish_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REPORT_MAX 65536u

/* --- the end ----------------------------------------------------------------------------------- */

static void publishing_free(struct publishing *p)
{
	struct instance *in = p->in;

	if (in->work.publishing == p)
		in->work.publishing = NULL;
	chosen_put(p->kernel);
	if (p->dirfd >= 0)
		close(p->dirfd);
	buf_free(&p->text);
	free(p->name);
	free(p->tag);
	free(p->where);
	free(p->build);
	free(p->can);
	free(p);
	instance_release(in);
}

static void tell(struct publishing *p)
{
	struct instance *in = p->in;

	if (p->stopped && p->err) {
		p->err = instance_error(in, -EINTR, "publish: cancelled");
		return;
	}
	if (p->err) {
		instance_error(in, p->err, p->why.text);
		return;
	}
	free(in->published);
	in->published = xasprintf("%s:%s %s %s", p->name, p->tag, p->digest, p->where);
	instance_save(in);
	instance_event(in, "published %s", in->published);
	cache_published(in->fs->cache, p->name, p->tag);
}

static void remove_copy(struct work_job *j)
{
	io_remove_tree(j->dirfd, "publish");
}

static void removed(struct instance *in, struct work_job *j)
{
	struct publishing *p = in->work.publishing;
	int err;

	(void)j;
	tell(p);
	err = p->err;
	publishing_free(p);
	work_step_done(in, 0, NULL, err ? NULL : "publish");
	pending_answer(in, PENDING_PUBLISH, 0, err);
}

static void over(struct publishing *p, int err, const struct why *why)
{
	p->err = err;
	if (err && why)
		p->why = *why;
	work_job_submit(work_job_new(p->in), remove_copy, removed);
}

/* --- the child --------------------------------------------------------------------------------- */

static void take_error(struct publishing *p, const char *words)
{
	char *rest;
	long err = strtol(words, &rest, 10);

	why_fail(&p->why, err > 0 && err < 4096 ? -(int)err : -EIO, "publish: %s", rest + (*rest == ' '));
}

/* Lines as publish_cmd.c says them. */
static void take_report(struct publishing *p)
{
	char *line = p->text.data, *end;

	for (; line && (end = memchr(line, '\n', p->text.len - (size_t)(line - p->text.data)));
		line = end + 1) {
		*end = '\0';
		if (strncmp(line, "at ", 3) == 0)
			instance_event(p->in, "publish %s:%s: %s", p->name, p->tag, line + 3);
		else if (strncmp(line, "error ", 6) == 0)
			take_error(p, line + 6);
		else if (strncmp(line, "digest sha256:", 14) == 0 && strlen(line + 7) == DIGEST_TEXT_LEN)
			memcpy(p->digest, line + 7, DIGEST_TEXT_LEN);
	}
	if (line)
		buf_consume(&p->text, (size_t)(line - p->text.data));
}

static void child_over(void *arg)
{
	struct publishing *p = arg;

	watch_remove(p->child);
	p->child = NULL;
	if (!*p->digest && !p->why.err)
		why_fail(&p->why, p->stopped ? -EINTR : -EIO, "publish: the process that does it was lost");
	over(p, *p->digest ? 0 : p->why.err, NULL);
}

static void child_said(void *arg, uint32_t events)
{
	struct publishing *p = arg;
	char piece[4096];
	ssize_t n = read(p->fd, piece, sizeof(piece));

	(void)events;
	if (n > 0 && p->text.len + (size_t)n <= REPORT_MAX) {
		buf_append(&p->text, piece, (size_t)n);
		take_report(p);
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	watch_remove(p->out);
	p->out = NULL;
	close(p->fd);
	if (watch_pidfd(p->child) < 0)
		loop_defer(p->in->fs->loop, child_over, p);
}

static void child_ended(void *arg, pid_t pid, int status)
{
	struct publishing *p = arg;

	(void)pid;
	(void)status; /* what it said decides */
	if (!p->out)
		loop_defer(p->in->fs->loop, child_over, p);
}

static const struct registry_choice *choice_of(const struct publishing *p)
{
	const struct registry_choices *r = &p->in->fs->opt.registries;

	for (size_t i = 0; i < r->count; i++)
		if (strcmp(r->list[i].where, p->where) == 0)
			return &r->list[i];
	return NULL;
}

static int start_child(struct publishing *p, int to)
{
	const struct fs_options *o = &p->in->fs->opt;
	const struct registry_choice *c = choice_of(p);
	const char *ca = c && c->ca_file ? c->ca_file : o->ca_file;
	autofree char *dir = xasprintf("%s/publish", p->in->dir), *ref = xasprintf("%s:%s", p->name, p->tag);
	const char *argv[18] = { "/proc/self/exe", "publish", "--report" };
	posix_spawn_file_actions_t fa;
	int n = 3, err;
	pid_t pid;

	if (o->auth_file)
		argv[n++] = "--credentials", argv[n++] = o->auth_file;
	if (o->sign_key)
		argv[n++] = "--sign", argv[n++] = o->sign_key;
	if (ca)
		argv[n++] = "--ca", argv[n++] = ca;
	if (o->insecure || (c && c->insecure))
		argv[n++] = "--insecure";
	argv[n++] = "--";
	argv[n++] = dir;
	argv[n++] = p->where;
	argv[n++] = ref;
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, to, 1);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0);
	err = launch_spawn((char *const *)argv, &fa, &pid);
	posix_spawn_file_actions_destroy(&fa);
	if (!err)
		p->child = loop_child(p->in->fs->loop, pid, child_ended, p);
	return err;
}

static void begin_child(struct publishing *p)
{
	struct why why = { 0 };
	int ends[2], err = pipe2(ends, O_CLOEXEC) < 0 ? -errno : 0;

	if (!err) {
		err = start_child(p, ends[1]);
		close(ends[1]);
		if (err)
			close(ends[0]);
	}
	if (err) {
		why_fail_errno(&why, err, "publish: cannot start diverfs publish");
		over(p, err, &why);
		return;
	}
	p->fd = ends[0];
	io_set_nonblock(p->fd, true);
	p->out = loop_watch(p->in->fs->loop, p->fd, EPOLLIN, child_said, p);
	instance_event(p->in, "publish %s:%s to %s", p->name, p->tag, p->where);
}

/* --- the copy ---------------------------------------------------------------------------------- */

static void assembled(struct instance *in, struct work_job *j)
{
	struct publishing *p = in->work.publishing;

	if (j->err || p->stopped) {
		over(p, j->err ? j->err : -EINTR, &j->why);
	} else if (in->work.again || (!in->anonymous && work_changes(in) != in->work.scanned_at)) {
		p->under_way = false; /* what was copied is not what was built: all of it anew */
		work_step_done(in, 0, NULL, NULL);
	} else {
		begin_child(p);
	}
}

static void copy_next(struct publishing *p);

static void copied(void *arg, int err, const struct why *why)
{
	struct publishing *p = arg;

	if (err) {
		over(p, cache_errno(err), why);
		return;
	}
	p->next++;
	copy_next(p);
}

static void copy_next(struct publishing *p)
{
	static const struct {
		const char *from, *to;
	} parts[] = { { "README.md", "README.md" }, { "kernel.conf", CONF_OF_KERNEL }, { "src", NULL } };
	struct instance *in = p->in;
	struct work_job *j;
	struct entry e;

	for (; p->next < sizeof(parts) / sizeof(parts[0]) && !p->stopped; p->next++) {
		const char *to = parts[p->next].to;

		if (view_path(p->kernel->view, parts[p->next].from, &e))
			continue;
		view_checkout(p->kernel->view, e.index, p->dirfd,
			to	     ? to
			: p->changed ? "lower"
				     : "src",
			copied, p);
		return;
	}
	if (p->changed && (!in->kernel || strcmp(in->kernel_dir_of, view_digest(p->kernel->view)) != 0))
		in->work.again = true;
	if (p->stopped || in->work.again) {
		j = work_job_new(in);
		work_job_submit(j, NULL, assembled);
		return;
	}
	j = work_job_new(in);
	if (p->changed)
		work_job_kernel(j);
	work_job_submit(j, publish_assemble, assembled);
}

static void cleared(struct instance *in, struct work_job *j)
{
	struct publishing *p = in->work.publishing;

	if (j->err)
		over(p, j->err, &j->why);
	else
		copy_next(p);
}

/* Whatever an earlier turn has left is made anew. */
static void take_facts(struct publishing *p, const struct settings *s)
{
	struct instance *in = p->in;
	size_t n = in->fs->opt.registries.count;

	chosen_put(p->kernel);
	p->kernel = chosen_get(in->kernel);
	free(p->build);
	p->build = in->cfg.build ? xstrdup(s->build) : NULL;
	p->changed = in->work.kernel_hash != 0;
	p->with_src = !in->work.src_empty && !in->cfg.exec;
	p->next = 0;
	if (p->dirfd >= 0)
		close(p->dirfd);
	p->dirfd = -1;
	free(p->can);
	p->can = xcalloc(n + 1, sizeof(*p->can));
	for (size_t i = 0; i < n; i++)
		p->can[i] = cache_can_take(in->fs->cache, (uint32_t)i);
}

void begin_publish(struct instance *in, const struct settings *s)
{
	struct publishing *p = in->work.publishing;
	struct why why = { 0 };

	p->under_way = true;
	p->late = false;
	take_facts(p, s);
	work_step_begin(in, WORK_PUBLISH);
	if (p->with_src && !*p->kernel->conf.template_dir) {
		why_fail(&why, -EOPNOTSUPP,
			"publish: the kernel.conf of %s has no template, so there is no place for what is in "
			"src/",
			p->kernel->text);
		over(p, why.err, &why);
		return;
	}
	work_job_submit(work_job_new(in), publish_clear, cleared);
}

/* --- who asks for it --------------------------------------------------------------------------- */

/* No word of an address that holds a password is repeated. */
static int check_where(const char *where, struct why *why)
{
	const char *host = strstr(where, "://");

	if (strncmp(where, "http://", 7) == 0 || strncmp(where, "https://", 8) == 0) {
		if (memchr(host + 3, '@', strcspn(host + 3, "/?#")))
			return why_fail(why, -EINVAL,
				"publish: a registry's address takes no user or password (skopeo login keeps "
				"them)");
		return 0;
	}
	if (*where != '/')
		return why_fail(why, -EINVAL,
			"publish: '%s' is no registry: an absolute path, http:// or https://", where);
	return 0;
}

static int take_words(struct publishing *p, const char *words, struct why *why)
{
	size_t n = strcspn(words, " \t");
	const char *where = words + n + strspn(words + n, " \t"), *colon;
	autofree char *ref = xstrndup(words, n);

	if (strncmp(where, "file:///", 8) == 0)
		where += 7;
	colon = strrchr(ref, ':');
	p->name = xstrndup(ref, colon ? (size_t)(colon - ref) : n);
	p->tag = xstrdup(colon ? colon + 1 : "");
	if (!name_is_repository(p->name) || !name_is_tag(p->tag))
		return why_fail(why, -EINVAL,
			"publish: '%s' is not NAME:TAG (names: a-z 0-9 with . _ - and / inside; tags: "
			"letters, "
			"digits, . _ -)",
			ref);
	if (!*where)
		return 0;
	p->where = xstrdup(where);
	if (p->in->fs->opt.offline && *where != '/')
		return why_fail(why, -EHOSTUNREACH, "publish: %s: this mount is offline (-o offline)", where);
	return check_where(where, why);
}

void publish_write(struct instance *in, const char *words, fuse_req_t req, size_t size)
{
	struct publishing *p = xcalloc(1, sizeof(*p));
	struct why why = { 0 };
	int err;

	p->in = instance_hold(in);
	p->dirfd = -1;
	p->late = in->work.active && in->work.step >= WORK_PROBE;
	if (in->run->stopping || in->gone)
		err = why_fail(&why, -ESHUTDOWN, "diverfs is ending");
	else if (in->work.publishing)
		err = why_fail(&why, -EBUSY, "publish: another one is under way");
	else
		err = take_words(p, words, &why);
	if (err) {
		instance_error(in, err, why.text);
		publishing_free(p);
		reply_err(req, err);
		return;
	}
	in->work.publishing = p;
	instance_error_clear(in);
	pending_add(in, PENDING_PUBLISH, 0, req, size);
	if (in->work.publishing && !p->late)
		work_publish(in);
}

void publish_stop(struct instance *in)
{
	struct publishing *p = in->work.publishing;
	int pidfd;

	if (!p || !p->under_way)
		return;
	p->stopped = true;
	pidfd = p->child ? watch_pidfd(p->child) : -1;
	if (pidfd >= 0)
		syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
}

void publish_given_up(struct instance *in)
{
	struct publishing *p = in->work.publishing;

	if (!p)
		return;
	if (p->under_way) {
		publish_stop(in);
		return;
	}
	publishing_free(p);
	if (!in->work.launch && !pending_any(in, PENDING_BUILD))
		work_cancel(in);
}

void publish_work_ended(struct instance *in, int err)
{
	struct publishing *p = in->work.publishing;

	if (!p)
		return;
	if (p->late && err != -EINTR && !in->gone && !in->run->stopping) {
		p->late = false;
		work_publish(in);
		return;
	}
	publishing_free(p);
	pending_answer(in, PENDING_PUBLISH, 0, err);
}
