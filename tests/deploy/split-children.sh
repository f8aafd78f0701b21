#!/bin/bash
# SPDX-License-Identifier: MIT
# Programs in splitVM that have a child as soon as they can, and then the next: signals to it, and what is told meanwhile.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../split.sh"

SLOW=${SPLIT_SLOW:-150}
needs_splitvm reef mksquashfs
mount_registry

# A child is the program's as soon as its number is known, also for signals that the agent uses itself.
cat >"$T/early.c" <<'END'
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
static volatile sig_atomic_t told;
static void on_signal(int n) { told = n; }
int main(void)
{
	int heard = 0, status;
	signal(SIGUSR1, on_signal);
	for (int i = 0; i < 40; i++) {
		pid_t pid = fork();
		if (!pid) {
			while (!told)
				usleep(1000);
			_exit(told);
		}
		kill(pid, SIGUSR1);
		heard += waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == SIGUSR1;
	}
	printf("%d\n", heard);
	return 0;
}
END
gcc -O2 -static -o "$T/early" "$T/early.c"
is "a signal to a child that has only begun" \
	"$(timeout "$SLOW" "$M"/kernels/reef/*/run -d splitVM -o "exec=$T/early" </dev/null 2>"$T/err"; echo "status $?")" $'40\nstatus 0'

# One ends at every moment: what is told now and then is told all the same.
cat >"$T/always.c" <<'END'
#include <sys/wait.h>
#include <unistd.h>
int main(void)
{
	for (;;) {
		if (!fork())
			_exit(0);
		wait(NULL);
	}
}
END
gcc -O2 -static -o "$T/always" "$T/always.c"
instance b 'kernel = reef' "exec = $T/always"
ok "deploy" put splitVM "$M/run/b/deploy"
counted() { grep -q '^fork ' "$M/run/b/syscalls"; }
wait_for "its calls are counted while it makes them" counted
ok "kill" put kill "$M/run/b/ctl"
wait_for "nothing is left" no_process 'qemu-system|/diverfs-splitvm '
