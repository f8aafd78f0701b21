/* SPDX-License-Identifier: MIT */
/*
 * saboteur.c: the first program of a ROS that is to fail: it starts the agent in its place, and from its child process does what
 * the kernel writes to /dev/order, which only a ROS made for that obeys:
 *
 *   proxy    kills the agent's process for the kernel          agent   overwrites the code of the agent itself
 *   unload   unloads the module that is in use                 panic   panics Linux
 *
 * What came of it goes to /dev/answer.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEV "/run/root/dev"

/* The only child of the first process besides us. */
static pid_t proxy(void)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	pid_t found = 0;

	while (d && !found && (e = readdir(d))) {
		char path[300];
		int parent = 0, pid = atoi(e->d_name);

		snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
		FILE *f = isdigit((unsigned char)*e->d_name) && pid != getpid() ? fopen(path, "r") : NULL;
		if (!f)
			continue;
		if (fscanf(f, "%*d (%*[^)]) %*c %d", &parent) == 1 && parent == 1)
			found = pid;
		fclose(f);
	}
	if (d)
		closedir(d);
	return found;
}

/* All of its code, so that whatever it does next is a fault. */
static int overwrite(void)
{
	static char nothing[4096];
	FILE *maps = fopen("/proc/1/maps", "r");
	int mem = open("/proc/1/mem", O_RDWR), n = 0;
	char line[512];
	unsigned long from, to;
	char x;

	while (maps && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx %*c%*c%c", &from, &to, &x) == 3 && x == 'x')
			for (; from < to; from += sizeof(nothing))
				n += pwrite(mem, nothing, sizeof(nothing), (off_t)from) > 0;
	return n ? 0 : -errno;
}

static int obey(const char *word)
{
	if (!strcmp(word, "proxy"))
		return kill(proxy(), SIGKILL) < 0 ? -errno : 0;
	if (!strcmp(word, "agent"))
		return overwrite();
	if (!strcmp(word, "unload"))
		return syscall(SYS_delete_module, "cokernel", O_NONBLOCK) < 0 ? -errno : 0;
	if (!strcmp(word, "panic")) {
		int fd = open("/proc/sysrq-trigger", O_WRONLY);
		return write(fd, "c", 1) < 0 ? -errno : 0;
	}
	return -EINVAL;
}

static void serve(void)
{
	char word[64];
	ssize_t n = 0;

	while (n <= 0) {
		int fd = open(DEV "/order", O_RDONLY);

		n = fd < 0 ? 0 : read(fd, word, sizeof(word) - 1);
		if (fd >= 0)
			close(fd);
		if (n <= 0)
			usleep(10000);
	}
	word[n] = 0;
	int err = obey(word);
	FILE *f = fopen(DEV "/answer", "w");
	if (f) {
		fprintf(f, "%s: %s\n", word, strerror(-err));
		fclose(f);
	}
}

int main(void)
{
	if (fork()) {
		execl("/init", "/init", NULL);
		return 1;
	}
	serve();
	for (;;)
		pause();
}
