/* SPDX-License-Identifier: MIT */
/*
 * pool.c: threads that take jobs from one queue and put what is done into another, which the loop
 * empties when an eventfd wakes it. The threads block all signals: those are the loop's to take.
 */
#include "cache/base/loop.h"

#include "cache/base/buf.h"
#include "cache/base/log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct job {
	struct job *next;
	job_fn *run;
	job_fn *done;
	void *arg;
};

struct jobs {
	struct job *first, **end;
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct jobs todo;     /* under lock */
	struct jobs finished; /* under lock */
	bool stopping;	      /* under lock */
	int fd;		      /* eventfd: (finished) is not empty; set once */
	struct watch *watch;  /* loop only */
	struct jobs ready;    /* loop only: taken from (finished), done() not yet called */
	bool busy;	      /* loop only: on_finished is running, and frees the structure if (freed) */
	bool freed;
	unsigned count;
	pthread_t threads[];
};

static void jobs_put(struct jobs *q, struct job *j)
{
	j->next = NULL;
	if (!q->first)
		q->end = &q->first;
	*q->end = j;
	q->end = &j->next;
}

static struct job *jobs_take(struct jobs *q)
{
	struct job *j = q->first;

	if (j)
		q->first = j->next;
	return j;
}

/* Moves all of (from) behind what (to) has. */
static void jobs_move(struct jobs *to, struct jobs *from)
{
	struct job *j;

	while ((j = jobs_take(from)))
		jobs_put(to, j);
}

static void call_done(struct job *j)
{
	if (j->done)
		j->done(j->arg);
	free(j);
}

static void destroy(struct pool *p)
{
	pthread_cond_destroy(&p->more);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* A done() may free the pool. */
static void on_finished(void *arg, uint32_t events)
{
	struct pool *p = arg;
	struct job *j;
	uint64_t count;
	ssize_t n;

	(void)events;
	pthread_mutex_lock(&p->lock);
	n = read(p->fd, &count, sizeof(count));
	(void)n;
	jobs_move(&p->ready, &p->finished);
	pthread_mutex_unlock(&p->lock);
	p->busy = true;
	while ((j = jobs_take(&p->ready)))
		call_done(j);
	p->busy = false;
	if (p->freed)
		destroy(p);
}

/* With the lock. */
static void put_finished(struct pool *p, struct job *j)
{
	uint64_t one = 1;

	if (!p->finished.first && write(p->fd, &one, sizeof(one)) < 0)
		log_error("pool: cannot wake the loop: %s", err_text(errno));
	jobs_put(&p->finished, j);
}

static void *worker(void *arg)
{
	struct pool *p = arg;
	struct job *j;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (!p->stopping && !p->todo.first)
			pthread_cond_wait(&p->more, &p->lock);
		if (p->stopping)
			break;
		j = jobs_take(&p->todo);
		pthread_mutex_unlock(&p->lock);
		j->run(j->arg);
		pthread_mutex_lock(&p->lock);
		put_finished(p, j);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void start_threads(struct pool *p, unsigned threads)
{
	sigset_t all, old;
	int err = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (p->count < threads && (err = pthread_create(&p->threads[p->count], NULL, worker, p)) == 0)
		p->count++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (p->count == 0) {
		log_error("pool: cannot start a thread: %s", err_text(err));
		abort();
	}
	if (p->count < threads)
		log_warn("pool: %u of %u threads started: %s", p->count, threads, err_text(err));
}

struct pool *pool_new(struct loop *l, unsigned threads)
{
	struct pool *p;

	if (threads == 0)
		threads = 1;
	p = xcalloc(1, sizeof(*p) + threads * sizeof(p->threads[0]));
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->more, NULL);
	p->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->fd < 0) {
		log_error("pool: cannot make an eventfd: %s", err_text(errno));
		abort();
	}
	p->watch = loop_watch(l, p->fd, EPOLLIN, on_finished, p);
	start_threads(p, threads);
	return p;
}

/* The next job whose done() is owed, in the order finished, then never begun. */
static struct job *next_owed(struct pool *p)
{
	struct job *j = jobs_take(&p->ready);

	if (j)
		return j;
	pthread_mutex_lock(&p->lock);
	j = jobs_take(&p->finished);
	if (!j)
		j = jobs_take(&p->todo);
	pthread_mutex_unlock(&p->lock);
	return j;
}

void pool_free(struct pool *p)
{
	struct job *j;

	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_broadcast(&p->more);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->count; i++)
		pthread_join(p->threads[i], NULL);
	while ((j = next_owed(p)))
		call_done(j);
	watch_remove(p->watch);
	close(p->fd);
	p->freed = true;
	if (!p->busy)
		destroy(p);
}

void pool_submit(struct pool *p, job_fn *run, job_fn *done, void *arg)
{
	struct job *j = xcalloc(1, sizeof(*j));

	j->run = run;
	j->done = done;
	j->arg = arg;
	pthread_mutex_lock(&p->lock);
	jobs_put(&p->todo, j);
	pthread_cond_signal(&p->more);
	pthread_mutex_unlock(&p->lock);
}

void pool_tell(struct pool *p, job_fn *done, void *arg)
{
	struct job *j = xcalloc(1, sizeof(*j));

	j->done = done;
	j->arg = arg;
	pthread_mutex_lock(&p->lock);
	put_finished(p, j);
	pthread_mutex_unlock(&p->lock);
}
