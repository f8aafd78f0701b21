/* SPDX-License-Identifier: MIT */
/* files.c: delegated calls with paths and descriptors; calls that would hurt the agent; memory that the ROS has not. */
#include "kernel.h"

enum {
	PATH = 0x500000,
	DATA = 0x510000,
	READ = 0,
	WRITE = 1,
	OPEN = 2,
	CLOSE = 3,
	STAT = 4,
	MMAP = 9,
	DUP2 = 33,
	GETPID = 39,
	KILL = 62,
	MKDIR = 83,
	UNLINK = 87,
	SYMLINK = 88,
	SETRLIMIT = 160,
	MOUNT = 165,
	REBOOT = 169,
	PTRACE = 101,
	EXIT_GROUP = 231,
	MKNOD = 133,
	MEMFD = 319,
	CLOSE_RANGE = 436,
	CREATE = 0102
};

static void check(const char *what, int64_t got, int64_t wanted)
{
	print(got == wanted ? "ok " : "not ok ");
	print(what);
	if (got != wanted)
		print_number(": ", (uint64_t)got, "");
	print("\n");
}

static uint64_t text(uint64_t at_, const char *words_)
{
	page_put(at_, words_);
	return at_;
}

static int64_t with_path(uint64_t number, const char *path, uint64_t b, uint64_t c)
{
	return call(number, text(PATH, path), b, c, 0);
}

static void put_file(const char *path)
{
	int64_t fd = with_path(OPEN, path, CREATE, 0644);

	check(path, fd > 2, 1);
	check("write", call(WRITE, (uint64_t)fd, text(DATA, "written\n"), 8, 0), 8);
	check("close", call(CLOSE, (uint64_t)fd, 0, 0, 0), 0);
}

void test_files(void)
{
	int64_t n, all = 0;

	pages_begin();
	check("mkdir /d", with_path(MKDIR, "/d", 0755, 0), 0);
	put_file("/a");
	put_file("/d/"
		 "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"
		 "123456789"
		 "0123456789012345678901234567890123456789");
	put_file("/tmp/t");
	text(DATA, "/d");
	check("symlink", call(SYMLINK, DATA, text(PATH, "/link"), 0, 0), 0);
	put_file("/gone");
	check("unlink", with_path(UNLINK, "/gone", 0, 0), 0);
	check("a file of the disk", with_path(OPEN, "/etc/motd", 0, 0) != -2, 1);
	check("stdout", call(WRITE, 1, text(DATA, "to stdout\n"), 10, 0), 10);
	printed();
	check("stderr", call(WRITE, 2, text(DATA, "to stderr\n"), 10, 0), 10);
	while ((n = call(READ, 0, DATA, 100, 0)) > 0)
		all += n;
	check("stdin", all, 6);
	check("its end", n, 0);
}

/* Nothing of this may end the agent. */
void test_harm(void)
{
	int64_t self = (pages_begin(), call(GETPID, 0, 0, 0, 0));

	check("kill(self)", call(KILL, (uint64_t)self, 9, 0, 0), -1);
	check("kill(everybody)", call(KILL, (uint64_t)-1, 9, 0, 0), -1);
	check("kill(self, 0)", call(KILL, (uint64_t)self, 0, 0, 0), 0);
	check("exit_group", call(EXIT_GROUP, 0, 0, 0, 0), -38);
	check("mmap", call(MMAP, 0, 4096, 3, 0x22), -38);
	check("mount", with_path(MOUNT, "/", 0, 0), -1);
	check("reboot", call(REBOOT, 0xfee1dead, 672274793, 0x1234567, 0), -1);
	check("ptrace", call(PTRACE, 16, 1, 0, 0), -1);
	check("mknod", with_path(MKNOD, "/mem", 020666, 0x101), -1);
	check("the device is not there", with_path(OPEN, "/dev/cokernel", 2, 0), -2);
	check("nor the memory", with_path(OPEN, "/dev/mem", 2, 0), -2);
	check("sysrq", with_path(OPEN, "/proc/sysrq-trigger", 1, 0), -30);
	for (unsigned fd = 8000; fd < 8064; fd++)
		if (call(CLOSE, fd, 0, 0, 0) != -9)
			check("close of the agent's own", 0, -9);
	check("dup2 over them", call(DUP2, 2, 8000, 0, 0), -9);
	check("close_range of all behind 2", call(CLOSE_RANGE, 3, 0xffffffff, 0, 0), 0);
	for (unsigned n = 0; n < 16; n++) { /* limits of 0 for everything */
		page_put(DATA, "");
		call(SETRLIMIT, n, DATA, 0, 0);
	}
	check("and it still serves", call(GETPID, 0, 0, 0, 0), self);
}

void test_policy(void)
{
	pages_begin();
	check("mkdir /d", with_path(MKDIR, "/d", 0755, 0), 0);
	check("mkdir /secret", with_path(MKDIR, "/secret", 0755, 0), 0);
	text(DATA, "/secret");
	check("a link to it", call(SYMLINK, DATA, text(PATH, "/d/way"), 0, 0), 0);
	check("a file in it", with_path(OPEN, "/secret/x", CREATE, 0644) > 2, 1);
	print("policy\n");
	while (with_path(OPEN, "/secret/x", 0, 0) >= 0) /* until it is in force */
		;
	check("named", with_path(OPEN, "/secret/x", 0, 0), -1);
	check("by dots", with_path(OPEN, "/d/../secret/./x", 0, 0), -1);
	check("by a link", with_path(OPEN, "/d/way/x", 0, 0), -1);
	check("others are open", with_path(OPEN, "/d/y", CREATE, 0644) > 2, 1);
	check("a name that only begins so", with_path(OPEN, "/secretly", 0, 0), -2);
	check("another call", with_path(STAT, "/secret/x", DATA, 0), 0);
	check("getpid is refused", call(GETPID, 0, 0, 0, 0), -1);
	print("lift\n");
	while (with_path(OPEN, "/secret/x", 0, 0) == -1)
		;
	check("lifted", call(GETPID, 0, 0, 0, 0) > 0, 1);
}

/* A file of the ROS's, on the console. */
void show(const char *path)
{
	int64_t fd = (pages_begin(), with_path(OPEN, path, 0, 0)), n;

	while ((n = call(READ, (uint64_t)fd, DATA, 4096, 0)) > 0)
		call(WRITE, 2, DATA, (uint64_t)n, 0);
	check("shown", n, 0);
}

/* Until the ROS has none left, and Linux ends who has it: the agent's process for this kernel. */
void test_hog(void)
{
	int64_t fd = (pages_begin(), call(MEMFD, text(PATH, "hog"), 0, 0, 0)), n;

	print("hogging\n");
	do
		n = call(WRITE, (uint64_t)fd, 0x10000000, 1 << 20, 0);
	while (n > 0);
	print_number("the ROS answered ", (uint64_t)n, "\n");
}

/* The answer may have been opened before it was written. */
void order(const char *word)
{
	unsigned len = 0;
	int64_t fd, n = 0;

	pages_begin();
	while (word[len])
		len++;
	fd = with_path(OPEN, "/dev/order", CREATE, 0644);
	print("ordering\n");
	call(WRITE, (uint64_t)fd, text(DATA, word), len, 0);
	while (n <= 0) {
		fd = with_path(OPEN, "/dev/answer", 0, 0);
		n = fd < 0 ? 0 : call(READ, (uint64_t)fd, DATA + 64, 100, 0);
		if (fd >= 0)
			call(CLOSE, (uint64_t)fd, 0, 0, 0);
	}
	printed();
	call(WRITE, 2, DATA + 64, (uint64_t)n, 0);
}
