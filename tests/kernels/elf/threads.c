/* SPDX-License-Identifier: MIT */
/* elf/threads.c: many threads that allocate, lock, wait and calculate; the sums are the same wherever it runs. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 8

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static long total, done, destroyed;
static __thread int rounds;

static void destroy(void *p)
{
	__atomic_fetch_add(&destroyed, 1, __ATOMIC_SEQ_CST);
	free(p);
}

static void make_key(void)
{
	pthread_key_create(&key, destroy);
}

static void *run(void *arg)
{
	long id = (long)arg, sum = 0;
	double wave = 0;

	pthread_once(&once, make_key);
	pthread_setspecific(key, malloc(100));
	for (int round = 0; round < 200; round++) {
		size_t n = 100 + (size_t)(round * 977 + id * 131) % 20000;
		unsigned char *p = malloc(n);

		memset(p, (int)id, n);
		p = realloc(p, n * (round % 50 ? 2 : 200));
		for (size_t i = 0; i < n; i += 97)
			sum += p[i];
		free(p);
		wave += sin((double)(round * id));
		rounds++;
	}
	pthread_mutex_lock(&mutex);
	total += sum * rounds + (long)(wave * 1000);
	done++;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&mutex);
	return (void *)sum;
}

int main(void)
{
	pthread_t t[THREADS];
	long all = 0;

	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&t[i], NULL, run, (void *)i))
			return 1;
	pthread_mutex_lock(&mutex);
	while (done < THREADS)
		pthread_cond_wait(&changed, &mutex);
	pthread_mutex_unlock(&mutex);
	for (int i = 0; i < THREADS; i++) {
		void *sum;

		pthread_join(t[i], &sum);
		all += (long)sum;
	}
	printf("%ld %ld %ld %d %.6f\n", total, all, destroyed, rounds, sqrt((double)total));
	return 42;
}
