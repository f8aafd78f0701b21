/* SPDX-License-Identifier: MIT */
/*
 * orphans.c: the program's children end with it. When the proxy is gone they are children of the first process, and
 * theirs become so when they end, until there are none.
 */
#include "deployers/cokernel/agent/parts.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static bool is_child(pid_t pid)
{
	char path[64], line[256];
	int parent = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "PPid: %d", &parent) == 1)
			break;
	if (f)
		fclose(f);
	return parent == getpid();
}

static void end_children(void)
{
	DIR *d = opendir("/proc");

	for (struct dirent *e; d && (e = readdir(d));) {
		pid_t pid = atoi(e->d_name);

		if (pid > 1 && is_child(pid))
			kill(pid, SIGKILL);
	}
	if (d)
		closedir(d);
}

void orphans_end(void)
{
	do
		end_children();
	while (waitpid(-1, NULL, 0) > 0);
}
