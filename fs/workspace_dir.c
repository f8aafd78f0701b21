/* SPDX-License-Identifier: MIT */
/*
 * workspace_dir.c: listings.
 *
 * Positions are those of the file system below (d_off), so they stay right while entries come and go. What
 * one getdents gave is kept with the open directory, since a reply has room for less.
 */
#include "cache/base/buf.h"
#include "cache/base/io.h"
#include "fs/workspace_inner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DENTS_SIZE  32768
#define ENTRY_PLAIN 24 /* bytes of a reply, besides the name */
#define ENTRY_PLUS  152

struct ws_dent {
	char *name;
	uint64_t next;
	ino_t ino;
	mode_t type;
	struct ws_found found; /* when attributes are wanted */
};

static bool is_dots(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

/* --- open --- */

static int work_opendir(struct ws_job *j)
{
	if (!S_ISDIR(j->in->type))
		return -ENOTDIR;
	j->fd = ws_reopen(j->fd_in, O_RDONLY | O_DIRECTORY);
	return j->fd < 0 ? j->fd : 0;
}

static void finish_opendir(struct ws_job *j)
{
	bool empty = j->err == -ENOENT && j->in->b == INODE_ROOT; /* there is none yet */
	struct ws_handle *h = NULL;

	if ((!j->err || empty) && j->w->fs->workspaces) {
		h = ws_handle_new(j->w, j->in, j->fd);
		j->err = h ? 0 : -ENFILE;
	}
	if (!h) {
		reply_err(j->req, j->err);
		return;
	}
	io_steal(&j->fd);
	j->fi.fh = (uintptr_t)h;
	reply_opendir(j->req, (struct node){ NODE_SRC, j->w->a, j->in->b }, &j->fi);
}

void ws_opendir(struct fs *fs, fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	struct workspace *w;
	struct ws_inode *in = ws_node(fs, req, n, &w);
	struct ws_job *j;

	if (!in)
		return;
	j = ws_job_new(req, w, in);
	j->fi = *fi;
	ws_job_start(j, work_opendir, finish_opendir);
}

void ws_releasedir(struct fs *fs, struct node n, struct fuse_file_info *fi)
{
	(void)fs;
	(void)n;
	ws_handle_close(ws_handle_of(fi));
}

/* --- read, in the pool --- */

/* More entries into h->dents: 1, 0 at the end, or -errno. */
static int fill(struct ws_handle *h)
{
	ssize_t n;

	if (h->dents_pos < h->dents_len)
		return 1;
	if (!h->dents)
		h->dents = xmalloc(DENTS_SIZE);
	h->dents_pos = h->dents_len = 0;
	n = getdents64(h->fd, h->dents, DENTS_SIZE);
	if (n < 0)
		return -errno;
	h->dents_len = n;
	return n > 0;
}

static int seek_to(struct ws_handle *h, uint64_t off)
{
	if (off && off == h->dents_next)
		return 0;
	h->dents_pos = h->dents_len = 0;
	h->dents_next = off;
	return lseek(h->fd, off, SEEK_SET) < 0 ? -errno : 0;
}

/* A name that cannot be opened now (too many descriptors) is listed without attributes. */
static void add_dent(struct ws_job *j, const struct dirent64 *e)
{
	struct ws_dent d = { .next = e->d_off, .ino = e->d_ino, .found = WS_FOUND_NONE };
	bool asks = j->flags || (j->w->over && e->d_type == DT_LNK);
	int err;

	d.type = DTTOIF(e->d_type);
	if (asks && !is_dots(e->d_name)) {
		err = ws_open_child(j->w, j->fd_in, e->d_name, FIND_AS_IS, &d.found);
		if (err == -ENOENT || err == -EXDEV)
			return; /* removed since; or a mount below, which is not shown */
		if (!err)
			d.type = d.found.st.st_mode & S_IFMT;
	}
	/* a directory that is still a placeholder becomes another inode when it is looked up */
	if (!j->flags || (d.found.lower != LOWER_NONE && S_ISDIR(d.type)))
		ws_found_close(&d.found);
	d.name = xstrdup(e->d_name);
	j->dents = xrealloc(j->dents, (j->ndents + 1) * sizeof(d));
	j->dents[j->ndents++] = d;
}

static int read_dents(struct ws_job *j)
{
	struct ws_handle *h = j->h;
	size_t room = j->size;
	int more, err = seek_to(h, j->off);

	if (err)
		return err;
	while ((more = fill(h)) > 0) {
		const struct dirent64 *e = (void *)(h->dents + h->dents_pos);
		size_t need = (j->flags ? ENTRY_PLUS : ENTRY_PLAIN) + strlen(e->d_name);

		if (need > room)
			return 0;
		add_dent(j, e);
		room -= need;
		h->dents_pos += e->d_reclen;
		h->dents_next = e->d_off;
	}
	return more;
}

static int work_readdir(struct ws_job *j)
{
	int err;

	pthread_mutex_lock(&j->h->lock);
	err = read_dents(j);
	pthread_mutex_unlock(&j->h->lock);
	return err;
}

/* --- reply, on the loop --- */

/* Each returns false if there was no room. */
static bool add_plain(struct ws_job *j, struct ws_dent *d)
{
	struct ws_inode *in = is_dots(d->name) ? j->in : ws_inode_by_id(j->w, j->in->dev, d->ino);
	struct attr a;

	ws_attr(j->w, in ? in->b : INODE_UNKNOWN, &(struct stat){ .st_mode = d->type }, &a);
	a.nlink = 0; /* not told to the kernel as a lookup */
	return listing_add(j->listing, d->name, &a, d->next, NULL);
}

static bool add_plus(struct ws_job *j, struct ws_dent *d)
{
	struct ws_inode *in;
	struct attr a;
	bool plus = false, fits;
	struct stat st = d->found.st;

	if (ws_intern(j->in, d->name, &d->found, &in) < 0)
		return add_plain(j, d);
	ws_attr(j->w, in->b, &st, &a);
	fits = listing_add(j->listing, d->name, &a, d->next, &plus);
	in->nlookup += plus;
	ws_inode_forget(in, 0);
	return fits;
}

static void finish_readdir(struct ws_job *j)
{
	bool room = true;

	if (!j->err && j->in->stale)
		j->err = -ESTALE;
	for (size_t i = 0; i < j->ndents; i++) {
		struct ws_dent *d = &j->dents[i];

		if (room && !j->err)
			room = d->found.fd >= 0 ? add_plus(j, d) : add_plain(j, d);
		ws_found_close(&d->found);
		free(d->name);
	}
	free(j->dents);
	if (j->err) {
		listing_free(j->listing);
		reply_err(j->req, j->err);
	} else {
		reply_listing(j->req, j->listing);
	}
}

static void reply_empty(fuse_req_t req, struct workspace *w, uint64_t off, struct listing *l)
{
	struct attr a;

	ws_attr_empty(w, &a);
	if (off < 1)
		listing_add(l, ".", &a, 1, NULL);
	if (off < 2)
		listing_add(l, "..", &a, 2, NULL);
	reply_listing(req, l);
}

void ws_readdir(struct fs *fs, fuse_req_t req, struct node n, uint64_t off, struct listing *l,
	struct fuse_file_info *fi)
{
	struct ws_handle *h = ws_handle_of(fi);
	struct ws_job *j;
	bool plus = false;

	(void)fs;
	(void)n;
	if (h->fd < 0) {
		reply_empty(req, h->w, off, l);
		return;
	}
	j = ws_job_new(req, h->w, h->in);
	ws_job_handle(j, h);
	j->off = off;
	j->size = listing_room(l, &plus);
	j->flags = plus;
	j->listing = listing_keep(l);
	ws_job_start(j, work_readdir, finish_readdir);
}
