/* SPDX-License-Identifier: MIT */
/*
 * test.c: the kernel's own tests, on all CPUs at once: locks count right, barriers hold, semaphores and conditions lose
 * nothing, sleeps are not short, memory is nobody else's. Each round does the same work; rounds go on for the time
 * that was asked for.
 */
#include "kernel.h"

#define THREADS_MAX 16
#define STEPS	    200
#define SLOTS	    64

static volatile unsigned failures;
static unsigned threads;
static struct mutex mutex;
static struct barrier barrier;
static struct semaphore items, spaces;
static struct condition changed;
static volatile uint64_t counter, passed_on, turn;

#define CHECK(what)                                                                                          \
	do {                                                                                                 \
		if (!(what)) {                                                                               \
			__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);                                  \
			print("test: not so: %s (%s:%d)\n", #what, __FILE__, __LINE__);                      \
		}                                                                                            \
	} while (0)

static void run_all(void (*run)(void *))
{
	struct thread *t[THREADS_MAX];

	for (unsigned i = 0; i < threads; i++) {
		t[i] = thread_create("test", run, (void *)(uint64_t)i, 1 + i % 3);
		CHECK(t[i]);
	}
	for (unsigned i = 0; i < threads; i++)
		if (t[i])
			thread_join(t[i]);
}

static void count(void *unused)
{
	(void)unused;
	for (int i = 0; i < STEPS; i++) {
		mutex_lock(&mutex);
		counter++;
		mutex_unlock(&mutex);
		if (i % 16 == 0)
			sched_yield_cpu();
	}
}

static void test_mutex(void)
{
	counter = 0;
	run_all(count);
	CHECK(counter == (uint64_t)threads * STEPS);
}

static volatile unsigned arrived[THREADS_MAX];

static void meet(void *arg)
{
	uint64_t me = (uint64_t)arg;

	for (unsigned round = 1; round <= 10; round++) {
		arrived[me] = round;
		barrier_wait(&barrier);
		for (unsigned i = 0; i < threads; i++)
			CHECK(arrived[i] >= round && arrived[i] <= round + 1);
		barrier_wait(&barrier);
	}
}

static void test_barrier(void)
{
	barrier.need = threads;
	for (unsigned i = 0; i < threads; i++)
		arrived[i] = 0;
	run_all(meet);
}

static void pass(void *arg)
{
	bool gives = (uint64_t)arg & 1;

	for (int i = 0; i < STEPS; i++) {
		semaphore_down(gives ? &spaces : &items);
		__atomic_fetch_add(&passed_on, 1, __ATOMIC_RELAXED);
		semaphore_up(gives ? &items : &spaces);
	}
}

static void test_semaphore(void)
{
	items = (struct semaphore){ 0 };
	spaces = (struct semaphore){ .count = 3 };
	passed_on = 0;
	run_all(pass);
	CHECK(passed_on == (uint64_t)threads * STEPS);
	CHECK(items.count == 0 && spaces.count == 3);
}

static void take_turns(void *arg)
{
	for (uint64_t i = 0; i < 20; i++) {
		mutex_lock(&mutex);
		while (turn % threads != (uint64_t)arg)
			condition_wait(&changed, &mutex);
		turn++;
		condition_broadcast(&changed);
		mutex_unlock(&mutex);
	}
}

static void test_condition(void)
{
	turn = 0;
	run_all(take_turns);
	CHECK(turn == 20ull * threads);
}

/* Half of the threads wait for what the others bring: each that is brought wakes one. */
static void hand_over(void *arg)
{
	bool brings = (uint64_t)arg & 1;

	for (int i = 0; i < STEPS; i++) {
		mutex_lock(&mutex);
		while (!brings && !counter)
			condition_wait(&changed, &mutex);
		counter += brings ? 1 : -1;
		if (brings)
			condition_signal(&changed);
		mutex_unlock(&mutex);
	}
}

static void test_signal(void)
{
	counter = 0;
	run_all(hand_over);
	CHECK(!counter);
}

static void doze(void *arg)
{
	for (uint64_t i = 0; i < 5; i++) {
		uint64_t ns = ((uint64_t)arg * 37 + i * 91) % 500 * 1000, start = clock_ns();

		thread_sleep(ns);
		CHECK(clock_ns() - start >= ns);
	}
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static bool all_bytes(const uint8_t *p, size_t len, uint8_t byte)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != byte)
			return false;
	return true;
}

static void allocate(void *arg)
{
	uint8_t *slot[SLOTS] = { 0 };
	size_t len[SLOTS];
	uint64_t state = 88172645463325252ull + (uint64_t)arg;

	for (int i = 0; i < 10 * STEPS; i++) {
		unsigned at = next_random(&state) % SLOTS;
		uint8_t mark = (uint8_t)((uint64_t)arg * 16 + at);

		if (slot[at]) {
			CHECK(all_bytes(slot[at], len[at], mark));
			free(slot[at]);
			slot[at] = NULL;
			continue;
		}
		len[at] = next_random(&state) % (i % 50 ? 300 : 20000);
		slot[at] = malloc(len[at]);
		CHECK(slot[at] && !((uint64_t)slot[at] & 15));
		if (slot[at])
			memset(slot[at], mark, len[at]);
	}
	for (unsigned at = 0; at < SLOTS; at++)
		free(slot[at]);
}

static void map_memory(void *arg)
{
	for (uint64_t i = 0; i < 8; i++) {
		uint64_t len = (i + 1) * 3 * PAGE, a = region_add(REGION_KERNEL, len, REGION_READ | REGION_WRITE);

		CHECK(a);
		if (!a)
			return;
		for (uint64_t p = a; p < a + len; p += PAGE) {
			CHECK(*(volatile uint64_t *)p == 0);
			*(volatile uint64_t *)p = p ^ (uint64_t)arg;
		}
		CHECK(!region_remove(a + PAGE, PAGE));
		for (uint64_t p = a; p < a + len; p += PAGE)
			CHECK(p == a + PAGE || *(volatile uint64_t *)p == (p ^ (uint64_t)arg));
		CHECK(!region_remove(a, len));
	}
}

static void test_doze(void)
{
	run_all(doze);
}
static void test_malloc(void)
{
	run_all(allocate);
}
static void test_regions(void)
{
	run_all(map_memory);
}

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = { { "mutex", test_mutex }, { "barrier", test_barrier }, { "semaphore", test_semaphore },
	{ "condition", test_condition }, { "signal", test_signal }, { "sleep", test_doze },
	{ "malloc", test_malloc }, { "regions", test_regions } };

static int test(int argc, char **argv)
{
	uint64_t end = clock_ns() + (uint64_t)number(argc > 1 ? argv[1] : "0") * 1000000000ull;
	unsigned rounds = 0;

	failures = 0;
	threads = 2 * cpu_count < THREADS_MAX ? 2 * cpu_count : THREADS_MAX;
	threads = threads < 4 ? 4 : threads & ~1u;
	do {
		for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
			tests[i].run();
			if (!rounds)
				print("test: %s: %s\n", tests[i].name, failures ? "failed" : "ok");
		}
		rounds++;
	} while (clock_ns() < end && !failures);
	print("test: %s\n", failures ? "FAILED" : "all passed");
	return failures ? 1 : 0;
}
REEF_COMMAND(test, "[SECONDS]  threads, locks, timers, memory, on all CPUs", test);
