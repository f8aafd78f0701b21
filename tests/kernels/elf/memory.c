/* SPDX-License-Identifier: MIT */
/* elf/memory.c: mmap and its family, as programs use them: prints the same on Linux and on reef. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB	(1ul << 20)
#define PAGE	4096ul
#define SHOW(e) printf("%s = %ld\n", #e, (long)(e))

static sigjmp_buf back;

static void handler(int n)
{
	siglongjmp(back, n);
}

/* Whether a byte can be read (0), or written (1). */
static int can(volatile char *p, int write)
{
	if (sigsetjmp(back, 1))
		return 0;
	if (write)
		*p = *p;
	else
		(void)*p;
	return 1;
}

/* So many that the kernel's table of them grows several times; what grew must not be in the way of what comes then. */
static void many_regions(void)
{
	unsigned long wrong = 0, n = 1000;
	char *a = mmap(NULL, 2 * n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (unsigned long i = 0; i < n; i++)
		wrong += mprotect(a + (2 * i + 1) * PAGE, PAGE, PROT_READ) != 0;
	for (unsigned long i = 0; i < n; i++) {
		char *b = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		*(unsigned long *)(a + 2 * i * PAGE) = *(unsigned long *)(b + PAGE) = i;
		wrong += *(unsigned long *)b || *(unsigned long *)(b + 2 * PAGE) || *(unsigned long *)(a + (2 * i + 1) * PAGE);
		if (i % 2)
			wrong += munmap(b, 3 * PAGE) != 0;
	}
	for (unsigned long i = 0; i < n; i++)
		wrong += *(unsigned long *)(a + 2 * i * PAGE) != i;
	wrong += munmap(a, 2 * n * PAGE) != 0;
	SHOW(wrong);
}

int main(void)
{
	char *a, *b, *c;
	unsigned long sum = 0;
	char mapped[] = "/tmp/mapped-XXXXXX";
	int fd;

	signal(SIGSEGV, handler), signal(SIGBUS, handler);
	a = mmap(NULL, 64ul << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	SHOW(a != MAP_FAILED);
	SHOW(can(a, 0));
	SHOW(mprotect(a + (5ul << 30), MIB, PROT_READ | PROT_WRITE));
	SHOW(can(a + (5ul << 30) + PAGE, 1));
	SHOW(can(a + (5ul << 30) + MIB, 0));
	for (int i = 0; i < 200; i++)
		mprotect(a + (unsigned long)i * PAGE, PAGE, PROT_READ | PROT_WRITE),
			a[(unsigned long)i * PAGE] = (char)i;
	for (int i = 0; i < 200; i++)
		sum += (unsigned char)a[(unsigned long)i * PAGE];
	SHOW(sum);
	SHOW(mprotect(a, 100 * PAGE, PROT_READ));
	SHOW(can(a, 1));
	SHOW(can(a + 100 * PAGE, 1));
	SHOW(madvise(a + 100 * PAGE, 50 * PAGE, MADV_DONTNEED));
	SHOW(a[120 * PAGE]);
	SHOW(a[160 * PAGE] == (char)160);
	SHOW(munmap(a + 10 * PAGE, 10 * PAGE));
	SHOW(can(a + 15 * PAGE, 0));
	SHOW(a[9 * PAGE] == 9 && a[20 * PAGE] == 20);
	b = mmap(a + 10 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1,
		0);
	SHOW(b == a + 10 * PAGE && *b == 0);
	SHOW(mmap(a, PAGE, PROT_READ, MAP_FIXED_NOREPLACE | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
			MAP_FAILED &&
		errno == EEXIST);
	SHOW(munmap(a, 64ul << 30));
	SHOW(can(a + 160 * PAGE, 0));

	b = mmap(NULL, 3 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(b, 7, 3 * MIB);
	c = mremap(b, 3 * MIB, 9 * MIB, MREMAP_MAYMOVE);
	SHOW(c != MAP_FAILED);
	SHOW(c[0] == 7 && c[3 * MIB - 1] == 7 && c[3 * MIB] == 0 && c[9 * MIB - 1] == 0);
	SHOW(mremap(c, 9 * MIB, MIB, 0) == c);
	SHOW(c[MIB - 1] == 7 && !can(c + MIB, 0));
	SHOW(munmap(c, MIB));

	a = sbrk(0);
	SHOW(sbrk(3 * (long)MIB) == a);
	memset(a, 1, 3 * MIB);
	SHOW(sbrk(-(long)MIB) == a + 3 * MIB);
	SHOW(sbrk(0) == a + 2 * MIB && a[2 * MIB - 1] == 1);

	fd = mkstemp(mapped);
	for (int i = 0; i < 3000; i++)
		dprintf(fd, "%d\n", i);
	a = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, PAGE);
	SHOW(a != MAP_FAILED);
	SHOW(atoi(strchr(a, '\n')));
	a[0] = 'x';
	lseek(fd, PAGE, SEEK_SET);
	SHOW(read(fd, &sum, 1) == 1 && (char)sum != 'x');
	SHOW(close(fd));
	SHOW(unlink(mapped));
	SHOW(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 99, 0) == MAP_FAILED && errno == EBADF);
	SHOW(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EINVAL);
	many_regions();
	return 0;
}
