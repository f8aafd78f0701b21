/* SPDX-License-Identifier: MIT */
/*
 * workspace_job.c: one request on its way through the pool: what it needs is copied or held, the work is done
 * there, and the reply is given on the loop.
 */
#include "cache/base/buf.h"
#include "fs/workspace_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct ws_job *ws_job_new(fuse_req_t req, struct workspace *w, struct ws_inode *in)
{
	struct ws_job *j = xcalloc(1, sizeof(*j));

	j->req = req;
	j->w = w;
	w->refs++;
	j->in = in;
	in->refs++;
	j->fd_in = in->fd;
	j->fd_in2 = j->fd_root = j->fd = -1;
	j->found = WS_FOUND_NONE;
	j->err = -ECANCELED; /* what is said if the pool ends before its turn */
	return j;
}

void ws_job_second(struct ws_job *j, struct ws_inode *in2)
{
	j->in2 = in2;
	in2->refs++;
	j->fd_in2 = in2->fd;
}

void ws_job_handle(struct ws_job *j, struct ws_handle *h)
{
	j->h = h;
	h->refs++;
}

/* Only a root can be without a descriptor: it is opened, or made first, by whoever needs it. */
static int work_root(struct ws_job *j)
{
	bool first = j->fd_in < 0, second = j->in2 && j->fd_in2 < 0;

	if (j->h || !(first || second))
		return 0;
	if (j->w->over) {
		int err = lower_make_tree(j->w);

		if (err)
			return err;
	} else if (j->make_root && mkdirat(j->w->dirfd, j->w->name, 0777) < 0 && errno != EEXIST)
		return -errno;
	j->fd_root = openat(j->w->dirfd, j->w->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (j->fd_root < 0)
		return -errno;
	if (first)
		j->fd_in = j->fd_root;
	if (second)
		j->fd_in2 = j->fd_root;
	return 0;
}

static void job_run(void *arg)
{
	struct ws_job *j = arg;

	j->err = work_root(j);
	if (!j->err)
		j->err = j->work(j);
}

/* The root's inode keeps the descriptor, unless another job was faster. */
static void adopt_root(struct ws_job *j)
{
	struct ws_inode *root = j->in->b == INODE_ROOT ? j->in : j->in2;

	if (j->fd_root < 0)
		return;
	if (root->fd < 0)
		ws_root_adopt(root, j->fd_root);
	else
		close(j->fd_root);
}

static void close_left(int fd)
{
	if (fd >= 0)
		close(fd);
}

void ws_job_done(struct ws_job *j)
{
	adopt_root(j);
	j->finish(j);
	close_left(j->fd);
	ws_found_close(&j->found);
	if (j->h)
		ws_handle_put(j->h);
	ws_inode_put(j->in);
	if (j->in2)
		ws_inode_put(j->in2);
	ws_put(j->w);
	free(j->name);
	free(j->name2);
	free(j->data);
	free(j);
}

static void job_done(void *arg)
{
	ws_job_done(arg);
}

void ws_job_submit(struct ws_job *j)
{
	pool_submit(j->w->fs->pool, job_run, job_done, j);
}

static void job_go(struct ws_job *j)
{
	j->fd_in = j->in->fd; /* it may have got content of its own meanwhile */
	if (j->writes && j->in->lower != LOWER_NONE && j->in->fd_name < 0 && S_ISREG(j->in->type))
		lower_copy_up(j);
	else
		ws_job_submit(j);
}

/* The root of the tree that a job was meant for may be another by now; what was below the old one is gone. */
static bool renew(struct ws_job *j, struct ws_inode **in, int *fd)
{
	if (!*in || !(*in)->stale)
		return true;
	if ((*in)->b != INODE_ROOT || j->w->dead)
		return false;
	ws_inode_put(*in);
	*in = j->w->root;
	(*in)->refs++;
	*fd = (*in)->fd;
	return true;
}

void ws_jobs_thaw(struct workspace *w)
{
	struct ws_job *j = w->waiting, *next;

	w->waiting = NULL;
	for (; j; j = next) {
		next = j->next;
		if (renew(j, &j->in, &j->fd_in) && renew(j, &j->in2, &j->fd_in2)) {
			job_go(j);
		} else {
			j->err = -ESTALE;
			ws_job_done(j);
		}
	}
}

void ws_job_start(struct ws_job *j, int (*work)(struct ws_job *j), void (*finish)(struct ws_job *j))
{
	struct workspace *w = j->w;

	j->work = work;
	j->finish = finish;
	if (!w->frozen || j->h) {
		job_go(j);
		return;
	}
	if (!w->waiting)
		w->waiting_tail = &w->waiting;
	*w->waiting_tail = j;
	w->waiting_tail = &j->next;
}

void ws_finish_plain(struct ws_job *j)
{
	if (!j->err && j->changes)
		ws_changed(j->w);
	reply_err(j->req, j->err);
}
