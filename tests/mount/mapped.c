/* SPDX-License-Identifier: MIT */
/*
 * mapped FILE OFFSET [TEXT]: through a shared mapping, writes TEXT into FILE, or copies 4096 bytes of it to stdout; and
 * nothing else.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 4096

int main(int argc, char **argv)
{
	struct stat st;

	if (argc != 3 && argc != 4) {
		fprintf(stderr, "usage: mapped FILE OFFSET [TEXT]\n");
		return 2;
	}
	const char *text = argc == 4 ? argv[3] : NULL;
	size_t off = strtoul(argv[2], NULL, 10), len = text ? strlen(text) : BLOCK;
	int fd = open(argv[1], (text ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || off + len > (size_t)st.st_size) {
		perror(argv[1]);
		return 1;
	}
	char *p = mmap(NULL, (size_t)st.st_size, PROT_READ | (text ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	if (text)
		memcpy(p + off, text, len);
	else if (fwrite(p + off, len, 1, stdout) != 1 || fflush(stdout))
		return 1;
	if ((text && msync(p, (size_t)st.st_size, MS_SYNC) < 0) || munmap(p, (size_t)st.st_size) < 0 ||
		close(fd) < 0) {
		perror("msync");
		return 1;
	}
	return 0;
}
