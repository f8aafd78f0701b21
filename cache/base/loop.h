/* SPDX-License-Identifier: MIT */
/*
 * loop.h: one thread that waits for everything, and a pool for what may not be waited for.
 *
 * The loop calls back for descriptors (epoll), timers, and children. What it owns is touched by
 * the loop's thread only, so there is nothing to lock. Work that burns CPU or waits for the disk
 * is handed to the pool; its result comes back to the loop.
 *
 * Threads  loop_* only from the loop's thread, but loop_stop (any; also from a signal handler)
 *          and pool_submit (any)
 * Errors   pointers are never NULL: failing to make an epoll descriptor or thread aborts
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct loop;
struct watch;
struct timer;
struct pool;

struct loop *loop_new(void);
void loop_free(struct loop *l);
/* Runs until loop_stop. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);

/* (events) as for epoll, level triggered: EPOLLIN, EPOLLOUT; 0 hears only errors and hang-up.
 * The caller keeps the fd and must unwatch before closing it. A callback may unwatch anything.
 * What epoll refuses (a regular file, /dev/null) is ready at any time, as with poll. */
typedef void watch_fn(void *arg, uint32_t events);
struct watch *loop_watch(struct loop *l, int fd, uint32_t events, watch_fn *fn, void *arg);
void watch_events(struct watch *w, uint32_t events);
void watch_remove(struct watch *w); /* NULL is fine */

/* Once, after (ms). The timer is gone when it has fired (timer_cancel inside (fn) is still harmless) or
 * was cancelled. */
typedef void timer_fn(void *arg);
struct timer *loop_after(struct loop *l, uint64_t ms, timer_fn *fn, void *arg);
void timer_cancel(struct timer *t); /* NULL is fine */

/* Once, after the callbacks of this round. */
void loop_defer(struct loop *l, timer_fn *fn, void *arg);

/* The process (pid) has ended. For a child (status) is waitpid's and it is reaped; for another
 * process (found again after a restart), or one that is gone already, status is -1. Watched through a
 * pidfd: no SIGCHLD. Called once, from the loop; the watch stays yours until watch_remove, which may be
 * called in (fn) or later. */
typedef void child_fn(void *arg, pid_t pid, int status);
struct watch *loop_child(struct loop *l, pid_t pid, child_fn *fn, void *arg);
/* The pidfd inside, for pidfd_send_signal; owned by the watch. -1 once the process has ended. */
int watch_pidfd(const struct watch *w);

/* Before it sleeps, the loop calls (fn) again and again for (us) microseconds as long as nothing
 * else is due; true means it did something and the time starts anew (PERF.md D). While other processes
 * want the CPU it sleeps without that, so what (fn) polls must be watched as well. */
typedef bool spin_fn(void *arg);
void loop_spin(struct loop *l, spin_fn *fn, void *arg, unsigned us);

/* (threads) workers. (run) is called on a worker, then (done) on the loop. Jobs start in order.
 * (done) may be NULL. pool_free waits for what runs, drops what was not begun without calling
 * (run), and calls (done) for all of them. */
typedef void job_fn(void *arg);
struct pool *pool_new(struct loop *l, unsigned threads);
void pool_free(struct pool *p);
void pool_submit(struct pool *p, job_fn *run, job_fn *done, void *arg);
/* From within (run): (done) is called on the loop, before the job's own. */
void pool_tell(struct pool *p, job_fn *done, void *arg);

#endif
