/* SPDX-License-Identifier: MIT */
/*
 * workspace_lower.c: a writable tree over a directory of an artifact, copy on write.
 *
 * Below lies a real directory with one entry for each name. What was not changed is a placeholder: a symbolic
 * link whose target says which entry of the artifact it stands for. So renaming, removing and making are what
 * they always are, atomic and kept, with no list of what is gone; and two requests are all that is special:
 *
 *     a directory's placeholder, when it is first looked up, is changed for a directory of placeholders;
 *     a file's, when it is first written to, gets data of its own: data/ENTRY, a copy. The placeholder stays
 *     where it is: it is the file's identity, whatever it is renamed to
 *
 *     <dirfd>/tree   the names, made when they are first needed    data/   changed content    tmp/   being made
 *
 * data/ and tmp/ are emptied when tree/ is made, so what a crash leaves there never shows.
 */
#include "cache/base/buf.h"
#include "cache/base/io.h"
#include "fs/content.h"
#include "fs/kernels.h"
#include "fs/workspace_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TARGET_MAX 48

/* --- placeholders ------------------------------------------------------------------------------ */

uint32_t lower_of(int dirfd, const char *name)
{
	char target[TARGET_MAX], *end;
	ssize_t n = readlinkat(dirfd, name, target, sizeof(target) - 1);
	unsigned long index;

	if (n <= (ssize_t)strlen(LOWER_MARK) || memcmp(target, LOWER_MARK, strlen(LOWER_MARK)) != 0)
		return LOWER_NONE;
	target[n] = '\0';
	index = strtoul(target + strlen(LOWER_MARK), &end, 10);
	return *end || index >= LOWER_NONE ? LOWER_NONE : (uint32_t)index;
}

/* As a checkout would make it; link count and change time are the placeholder's. */
void lower_stat(const struct entry *e, struct stat *st)
{
	static const mode_t types[] = {
		[ENTRY_DIR] = S_IFDIR | 0755, [ENTRY_FILE] = S_IFREG | 0644, [ENTRY_LINK] = S_IFLNK | 0777
	};

	st->st_mode = types[e->type] | (e->type == ENTRY_FILE && e->mode & 0111 ? 0111 : 0);
	st->st_size = (off_t)e->size;
	st->st_blocks = (blkcnt_t)((e->size + 511) / 512);
	st->st_mtim = st->st_atim = (struct timespec){ .tv_sec = e->mtime };
}

void lower_data_name(uint32_t index, char out[LOWER_DATA_NAME])
{
	snprintf(out, LOWER_DATA_NAME, "data/%" PRIu32, index);
}

/* Attributes of what is copied, with the identity of its placeholder. */
static int stat_data(int fd, struct stat *st)
{
	struct stat name = *st;

	if (fstat(fd, st) < 0)
		return -errno;
	st->st_dev = name.st_dev;
	st->st_ino = name.st_ino;
	st->st_nlink = name.st_nlink;
	return 0;
}

int ws_stat(const struct ws_inode *in, struct stat *st)
{
	struct entry e;

	if (in->lower == LOWER_NONE)
		return fstat(in->fd, st) < 0 ? -errno : 0;
	if (fstat(in->fd_name >= 0 ? in->fd_name : in->fd, st) < 0)
		return -errno;
	if (in->fd_name >= 0)
		return stat_data(in->fd, st);
	if (!in->w->lower || view_entry(in->w->lower, in->lower, &e))
		return -EIO;
	lower_stat(&e, st);
	return 0;
}

/* --- tree/ ------------------------------------------------------------------------------------- */

/* A directory of placeholders, tmp/NAME, for what entry (index) holds. */
static int make_level(struct workspace *w, uint32_t index, const char *path)
{
	struct timespec times[2];
	char target[TARGET_MAX];
	struct entry dir, e;
	autoclose int fd = -1;

	if (view_entry(w->lower, index, &dir) || dir.type != ENTRY_DIR)
		return -EIO;
	if (mkdirat(w->dirfd, path, 0755) < 0)
		return -errno;
	fd = openat(w->dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (uint32_t i = 0; i < dir.child_count; i++) {
		if (view_entry(w->lower, dir.first_child + i, &e))
			return -EIO;
		/* the name's own number, also where it is a hard link: each is copied by itself */
		snprintf(target, sizeof(target), LOWER_MARK "%" PRIu32, dir.first_child + i);
		if (symlinkat(target, fd, e.name) < 0)
			return -errno;
	}
	times[0] = times[1] = (struct timespec){ .tv_sec = dir.mtime };
	futimens(fd, times);
	return 0;
}

static int make_tree(struct workspace *w)
{
	int err;

	if (faccessat(w->dirfd, w->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	err = io_remove_tree(w->dirfd, "data");
	if (!err)
		err = io_remove_tree(w->dirfd, "tmp");
	if (!err)
		err = io_mkdirs(w->dirfd, "data", 0700);
	if (!err)
		err = io_mkdirs(w->dirfd, "tmp", 0700);
	if (!err)
		err = make_level(w, w->lower_root, "tmp/root");
	if (!err && renameat(w->dirfd, "tmp/root", w->dirfd, w->name) < 0)
		err = -errno;
	return err;
}

int lower_make_tree(struct workspace *w)
{
	int err;

	if (!w->lower)
		return -EIO; /* it was said why: kernel_dir.c */
	pthread_mutex_lock(&w->lock);
	err = make_tree(w);
	pthread_mutex_unlock(&w->lock);
	return err;
}

/* Changes a directory's placeholder for the directory, unless another was faster. */
static int expand(struct workspace *w, int dirfd, const char *name, uint32_t index)
{
	char path[32];
	int err;

	if (lower_of(dirfd, name) != index)
		return 0;
	snprintf(path, sizeof(path), "tmp/d%" PRIu32, index);
	err = io_remove_tree(w->dirfd, path);
	if (!err)
		err = make_level(w, index, path);
	if (!err && renameat2(w->dirfd, path, dirfd, name, RENAME_EXCHANGE) < 0)
		err = -errno;
	if (err)
		io_remove_tree(w->dirfd, path);
	else
		unlinkat(w->dirfd, path, 0);
	return err;
}

/* What a placeholder stands for: completes (f), or changes it for a directory. */
int lower_find(struct workspace *w, int dirfd, const char *name, enum ws_find how, struct ws_found *f)
{
	uint32_t index = lower_of(f->fd, "");
	char data[LOWER_DATA_NAME];
	struct entry e;
	int err;

	if (index == LOWER_NONE)
		return 0; /* somebody's own link */
	if (!w->lower || view_entry(w->lower, index, &e))
		return -EIO;
	if (e.type == ENTRY_DIR && how == FIND_EXPAND) {
		pthread_mutex_lock(&w->lock);
		err = expand(w, dirfd, name, index);
		pthread_mutex_unlock(&w->lock);
		ws_found_close(f);
		return err ? err : ws_open_child(w, dirfd, name, FIND_AS_IS, f);
	}
	if (e.type == ENTRY_DIR && how == FIND_CACHED)
		return -EAGAIN;
	f->lower = index;
	lower_stat(&e, &f->st);
	if (e.type != ENTRY_FILE)
		return 0;
	lower_data_name(index, data);
	err = ws_open_path(w->dirfd, data, how == FIND_CACHED);
	if (err == -ENOENT)
		return 0;
	if (err < 0)
		return err;
	f->fd_name = f->fd;
	f->fd = err;
	return stat_data(f->fd, &f->st);
}

/* --- a name goes ------------------------------------------------------------------------------- */

uint32_t lower_last_name(int dirfd, const char *name)
{
	uint32_t index = lower_of(dirfd, name);
	struct stat st;

	if (index == LOWER_NONE || fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_nlink > 1)
		return LOWER_NONE;
	return index;
}

void lower_drop(struct workspace *w, uint32_t index)
{
	char data[LOWER_DATA_NAME];

	if (index == LOWER_NONE)
		return;
	lower_data_name(index, data);
	unlinkat(w->dirfd, data, 0);
}

/* --- a file becomes one's own ------------------------------------------------------------------ */

struct copy_up {
	struct fs *fs;
	struct workspace *w;
	struct ws_inode *in;
	struct ws_job *j; /* NULL: the deadline has answered; the copy goes on, for who asks again */
	struct timer *deadline;
	char tmp[32];
	bool empty; /* what is copied would be cut off at once */
	mode_t mode;
	int err, fd;
};

/* Only what is whole on the disk gets its name: after a power cut a file shows either content. */
static int place(struct copy_up *c)
{
	char data[LOWER_DATA_NAME];
	autoclose int fd = openat(c->w->dirfd, c->tmp,
		O_WRONLY | O_CLOEXEC | O_NOFOLLOW | (c->empty ? O_CREAT | O_EXCL : 0), c->mode);

	if (fd < 0 || fchmod(fd, c->mode) < 0 || fsync(fd) < 0)
		return -errno;
	lower_data_name(c->in->lower, data);
	if (renameat2(c->w->dirfd, c->tmp, c->w->dirfd, data, RENAME_NOREPLACE) < 0) {
		int err = errno == EEXIST ? 0 : -errno; /* another request did the same */

		unlinkat(c->w->dirfd, c->tmp, 0);
		if (err)
			return err;
	}
	c->fd = ws_open_path(c->w->dirfd, data, false);
	return c->fd < 0 ? c->fd : 0;
}

static void place_run(void *arg)
{
	struct copy_up *c = arg;

	c->err = place(c);
}

static void copy_up_end(struct copy_up *c)
{
	struct ws_job *j = c->j;

	timer_cancel(c->deadline);
	if (c->fd >= 0)
		close(c->fd);
	if (j && c->err) {
		j->err = c->err;
		ws_job_done(j);
	} else if (j) {
		j->fd_in = c->in->fd;
		ws_job_submit(j);
	}
	ws_inode_put(c->in);
	ws_put(c->w);
	free(c);
}

static void placed(void *arg)
{
	struct copy_up *c = arg;

	if (!c->err && c->in->fd_name < 0)
		c->err = ws_fd_take(c->fs);
	else if (!c->err)
		goto end; /* it has one meanwhile */
	if (!c->err) {
		c->in->fd_name = c->in->fd;
		c->in->fd = io_steal(&c->fd);
	}
end:
	copy_up_end(c);
}

static void submit_place(struct copy_up *c)
{
	c->err = -ECANCELED;
	pool_submit(c->fs->pool, place_run, placed, c);
}

static void copied(void *arg, int err, const struct why *why)
{
	struct copy_up *c = arg;

	if (!err) {
		submit_place(c);
		return;
	}
	log_error("kernel/: cannot copy a file of %s:%s: %s", view_name(c->w->lower), view_tag(c->w->lower),
		why && why->text[0] ? why->text : err_text(err));
	c->err = cache_errno(err);
	copy_up_end(c);
}

static void copy_late(void *arg)
{
	struct copy_up *c = arg;
	struct ws_job *j = c->j;

	c->deadline = NULL;
	c->j = NULL;
	log_error("kernel/: the content of a file of %s:%s did not come within %d s", view_name(c->w->lower),
		view_tag(c->w->lower), LOOKUP_DEADLINE_MS / 1000);
	j->err = -ETIMEDOUT;
	ws_job_done(j);
}

void lower_copy_up(struct ws_job *j)
{
	struct workspace *w = j->w;
	struct copy_up *c;
	struct entry e;
	struct stat st;

	if (!w->lower || view_entry(w->lower, j->in->lower, &e)) {
		j->err = -EIO;
		ws_job_done(j);
		return;
	}
	lower_stat(&e, &st);
	c = xcalloc(1, sizeof(*c));
	c->fs = w->fs;
	c->w = w;
	w->refs++;
	c->in = j->in;
	c->in->refs++;
	c->j = j;
	c->empty = j->empties;
	c->mode = st.st_mode & 07777;
	c->fd = -1;
	snprintf(c->tmp, sizeof(c->tmp), "tmp/f%" PRIu64, ++w->copies);
	if (c->empty) {
		submit_place(c);
		return;
	}
	c->deadline = loop_after(w->fs->loop, LOOKUP_DEADLINE_MS, copy_late, c);
	view_checkout(w->lower, c->in->lower, w->dirfd, c->tmp, copied, c);
}

/* --- the workspace ----------------------------------------------------------------------------- */

struct workspace *workspace_new_over(struct fs *fs, int dirfd)
{
	struct workspace *w = workspace_new(fs, dirfd, "tree", true);

	w->over = true;
	return w;
}

struct view *workspace_lower(const struct workspace *w)
{
	return w->lower;
}

void workspace_set_lower(struct workspace *w, struct view *v, uint32_t index)
{
	if (!w->lower) {
		w->lower = view_get(v);
		w->lower_root = index;
	}
	workspace_thaw(w);
}

/* Before the names are made the root looks as it will. */
void lower_root_attr(const struct workspace *w, struct attr *out)
{
	struct entry e;

	ws_attr_empty(w, out);
	if (w->lower && view_entry(w->lower, w->lower_root, &e) == 0)
		out->mtime.tv_sec = e.mtime;
}
