/* SPDX-License-Identifier: MIT */
/*
 * delegate: what a system call costs that the regular OS serves, and how fast bytes get through: on reef in splitVM these are
 * delegated, on Linux they are ordinary. Prints a line for each: NUMBER UNIT and what it is; the best of some rounds.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 7
#define CALLS  20000
#define PIECE  65536
#define PIECES 256

static char piece[PIECE];

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t calls(void)
{
	uint64_t begin = now();

	for (int i = 0; i < CALLS; i++)
		syscall(SYS_getppid);
	return (now() - begin) / CALLS;
}

static uint64_t writes(void)
{
	int fd = open("/tmp/written", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	uint64_t begin = now();

	for (int i = 0; i < PIECES; i++)
		if (fd < 0 || write(fd, piece, PIECE) != PIECE) {
			perror("delegate: /tmp/written");
			exit(1);
		}
	uint64_t took = now() - begin;
	close(fd);
	unlink("/tmp/written");
	return took;
}

int main(void)
{
	uint64_t call = UINT64_MAX, write_ns = UINT64_MAX, t;

	for (int i = 0; i < ROUNDS; i++) {
		t = calls();
		call = t < call ? t : call;
		t = writes();
		write_ns = t < write_ns ? t : write_ns;
	}
	printf("%llu ns getppid\n", (unsigned long long)call);
	printf("%llu MB/s write, 64 KiB at a time\n",
		(unsigned long long)((uint64_t)PIECE * PIECES * 1000 / (write_ns ? write_ns : 1)));
	return 0;
}
