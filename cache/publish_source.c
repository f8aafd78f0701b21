/* SPDX-License-Identifier: MIT */
/* publish_source.c: walks src/ and feeds the writer of layers. */
#include "cache/publish_source.h"

#include "cache/base/io.h"
#include "cache/limits.h"
#include "cache/publish_walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void publish_meter_add(struct publish_meter *m, const char *what, uint64_t bytes)
{
	m->done += bytes;
	if (m->fn)
		m->fn(m->arg, what, m->done, m->total);
}

void publish_sums_add(struct publish_sums *s, char type, const char *path, uint64_t size)
{
	if (s->count == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 64;
		s->list = xrealloc(s->list, s->cap * sizeof(*s->list));
	}
	s->list[s->count++] = (struct publish_sum){ xstrdup(path), size, type };
}

void publish_sums_free(struct publish_sums *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->list[i].path);
	free(s->list);
	memset(s, 0, sizeof(*s));
}

#define BUCKETS 4096

struct first_name { /* of a file with several names */
	struct first_name *next;
	dev_t dev;
	ino_t ino;
	char *path;
};

struct source {
	struct layer_writer *writer;
	struct publish_sums *sums;
	struct publish_meter *meter;
	struct first_name *links[BUCKETS]; /* by inode number */
};

static void free_links(struct source *s)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct first_name *f = s->links[i], *next; f; f = next) {
			next = f->next;
			free(f->path);
			free(f);
		}
	}
}

/* The path under which this file was written already; NULL: now is the first time. */
static const char *seen_before(struct source *s, const struct walk_item *item)
{
	struct first_name **bucket = &s->links[item->st.st_ino % BUCKETS], *f = *bucket;
	if (item->st.st_nlink < 2)
		return NULL;
	while (f && (f->ino != item->st.st_ino || f->dev != item->st.st_dev))
		f = f->next;
	if (f)
		return f->path;
	f = xmalloc(sizeof(*f));
	*f = (struct first_name){ *bucket, item->st.st_dev, item->st.st_ino, xstrdup(item->path) };
	*bucket = f;
	return NULL;
}

static int put_file(struct source *s, const struct walk_item *item, struct why *why)
{
	const char *first = seen_before(s, item);
	if (first)
		return layer_put_hard(s->writer, item->path, first, why);
	autoclose int fd = openat(item->dirfd, item->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return why_fail_errno(why, -errno, "%s", item->path);
	int err = layer_put_file(
		s->writer, item->path, item->st.st_mode & 0111, fd, (uint64_t)item->st.st_size, why);
	publish_meter_add(s->meter, item->path, (uint64_t)item->st.st_size);
	return err;
}

static int put_link(struct source *s, const struct walk_item *item, uint64_t *size, struct why *why)
{
	char target[MAX_PATH_LEN];
	ssize_t n = readlinkat(item->dirfd, item->name, target, sizeof(target) - 1);
	if (n < 0)
		return why_fail_errno(why, -errno, "%s", item->path);
	target[n] = 0;
	*size = (uint64_t)n;
	return layer_put_link(s->writer, item->path, target, why);
}

static int put_item(void *arg, const struct walk_item *item, struct why *why)
{
	struct source *s = arg;
	uint64_t size = (uint64_t)item->st.st_size;
	char type = 'f';
	int err;
	if (S_ISREG(item->st.st_mode)) {
		err = put_file(s, item, why);
	} else if (S_ISDIR(item->st.st_mode)) {
		type = 'd';
		err = layer_put_dir(s->writer, item->path, why);
	} else if (S_ISLNK(item->st.st_mode)) {
		type = 'l';
		err = put_link(s, item, &size, why);
	} else {
		err = why_fail(why, -EINVAL,
			"%s: only files, directories and symbolic links can be published", item->path);
	}
	autofree char *path = xasprintf("src/%s", item->path);
	publish_sums_add(s->sums, type, path, size);
	return err;
}

int publish_source(int dirfd, int to, int level, struct publish_sums *sums, struct publish_meter *meter,
	struct layer_written *out, struct why *why)
{
	struct source s = { .sums = sums, .meter = meter };
	s.writer = layer_writer_new(to, level);
	int err = walk_directory(dirfd, "src", put_item, &s, why);
	if (!err)
		err = layer_writer_finish(s.writer, out, why);
	free_links(&s);
	layer_writer_free(s.writer);
	return err;
}
