/* SPDX-License-Identifier: MIT */
/* base_io.c: whole files, whole trees (hostile ones too), sockets below long paths. */
#include "base_tmp.h"

#include "cache/base/io.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void write_text(const char *path, const char *text)
{
	assert_int_equal(io_write_file(tmp_dir, path, text, strlen(text), 0644, false), 0);
}

static void has_text(const char *path, const char *want)
{
	autobuf struct buf b = { 0 };

	assert_int_equal(io_read_file(tmp_dir, path, 1 << 20, &b), 0);
	assert_string_equal(b.data, want);
}

static bool exists(const char *path)
{
	return faccessat(tmp_dir, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(fstatat(tmp_dir, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_mode & 07777;
}

static void whole_files(void **state)
{
	autobuf struct buf b = { 0 };
	char *big = malloc(3 << 20);

	(void)state;
	memset(big, 'b', 3 << 20);
	write_text("f", "one");
	write_text("f", "second");
	has_text("f", "second");
	write_text("f", "");
	has_text("f", "");
	assert_int_equal(io_write_file(tmp_dir, "big", big, 3 << 20, 0600, true), 0);
	assert_int_equal(mode_of("big"), 0600);
	buf_puts(&b, "keep");
	assert_int_equal(io_read_file(tmp_dir, "big", 3 << 20, &b), 0);
	assert_int_equal(b.len, 4 + (3 << 20));
	assert_memory_equal(b.data + 4, big, 3 << 20);
	buf_clear(&b);
	buf_puts(&b, "keep");
	assert_int_equal(io_read_file(tmp_dir, "big", (3 << 20) - 1, &b), -EFBIG);
	assert_string_equal(b.data, "keep");
	assert_int_equal(io_read_file(tmp_dir, "none", 10, &b), -ENOENT);
	assert_int_equal(io_read_file(tmp_dir, "f", 0, &b), 0);
	assert_int_equal(io_read_file(AT_FDCWD, "/proc/self/status", 1 << 20, &b), 0);
	assert_non_null(strstr(b.data, "VmRSS"));
	free(big);
}

static void a_write_is_all_or_nothing(void **state)
{
	int fd;
	char text[8];

	(void)state;
	write_text("f", "old");
	fd = openat(tmp_dir, "f", O_RDONLY | O_CLOEXEC);
	write_text("f", "new");
	assert_int_equal(io_read_full(fd, text, sizeof(text)), 3);
	assert_memory_equal(text, "old", 3);
	close(fd);
	assert_int_equal(mkdirat(tmp_dir, "d", 0755), 0);
	assert_true(io_write_file(tmp_dir, "d", "x", 1, 0644, false) < 0);
	assert_true(io_write_file(tmp_dir, "none/f", "x", 1, 0644, false) < 0);
	write_text("target", "untouched");
	assert_int_equal(symlinkat("target", tmp_dir, "link"), 0);
	write_text("link", "replaced");
	has_text("target", "untouched");
	assert_int_equal(unlinkat(tmp_dir, "d", AT_REMOVEDIR), 0);
	unlinkat(tmp_dir, "f", 0);
	unlinkat(tmp_dir, "link", 0);
	unlinkat(tmp_dir, "target", 0);
	assert_int_equal(rmdir(tmp_path), 0); /* no temporary was left */
	assert_int_equal(mkdir(tmp_path, 0700), 0);
}

static void a_fifo_does_not_hang(void **state)
{
	autobuf struct buf b = { 0 };

	(void)state;
	assert_int_equal(mkfifoat(tmp_dir, "fifo", 0600), 0);
	assert_int_equal(io_read_file(tmp_dir, "fifo", 10, &b), -EINVAL);
}

static void *late_writer(void *arg)
{
	io_write_full(*(int *)arg, "abc", 3);
	io_write_full(*(int *)arg, "def", 3);
	close(*(int *)arg);
	return NULL;
}

static void non_blocking_is_waited_for(void **state)
{
	pthread_t t;
	char text[10];
	int p[2];

	(void)state;
	assert_int_equal(io_socketpair(p), 0);
	assert_int_equal(io_set_nonblock(p[0], true), 0);
	assert_true(fcntl(p[0], F_GETFL) & O_NONBLOCK);
	pthread_create(&t, NULL, late_writer, &p[1]);
	assert_int_equal(io_read_full(p[0], text, sizeof(text)), 6);
	assert_memory_equal(text, "abcdef", 6);
	pthread_join(t, NULL);
	assert_int_equal(io_set_nonblock(p[0], false), 0);
	assert_false(fcntl(p[0], F_GETFL) & O_NONBLOCK);
	close(p[0]);
}

static void offsets(void **state)
{
	int fd = openat(tmp_dir, "f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char text[8] = "";

	(void)state;
	assert_int_equal(io_pwrite_full(fd, "xyz", 3, 5), 0);
	assert_int_equal(io_pread_full(fd, text, 8, 4), 4);
	assert_memory_equal(text, "\0xyz", 4);
	assert_int_equal(io_pread_full(fd, text, 8, 100), 0);
	assert_int_equal(io_pread_full(fd, text, 8, UINT64_MAX), -EINVAL);
	assert_int_equal(io_pwrite_full(fd, text, 8, UINT64_MAX - 3), -EFBIG);
	close(fd);
}

static void copies_between_kinds(void **state)
{
	autoclose int from = -1, to = -1, proc = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	char text[100];
	int p[2];

	(void)state;
	write_text("f", "0123456789");
	from = openat(tmp_dir, "f", O_RDONLY | O_CLOEXEC);
	to = openat(tmp_dir, "g", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(lseek(from, 4, SEEK_SET), 4);
	assert_int_equal(io_copy(from, to), 6);
	assert_int_equal(io_copy(from, to), 0);
	has_text("g", "456789");
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_int_equal(lseek(from, 0, SEEK_SET), 0);
	assert_int_equal(io_copy(from, p[1]), 10);
	close(p[1]);
	assert_int_equal(io_read_full(p[0], text, sizeof(text)), 10);
	close(p[0]);
	assert_true(io_copy(proc, to) > 100);
	assert_int_equal(lseek(to, 0, SEEK_SET), 0);
	assert_int_equal(io_copy(to, from), -EBADF);
}

static void makes_directories(void **state)
{
	(void)state;
	assert_int_equal(io_mkdirs(tmp_dir, "a//b/c/", 0755), 0);
	assert_int_equal(io_mkdirs(tmp_dir, "a/b/c", 0755), 0);
	assert_true(exists("a/b/c"));
	assert_int_equal(io_mkdirs(AT_FDCWD, "/", 0755), 0);
	assert_int_equal(io_mkdirs(AT_FDCWD, tmp_path, 0755), 0);
	assert_int_equal(io_mkdirs(AT_FDCWD, "/proc/self", 0755), 0);
	write_text("a/file", "x");
	assert_int_equal(io_mkdirs(tmp_dir, "a/file", 0755), -ENOTDIR);
	assert_int_equal(io_mkdirs(tmp_dir, "a/file/b", 0755), -ENOTDIR);
}

static void removes_trees(void **state)
{
	(void)state;
	assert_int_equal(io_remove_tree(tmp_dir, "none"), 0);
	write_text("outside", "stays");
	assert_int_equal(io_mkdirs(tmp_dir, "t/a/b/c", 0755), 0);
	assert_int_equal(io_mkdirs(tmp_dir, "keep", 0755), 0);
	write_text("keep/f", "stays");
	for (int i = 0; i < 300; i++) {
		autofree char *name = xasprintf("t/a/f%d", i);

		write_text(name, "x");
	}
	assert_int_equal(symlinkat("../keep", tmp_dir, "t/dirlink"), 0);
	assert_int_equal(symlinkat("../outside", tmp_dir, "t/filelink"), 0);
	assert_int_equal(symlinkat("loop", tmp_dir, "t/loop"), 0);
	assert_int_equal(mkfifoat(tmp_dir, "t/fifo", 0600), 0);
	assert_int_equal(fchmodat(tmp_dir, "t/a/b", 0, 0), 0);
	assert_int_equal(fchmodat(tmp_dir, "t/a", 0500, 0), 0);
	assert_int_equal(io_remove_tree(tmp_dir, "t"), 0);
	assert_false(exists("t"));
	has_text("keep/f", "stays");
	has_text("outside", "stays");
	assert_int_equal(symlinkat("keep", tmp_dir, "l"), 0);
	assert_int_equal(io_remove_tree(tmp_dir, "l"), 0);
	assert_false(exists("l"));
	assert_true(exists("keep"));
	assert_int_equal(io_remove_tree(tmp_dir, "outside"), 0);
	assert_false(exists("outside"));
}

/* 3000 levels: no path names the last, and one descriptor for each would be too many. */
static void make_deep(const char *name, int levels)
{
	int fd = openat(tmp_dir, ".", O_RDONLY | O_CLOEXEC);

	for (int i = 0; i < levels; i++) {
		int next;

		assert_int_equal(mkdirat(fd, i ? "d" : name, 0755), 0);
		next = openat(fd, i ? "d" : name, O_RDONLY | O_CLOEXEC);
		assert_true(next >= 0);
		close(fd);
		fd = next;
		close(openat(fd, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	}
	close(fd);
}

static void removes_any_depth(void **state)
{
	(void)state;
	make_deep("deep", 3000);
	assert_int_equal(io_remove_tree(tmp_dir, "deep"), 0);
	assert_false(exists("deep"));
}

static void copying_has_a_depth(void **state)
{
	(void)state;
	make_deep("deep", 200);
	assert_int_equal(io_copy_tree(tmp_dir, "deep", tmp_dir, "copy"), -ELOOP);
	make_deep("less", 100);
	assert_int_equal(io_copy_tree(tmp_dir, "less", tmp_dir, "copy2"), 0);
}

static void copies_trees(void **state)
{
	struct timespec old[2] = { { 1000, 0 }, { 1000, 5 } };
	char target[32] = "";
	struct stat st;

	(void)state;
	assert_int_equal(io_mkdirs(tmp_dir, "from/ro", 0755), 0);
	write_text("outside", "secret");
	write_text("from/f", "text");
	write_text("from/ro/g", "more");
	assert_int_equal(fchmodat(tmp_dir, "from/f", 04751, 0), 0);
	assert_int_equal(symlinkat("../outside", tmp_dir, "from/link"), 0);
	assert_int_equal(mkfifoat(tmp_dir, "from/fifo", 0600), 0);
	assert_int_equal(utimensat(tmp_dir, "from/f", old, 0), 0);
	assert_int_equal(fchmodat(tmp_dir, "from/ro", 0555, 0), 0);
	assert_int_equal(utimensat(tmp_dir, "from/ro", old, 0), 0);
	assert_int_equal(io_copy_tree(tmp_dir, "from", tmp_dir, "to"), 0);
	has_text("to/f", "text");
	has_text("to/ro/g", "more");
	assert_int_equal(mode_of("to/f"), 0751);
	assert_int_equal(mode_of("to/ro"), 0555);
	assert_int_equal(fstatat(tmp_dir, "to/f", &st, 0), 0);
	assert_true(st.st_mtim.tv_sec == 1000 && st.st_mtim.tv_nsec == 5);
	assert_int_equal(fstatat(tmp_dir, "to/ro", &st, 0), 0);
	assert_true(st.st_mtim.tv_sec == 1000);
	assert_int_equal(readlinkat(tmp_dir, "to/link", target, sizeof(target)), 10);
	assert_string_equal(target, "../outside");
	assert_false(exists("to/fifo"));
	has_text("outside", "secret");
}

static void copying_does_not_write_through_links(void **state)
{
	(void)state;
	assert_int_equal(io_mkdirs(tmp_dir, "from/sub", 0755), 0);
	assert_int_equal(io_mkdirs(tmp_dir, "to", 0755), 0);
	assert_int_equal(io_mkdirs(tmp_dir, "victim", 0755), 0);
	write_text("precious", "untouched");
	write_text("from/f", "evil");
	write_text("from/sub/g", "evil");
	assert_int_equal(symlinkat("../precious", tmp_dir, "to/f"), 0);
	assert_int_equal(io_copy_tree(tmp_dir, "from/f", tmp_dir, "to/f"), 0);
	has_text("precious", "untouched");
	has_text("to/f", "evil");
	assert_int_equal(symlinkat("../victim", tmp_dir, "to/sub"), 0);
	assert_true(io_copy_tree(tmp_dir, "from", tmp_dir, "to") < 0);
	assert_false(exists("victim/g"));
	assert_int_equal(io_copy_tree(tmp_dir, "none", tmp_dir, "x"), -ENOENT);
}

static void a_tree_is_not_copied_into_itself(void **state)
{
	(void)state;
	assert_int_equal(io_mkdirs(tmp_dir, "a/b", 0755), 0);
	write_text("a/b/f", "x");
	assert_int_equal(io_copy_tree(tmp_dir, "a", tmp_dir, "a/copy"), 0);
	has_text("a/copy/b/f", "x");
	assert_false(exists("a/copy/copy"));
}

/* In a process of its own with its own mounts; 77: this machine does not allow it. */
static int with_mount(const char *source, const char *at, const char *type, unsigned long flags)
{
	autofree char *to = xasprintf("%s/%s", tmp_path, at);
	autofree char *from = type ? xstrdup(source) : xasprintf("%s/%s", tmp_path, source);
	autofree char *inside = xasprintf("%s/inside", to);
	int status, dir;
	pid_t pid = fork();

	if (pid == 0) {
		if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
			mount(from, to, type ? type : "none", flags, NULL) < 0)
			_exit(77);
		if (type)
			close(open(inside, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
		dir = open(tmp_path, O_RDONLY | O_CLOEXEC); /* (tmp_dir) sees the mounts of before */
		if (io_remove_tree(dir, "t") != -EXDEV)
			_exit(1);
		_exit(access(inside, F_OK) == 0 ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void mounts_are_not_entered(void **state)
{
	int r;

	(void)state;
	assert_int_equal(io_mkdirs(tmp_dir, "t/a/m", 0755), 0);
	assert_int_equal(io_mkdirs(tmp_dir, "same", 0755), 0);
	write_text("same/inside", "x");
	r = with_mount("tmpfs", "t/a/m", "tmpfs", 0);
	if (r == 77)
		skip();
	assert_int_equal(r, 0);
	assert_int_equal(with_mount("same", "t/a/m", NULL, MS_BIND), 0);
	assert_true(exists("same/inside"));
}

static void sockets_below_long_paths(void **state)
{
	autobuf struct buf path = { 0 };
	int l, a, b;
	pid_t pid;
	uid_t uid;

	(void)state;
	for (int i = 0; i < 20; i++)
		buf_printf(&path, "directory-with-a-long-name-%d/", i);
	assert_int_equal(io_mkdirs(tmp_dir, path.data, 0755), 0);
	buf_puts(&path, "sock");
	assert_int_equal(io_unix_connect(tmp_dir, path.data), -ENOENT);
	l = io_unix_listen(tmp_dir, path.data);
	assert_true(l >= 0);
	assert_int_equal(mode_of(path.data), 0600);
	assert_int_equal(io_unix_listen(tmp_dir, path.data), -EADDRINUSE);
	a = io_unix_connect(tmp_dir, path.data);
	assert_true(a >= 0);
	assert_false(fcntl(a, F_GETFL) & O_NONBLOCK);
	while ((b = accept4(l, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		/* the first is the probe of the refused listen, which is gone already */
		char c;

		if (send(b, "x", 1, MSG_NOSIGNAL) == 1 && recv(a, &c, 1, MSG_DONTWAIT) == 1)
			break;
		close(b);
	}
	assert_int_equal(io_unix_peer(a, &pid, &uid), 0);
	assert_int_equal(pid, getpid());
	assert_int_equal(uid, getuid());
	close(a);
	close(b);
	close(l);
	assert_int_equal(io_unix_connect(tmp_dir, path.data), -ECONNREFUSED);
	l = io_unix_listen(tmp_dir, path.data); /* takes the place of the dead one */
	assert_true(l >= 0);
	close(l);
}

static void socket_names_that_cannot_be(void **state)
{
	char name[200];

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(io_unix_listen(tmp_dir, name), -ENAMETOOLONG);
	assert_int_equal(io_unix_listen(tmp_dir, ""), -EINVAL);
	assert_int_equal(io_unix_listen(tmp_dir, "none/s"), -ENOENT);
	write_text("file", "x");
	assert_int_equal(io_unix_listen(tmp_dir, "file"), -EADDRINUSE);
	has_text("file", "x");
}

static void a_full_queue_does_not_hang(void **state)
{
	int l = io_unix_listen(tmp_dir, "s"), fds[500], n = 0, fd;

	(void)state;
	assert_true(l >= 0);
	while ((fd = io_unix_connect(tmp_dir, "s")) >= 0 && n < 500)
		fds[n++] = fd;
	assert_int_equal(fd, -EAGAIN);
	while (n)
		close(fds[--n]);
	close(l);
}

static void cleanup_keeps_errno(void **state)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), kept;

	(void)state;
	{
		autoclose int mine = fd;

		kept = io_steal(&mine);
		assert_int_equal(mine, -1);
		errno = EXDEV;
	}
	assert_int_equal(errno, EXDEV);
	assert_int_equal(kept, fd);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	cleanup_close(&fd);
	assert_int_equal(fd, -1);
	assert_true(clock_mono_ns() > 0 && clock_real_ns() > 1600000000000000000u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		tmp_test(whole_files),
		tmp_test(a_write_is_all_or_nothing),
		tmp_test(a_fifo_does_not_hang),
		tmp_test(non_blocking_is_waited_for),
		tmp_test(offsets),
		tmp_test(copies_between_kinds),
		tmp_test(makes_directories),
		tmp_test(removes_trees),
		tmp_test(removes_any_depth),
		tmp_test(copying_has_a_depth),
		tmp_test(copies_trees),
		tmp_test(copying_does_not_write_through_links),
		tmp_test(a_tree_is_not_copied_into_itself),
		tmp_test(mounts_are_not_entered),
		tmp_test(sockets_below_long_paths),
		tmp_test(socket_names_that_cannot_be),
		tmp_test(a_full_queue_does_not_hang),
		cmocka_unit_test(cleanup_keeps_errno),
	};

	return cmocka_run_group_tests_name("base_io", tests, NULL, NULL);
}
