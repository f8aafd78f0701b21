/* SPDX-License-Identifier: MIT */
/*
 * delegate: what a system call costs that the regular OS serves, and how fast bytes get through: on reef in splitVM these are
 * delegated, on Linux they are ordinary. Prints a line for each: NUMBER UNIT and what it is; the best of some rounds.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS	 7
#define CALLS	 2000 /* a few milliseconds: some rounds are then free of what else the host does */
#define SHORT	 100  /* rounds of them */
#define PIECE	 65536
#define PIECES	 256
#define SMALL	 4096
#define SMALLS	 4096
#define FILENAME "/tmp/bytes"

static char piece[PIECE];

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void check(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
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
	int fd = open(FILENAME, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	uint64_t begin = now();

	for (int i = 0; i < PIECES; i++)
		check(fd >= 0 && write(fd, piece, PIECE) == PIECE, "write");
	uint64_t took = now() - begin;
	close(fd);
	return took;
}

static uint64_t reads(void)
{
	int fd = open(FILENAME, O_RDONLY);
	uint64_t begin = now();

	for (int i = 0; i < PIECES; i++)
		check(fd >= 0 && read(fd, piece, PIECE) == PIECE, "read");
	uint64_t took = now() - begin;
	close(fd);
	return took;
}

/* Each page once, in an order that no read-ahead guesses. */
static uint64_t scattered(void)
{
	int fd = open(FILENAME, O_RDONLY);
	uint64_t begin = now();

	for (int i = 0; i < SMALLS; i++)
		check(fd >= 0 && pread(fd, piece, SMALL, (off_t)(i * 1237 % SMALLS) * SMALL) == SMALL,
			"pread");
	uint64_t took = (now() - begin) / SMALLS;
	close(fd);
	return took;
}

static uint64_t mapped(void)
{
	size_t bytes = (size_t)PIECE * PIECES;
	int fd = open(FILENAME, O_RDONLY);
	uint64_t begin = now();
	volatile char *p = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);

	check(p != MAP_FAILED, "mmap");
	for (size_t at = 0; at < bytes; at += SMALL)
		(void)p[at];
	munmap((void *)p, bytes);
	uint64_t took = now() - begin;
	close(fd);
	return took;
}

static int ends[2];

static void *drain(void *unused)
{
	static char in[PIECE];

	while (read(ends[0], in, PIECE) > 0)
		;
	return unused;
}

/* To another thread of the program. */
static uint64_t piped(void)
{
	uint64_t begin = now();
	pthread_t reader;

	check(pipe(ends) == 0, "pipe");
	check(pthread_create(&reader, NULL, drain, NULL) == 0, "pthread_create");
	for (int i = 0; i < PIECES; i++)
		check(write(ends[1], piece, PIECE) == PIECE, "write to a pipe");
	close(ends[1]);
	pthread_join(reader, NULL);
	close(ends[0]);
	return now() - begin;
}

static uint64_t best(uint64_t (*measure)(void), int rounds)
{
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < rounds; i++) {
		uint64_t t = measure();

		least = t < least ? t : least;
	}
	return least;
}

static void rate(uint64_t (*measure)(void), const char *what)
{
	uint64_t ns = best(measure, ROUNDS);

	printf("%llu MB/s %s\n", (unsigned long long)((uint64_t)PIECE * PIECES * 1000 / (ns ? ns : 1)), what);
}

int main(void)
{
	printf("%llu ns getppid\n", (unsigned long long)best(calls, SHORT));
	rate(writes, "write, 64 KiB at a time");
	rate(reads, "read, 64 KiB at a time");
	printf("%llu ns pread of 4 KiB\n", (unsigned long long)best(scattered, ROUNDS));
	rate(mapped, "mapped file, each page touched");
	rate(piped, "pipe to another thread, 64 KiB at a time");
	unlink(FILENAME);
	return 0;
}
