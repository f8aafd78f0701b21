/* SPDX-License-Identifier: MIT */
/*
 * modes.c: the table of modes, and the probe. The answer of a probe is kept with a key of what it depended
 * on; an answer "no" is not kept, because the user will do something about it.
 */
#include "fs/modes.h"

#include "cache/base/conf.h"
#include "cache/base/io.h"
#include "deployers/deploy.h"
#include "fs/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROBE_MAX_BYTES 8192
#define PROBE_MS	30000
#define PROBE_END_MS	5000 /* from SIGTERM to SIGKILL: it removes what it made */

static const struct {
	const char *program; /* NULL: not in this version */
	const char *why;
	int probed_as;	   /* whose probe answers for it, and whose program has --probe */
	const char *wants; /* a kernel that a registry must have, unless config names another */
} table[MODE_COUNT] = {
	[MODE_FULLVM] = { "diverfs-fullvm", NULL, MODE_FULLVM, NULL },
	[MODE_SPLITVM] = { "diverfs-splitvm", NULL, MODE_FULLVM, "ros" },
	[MODE_SPLITHW] = { NULL, "not part of this version", MODE_SPLITHW, NULL },
};

struct waiter {
	struct waiter *next;
	void (*fn)(void *arg);
	void *arg;
};

struct probe { /* of one mode */
	struct modes *modes;
	int mode;
	bool known, available;
	char *with, *version, *why; /* never NULL once known */
	struct waiter *waiters;
	/* while it runs */
	pid_t pid; /* 0: it does not */
	int fd;
	struct watch *out, *child;
	struct timer *limit;
	struct buf text;
	int status;
	bool ended, timed_out;
};

struct modes {
	struct fs *fs;
	bool wanted[MODE_COUNT]; /* table.wants was there when last looked for */
	char wanted_why[256];	 /* why that could not be told; "" */
	struct probe probes[MODE_COUNT];
};

/* --- the answer -------------------------------------------------------------------------------- */

static void set_text(char **to, const char *text)
{
	free(*to);
	*to = xstrdup(text);
}

static int take_key(void *arg, unsigned line, const char *key, const char *value, struct why *why)
{
	struct probe *p = arg;

	(void)line;
	(void)why;
	if (strcmp(key, PROBE_AVAILABLE) == 0)
		p->available = strcmp(value, "yes") == 0;
	else if (strcmp(key, PROBE_WITH) == 0)
		set_text(&p->with, value);
	else if (strcmp(key, PROBE_VERSION) == 0)
		set_text(&p->version, value);
	else if (strcmp(key, PROBE_WHY) == 0)
		set_text(&p->why, value);
	return 0;
}

static void forget_answer(struct probe *p)
{
	p->known = p->available = false;
	set_text(&p->with, "");
	set_text(&p->version, "");
	set_text(&p->why, "");
}

static void tell_waiters(struct probe *p)
{
	struct waiter *w = p->waiters;

	p->waiters = NULL;
	while (w) {
		struct waiter *next = w->next;

		w->fn(w->arg);
		free(w);
		w = next;
	}
}

/* --- what it depends on ------------------------------------------------------------------------ */

static void put_file(struct buf *key, const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0)
		buf_printf(key, "%s %llu %lld.%09ld ", path, (unsigned long long)st.st_size,
			(long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	else
		buf_printf(key, "%s missing ", path);
}

static void put_program(struct buf *key, const char *program)
{
	const char *path = getenv("PATH");

	if (strchr(program, '/')) {
		put_file(key, program);
		return;
	}
	while (path && *path) {
		size_t n = strcspn(path, ":");
		autofree char *full = xasprintf("%.*s/%s", (int)n, path, program);

		if (access(full, X_OK) == 0) {
			put_file(key, full);
			return;
		}
		path += n + (path[n] == ':');
	}
	buf_printf(key, "%s missing ", program);
}

static char *probe_key(const struct probe *p)
{
	struct fs *fs = p->modes->fs;
	autobuf struct buf key = { 0 }, boot = { 0 };
	autofree char *program = xasprintf("%s/%s", fs->opt.libexec_dir, table[p->mode].program);
	struct utsname u;

	uname(&u);
	io_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &boot);
	boot.len = boot.data ? strcspn(boot.data, "\n") : 0;
	buf_printf(&key, "%s %.*s kvm %d ", u.release, (int)boot.len, boot.len ? boot.data : "",
		access("/dev/kvm", R_OK | W_OK) == 0);
	put_program(&key, fs->opt.qemu);
	put_file(&key, program);
	return buf_steal(&key);
}

static char *kept_name(const struct probe *p)
{
	return xasprintf("probe.%s", kernel_mode_names[p->mode]);
}

/* First line: "# " and the key. */
static bool load_kept(struct probe *p)
{
	autofree char *name = kept_name(p), *key = probe_key(p);
	autobuf struct buf text = { 0 };
	size_t n = strlen(key);

	if (io_read_file(p->modes->fs->state_fd, name, PROBE_MAX_BYTES, &text) || text.len < n + 3)
		return false;
	if (strncmp(text.data, "# ", 2) || strncmp(text.data + 2, key, n) || text.data[n + 2] != '\n')
		return false;
	if (conf_parse(text.data, text.len, take_key, p, NULL) || !p->available) {
		forget_answer(p);
		return false;
	}
	p->known = true;
	return true;
}

static void keep(struct probe *p)
{
	autofree char *name = kept_name(p), *key = probe_key(p);
	autobuf struct buf text = { 0 };

	buf_printf(&text, "# %s\n", key);
	buf_append(&text, p->text.data, p->text.len);
	io_write_file(p->modes->fs->state_fd, name, text.data, text.len, 0600, false);
}

/* --- running it -------------------------------------------------------------------------------- */

static void probe_finish(void *arg)
{
	struct probe *p = arg;
	struct why why = { 0 };
	int err;

	timer_cancel(p->limit);
	watch_remove(p->child);
	p->limit = NULL;
	p->child = NULL;
	p->pid = 0;
	err = conf_parse(p->text.data ? p->text.data : "", p->text.len, take_key, p, &why);
	if (p->timed_out || err || !(WIFEXITED(p->status) && WEXITSTATUS(p->status) == 0))
		p->available = false;
	if (!p->available && !*p->why)
		set_text(&p->why, p->timed_out ? "the probe did not end in time"
				  : err	       ? why.text
					       : "the probe failed without a word");
	if (p->available)
		keep(p);
	buf_free(&p->text);
	p->known = true;
	log_info("%s: %s %s%s%s", kernel_mode_names[p->mode], p->available ? "available with" : "unavailable",
		p->with, *p->why ? ": " : "", p->why);
	tell_waiters(p);
}

static void probe_over(struct probe *p)
{
	if (p->ended && !p->out)
		loop_defer(p->modes->fs->loop, probe_finish, p);
}

static void probe_output(void *arg, uint32_t events)
{
	struct probe *p = arg;
	char piece[1024];
	ssize_t n = read(p->fd, piece, sizeof(piece));

	(void)events;
	if (n > 0 && p->text.len + (size_t)n <= PROBE_MAX_BYTES) {
		buf_append(&p->text, piece, (size_t)n);
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	watch_remove(p->out);
	p->out = NULL;
	close(p->fd);
	probe_over(p);
}

static void probe_ended(void *arg, pid_t pid, int status)
{
	struct probe *p = arg;

	(void)pid;
	p->status = status;
	p->ended = true;
	probe_over(p);
}

static void probe_late(void *arg)
{
	struct probe *p = arg;

	p->limit = NULL;
	p->timed_out = true;
	if (!p->ended)
		syscall(SYS_pidfd_send_signal, watch_pidfd(p->child), SIGKILL, NULL, 0);
	if (p->out) { /* a grandchild may hold the pipe */
		watch_remove(p->out);
		p->out = NULL;
		close(p->fd);
		probe_over(p);
	}
}

static int probe_spawn(struct probe *p, const char *path, int out)
{
	struct fs *fs = p->modes->fs;
	autofree char *kernel = xasprintf("%s/probe.elf", fs->opt.libexec_dir);
	char *argv[] = { (char *)path, "--probe", "--qemu", fs->opt.qemu, "--kernel", kernel, NULL };
	posix_spawn_file_actions_t fa;
	int err;

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, out, 1);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0);
	err = launch_spawn(argv, &fa, &p->pid);
	posix_spawn_file_actions_destroy(&fa);
	return err;
}

/* Could not even start: told like any other answer, later. */
static void probe_refused(struct probe *p, const char *path, int err)
{
	autofree char *words = xasprintf("cannot start %s: %s", path, err_text(err));

	p->pid = -1;
	p->status = 0;
	set_text(&p->why, words);
	loop_defer(p->modes->fs->loop, probe_finish, p);
}

static void probe_start(struct probe *p)
{
	struct fs *fs = p->modes->fs;
	autofree char *path = xasprintf("%s/%s", fs->opt.libexec_dir, table[p->mode].program);
	int pipes[2], err;

	forget_answer(p);
	p->ended = p->timed_out = false;
	buf_clear(&p->text);
	if (pipe2(pipes, O_CLOEXEC) < 0) {
		probe_refused(p, path, -errno);
		return;
	}
	err = probe_spawn(p, path, pipes[1]);
	close(pipes[1]);
	if (err) {
		close(pipes[0]);
		probe_refused(p, path, err);
		return;
	}
	p->fd = pipes[0];
	io_set_nonblock(p->fd, true);
	p->out = loop_watch(fs->loop, p->fd, EPOLLIN, probe_output, p);
	p->child = loop_child(fs->loop, p->pid, probe_ended, p);
	p->limit = loop_after(fs->loop, PROBE_MS, probe_late, p);
}

/* --- the public face --------------------------------------------------------------------------- */

struct modes *modes_new(struct fs *fs)
{
	struct modes *m = xcalloc(1, sizeof(*m));

	m->fs = fs;
	for (int i = 0; i < MODE_COUNT; i++) {
		struct probe *p = &m->probes[i];

		p->modes = m;
		p->mode = i;
		forget_answer(p);
		p->known = !table[i].program;
		if (p->known)
			set_text(&p->why, table[i].why);
		else if (table[i].probed_as == i && !load_kept(p))
			probe_start(p);
	}
	return m;
}

/* Waits for its end: it has a directory and a machine to remove. */
static void probe_cut_short(struct probe *p)
{
	int fd = p->child ? watch_pidfd(p->child) : -1;
	struct pollfd ended = { .fd = fd, .events = POLLIN };

	if (fd < 0)
		return;
	syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0);
	if (poll(&ended, 1, PROBE_END_MS) == 0)
		syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
}

void modes_free(struct modes *m)
{
	for (int i = 0; m && i < MODE_COUNT; i++) {
		struct probe *p = &m->probes[i];

		probe_cut_short(p);
		if (p->out)
			close(p->fd);
		watch_remove(p->out);
		watch_remove(p->child);
		timer_cancel(p->limit);
		buf_free(&p->text);
		while (p->waiters) {
			struct waiter *w = p->waiters;

			p->waiters = w->next;
			free(w);
		}
		free(p->with);
		free(p->version);
		free(p->why);
	}
	free(m);
}

const char *mode_program(int mode)
{
	return table[mode].program;
}

/* The probe that answers for (mode). */
static struct probe *probe_of(struct modes *m, int mode)
{
	return &m->probes[table[mode].probed_as];
}

void modes_text(struct modes *m, struct buf *out)
{
	for (int i = 0; i < MODE_COUNT; i++) {
		const struct probe *p = probe_of(m, i);

		buf_printf(out, "%s ", kernel_mode_names[i]);
		if (p->known && p->available && table[i].wants && !m->wanted[i])
			buf_printf(out,
				"unavailable (no registry has the kernel %s, the regular OS beside which "
				"others "
				"run%s%s; make %s in the sources of diverfs makes it, or give ros = NAME)\n",
				table[i].wants, m->wanted_why[0] ? ": " : "", m->wanted_why, table[i].wants);
		else if (!p->known)
			buf_puts(out, "unknown (being found out: a small kernel is booted)\n");
		else if (!p->available)
			buf_printf(out, "unavailable (%s)\n", p->why);
		else
			buf_printf(out, "available %s (%s%s%s)\n", p->with, p->version, *p->why ? "; " : "",
				p->why);
	}
}

void modes_wait(struct modes *m, int mode, void (*fn)(void *arg), void *arg)
{
	struct probe *p = probe_of(m, mode);
	struct waiter *w;

	/* What did not work may have been mended: look again, once per deploy. */
	if (p->known && !p->available && table[p->mode].program && !p->pid)
		probe_start(p);
	if (p->known) {
		loop_defer(m->fs->loop, fn, arg);
		return;
	}
	w = xcalloc(1, sizeof(*w));
	w->fn = fn;
	w->arg = arg;
	w->next = p->waiters;
	p->waiters = w;
}

struct look {
	struct modes *m;
	void (*done)(void *arg);
	void *arg;
};

static void names_known(void *arg, int err, const struct why *why, struct names *names)
{
	struct look *l = arg;

	snprintf(l->m->wanted_why, sizeof(l->m->wanted_why), "%.250s", err ? why->text : "");
	for (int mode = 0; mode < MODE_COUNT; mode++) {
		l->m->wanted[mode] = false;
		for (uint32_t i = 0; !err && table[mode].wants && i < names_count(names); i++)
			if (strcmp(names_at(names, i)->name, table[mode].wants) == 0)
				l->m->wanted[mode] = true;
	}
	if (!err)
		names_put(names);
	l->done(l->arg);
	free(l);
}

void modes_look(struct modes *m, void (*done)(void *arg), void *arg)
{
	struct look *l = xmalloc(sizeof(*l));

	*l = (struct look){ m, done, arg };
	cache_names(m->fs->cache, names_known, l);
}

static bool has_word(const char *words, const char *word)
{
	size_t n = strlen(word);

	for (const char *s = words; (s = strstr(s, word)); s += n)
		if ((s == words || s[-1] == ' ') && (!s[n] || s[n] == ' '))
			return true;
	return false;
}

int modes_accel(struct modes *m, int mode, const char *wanted, const char **accel, struct why *why)
{
	const struct probe *p = probe_of(m, mode);

	if (!table[mode].program)
		return why_fail(why, -EOPNOTSUPP, "%s is unavailable here: %s", kernel_mode_names[mode],
			table[mode].why);
	if (!p->available)
		return why_fail(
			why, -EOPNOTSUPP, "%s is unavailable here: %s", kernel_mode_names[mode], p->why);
	if (strcmp(wanted, "auto") == 0) {
		*accel = has_word(p->with, "kvm") ? "kvm" : "tcg";
		return 0;
	}
	if (!has_word(p->with, wanted))
		return why_fail(why, -EOPNOTSUPP, "accel = %s does not work here: %s (try accel = auto)",
			wanted, p->why);
	*accel = has_word("kvm", wanted) ? "kvm" : "tcg";
	return 0;
}
