/* SPDX-License-Identifier: MIT */
/* files/main.c: pipes, poll, select, epoll, eventfd, signals: prints the same on Linux and on reef. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/time.h>
#include <unistd.h>

#define SHOW(expression)  printf("%s = %ld\n", #expression, (long)(expression))
#define FAILS(expression) printf("%s: %d\n", #expression, (expression) < 0 ? errno : 0)

static int p[2], q[2];

static void *echo(void *unused)
{
	char buf[100000];
	long n, sum = 0;

	(void)unused;
	while ((n = read(p[0], buf, sizeof(buf))) > 0) {
		sum += n;
		for (long at = 0, m; at < n; at += m)
			if ((m = write(q[1], buf + at, (size_t)(n - at))) < 0)
				return NULL;
	}
	close(q[1]);
	return (void *)sum;
}

static void pipes(void)
{
	static char big[300000], back[300000];
	pthread_t t;
	void *sum;
	size_t got = 0;
	struct pollfd fd;

	pipe(p);
	pipe2(q, O_CLOEXEC);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 + i / 1000);
	fd = (struct pollfd){ q[0], POLLIN, 0 };
	SHOW(poll(&fd, 1, 0));
	pthread_create(&t, NULL, echo, NULL);
	write(p[1], "x", 1);
	SHOW(poll(&fd, 1, 20000));
	SHOW(fd.revents);
	SHOW(read(q[0], back, 10));
	fcntl(p[1], F_SETFL, O_NONBLOCK);
	for (size_t sent = 0; got < sizeof(big);) {
		long n = sent < sizeof(big) ? write(p[1], big + sent, sizeof(big) - sent) : 0;

		if (n > 0)
			sent += (size_t)n;
		if (sent == sizeof(big) && p[1] >= 0) {
			close(p[1]);
			p[1] = -1;
		}
		if (n < 0 || sent == sizeof(big))
			got += (size_t)read(q[0], back + got, sizeof(back) - got);
	}
	SHOW(memcmp(big, back, sizeof(big)));
	SHOW(read(q[0], back, 1));
	SHOW(poll(&fd, 1, 20000));
	SHOW(fd.revents & POLLHUP ? 1 : 0);
	pthread_join(t, &sum);
	SHOW(sum);
	close(p[0]);
	signal(SIGPIPE, SIG_IGN);
	pipe(p);
	close(p[0]);
	FAILS(write(p[1], "x", 1));
	FAILS(read(p[1], back, 1));
	FAILS(read(77, back, 1));
	FAILS(lseek(p[1], 0, SEEK_SET));
	FAILS(write(p[1], (void *)16, 10));
	SHOW(dup2(p[1], 50));
	SHOW(fcntl(50, F_DUPFD, 60));
	SHOW(fcntl(60, F_GETFD));
	close(50), close(60), close(p[1]), close(q[0]);
}

static void *late(void *fd)
{
	usleep(20000);
	write((int)(intptr_t)fd, &(uint64_t){ 5 }, 8);
	return NULL;
}

static void epolls(void)
{
	int e = epoll_create1(0), v = eventfd(0, EFD_NONBLOCK), w = eventfd(3, EFD_SEMAPHORE);
	struct epoll_event event = { EPOLLIN, { .u64 = 0x123456789abcdef } }, got[4];
	uint64_t n = 0;
	pthread_t t;
	fd_set set;
	struct timeval tv = { 20, 0 };

	FAILS(read(v, &n, 8));
	SHOW(read(w, &n, 8));
	SHOW(n);
	SHOW(epoll_ctl(e, EPOLL_CTL_ADD, v, &event));
	FAILS(epoll_ctl(e, EPOLL_CTL_ADD, v, &event));
	SHOW(epoll_wait(e, got, 4, 0));
	pthread_create(&t, NULL, late, (void *)(intptr_t)v);
	SHOW(epoll_wait(e, got, 4, -1));
	SHOW(got[0].data.u64 == event.data.u64 && got[0].events == EPOLLIN);
	SHOW(epoll_wait(e, got, 4, 0));
	event.events = EPOLLIN | EPOLLET;
	SHOW(epoll_ctl(e, EPOLL_CTL_MOD, v, &event));
	SHOW(epoll_wait(e, got, 4, 0));
	SHOW(epoll_wait(e, got, 4, 0));
	pthread_join(t, NULL);
	write(v, &(uint64_t){ 1 }, 8);
	SHOW(epoll_wait(e, got, 4, 0));
	SHOW(read(v, &n, 8));
	SHOW(n);
	event.events = EPOLLIN;
	SHOW(epoll_ctl(e, EPOLL_CTL_ADD, w, &event));
	SHOW(epoll_wait(e, got, 4, 100));
	close(w);
	SHOW(epoll_wait(e, got, 4, 10));
	FD_ZERO(&set);
	FD_SET(v, &set);
	pthread_create(&t, NULL, late, (void *)(intptr_t)v);
	SHOW(select(v + 1, &set, NULL, NULL, &tv));
	SHOW(FD_ISSET(v, &set) ? 1 : 0);
	pthread_join(t, NULL);
	FAILS(epoll_ctl(e, EPOLL_CTL_ADD, e, &event));
	close(e), close(v);
}

static volatile sig_atomic_t came, stack_ok;
static char alt[32768];
static sigjmp_buf back;

static void handler(int n, siginfo_t *info, void *context)
{
	char here;

	(void)context;
	came = n;
	stack_ok = &here >= alt && &here < alt + sizeof(alt);
	if (n == SIGSEGV && info->si_addr == (void *)0x1234000)
		siglongjmp(back, 1);
	if (n == SIGFPE)
		siglongjmp(back, 2);
}

static void *tickle(void *thread)
{
	usleep(50000);
	pthread_kill(*(pthread_t *)thread, SIGUSR1);
	return NULL;
}

static void signals(void)
{
	struct sigaction a = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	struct itimerval timer = { { 0, 0 }, { 0, 30000 } };
	stack_t stack = { .ss_sp = alt, .ss_size = sizeof(alt) };
	pthread_t self = pthread_self(), t;
	volatile int zero = 0;
	double x = 1.5;
	sigset_t set;
	char c;

	sigaction(SIGUSR1, &a, NULL), sigaction(SIGSEGV, &a, NULL), sigaction(SIGFPE, &a, NULL);
	sigaction(SIGALRM, &a, NULL);
	SHOW(sigaltstack(&stack, NULL));
	raise(SIGUSR1);
	SHOW(came == SIGUSR1);
	SHOW(stack_ok);
	printf("%g\n", x * 2);
	if (!sigsetjmp(back, 1))
		*(volatile int *)0x1234000 = 1;
	SHOW(came == SIGSEGV);
	if (!sigsetjmp(back, 1))
		zero = 1 / zero;
	SHOW(came == SIGFPE);
	pipe(p);
	pthread_create(&t, NULL, tickle, &self);
	FAILS(read(p[0], &c, 1));
	pthread_join(t, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	FAILS(pause());
	SHOW(came == SIGALRM);
	sigemptyset(&set), sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	came = 0;
	kill(getpid(), SIGUSR1);
	SHOW(came);
	sigpending(&set);
	SHOW(sigismember(&set, SIGUSR1));
	sigemptyset(&set);
	FAILS(sigsuspend(&set));
	SHOW(came == SIGUSR1);
	timer.it_value.tv_usec = 30000;
	came = 0;
	setitimer(ITIMER_REAL, &timer, NULL);
	for (volatile unsigned long i = 0; !came; i++)
		x += 1e-9 * (double)(i & 1);
	SHOW(came == SIGALRM && x > 1);
	a.sa_flags |= SA_RESTART;
	sigaction(SIGALRM, &a, NULL);
	timer.it_value.tv_usec = 30000;
	setitimer(ITIMER_REAL, &timer, NULL);
	pthread_create(&t, NULL, late, (void *)(intptr_t)p[1]);
	SHOW(read(p[0], &c, 1));
	pthread_join(t, NULL);
}

int main(void)
{
	pipes();
	epolls();
	signals();
	printf("end\n");
	fflush(stdout);
	abort();
}
