/* SPDX-License-Identifier: MIT */
/* elf/paths.c: names, directories, links: prints the same on Linux and on reef. Works in a new directory below /tmp. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHOW(e) (errno = 0, printf("%s = %ld %d\n", #e, (long)(e), errno))

static int count(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	while (d && readdir(d))
		n++;
	return d ? closedir(d) ? -1 : n : -errno;
}

static long size(const char *path)
{
	struct stat st;

	return lstat(path, &st) ? -errno : S_ISDIR(st.st_mode) ? -1 : (long)st.st_size;
}

int main(void)
{
	char name[] = "/tmp/paths-XXXXXX", long_name[400], buf[100];
	int fd, dir;

	if (!mkdtemp(name) || chdir(name))
		return 1;
	SHOW(!strcmp(getcwd(buf, sizeof(buf)), name));
	SHOW(getcwd(buf, 3) == NULL);
	SHOW(mkdir("a", 0755));
	SHOW(mkdir("a", 0755));
	SHOW(mkdir("a/b/", 0755));
	SHOW(mkdir("x/y", 0755));
	fd = open("a/b/f", O_CREAT | O_EXCL | O_RDWR, 0644);
	SHOW(write(fd, "hello", 5));
	SHOW(pwrite(fd, "J", 1, 0));
	SHOW(lseek(fd, 100, SEEK_SET));
	SHOW(write(fd, "end", 3));
	SHOW(lseek(fd, -3, SEEK_END));
	SHOW(read(fd, buf, sizeof(buf)));
	SHOW(pread(fd, buf, 5, 0) == 5 && !memcmp(buf, "Jello", 5));
	SHOW(ftruncate(fd, 5));
	SHOW(size("a/b/f"));
	SHOW(open("a/b/f", O_CREAT | O_EXCL | O_RDWR, 0644));
	SHOW(open("a/b/f/g", O_RDONLY));
	SHOW(open("a/b", O_WRONLY));
	SHOW(open("nothing", O_RDONLY));
	SHOW(symlink("b/f", "a/link"));
	SHOW(size("a/link"));
	SHOW(readlink("a/link", buf, sizeof(buf)));
	SHOW(access("a/link", R_OK));
	SHOW(symlink("loop", "loop"));
	SHOW(open("loop", O_RDONLY));
	SHOW(open("a/link", O_RDONLY | O_NOFOLLOW));
	SHOW(symlink("made", "dangling"));
	SHOW(close(open("dangling", O_CREAT | O_WRONLY, 0600)));
	SHOW(size("made"));
	SHOW(link("a/b/f", "a/hard"));
	SHOW(link("a", "d"));
	SHOW(unlink("a/b/f"));
	SHOW(size("a/hard"));
	SHOW(rename("a/hard", "a/b/moved"));
	SHOW(rename("a", "a/b/inside"));
	SHOW(rename("a/b/moved", "a"));
	SHOW(rename("a/b", "c"));
	SHOW(count("a"));
	SHOW(count("c"));
	SHOW(count("c/moved"));
	SHOW(rmdir("c"));
	SHOW(unlink("c"));
	SHOW(rmdir("c/moved"));
	SHOW(unlink("c/moved"));
	SHOW(read(fd, buf, 1));
	SHOW(rmdir("c"));
	dir = open("a", O_RDONLY | O_DIRECTORY);
	SHOW(close(openat(dir, "in", O_CREAT | O_WRONLY, 0600)));
	SHOW(size("a/in"));
	SHOW(fchdir(dir));
	SHOW(size("in"));
	SHOW(size("../a/./../a/in"));
	SHOW(open("in", O_RDONLY | O_DIRECTORY));
	memset(long_name, 'n', sizeof(long_name));
	long_name[399] = '\0';
	SHOW(open(long_name, O_CREAT | O_WRONLY, 0600));
	SHOW(open("", O_RDONLY));
	SHOW(open((char *)1, O_RDONLY));
	SHOW(unlinkat(dir, "link", 0));
	SHOW(unlinkat(AT_FDCWD, "in", 0));
	SHOW(chdir(".."));
	SHOW(rmdir("a"));
	unlink("loop"), unlink("dangling"), unlink("made");
	SHOW(rmdir(name));
	return 0;
}
