/* SPDX-License-Identifier: MIT */
/* confine.c: in the order in which each step is still allowed. */
#include "cache/unpack/confine.h"

#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOBODY	   65534
#define MEMORY_MAX (UINT64_C(1) << 30) /* a zstd window has 128 MiB */
#define CPU_MAX_S  1200

static void must(int result, const char *what)
{
	if (result == 0)
		return;
	fprintf(stderr, "diverfs-unpack: cannot be confined: %s: %s\n", what, strerror(errno));
	exit(3);
}

static void limit(int resource, uint64_t value)
{
	struct rlimit r = { value, value };
	must(setrlimit(resource, &r), "setrlimit");
}

static void drop_user(void)
{
	if (geteuid() != 0)
		return;
	must(setgroups(0, NULL), "setgroups");
	must(setresgid(NOBODY, NOBODY, NOBODY), "setresgid");
	must(setresuid(NOBODY, NOBODY, NOBODY), "setresuid");
}

#define ALLOW(call)                                                                                          \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##call, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static void filter_calls(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(read),
		ALLOW(write),
		ALLOW(lseek),
		ALLOW(fstat),
		ALLOW(newfstatat), /* what glibc's fstat is made of; there is no path that it could reach by a name of ours */
		ALLOW(brk),
		ALLOW(mmap),
		ALLOW(mremap),
		ALLOW(munmap),
		ALLOW(madvise),
		ALLOW(clock_gettime),
		ALLOW(getrandom),
		ALLOW(rt_sigreturn),
		ALLOW(exit),
		ALLOW(exit_group),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(*code), code };
	must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), "seccomp");
}

void confine(void)
{
	must(prctl(PR_SET_PDEATHSIG, SIGKILL), "pdeathsig");
	if (close_range(3, ~0u, 0) < 0 && errno != ENOSYS)
		must(-1, "close_range");
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_FSIZE, 0);
	limit(RLIMIT_CPU, CPU_MAX_S);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* which reserve terabytes of addresses */
	limit(RLIMIT_AS, MEMORY_MAX);
#endif
	drop_user();
	limit(RLIMIT_NPROC, 0);
	must(prctl(PR_SET_DUMPABLE, 0), "dumpable");
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	filter_calls();
#else
	(void)filter_calls; /* sanitizers use calls of their own */
#endif
}
