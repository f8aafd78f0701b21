/* SPDX-License-Identifier: MIT */
/*
 * loop.c: epoll for descriptors, a heap for timers, pidfds for children.
 *
 * A round is: wait, call back for what epoll gave, for the timers that are due, for what was deferred.
 * What a callback removes is only marked, and freed at the end of the round, because epoll may already
 * have handed us an event for it. Pools are in pool.c.
 */
#include "cache/base/loop.h"

#include "cache/base/buf.h"
#include "cache/base/io.h"
#include "cache/base/log.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define EVENTS_MAX 64
#define SPIN_CHECK 8	     /* epoll is asked after so many calls of the spin function */
#define BUSY_NS	   200000    /* who gets the CPU back only after this time has to share it */
#define PAUSE_NS   250000000 /* and does not spin for this time */

struct watch {
	struct loop *loop;
	struct watch *prev, *next; /* in loop->watches, or (next) in loop->dead_watches */
	int fd;
	uint32_t events;
	watch_fn *fn;
	child_fn *child; /* not NULL: (fd) is a pidfd and ours */
	void *arg;
	pid_t pid;
	bool dead;
	bool always; /* a regular file or /dev/null, which epoll refuses: it is ready at any time */
	bool gone;   /* a process that has ended: (fd) is not its pidfd */
};

struct timer {
	struct loop *loop;
	uint64_t at_ns;
	uint64_t seq; /* of two timers due at one time the older fires first */
	size_t pos;   /* in the heap; SIZE_MAX once fired or cancelled */
	timer_fn *fn;
	void *arg;
	struct timer *next; /* in loop->dead_timers */
};

struct deferred {
	struct deferred *next;
	timer_fn *fn;
	void *arg;
};

struct loop {
	int epoll_fd;
	int wake_fd;	   /* written by loop_stop; set once */
	_Atomic bool stop; /* the only field that others touch */
	struct watch *watches;
	struct watch *dead_watches;
	size_t always_ready; /* how many watches epoll refused */
	struct timer **heap;
	size_t heap_len, heap_cap;
	uint64_t timer_seq;
	struct timer *dead_timers;
	struct deferred *deferred, **deferred_end;
	spin_fn *spin;
	void *spin_arg;
	uint64_t spin_ns;
	uint64_t spin_from; /* not before this time: the CPU was wanted by others */
};

static _Noreturn void die(const char *what)
{
	log_error("event loop: cannot %s: %s", what, err_text(errno));
	abort();
}

struct loop *loop_new(void)
{
	struct loop *l = xcalloc(1, sizeof(*l));
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };

	l->deferred_end = &l->deferred;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0)
		die("make an epoll descriptor");
	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->wake_fd < 0 || epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->wake_fd, &ev) < 0)
		die("make an eventfd");
	return l;
}

static void free_dead(struct loop *l)
{
	while (l->dead_watches) {
		struct watch *w = l->dead_watches;

		l->dead_watches = w->next;
		free(w);
	}
	while (l->dead_timers) {
		struct timer *t = l->dead_timers;

		l->dead_timers = t->next;
		free(t);
	}
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	while (l->watches)
		watch_remove(l->watches);
	while (l->heap_len)
		timer_cancel(l->heap[0]);
	free_dead(l);
	while (l->deferred) {
		struct deferred *d = l->deferred;

		l->deferred = d->next;
		free(d);
	}
	free(l->heap);
	close(l->wake_fd);
	close(l->epoll_fd);
	free(l);
}

void loop_stop(struct loop *l)
{
	uint64_t one = 1;
	int saved = errno;
	ssize_t n;

	l->stop = true;
	n = write(l->wake_fd, &one, sizeof(one)); /* fails only if it is readable already */
	(void)n;
	errno = saved;
}

/* ---- descriptors ---- */

static struct watch *watch_new(struct loop *l, int fd, uint32_t events, void *arg)
{
	struct watch *w = xcalloc(1, sizeof(*w));
	struct epoll_event ev = { .events = events, .data.ptr = w };

	w->loop = l;
	w->fd = fd;
	w->events = events;
	w->arg = arg;
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		if (errno != EPERM)
			die("watch a descriptor");
		w->always = true;
		l->always_ready++;
	}
	w->next = l->watches;
	if (w->next)
		w->next->prev = w;
	l->watches = w;
	return w;
}

struct watch *loop_watch(struct loop *l, int fd, uint32_t events, watch_fn *fn, void *arg)
{
	struct watch *w = watch_new(l, fd, events, arg);

	w->fn = fn;
	return w;
}

void watch_events(struct watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	if (w->dead || w->events == events)
		return;
	w->events = events;
	if (!w->always && w->fd >= 0 && epoll_ctl(w->loop->epoll_fd, EPOLL_CTL_MOD, w->fd, &ev) < 0)
		die("change what a descriptor is watched for");
}

/* Stops it, but leaves the structure: an event for it may wait in this round's array. */
static void watch_disarm(struct watch *w)
{
	if (w->always)
		w->loop->always_ready--;
	else if (w->fd >= 0)
		epoll_ctl(w->loop->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
	w->always = false;
	if (w->child && w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}

void watch_remove(struct watch *w)
{
	struct loop *l;

	if (!w || w->dead)
		return;
	l = w->loop;
	watch_disarm(w);
	w->dead = true;
	if (w->prev)
		w->prev->next = w->next;
	else
		l->watches = w->next;
	if (w->next)
		w->next->prev = w->prev;
	w->prev = NULL;
	w->next = l->dead_watches;
	l->dead_watches = w;
}

/* ---- children ---- */

struct watch *loop_child(struct loop *l, pid_t pid, child_fn *fn, void *arg)
{
	int fd = pidfd_open(pid, 0);
	bool gone = fd < 0 && errno == ESRCH;
	struct watch *w;

	if (gone)
		fd = eventfd(
			1, EFD_CLOEXEC | EFD_NONBLOCK); /* ready at once: fn is called from the loop only */
	if (fd < 0)
		die("watch a process");
	w = watch_new(l, fd, EPOLLIN, arg);
	w->child = fn;
	w->pid = pid;
	w->gone = gone;
	return w;
}

int watch_pidfd(const struct watch *w)
{
	return w->child && !w->gone ? w->fd : -1;
}

/* waitpid's status from what waitid says; -1 for a process that is not our child. */
static int reap(int pidfd)
{
	siginfo_t si = { 0 };
	int r;

	do
		r = waitid(P_PIDFD, (id_t)pidfd, &si, WEXITED | WNOHANG);
	while (r < 0 && errno == EINTR);
	if (r < 0 || si.si_pid == 0)
		return -1;
	if (si.si_code == CLD_EXITED)
		return (si.si_status & 0xff) << 8;
	return si.si_status | (si.si_code == CLD_DUMPED ? 0x80 : 0);
}

static void child_ended(struct watch *w)
{
	int status = w->gone ? -1 : reap(w->fd);

	watch_disarm(w);
	w->child(w->arg, w->pid, status);
}

/* ---- timers ---- */

static bool before(const struct timer *a, const struct timer *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->seq < b->seq;
}

static void heap_set(struct loop *l, size_t pos, struct timer *t)
{
	l->heap[pos] = t;
	t->pos = pos;
}

static void heap_up(struct loop *l, struct timer *t, size_t pos)
{
	while (pos > 0 && before(t, l->heap[(pos - 1) / 2])) {
		heap_set(l, pos, l->heap[(pos - 1) / 2]);
		pos = (pos - 1) / 2;
	}
	heap_set(l, pos, t);
}

static void heap_down(struct loop *l, struct timer *t, size_t pos)
{
	for (;;) {
		size_t child = 2 * pos + 1;

		if (child + 1 < l->heap_len && before(l->heap[child + 1], l->heap[child]))
			child++;
		if (child >= l->heap_len || !before(l->heap[child], t))
			break;
		heap_set(l, pos, l->heap[child]);
		pos = child;
	}
	heap_set(l, pos, t);
}

struct timer *loop_after(struct loop *l, uint64_t ms, timer_fn *fn, void *arg)
{
	struct timer *t = xcalloc(1, sizeof(*t));
	uint64_t now = clock_mono_ns();

	t->loop = l;
	t->at_ns = ms < (UINT64_MAX - now) / 1000000 ? now + ms * 1000000 : UINT64_MAX;
	t->seq = l->timer_seq++;
	t->fn = fn;
	t->arg = arg;
	if (l->heap_len == l->heap_cap) {
		l->heap_cap = l->heap_cap ? 2 * l->heap_cap : 16;
		l->heap = xrealloc(l->heap, l->heap_cap * sizeof(*l->heap));
	}
	heap_up(l, t, l->heap_len++);
	return t;
}

void timer_cancel(struct timer *t)
{
	struct loop *l;
	struct timer *last;
	size_t pos;

	if (!t || t->pos == SIZE_MAX)
		return;
	l = t->loop;
	pos = t->pos;
	last = l->heap[--l->heap_len];
	if (last != t) {
		heap_down(l, last, pos);
		heap_up(l, last, last->pos);
	}
	t->pos = SIZE_MAX;
	t->next = l->dead_timers;
	l->dead_timers = t;
}

/* Only those that were there when it began: a timer of 0 ms that sets itself again must not
 * keep the loop from its descriptors. */
static void run_timers(struct loop *l)
{
	uint64_t now, last = l->timer_seq;

	if (!l->heap_len)
		return;
	now = clock_mono_ns();
	while (l->heap_len && l->heap[0]->at_ns <= now && l->heap[0]->seq < last) {
		struct timer *t = l->heap[0];

		timer_cancel(t);
		t->fn(t->arg);
	}
}

void loop_defer(struct loop *l, timer_fn *fn, void *arg)
{
	struct deferred *d = xcalloc(1, sizeof(*d));

	d->fn = fn;
	d->arg = arg;
	*l->deferred_end = d;
	l->deferred_end = &d->next;
}

static void run_deferred(struct loop *l)
{
	struct deferred *d = l->deferred;

	l->deferred = NULL;
	l->deferred_end = &l->deferred;
	while (d) {
		struct deferred *next = d->next;

		d->fn(d->arg);
		free(d);
		d = next;
	}
}

/* ---- the round ---- */

void loop_spin(struct loop *l, spin_fn *fn, void *arg, unsigned us)
{
	l->spin = us ? fn : NULL;
	l->spin_arg = arg;
	l->spin_ns = (uint64_t)us * 1000;
}

static bool always_wanted(const struct loop *l)
{
	if (!l->always_ready)
		return false;
	for (const struct watch *w = l->watches; w; w = w->next)
		if (w->always && w->events & (EPOLLIN | EPOLLOUT))
			return true;
	return false;
}

/* Milliseconds for epoll_wait, rounded up so that a timer is due when it returns; -1: for ever. */
static int wait_ms(const struct loop *l)
{
	uint64_t now, ms;

	if (l->deferred || l->stop || always_wanted(l))
		return 0;
	if (!l->heap_len)
		return -1;
	now = clock_mono_ns();
	if (l->heap[0]->at_ns <= now)
		return 0;
	ms = (l->heap[0]->at_ns - now + 999999) / 1000000;
	return ms < INT_MAX ? (int)ms : INT_MAX;
}

static int ask_epoll(struct loop *l, struct epoll_event *events, int ms)
{
	int n = epoll_wait(l->epoll_fd, events, EVENTS_MAX, ms);

	if (n < 0 && errno != EINTR)
		die("wait for events");
	return n < 0 ? 0 : n;
}

static void end_round(struct loop *l)
{
	run_timers(l);
	run_deferred(l);
	free_dead(l);
}

/* The peer that we wait for may be waiting for our CPU: let it run. But if somebody takes the whole time
 * slice (a guest without KVM does), only sleeping brings us back quickly, as a wake-up goes before.
 * Measured (2 CPUs, 200 MiB and 10,000 round trips between two processes): both on one CPU 0.26 to 0.31 s
 * with this; ten times as much took 11 s without it. Beside two CPU-bound processes: 11 to 37 s if it
 * yields always, 0.8 to 2 s if it never spins, 0.5 to 1.3 s like this. */
static bool give_way(struct loop *l)
{
	uint64_t before = clock_mono_ns(), after;

	sched_yield();
	after = clock_mono_ns();
	if (after - before < BUSY_NS)
		return true;
	l->spin_from = after + PAUSE_NS;
	return false;
}

/* Until something came (returns how many events), is due, or the time is over (0). */
static int spin(struct loop *l, struct epoll_event *events)
{
	uint64_t until = clock_mono_ns() + l->spin_ns;

	if (until - l->spin_ns < l->spin_from)
		return 0;
	for (unsigned i = 1; l->spin; i++) {
		bool check = i % SPIN_CHECK == 0;
		uint64_t now;
		int n;

		if (l->spin(l->spin_arg)) {
			end_round(l);
			until = clock_mono_ns() + l->spin_ns;
		}
		if (check && (n = ask_epoll(l, events, 0)) > 0)
			return n;
		if (check && !give_way(l))
			break;
		now = clock_mono_ns();
		if (now >= until || l->stop || l->deferred || (l->heap_len && l->heap[0]->at_ns <= now))
			break;
	}
	return 0;
}

static void drain(int fd)
{
	uint64_t count;
	ssize_t n = read(fd, &count, sizeof(count));

	(void)n;
}

static void dispatch(struct loop *l, const struct epoll_event *events, int n)
{
	for (int i = 0; i < n; i++) {
		struct watch *w = events[i].data.ptr;

		if (!w)
			drain(l->wake_fd);
		else if (w->fd < 0)
			continue; /* removed by a callback of this round */
		else if (w->child)
			child_ended(w);
		else
			w->fn(w->arg, events[i].events);
	}
}

/* A callback may remove any watch, but the dead keep their memory until the round ends, and their
 * (next) leads into the list of the dead: those are skipped, and the rest comes in the next round. */
static void dispatch_always(struct loop *l)
{
	struct watch *w = l->always_ready ? l->watches : NULL;

	while (w && !w->dead) {
		struct watch *next = w->next;
		uint32_t events = w->events & (EPOLLIN | EPOLLOUT);

		if (w->always && events)
			w->fn(w->arg, events);
		w = w->dead ? next : w->next;
	}
}

void loop_run(struct loop *l)
{
	struct epoll_event events[EVENTS_MAX];

	while (!l->stop) {
		int ms = wait_ms(l), n = 0;

		if (l->spin && ms != 0) {
			n = spin(l, events);
			ms = wait_ms(l);
		}
		if (n == 0)
			n = ask_epoll(l, events, ms);
		dispatch(l, events, n);
		dispatch_always(l);
		end_round(l);
	}
	l->stop = false;
}
