/* SPDX-License-Identifier: MIT */
/*
 * table.h: the system calls that are made for the HRT, and what their arguments name:  f descriptor  d directory (or AT_FDCWD)
 * p path  - anything else. What is not here is the HRT's own affair (memory, threads, signals, its end) or unknown: -ENOSYS.
 */
#ifndef AGENT_TABLE_H
#define AGENT_TABLE_H

#define MADE(X)                                                                                              \
	X(read, "f")                                                                                         \
	X(write, "f")                                                                                        \
	X(close, "f")                                                                                        \
	X(fstat, "f") X(lseek, "f") X(pread64, "f") X(pwrite64, "f") X(readv, "f") X(writev, "f") X(         \
		preadv, "f") X(pwritev, "f") X(preadv2, "f") X(pwritev2, "f") X(ioctl, "f") X(fcntl,         \
		"f") X(dup, "f") X(dup2, "ff") X(dup3, "ff") X(fsync, "f") X(fdatasync, "f") X(ftruncate,    \
		"f") X(getdents, "f") X(getdents64, "f") X(fchdir, "f") X(fchmod, "f") X(fchown,             \
		"f") X(flock, "f") X(fallocate, "f") X(fadvise64, "f") X(fstatfs, "f") X(fsetxattr,          \
		"f") X(fgetxattr, "f") X(flistxattr, "f") X(fremovexattr, "f") X(sync_file_range,            \
		"f") X(syncfs, "f") X(readahead, "f") X(sendfile, "ff") X(copy_file_range, "f-f") X(splice,  \
		"f-f") X(tee, "ff") X(vmsplice, "f") X(open, "p") X(creat, "p") X(stat, "p") X(lstat,        \
		"p") X(access, "p") X(chdir, "p") X(mkdir, "p") X(rmdir, "p") X(unlink, "p") X(readlink,     \
		"p") X(chmod, "p") X(chown, "p") X(lchown, "p") X(truncate, "p") X(statfs, "p") X(utime,     \
		"p") X(utimes, "p") X(mknod, "p") X(setxattr, "p") X(lsetxattr, "p") X(getxattr,             \
		"p") X(lgetxattr, "p") X(listxattr, "p") X(llistxattr, "p") X(removexattr,                   \
		"p") X(lremovexattr, "p") X(rename, "pp") X(link, "pp") X(symlink, "-p") X(openat, "dp")     \
		X(mkdirat, "dp") X(mknodat, "dp") X(fchownat, "dp") X(futimesat, "dp") X(                    \
			newfstatat, "dp") X(unlinkat, "dp") X(readlinkat, "dp") X(fchmodat, "dp")            \
			X(faccessat, "dp") X(faccessat2, "dp") X(utimensat, "dp") X(statx, "dp") X(          \
				openat2, "dp") X(renameat, "dpdp") X(renameat2,                              \
				"dpdp") X(linkat, "dpdp") X(symlinkat,                                       \
				"-dp") X(socket, "") X(socketpair, "") X(bind, "f") X(connect,               \
				"f") X(listen, "f") X(accept, "f") X(accept4, "f") X(getsockname,            \
				"f") X(getpeername, "f") X(setsockopt, "f") X(getsockopt, "f") X(shutdown,   \
				"f") X(sendto, "f")                                                          \
				X(recvfrom, "f") X(sendmsg, "f") X(recvmsg, "f") X(sendmmsg, "f") X(         \
					recvmmsg, "f") X(poll, "") X(ppoll, "") X(select, "") X(pselect6,    \
					"") X(epoll_create, "") X(epoll_create1, "") X(epoll_ctl,            \
					"f-f") X(epoll_wait, "f") X(epoll_pwait,                             \
					"f") X(epoll_pwait2, "f") X(eventfd, "") X(eventfd2, "") X(pipe,     \
					"") X(pipe2, "") X(timerfd_create,                                   \
					"") X(timerfd_settime, "f") X(timerfd_gettime, "f") X(inotify_init,  \
					"") X(inotify_init1, "") X(inotify_add_watch,                        \
					"fp") X(inotify_rm_watch, "f") X(memfd_create, "") X(getcwd,         \
					"") X(umask, "") X(sync, "") X(close_range, "") X(getpid,            \
					"") X(getppid, "") X(getpgrp, "") X(getpgid, "") X(setpgid,          \
					"") X(getsid, "") X(setsid, "") X(getuid, "") X(geteuid,             \
					"") X(getgid, "") X(getegid, "") X(getresuid, "") X(getresgid,       \
					"") X(setuid, "") X(setgid, "") X(setreuid, "") X(setregid, "")      \
					X(setresuid, "") X(setresgid, "") X(setfsuid, "") X(setfsgid, "") X( \
						getgroups, "") X(setgroups, "") X(capget, "") X(capset,      \
						"") X(uname, "") X(sysinfo, "") X(times, "") X(getrusage,    \
						"") X(getrlimit, "") X(setrlimit, "") X(prlimit64,           \
						"") X(getpriority, "") X(setpriority,                        \
						"") X(sched_get_priority_max, "") X(sched_get_priority_min,  \
						"") X(nanosleep, "") X(clock_nanosleep, "")                  \
						X(clock_gettime, "") X(clock_getres, "") X(gettimeofday, "") \
							X(time, "") X(getrandom, "") X(prctl, "")            \
								X(kill, "") X(tkill, "") X(tgkill, "")       \
									X(wait4, "") X(waitid, "")

/* They would damage the agent or the ROS under it, and no policy allows them. */
#define NEVER(X)                                                                                             \
	X(mount)                                                                                             \
	X(umount2)                                                                                           \
	X(pivot_root)                                                                                        \
	X(chroot) X(reboot) X(init_module) X(finit_module) X(delete_module) X(kexec_load) X(kexec_file_load) \
		X(ptrace) X(process_vm_readv) X(process_vm_writev) X(swapon) X(swapoff) X(sethostname) X(    \
			setdomainname) X(acct) X(settimeofday) X(clock_settime) X(adjtimex) X(clock_adjtime) \
			X(iopl) X(ioperm) X(unshare) X(setns) X(bpf) X(perf_event_open) X(userfaultfd)       \
				X(io_uring_setup) X(syslog) X(open_by_handle_at) X(fsopen) X(fsmount)        \
					X(fsconfig) X(fspick) X(move_mount) X(open_tree) X(mount_setattr)    \
						X(pidfd_getfd) X(pidfd_send_signal) X(quotactl) X(vhangup)   \
							X(kcmp) X(keyctl) X(add_key) X(request_key)          \
								X(seccomp) X(personality)

#endif
