/* SPDX-License-Identifier: MIT */
/*
 * io_unix.c: Unix sockets below directories with long paths. sun_path is short, so the directory is
 * opened and named /proc/self/fd/N there; no chdir, which would belong to all threads.
 */
#include "cache/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

int io_socketpair(int pair[2])
{
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ? -errno : 0;
}

/* Fills (a); (*dir) is the directory's descriptor, to be closed after the address was used. */
static int address(int dirfd, const char *name, struct sockaddr_un *a, int *dir)
{
	const char *slash = strrchr(name, '/');
	const char *base = slash ? slash + 1 : name;
	autofree char *parent =
		slash ? xstrndup(name, slash == name ? 1 : (size_t)(slash - name)) : xstrdup(".");
	int n;

	if (!*base)
		return -EINVAL;
	*dir = openat(dirfd, parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*dir < 0)
		return -errno;
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	n = snprintf(a->sun_path, sizeof(a->sun_path), "/proc/self/fd/%d/%s", *dir, base);
	return n < 0 || (size_t)n >= sizeof(a->sun_path) ? -ENAMETOOLONG : 0;
}

static int bind_to(int sock, const struct sockaddr_un *a)
{
	return bind(sock, (const struct sockaddr *)a, sizeof(*a)) < 0 ? -errno : 0;
}

/* True if a socket is there and nobody listens: what a killed process leaves behind. */
static bool is_stale(int dirfd, const char *name)
{
	struct stat st;
	int fd;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	fd = io_unix_connect(dirfd, name);
	if (fd >= 0)
		close(fd);
	return fd == -ECONNREFUSED;
}

/* A socket and its address; (*dir) as in address(). */
static int new_socket(int dirfd, const char *name, int flags, struct sockaddr_un *a, int *dir)
{
	autoclose int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	int err;

	if (sock < 0)
		return -errno;
	err = address(dirfd, name, a, dir);
	return err ? err : io_steal(&sock);
}

int io_unix_listen(int dirfd, const char *name)
{
	autoclose int dir = -1;
	struct sockaddr_un a;
	autoclose int sock = new_socket(dirfd, name, 0, &a, &dir);
	int err;

	if (sock < 0)
		return sock;
	/* On Linux the mode of the socket becomes that of its name: no moment with a wider one. */
	if (fchmod(sock, 0600) < 0)
		return -errno;
	err = bind_to(sock, &a);
	if (err == -EADDRINUSE && is_stale(dirfd, name)) {
		unlinkat(dirfd, name, 0);
		err = bind_to(sock, &a);
	}
	if (err)
		return err;
	return listen(sock, 64) < 0 ? -errno : io_steal(&sock);
}

int io_unix_connect(int dirfd, const char *name)
{
	/* Non-blocking meanwhile: with a full queue connect would wait for a listener that hangs. */
	autoclose int dir = -1;
	struct sockaddr_un a;
	autoclose int sock = new_socket(dirfd, name, SOCK_NONBLOCK, &a, &dir);
	int err;

	if (sock < 0)
		return sock;
	while (connect(sock, (const struct sockaddr *)&a, sizeof(a)) < 0)
		if (errno != EINTR)
			return -errno;
	err = io_set_nonblock(sock, false);
	return err ? err : io_steal(&sock);
}

int io_unix_peer(int sock, pid_t *pid, uid_t *uid)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	if (pid)
		*pid = cred.pid;
	if (uid)
		*uid = cred.uid;
	return 0;
}
