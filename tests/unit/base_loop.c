/* SPDX-License-Identifier: MIT */
/* base_loop.c: what the loop calls, in which order, once, and never after its removal. */
#include "base_tmp.h"

#include "cache/base/loop.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#define LIMIT_MS 60000 /* a test that needs as long has failed */

static struct loop *loop;
static char order[256]; /* a letter for each call, in order */

static void too_late(void *arg)
{
	(void)arg;
	fail_msg("nothing came; so far: %s", order);
}

static int setup(void **state)
{
	(void)state;
	loop = loop_new();
	loop_after(loop, LIMIT_MS, too_late, NULL);
	memset(order, 0, sizeof(order));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	loop_free(loop);
	return 0;
}

static void note(void *arg)
{
	order[strlen(order)] = *(const char *)arg;
}

static void note_and_stop(void *arg)
{
	note(arg);
	loop_stop(loop);
}

static void timers_in_order(void **state)
{
	(void)state;
	loop_after(loop, 30, note_and_stop, "d");
	loop_after(loop, 10, note, "b");
	loop_after(loop, 0, note, "a");
	loop_after(loop, 20, note, "c");
	loop_run(loop);
	assert_string_equal(order, "abcd");
}

static void timers_fire_not_before_time(void **state)
{
	uint64_t from = clock_mono_ns();

	(void)state;
	loop_after(loop, 25, note_and_stop, "a");
	loop_run(loop);
	assert_true(clock_mono_ns() - from >= 25 * 1000000u);
}

static void cancelled_timers(void **state)
{
	struct timer *t[300];

	(void)state;
	for (int i = 0; i < 300; i++)
		t[i] = loop_after(loop, (uint64_t)(i * 7919 % 300) / 10, note, "x");
	for (int i = 0; i < 300; i++)
		timer_cancel(t[i * 7 % 300]);
	timer_cancel(NULL);
	loop_after(loop, 40, note_and_stop, "a");
	loop_run(loop);
	assert_string_equal(order, "a");
}

static struct timer *own;

static void cancel_own(void *arg)
{
	timer_cancel(own);
	note(arg);
}

static void a_timer_may_cancel_itself(void **state)
{
	(void)state;
	own = loop_after(loop, 1, cancel_own, "a");
	loop_after(loop, 5, note_and_stop, "b");
	loop_run(loop);
	assert_string_equal(order, "ab");
}

static void again_and_again(void *arg)
{
	loop_after(loop, 0, again_and_again, arg);
}

static void readable(void *arg, uint32_t events)
{
	assert_true(events & EPOLLIN);
	note_and_stop(arg);
}

static void timers_do_not_starve_descriptors(void **state)
{
	int p[2];
	struct watch *w;

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	loop_after(loop, 0, again_and_again, NULL);
	w = loop_watch(loop, p[0], EPOLLIN, readable, "r");
	assert_int_equal(write(p[1], "x", 1), 1);
	loop_run(loop);
	assert_string_equal(order, "r");
	watch_remove(w);
	close(p[0]);
	close(p[1]);
}

struct pair {
	struct watch *a, *b;
	int calls;
};

static void remove_both(void *arg, uint32_t events)
{
	struct pair *p = arg;

	(void)events;
	p->calls++;
	watch_remove(p->a);
	watch_remove(p->b);
	watch_remove(p->a);
	loop_after(loop, 5, note_and_stop, "e");
}

static void a_removed_watch_is_not_called(void **state)
{
	struct pair pair = { 0 };
	int p[2], q[2];

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_int_equal(pipe2(q, O_CLOEXEC), 0);
	assert_int_equal(write(p[1], "x", 1) + write(q[1], "x", 1), 2);
	pair.a = loop_watch(loop, p[0], EPOLLIN, remove_both, &pair);
	pair.b = loop_watch(loop, q[0], EPOLLIN, remove_both, &pair);
	loop_run(loop);
	assert_int_equal(pair.calls, 1);
	watch_remove(NULL);
	close(p[0]);
	close(p[1]);
	close(q[0]);
	close(q[1]);
}

static uint32_t got_events;

static void take_events(void *arg, uint32_t events)
{
	got_events = events;
	note_and_stop(arg);
}

static void events_can_change(void **state)
{
	struct watch *w;
	int p[2];

	(void)state;
	assert_int_equal(io_socketpair(p), 0);
	w = loop_watch(loop, p[0], 0, take_events, "a");
	assert_int_equal(write(p[1], "x", 1), 1);
	own = loop_after(loop, 5, note_and_stop, "t"); /* hears nothing of the byte */
	loop_run(loop);
	watch_events(w, EPOLLIN);
	loop_run(loop);
	assert_int_equal(got_events, EPOLLIN);
	watch_events(w, EPOLLOUT);
	loop_run(loop);
	assert_int_equal(got_events, EPOLLOUT);
	watch_events(w, 0);
	close(p[1]);
	loop_run(loop);
	assert_true(got_events & EPOLLHUP);
	assert_string_equal(order, "taaa");
	watch_remove(w);
	close(p[0]);
}

static void files_are_always_ready(void **state)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC),
	    file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct watch *w = loop_watch(loop, null, EPOLLIN, readable, "n");
	struct watch *v = loop_watch(loop, file, 0, readable, "f");

	(void)state;
	loop_run(loop);
	watch_events(w, 0);
	watch_events(v, EPOLLIN);
	loop_run(loop);
	watch_remove(v);
	loop_after(loop, 2, note_and_stop, "t");
	loop_run(loop);
	watch_remove(w);
	assert_string_equal(order, "nft");
	close(null);
	close(file);
}

static void always_remove_both(void **state)
{
	struct pair pair = { 0 };
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), two = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	pair.a = loop_watch(loop, null, EPOLLIN, remove_both, &pair);
	pair.b = loop_watch(loop, two, EPOLLIN, remove_both, &pair);
	loop_run(loop);
	assert_int_equal(pair.calls, 1);
	close(null);
	close(two);
}

static void defer_more(void *arg)
{
	loop_defer(loop, note_and_stop, "c");
	note(arg);
}

static void timer_that_defers(void *arg)
{
	loop_defer(loop, defer_more, "b");
	note(arg);
}

static void deferred_come_after_the_round(void **state)
{
	(void)state;
	loop_after(loop, 0, timer_that_defers, "a");
	loop_after(loop, 0, note, "A");
	loop_run(loop);
	assert_string_equal(order, "aAbc");
}

static void stop_before_run_counts(void **state)
{
	(void)state;
	loop_stop(loop);
	loop_run(loop);
	loop_after(loop, 0, note_and_stop, "a");
	loop_run(loop);
	assert_string_equal(order, "a");
}

static void on_signal(int sig)
{
	(void)sig;
	loop_stop(loop);
}

static void raise_it(void *arg)
{
	(void)arg;
	raise(SIGUSR1);
}

static void stop_from_a_signal(void **state)
{
	struct sigaction sa = { .sa_handler = on_signal }, old;

	(void)state;
	sigaction(SIGUSR1, &sa, &old);
	loop_after(loop, 0, raise_it, NULL);
	loop_run(loop);
	sigaction(SIGUSR1, &old, NULL);
}

static void *stopper(void *arg)
{
	loop_stop(arg);
	return NULL;
}

static void stop_from_a_thread(void **state)
{
	pthread_t t;

	(void)state;
	pthread_create(&t, NULL, stopper, loop);
	loop_run(loop);
	pthread_join(t, NULL);
}

/* ---- children ---- */

static int child_status;
static int children;

static void ended(void *arg, pid_t pid, int status)
{
	(void)arg;
	(void)pid;
	child_status = status;
	if (--children == 0)
		loop_stop(loop);
}

static pid_t spawn(int code)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (code >= 0)
			_exit(code);
		pause();
		_exit(99);
	}
	return pid;
}

static void exit_codes(void **state)
{
	(void)state;
	for (int code = 0; code < 256; code += 85) {
		struct watch *w = loop_child(loop, spawn(code), ended, NULL);

		children = 1;
		loop_run(loop);
		assert_true(WIFEXITED(child_status));
		assert_int_equal(WEXITSTATUS(child_status), code);
		assert_int_equal(watch_pidfd(w), -1);
		watch_remove(w);
	}
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* all reaped */
}

static void a_killed_child(void **state)
{
	pid_t pid = spawn(-1);
	struct watch *w = loop_child(loop, pid, ended, NULL);

	(void)state;
	assert_true(watch_pidfd(w) >= 0);
	kill(pid, SIGKILL);
	children = 1;
	loop_run(loop);
	assert_true(WIFSIGNALED(child_status));
	assert_int_equal(WTERMSIG(child_status), SIGKILL);
	watch_remove(w);
}

static void many_children(void **state)
{
	struct watch *w[40];

	(void)state;
	children = 40;
	for (int i = 0; i < 40; i++)
		w[i] = loop_child(loop, spawn(3), ended, NULL);
	loop_run(loop);
	for (int i = 0; i < 40; i++)
		watch_remove(w[i]);
}

static void an_unwatched_child_stays(void **state)
{
	pid_t pid = spawn(5);
	int status;

	(void)state;
	watch_remove(loop_child(loop, pid, ended, NULL));
	loop_after(loop, 5, note_and_stop, "a");
	loop_run(loop);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

/* A grandchild is not ours to reap: init or we as subreaper get it later; its end is heard all the same. */
static void a_process_that_is_not_our_child(void **state)
{
	pid_t pid = 0, child;
	struct watch *w;
	int p[2];

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		pid = spawn(-1);
		_exit(write(p[1], &pid, sizeof(pid)) != sizeof(pid) || pause() == 0);
	}
	assert_int_equal(read(p[0], &pid, sizeof(pid)), sizeof(pid));
	w = loop_child(loop, pid, ended, NULL);
	children = 1;
	kill(pid, SIGKILL);
	loop_run(loop);
	assert_int_equal(child_status, -1);
	watch_remove(w);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	close(p[0]);
	close(p[1]);
	w = loop_child(loop, child, ended, NULL); /* gone and reaped before we look */
	assert_int_equal(watch_pidfd(w), -1);
	child_status = 0;
	children = 1;
	loop_run(loop);
	assert_int_equal(child_status, -1);
	watch_remove(w);
}

/* ---- spinning ---- */

static int spins, busy_spins;

static bool spin_some(void *arg)
{
	(void)arg;
	spins++;
	if (spins == busy_spins) {
		loop_defer(loop, note, "d");
		loop_after(loop, 1, note_and_stop, "t");
	}
	return spins <= busy_spins;
}

/* On a busy machine the loop stops spinning for a while, and then something else must wake it. */
static void wake(void *arg)
{
	if (spins < busy_spins)
		loop_after(loop, 1, wake, arg);
}

static void spins_before_it_sleeps(void **state)
{
	(void)state;
	spins = 0;
	busy_spins = 100;
	loop_after(loop, 1, wake, NULL);
	loop_spin(loop, spin_some, NULL, 50);
	loop_run(loop);
	assert_true(spins >= busy_spins);
	assert_string_equal(order, "dt");
	loop_spin(loop, NULL, NULL, 0);
	spins = 0;
	loop_after(loop, 1, note_and_stop, "u");
	loop_run(loop);
	assert_int_equal(spins, 0);
}

static bool spin_for_ever(void *arg)
{
	(void)arg;
	return true;
}

static void a_busy_spin_starves_nobody(void **state)
{
	int p[2];
	struct watch *w;

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	loop_spin(loop, spin_for_ever, NULL, 50);
	loop_after(loop, 2, note_and_stop, "t");
	loop_run(loop);
	w = loop_watch(loop, p[0], EPOLLIN, readable, "r");
	assert_int_equal(write(p[1], "x", 1), 1);
	loop_run(loop);
	assert_string_equal(order, "tr");
	watch_remove(w);
	loop_defer(loop, note_and_stop, "d");
	loop_run(loop);
	assert_string_equal(order, "trd");
	close(p[0]);
	close(p[1]);
}

/* ---- pool ---- */

#define JOBS 500

struct work {
	int ran;  /* written by a worker, read by the loop after done */
	int done; /* loop only */
};

static struct work works[JOBS];
static int done_count;
static int start_order[JOBS];
static _Atomic int started;

static void run_work(void *arg)
{
	struct work *w = arg;
	sigset_t blocked;

	start_order[started++] = (int)(w - works);
	pthread_sigmask(SIG_BLOCK, NULL, &blocked);
	w->ran = sigismember(&blocked, SIGTERM) ? 1 : -1;
}

static void work_done(void *arg)
{
	struct work *w = arg;

	w->done++;
	if (++done_count == JOBS)
		loop_stop(loop);
}

static void submit_all(unsigned threads)
{
	struct pool *p = pool_new(loop, threads);

	memset(works, 0, sizeof(works));
	done_count = 0;
	started = 0;
	for (int i = 0; i < JOBS; i++)
		pool_submit(p, run_work, work_done, &works[i]);
	loop_run(loop);
	for (int i = 0; i < JOBS; i++) {
		assert_int_equal(works[i].ran, 1);
		assert_int_equal(works[i].done, 1);
	}
	pool_free(p);
}

static void the_pool_does_all(void **state)
{
	(void)state;
	submit_all(4);
}

static void one_worker_keeps_order(void **state)
{
	(void)state;
	submit_all(1);
	for (int i = 0; i < JOBS; i++)
		assert_int_equal(start_order[i], i);
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void wait_at_gate(void *arg)
{
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
	run_work(arg);
}

static void freeing_waits_and_drops(void **state)
{
	struct pool *p = pool_new(loop, 1);

	(void)state;
	memset(works, 0, sizeof(works));
	done_count = 0;
	started = 0;
	pthread_mutex_lock(&gate);
	for (int i = 0; i < 10; i++)
		pool_submit(p, wait_at_gate, i == 5 ? NULL : work_done, &works[i]);
	pthread_mutex_unlock(&gate);
	pool_free(p);
	assert_int_equal(done_count, 9);
	for (int i = 0; i < 10; i++)
		assert_int_equal(works[i].done, i != 5);
	pool_free(NULL);
}

static struct pool *to_free;

static void free_the_pool(void *arg)
{
	work_done(arg);
	if (to_free) {
		struct pool *p = to_free;

		to_free = NULL;
		pool_free(p);
		loop_stop(loop);
	}
}

static void done_may_free_the_pool(void **state)
{
	(void)state;
	memset(works, 0, sizeof(works));
	done_count = 0;
	started = 0;
	to_free = pool_new(loop, 2);
	for (int i = 0; i < 50; i++)
		pool_submit(to_free, run_work, free_the_pool, &works[i]);
	loop_run(loop);
	assert_int_equal(done_count, 50);
}

static void *submit_ten(void *arg)
{
	for (int i = 0; i < JOBS / 5; i++) {
		static _Atomic int next;

		pool_submit(arg, run_work, work_done, &works[next++ % JOBS]);
	}
	return NULL;
}

static void any_thread_may_submit(void **state)
{
	struct pool *p = pool_new(loop, 3);
	pthread_t t[5];

	(void)state;
	memset(works, 0, sizeof(works));
	done_count = 0;
	started = 0;
	for (int i = 0; i < 5; i++)
		pthread_create(&t[i], NULL, submit_ten, p);
	loop_run(loop);
	for (int i = 0; i < 5; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(done_count, JOBS);
	pool_free(p);
}

static void a_loop_is_freed_with_all_it_has(void **state)
{
	struct loop *l = loop_new();
	int p[2];

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	loop_watch(l, p[0], EPOLLIN, readable, "x");
	loop_child(l, getpid(), ended, NULL);
	loop_after(l, 5, note, "x");
	loop_defer(l, note, "x");
	loop_free(l);
	loop_free(NULL);
	close(p[0]);
	close(p[1]);
}

#define looped(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		looped(timers_in_order),
		looped(timers_fire_not_before_time),
		looped(cancelled_timers),
		looped(a_timer_may_cancel_itself),
		looped(timers_do_not_starve_descriptors),
		looped(a_removed_watch_is_not_called),
		looped(events_can_change),
		looped(files_are_always_ready),
		looped(always_remove_both),
		looped(deferred_come_after_the_round),
		looped(stop_before_run_counts),
		looped(stop_from_a_signal),
		looped(stop_from_a_thread),
		looped(exit_codes),
		looped(a_killed_child),
		looped(many_children),
		looped(an_unwatched_child_stays),
		looped(a_process_that_is_not_our_child),
		looped(spins_before_it_sleeps),
		looped(a_busy_spin_starves_nobody),
		looped(the_pool_does_all),
		looped(one_worker_keeps_order),
		looped(freeing_waits_and_drops),
		looped(done_may_free_the_pool),
		looped(any_thread_may_submit),
		looped(a_loop_is_freed_with_all_it_has),
	};

	return cmocka_run_group_tests_name("base_loop", tests, NULL, NULL);
}
