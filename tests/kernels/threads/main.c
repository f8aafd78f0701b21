/* SPDX-License-Identifier: MIT */
/*
 * threads: what a program of POSIX threads may count on, said in one line each, the same on Linux and on reef: locks,
 * barrier, condition, thread-local storage, SSE registers across preemption, timeouts, cancellation, many threads, standard
 * streams.
 */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define THREADS 8

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static __thread int own = 7;
static __thread _Alignas(64) char wide[100] = "wide";
static __thread long zero;
static long count, turn;
static double sums[THREADS];

static double sum_up(long id)
{
	double s = 0;

	for (int i = 0; i < 200000; i++)
		s += sqrt(i) * (double)(id + 1);
	return s;
}

static void *run(void *arg)
{
	long id = (long)arg;

	own += (int)id + (strcmp(wide, "wide") || (unsigned long)wide % 64 ? 1000 : 0);
	zero += own;
	for (int i = 0; i < 500; i++) {
		char *p = malloc((size_t)i + 1);

		memset(p, 1, (size_t)i + 1);
		pthread_mutex_lock(&mutex);
		count += p[i];
		pthread_mutex_unlock(&mutex);
		free(p);
	}
	pthread_barrier_wait(&barrier);
	sums[id] = sum_up(id);
	pthread_mutex_lock(&mutex);
	while (turn != id)
		pthread_cond_wait(&changed, &mutex);
	turn++;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
	return (void *)zero;
}

static void *nothing(void *arg)
{
	return arg;
}

static void many(void)
{
	int good = 0;

	for (int i = 0; i < 100; i++) {
		pthread_t t;
		void *result = NULL;

		if (!pthread_create(&t, NULL, nothing, &good) && !pthread_join(t, &result))
			good += result == &good;
	}
	printf("many %d\n", good);
}

static void timeout(void)
{
	struct timespec at;
	sem_t never;
	int err;

	sem_init(&never, 0, 0);
	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_nsec += 10000000;
	at.tv_sec += at.tv_nsec / 1000000000;
	at.tv_nsec %= 1000000000;
	err = sem_timedwait(&never, &at) ? errno : 0;
	printf("timeout %d\n", err == ETIMEDOUT);
}

static void *waits(void *sem)
{
	sem_wait(sem);
	return NULL;
}

/* The request is there before it waits for what it could have. */
static void *waits_cancelled(void *sem)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	sem_wait(sem);
	return NULL;
}

static void cancel(void)
{
	void *results[2];
	pthread_t ids[2];
	int left = 0;
	sem_t one, none;

	sem_init(&one, 0, 1);
	sem_init(&none, 0, 0);
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_create(&ids[0], NULL, waits, &none);
	pthread_create(&ids[1], NULL, waits_cancelled, &one);
	pthread_barrier_wait(&barrier);
	pthread_cancel(ids[0]);
	pthread_cancel(ids[1]);
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < 2; i++)
		pthread_join(ids[i], &results[i]);
	sem_getvalue(&one, &left);
	printf("cancelled %d %d left %d\n", results[0] == PTHREAD_CANCELED, results[1] == PTHREAD_CANCELED, left);
}

int main(int argc, char **argv)
{
	pthread_t ids[THREADS];
	long owns = 0;
	double wrong = 0;
	char line[100];

	pthread_barrier_init(&barrier, NULL, THREADS);
	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&ids[i], NULL, run, (void *)i))
			return 1;
	for (long i = 0; i < THREADS; i++) {
		void *result;

		pthread_join(ids[i], &result);
		owns += (long)result;
	}
	for (long i = 0; i < THREADS; i++)
		wrong += fabs(sums[i] - sum_up(i));
	printf("count %ld turns %ld own %ld wrong %.1f\n", count, turn, owns, wrong);
	many();
	timeout();
	cancel();
	while (fgets(line, sizeof(line), stdin))
		printf("in %s", line);
	fprintf(stderr, "done\n");
	return argc > 1 ? atoi(argv[1]) : 0;
}
