/* SPDX-License-Identifier: MIT */
/*
 * pack.c: writes an initramfs (cpio, "newc") to stdout from lines on stdin:
 *
 *     dir PATH               file PATH MODE SOURCE               link PATH TARGET
 *
 * Owners and times are 0 and the order is that of the lines, so the same files give the same bytes, and no
 * root is needed. The format: Documentation/driver-api/early-userspace/buffer-format.rst of Linux.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static size_t written;

static void put(const void *data, size_t len)
{
	if (fwrite(data, 1, len, stdout) != len) {
		perror("pack: cannot write");
		exit(1);
	}
	written += len;
}

static void align(size_t to)
{
	static const char zeroes[512];

	put(zeroes, (to - written % to) % to);
}

static void put_entry(const char *path, unsigned mode, const char *data, size_t len)
{
	static unsigned inode;
	char head[111];

	path += *path == '/';
	snprintf(head, sizeof(head), "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", ++inode,
		mode, 0, 0, S_ISDIR(mode) ? 2 : 1, 0, (unsigned)len, 0, 0, 0, 0, (unsigned)strlen(path) + 1,
		0);
	put(head, 110);
	put(path, strlen(path) + 1);
	align(4);
	put(data, len);
	align(4);
}

static void put_file(const char *path, unsigned mode, const char *source)
{
	FILE *f = fopen(source, "rb");
	struct stat st;

	if (!f || fstat(fileno(f), &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > 1 << 30) {
		fprintf(stderr, "pack: cannot read %s\n", source);
		exit(1);
	}
	size_t len = (size_t)st.st_size;
	char *data = malloc(len + 1);
	if (!data || fread(data, 1, len, f) != len) {
		fprintf(stderr, "pack: cannot read %s\n", source);
		exit(1);
	}
	fclose(f);
	put_entry(path, S_IFREG | mode, data, len);
	free(data);
}

int main(void)
{
	char line[4096], path[1024], what[2048];
	unsigned mode;

	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "dir %1023s", path) == 1) {
			put_entry(path, S_IFDIR | 0755, "", 0);
		} else if (sscanf(line, "file %1023s %o %2047s", path, &mode, what) == 3) {
			put_file(path, mode & 07777, what);
		} else if (sscanf(line, "link %1023s %2047s", path, what) == 2) {
			put_entry(path, S_IFLNK | 0777, what, strlen(what));
		} else {
			fprintf(stderr, "pack: cannot understand: %s", line);
			return 1;
		}
	}
	put_entry("TRAILER!!!", 0, "", 0);
	align(512);
	return fflush(stdout) ? 1 : 0;
}
