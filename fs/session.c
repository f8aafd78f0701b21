/* SPDX-License-Identifier: MIT */
/*
 * session.c: the connection to the kernel. One descriptor, not blocking, read by the loop, which spins on it
 * for a moment before it sleeps: a client that asks again and again is then answered without a wake-up
 * (PERF.md D).
 *
 * A thread of its own tells the kernel what to forget: the kernel may hold a lock there that it releases only
 * when the loop has answered something else, so the loop must not wait (PITFALLS 3).
 */
#include "cache/base/io.h"
#include "fs/ops.h"
#include "fs/start.h"
#include "fs/through.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define SPIN_US	       50
#define BATCH	       32 /* requests served before other events get their turn */
#define FORGETS_MAX    65536
#define INIT_WAIT_MS   5000
#define READ_AHEAD_KIB "256" /* the kernel's default is 128 */
#define JOIN_WAIT_S    2

struct forget { /* an entry if (name), else an inode */
	struct forget *next;
	fuse_ino_t ino;
	char *name;
};

struct session {
	struct fuse_buf buf; /* loop only: the request that is read */
	struct watch *watch; /* loop only */
	bool was_mounted;    /* set once */
	bool mounted;	     /* loop only: seen in the tree of names */
	int table_fd;	     /* loop only: /proc/self/mountinfo, which tells of changes */
	struct watch *table; /* loop only */
	pthread_t thread;
	bool have_thread;     /* loop only */
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t more;
	struct forget *first, **last;
	unsigned queued;
	bool quit;
};

/* --- forgetting -------------------------------------------------------------------------------- */

static void *forget_thread(void *arg)
{
	struct fs *fs = arg;
	struct session *s = fs->mount;
	pthread_mutex_lock(&s->lock);
	while (!s->quit) {
		struct forget *f = s->first;
		if (!f) {
			pthread_cond_wait(&s->more, &s->lock);
			continue;
		}
		s->first = f->next;
		if (!s->first)
			s->last = &s->first;
		s->queued--;
		pthread_mutex_unlock(&s->lock);
		if (f->name)
			fuse_lowlevel_notify_inval_entry(fs->session, f->ino, f->name, strlen(f->name));
		else
			fuse_lowlevel_notify_inval_inode(fs->session, f->ino, 0, 0);
		free(f->name);
		free(f);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* Without the thread, or with a queue that does not move, the kernel's memory ends by its time to live. */
static void forget_later(struct fs *fs, struct node n, const char *name)
{
	struct session *s = fs->mount;
	if (!s || !s->have_thread)
		return;
	pthread_mutex_lock(&s->lock);
	if (s->queued < FORGETS_MAX) {
		struct forget *f = xmalloc(sizeof *f);
		*f = (struct forget){ .ino = node_ino(n), .name = name ? xstrdup(name) : NULL };
		*s->last = f;
		s->last = &f->next;
		s->queued++;
		pthread_cond_signal(&s->more);
	}
	pthread_mutex_unlock(&s->lock);
}

void ops_forget_entry(struct fs *fs, struct node dir, const char *name)
{
	forget_later(fs, dir, name);
}

void ops_forget_attr(struct fs *fs, struct node n)
{
	forget_later(fs, n, NULL);
}

void ops_store(struct fs *fs, struct node n, char *data, size_t size)
{
	struct fuse_bufvec whole = FUSE_BUFVEC_INIT(size);
	whole.buf[0].mem = data;
	fuse_lowlevel_notify_store(fs->session, node_ino(n), 0, &whole, 0);
}

void ops_poll_notify(struct fuse_pollhandle *ph)
{
	fuse_lowlevel_notify_poll(ph);
	fuse_pollhandle_destroy(ph);
}

void ops_poll_destroy(struct fuse_pollhandle *ph)
{
	fuse_pollhandle_destroy(ph);
}

/* --- serving ----------------------------------------------------------------------------------- */

static void lost(struct fs *fs)
{
	struct session *s = fs->mount;
	watch_remove(s->watch);
	s->watch = NULL;
	s->mounted = false;
	fs_shutdown(fs);
}

/* True if a request was there. */
static bool serve_one(struct fs *fs)
{
	struct session *s = fs->mount;
	if (!s->watch)
		return false;
	int n = fuse_session_receive_buf(fs->session, &s->buf);
	if (n == -EAGAIN || n == -EINTR)
		return false;
	if (n > 0)
		fuse_session_process_buf(fs->session, &s->buf);
	if (n <= 0 || fuse_session_exited(fs->session)) {
		if (n < 0)
			log_error("the kernel's end of the mount failed: %s", err_text(n));
		lost(fs);
		return false;
	}
	return true;
}

static bool spin(void *arg)
{
	return serve_one(arg);
}

static void readable(void *arg, uint32_t events)
{
	(void)events;
	for (int i = 0; i < BATCH && serve_one(arg); i++)
		;
}

static void table_changed(void *arg, uint32_t events)
{
	(void)events;
	struct fs *fs = arg;
	struct session *s = fs->mount;
	if (mount_seen(fs->own_dev))
		return;
	watch_remove(s->table);
	s->table = NULL;
	s->mounted = false;
	fs_shutdown(fs);
}

static void watch_table(struct fs *fs)
{
	struct session *s = fs->mount;
	s->table_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	if (s->table_fd >= 0)
		s->table = loop_watch(fs->loop, s->table_fd, EPOLLPRI, table_changed, fs);
}

/* --- beginning and end ------------------------------------------------------------------------- */

/* libfuse answers the kernel's first request into a socket instead, and the answer is sent on with what libfuse does not
 * know to ask for. Whatever fails here leaves the answer as it is. */
static void answer_first(struct fs *fs)
{
	struct session *s = fs->mount;
	char answer[256];
	int fd = fuse_session_fd(fs->session), pair[2];
	autoclose int kernel = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (kernel < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		fuse_session_process_buf(fs->session, &s->buf);
		return;
	}
	dup3(pair[1], fd, O_CLOEXEC);
	fuse_session_process_buf(fs->session, &s->buf);
	dup3(kernel, fd, O_CLOEXEC);
	ssize_t n = recv(pair[0], answer, sizeof answer, MSG_DONTWAIT);
	close(pair[0]);
	close(pair[1]);
	if (n <= 0)
		return;
	fs->reads_through = geteuid() == 0 && through_offer(s->buf.mem, s->buf.size, answer, (size_t)n);
	if (write(fd, answer, (size_t)n) != n)
		fuse_session_exit(fs->session);
}

/* The kernel's first request is answered here, so that the mount is usable, or known not to be, when mounting
 * ends. */
static int handshake(struct fs *fs, struct why *why)
{
	struct session *s = fs->mount;
	struct pollfd p = { .fd = fuse_session_fd(fs->session), .events = POLLIN };
	int n = poll(&p, 1, INIT_WAIT_MS);
	if (n > 0)
		n = fuse_session_receive_buf(fs->session, &s->buf);
	if (n <= 0)
		return why_fail(
			why, -EIO, "%s: the kernel did not begin to talk to the mount", fs->opt.mountpoint);
	answer_first(fs);
	if (fuse_session_exited(fs->session))
		return why_fail(why, -EPROTO, "%s: this kernel's FUSE is too old", fs->opt.mountpoint);
	return 0;
}

/* Half as many requests for a file that is read through, where each costs a wake-up of another CPU. More would
 * let a page fault somewhere in an image fetch more than 512 KiB. Only root may say so; it goes without, too. */
static void read_ahead(dev_t dev)
{
	autofree char *path = xasprintf("/sys/class/bdi/%u:%u/read_ahead_kb", major(dev), minor(dev));
	autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, READ_AHEAD_KIB, strlen(READ_AHEAD_KIB)) < 0)
		log_debug("%s: %s", path, err_text(errno));
}

static int mount_session(struct fs *fs, struct why *why)
{
	if (fuse_session_mount(fs->session, fs->opt.mountpoint))
		return why_fail(
			why, -EPERM, "%s: cannot mount (the lines above say why)", fs->opt.mountpoint);
	fs->mount->mounted = fs->mount->was_mounted = true;
	if (mount_at(fs->opt.mountpoint, &fs->own_dev, NULL) <= 0)
		return why_fail(
			why, -EIO, "%s: the mount is not in /proc/self/mountinfo", fs->opt.mountpoint);
	io_set_nonblock(fuse_session_fd(fs->session), true);
	int err = handshake(fs, why);
	if (!err)
		read_ahead(fs->own_dev);
	return err;
}

/* libfuse's own words go where ours go. */
static void fuse_says(enum fuse_log_level level, const char *fmt, va_list ap)
{
	autobuf struct buf text = { 0 };
	buf_vprintf(&text, fmt, ap);
	while (text.len && text.data[text.len - 1] == '\n')
		text.data[--text.len] = '\0';
	if (level >= FUSE_LOG_DEBUG)
		log_debug("%s", text.data);
	else
		log_error("%s", text.data);
}

int ops_mount(struct fs *fs, struct fuse_args *args, struct why *why)
{
	fuse_set_log_func(fuse_says);
	struct session *s = fs->mount = xcalloc(1, sizeof *s);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->more, NULL);
	s->last = &s->first;
	s->table_fd = -1;
	fs->session = fuse_session_new(args, &ops_table, sizeof ops_table, fs);
	if (!fs->session)
		return why_fail(why, -EINVAL, "libfuse does not take these mount options");
	int err = mount_session(fs, why);
	if (err)
		return err;
	s->have_thread = !pthread_create(&s->thread, NULL, forget_thread, fs);
	s->watch = loop_watch(fs->loop, fuse_session_fd(fs->session), EPOLLIN, readable, fs);
	watch_table(fs);
	loop_spin(fs->loop, spin, fs, SPIN_US);
	return 0;
}

struct unmount {
	struct fs *fs;
	char *path;
	dev_t dev;
	void (*done)(void *arg);
	void *arg;
	bool gone; /* not there before */
};

static void unmount_run(void *arg)
{
	struct unmount *u = arg;
	dev_t dev;
	/* Whatever else is mounted there by now is not ours to take away. */
	u->gone = mount_at(u->path, &dev, NULL) <= 0 || dev != u->dev || !mount_detach(u->path);
}

static void unmount_done(void *arg)
{
	struct unmount *u = arg;
	u->fs->mount->mounted = !u->gone;
	u->done(u->arg);
	free(u->path);
	free(u);
}

void ops_unmount(struct fs *fs, void (*done)(void *arg), void *arg)
{
	struct unmount *u = xmalloc(sizeof *u);
	*u = (struct unmount){
		.fs = fs, .path = xstrdup(fs->opt.mountpoint), .dev = fs->own_dev, .done = done, .arg = arg
	};
	pool_submit(fs->pool, unmount_run, unmount_done, u);
}

/* False if it is still inside the kernel, waiting for an answer that will not come. */
static bool end_thread(struct session *s)
{
	struct timespec until;
	if (!s->have_thread)
		return true;
	pthread_mutex_lock(&s->lock);
	s->quit = true;
	pthread_cond_signal(&s->more);
	pthread_mutex_unlock(&s->lock);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += JOIN_WAIT_S;
	return !pthread_timedjoin_np(s->thread, NULL, &until);
}

/* Closes the connection for a mount that is no longer at its path. fuse_session_unmount alone, while somebody
 * has files open, would take away what is mounted there now; it leaves that alone if it finds the connection
 * broken, as a pipe without a reader is. */
static void sever(struct fuse_session *session)
{
	int p[2];
	if (pipe2(p, O_CLOEXEC))
		return;
	close(p[0]);
	dup2(p[1], fuse_session_fd(session));
	close(p[1]);
	fuse_session_unmount(session);
}

void ops_free(struct fs *fs)
{
	struct session *s = fs->mount;
	if (!s)
		return;
	watch_remove(s->watch);
	watch_remove(s->table);
	s->watch = s->table = NULL;
	if (s->table_fd >= 0)
		close(s->table_fd);
	if (!end_thread(s)) {
		log_warn("%s: the kernel holds a request back; left to it", fs->opt.mountpoint);
		return;
	}
	if (s->mounted)
		fuse_session_unmount(fs->session);
	else if (s->was_mounted)
		sever(fs->session);
	if (fs->session)
		fuse_session_destroy(fs->session);
	while (s->first) {
		struct forget *f = s->first;
		s->first = f->next;
		free(f->name);
		free(f);
	}
	free(s->buf.mem);
	free(s);
	fs->session = NULL;
	fs->mount = NULL;
}
