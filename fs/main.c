/* SPDX-License-Identifier: MIT */
/*
 * main.c: from the command line to the loop, and back.
 *
 * Without -f a child does all of it and becomes the daemon; the parent waits for its word: it returns 0 once
 * the mount answers and the instances of an earlier daemon were found again, and 1 when the child has said
 * what is wrong.
 *
 * The order of the end: the mount goes out of the tree of names, so that nobody new comes and a new daemon
 * may mount (it will wait for our lock); what runs is stopped, with its files still served; then the
 * connection is closed.
 */
#include "cache/base/io.h"
#include "fs/ops.h"
#include "fs/start.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_opt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define END_WAIT_MS  30000
#define LOG_CHECK_MS 600000

/* --- the end ----------------------------------------------------------------------------------- */

struct ending {
	struct fs *fs;
	unsigned left; /* what is still under way: the unmounting, the stopping */
};

static void ended_one(void *arg)
{
	struct ending *e = arg;
	if (--e->left)
		return;
	loop_stop(e->fs->loop);
	free(e);
}

static void end_late(void *arg)
{
	struct fs *fs = arg;
	log_error("%s: not everything could be stopped within %d s", fs->opt.mountpoint, END_WAIT_MS / 1000);
	loop_stop(fs->loop);
}

void fs_shutdown(struct fs *fs)
{
	if (fs->stopping)
		return;
	fs->stopping = true;
	log_info("%s: ending", fs->opt.mountpoint);
	struct ending *e = xmalloc(sizeof *e);
	*e = (struct ending){ .fs = fs, .left = 2 };
	loop_after(fs->loop, END_WAIT_MS, end_late, fs);
	cachedir_stop(fs);
	ops_unmount(fs, ended_one, e);
	run_stop(fs, ended_one, e);
}

/* --- signals ----------------------------------------------------------------------------------- */

static int block_signals(void)
{
	sigset_t set;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

struct signals {
	struct fs *fs;
	int fd;
};

static void signalled(void *arg, uint32_t events)
{
	(void)events;
	struct signals *s = arg;
	struct signalfd_siginfo info;
	if (read(s->fd, &info, sizeof info) == sizeof info)
		fs_shutdown(s->fs);
}

/* --- the beginning ----------------------------------------------------------------------------- */

static int add_registries(struct fs *fs, struct why *why)
{
	int err = 0;
	for (size_t i = 0; !err && i < fs->opt.registries.count; i++) {
		const struct registry_choice *c = &fs->opt.registries.list[i];
		err = cache_add(fs->cache,
			&(struct cache_registry){ .where = c->where,
				.names = (const char *const *)c->names,
				.ca_file = c->ca_file,
				.insecure = c->insecure },
			why);
	}
	return err;
}

static unsigned pool_threads(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	return cpus < 4 ? 4 : cpus > 16 ? 16 : (unsigned)cpus; /* they also wait for disks */
}

/* Everything that can be refused is, before there is a mount. */
static int begin(struct fs *fs, struct fuse_args *args, struct why *why)
{
	int err = mountpoint_ready(&fs->opt, why);
	if (!err)
		err = state_open(&fs->opt, &fs->state_fd, why);
	if (err)
		return err;
	fs->loop = loop_new();
	fs->pool = pool_new(fs->loop, pool_threads());
	autofree char *unpacker = xasprintf("%s/diverfs-unpack", fs->opt.libexec_dir);
	struct cache_options options = { .dir = fs->opt.cache_dir,
		.loop = fs->loop,
		.pool = fs->pool,
		.ca_file = fs->opt.ca_file,
		.auth_file = fs->opt.auth_file,
		.insecure = fs->opt.insecure,
		.offline = fs->opt.offline,
		.fresh_s = fs->opt.fresh_s,
		.unpacker = unpacker,
		.verify_keys = (const char *const *)fs->opt.verify_keys,
		.quota = fs->opt.quota };
	err = cache_open(&options, &fs->cache, why);
	if (!err)
		err = add_registries(fs, why);
	if (!err)
		err = kernels_init(fs, why);
	cachedir_init(fs);
	searches_init(fs);
	if (!err)
		err = workspaces_init(fs, why);
	if (!err)
		err = ops_mount(fs, args, why);
	if (!err)
		err = run_init(fs, why);
	return err;
}

static void end(struct fs *fs)
{
	if (fs->run)
		run_free(fs);
	if (fs->workspaces)
		workspaces_free(fs);
	searches_free(fs);
	cachedir_free(fs);
	kernels_free(fs);
	ops_free(fs);
	if (fs->cache)
		cache_close(fs->cache);
	if (fs->pool)
		pool_free(fs->pool);
	if (fs->loop)
		loop_free(fs->loop);
}

/* Tells the waiting parent, and leaves its terminal. */
static int detach(struct fs *fs, int told_fd, struct why *why)
{
	int log = state_log(fs->state_fd, why);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (log < 0 || null < 0)
		return log < 0 ? log : why_fail_errno(why, -errno, "/dev/null");
	if (chdir("/"))
		return why_fail_errno(why, -errno, "/");
	setsid();
	log_to_fd(log);
	for (int fd = 0; fd <= 2; fd++)
		dup2(null, fd);
	close(null);
	log_info("%s: mounted", fs->opt.mountpoint);
	ssize_t n = write(told_fd, "", 1);
	(void)n; /* a parent that is gone needs no answer */
	close(told_fd);
	return 0;
}

static void log_check(void *arg)
{
	struct fs *fs = arg;
	struct stat st;
	if (!fstatat(fs->state_fd, "log", &st, 0) && st.st_size > 4 << 20) {
		int fd = state_log(fs->state_fd, NULL);
		if (fd >= 0)
			log_to_fd(fd);
	}
	loop_after(fs->loop, LOG_CHECK_MS, log_check, fs);
}

/* Returns the exit status. (told_fd) is -1 in the foreground. */
static int serve(struct fs *fs, struct fuse_args *args, int told_fd)
{
	struct why why = { 0 };
	struct signals s = { .fs = fs, .fd = block_signals() };
	int err = begin(fs, args, &why);
	if (!err && told_fd >= 0)
		err = detach(fs, told_fd, &why);
	if (err) {
		log_error("%s", why.text[0] ? why.text : err_text(err));
		end(fs);
		return 1;
	}
	struct watch *w = loop_watch(fs->loop, s.fd, EPOLLIN, signalled, &s);
	if (told_fd >= 0)
		loop_after(fs->loop, LOG_CHECK_MS, log_check, fs);
	loop_run(fs->loop);
	watch_remove(w);
	close(s.fd);
	end(fs);
	log_info("%s: ended", fs->opt.mountpoint);
	return 0;
}

static int wait_for_word(int fd)
{
	char c;
	ssize_t n;
	do
		n = read(fd, &c, 1);
	while (n < 0 && errno == EINTR);
	return n == 1 ? 0 : 1;
}

static int in_background(struct fs *fs, struct fuse_args *args)
{
	int p[2];
	if (pipe2(p, O_CLOEXEC)) {
		log_error("pipe: %s", err_text(errno));
		return 1;
	}
	pid_t pid = fork();
	if (pid < 0) {
		log_error("fork: %s", err_text(errno));
		return 1;
	}
	if (!pid) {
		close(p[0]);
		return serve(fs, args, p[1]);
	}
	close(p[1]);
	return wait_for_word(p[0]);
}

static void more_descriptors(void)
{
	struct rlimit r;
	if (!getrlimit(RLIMIT_NOFILE, &r) && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

static void options_free(struct fs_options *o)
{
	registries_free(&o->registries);
	free(o->ca_file);
	free(o->auth_file);
	free(o->sign_key);
	for (char **k = o->verify_keys; k && *k; k++)
		free(*k);
	free(o->verify_keys);
	free(o->mountpoint);
	free(o->cache_dir);
	free(o->state_dir);
	free(o->libexec_dir);
	free(o->qemu);
	free(o->bwrap);
}

int main(int argc, char **argv)
{
	struct fs fs = { .state_fd = -1, .uid = getuid(), .gid = getgid(), .mounted_at = time(NULL) };
	struct fuse_args args = { 0 };
	log_open("diverfs", LOG_LEVEL_INFO);
	if (argc > 1 && !strcmp(argv[1], "publish"))
		return publish_main(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "conform"))
		return conform_main(argc - 1, argv + 1);
	int status = options_parse(argc, argv, &fs.opt, &args);
	if (status < 0) {
		if (fs.opt.debug)
			log_open("diverfs", LOG_LEVEL_DEBUG);
		umask(022);
		more_descriptors();
		status = fs.opt.foreground ? serve(&fs, &args, -1) : in_background(&fs, &args);
	}
	fuse_opt_free_args(&args);
	options_free(&fs.opt);
	return status;
}
