/* SPDX-License-Identifier: MIT */
/*
 * pack.c: marks are read through a mapping and written with pwrite, because writing through a mapping to a
 * disk that is full ends in SIGBUS.
 */
#include "cache/pack.h"

#include "cache/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <xxhash.h>

/* A read-only mapping of a pack's marks. One that was replaced stays until the pack is closed: a reader may still
 * look at it, without a lock. */
struct marks {
	struct marks *before;
	const _Atomic uint64_t *mark;
};

struct pack {
	int dirfd;
	char name[DIGEST_HEX_LEN + 1];
	struct digest id;
	uint64_t size;
	uint32_t count;
	pthread_mutex_t lock;	      /* who writes, seals or replaces */
	int fd, have_fd;	      /* -1: nothing is kept. Replaced by dup2, so readers need no lock */
	_Atomic(struct marks *) have; /* NULL with fd -1 */
	_Atomic uint8_t *checked;     /* a bit a chunk */
	_Atomic bool told;	      /* that the disk is full */
};

static size_t have_len(const struct pack *p)
{
	return ((size_t)p->count * 8 + 4095) / 4096 * 4096;
}

static int open_sized(int dirfd, const char *name, uint64_t size)
{
	autoclose int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	struct stat st;
	if (fd < 0 && errno == EACCES) /* sealed, and we are not root */
		fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	if ((uint64_t)st.st_size != size && ftruncate(fd, (off_t)size) < 0)
		return -errno;
	return io_steal(&fd);
}

/* A mapping of a hole ends in SIGBUS on a full disk, even when it is only read (tmpfs). */
static int open_whole(int dirfd, const char *name, uint64_t size)
{
	autoclose int fd = open_sized(dirfd, name, size);
	struct stat st;
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_blocks * 512 < size) {
		int err = posix_fallocate(fd, 0, (off_t)size);
		if (err)
			return -err;
	}
	return io_steal(&fd);
}

/* Opens both files and maps the marks. */
static int attach(struct pack *p, int fds[2])
{
	char have[DIGEST_HEX_LEN + 8];
	snprintf(have, sizeof(have), "%s.have", p->name);
	autoclose int fd = open_sized(p->dirfd, p->name, p->size);
	if (fd < 0)
		return fd;
	autoclose int have_fd = open_whole(p->dirfd, have, have_len(p));
	if (have_fd < 0)
		return have_fd;
	void *map = mmap(NULL, have_len(p), PROT_READ, MAP_SHARED, have_fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	struct marks *m = xmalloc(sizeof(*m));
	*m = (struct marks){ .before = p->have, .mark = map };
	p->have = m;
	fds[0] = io_steal(&fd);
	fds[1] = io_steal(&have_fd);
	return 0;
}

struct pack *pack_open(int dirfd, const struct tree_layer *layer)
{
	struct pack *p = xcalloc(1, sizeof(*p));
	int fds[2] = { -1, -1 };
	p->dirfd = dirfd;
	p->id = layer->pack;
	p->size = layer->pack_size;
	p->count = layer->chunk_count;
	digest_hex(&p->id, p->name);
	pthread_mutex_init(&p->lock, NULL);
	p->checked = xcalloc(p->count / 8 + 1, 1);
	if (p->count > 0) {
		int err = attach(p, fds);
		if (err < 0)
			log_warn("cache: pack %s is not kept: %s", p->name, err_text(err));
	}
	p->fd = fds[0];
	p->have_fd = fds[1];
	return p;
}

void pack_close(struct pack *p)
{
	if (!p)
		return;
	for (struct marks *m = p->have, *before; m; m = before) {
		before = m->before;
		munmap((void *)m->mark, have_len(p));
		free(m);
	}
	if (p->fd >= 0)
		close(p->fd);
	if (p->have_fd >= 0)
		close(p->have_fd);
	pthread_mutex_destroy(&p->lock);
	free((void *)p->checked);
	free(p);
}

const struct digest *pack_id(const struct pack *p)
{
	return &p->id;
}

static uint64_t mark_of(const void *data, size_t len)
{
	uint64_t x = XXH3_64bits(data, len);
	return x ? x : 1;
}

static bool is_checked(const struct pack *p, uint32_t i)
{
	return p->checked[i / 8] >> (i % 8) & 1;
}

static void set_checked(struct pack *p, uint32_t i)
{
	atomic_fetch_or(&p->checked[i / 8], (uint8_t)(1u << (i % 8)));
}

/* 0: the chunk is not here. */
static uint64_t mark_at(const struct pack *p, uint32_t i)
{
	const struct marks *m = p->have;
	return m ? m->mark[i] : 0;
}

bool pack_has(const struct pack *p, uint32_t i)
{
	return mark_at(p, i) != 0;
}

static int set_mark(struct pack *p, uint32_t i, uint64_t mark)
{
	return io_pwrite_full(p->have_fd, &mark, sizeof(mark), (uint64_t)i * 8);
}

static int read_now(int fd, void *buf, size_t len, uint64_t off)
{
	size_t done = 0;
	while (done < len) {
		struct iovec iov = { (char *)buf + done, len - done };
		ssize_t n = preadv2(fd, &iov, 1, (off_t)(off + done), RWF_NOWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EAGAIN; /* also where RWF_NOWAIT is not supported: then the pool reads */
		done += (size_t)n;
	}
	return 0;
}

static void found_damaged(struct pack *p, uint32_t i)
{
	log_warn("cache: chunk %u of pack %s is damaged and is fetched again", i, p->name);
	pthread_mutex_lock(&p->lock);
	set_mark(p, i, 0);
	pthread_mutex_unlock(&p->lock);
}

int pack_get(struct pack *p, uint32_t i, const struct tree_chunk *c, void *buf, bool now)
{
	if (!pack_has(p, i))
		return -ENOENT;
	uint64_t mark = mark_at(p, i);
	if (now) {
		int err = read_now(p->fd, buf, c->raw, c->pack_off);
		if (err)
			return err;
	} else if (io_pread_full(p->fd, buf, c->raw, c->pack_off) != (ssize_t)c->raw) {
		found_damaged(p, i);
		return -ENOENT;
	}
	if (is_checked(p, i))
		return 0;
	if (mark_of(buf, c->raw) != mark) {
		if (now)
			return -EAGAIN; /* the pool finds the same, and may write */
		found_damaged(p, i);
		return -ENOENT;
	}
	set_checked(p, i);
	return 0;
}

int pack_peek(struct pack *p, uint32_t i, uint64_t off, void *buf, size_t len)
{
	if (!pack_has(p, i) || !is_checked(p, i))
		return -ENOENT;
	int err = read_now(p->fd, buf, len, off);
	return err || is_checked(p, i) ? err : -ENOENT; /* replaced meanwhile */
}

static bool is_sealed(const struct pack *p)
{
	struct stat st;
	return fstat(p->fd, &st) == 0 && (st.st_mode & 0222) == 0;
}

/* A sealed pack rotted: who has a link to it keeps the old file, and a new, empty one takes the name. */
static int replace(struct pack *p)
{
	char have[DIGEST_HEX_LEN + 8];
	int fds[2];
	snprintf(have, sizeof(have), "%s.have", p->name);
	unlinkat(p->dirfd, have, 0);
	unlinkat(p->dirfd, p->name, 0);
	for (uint32_t k = 0; k < p->count / 8 + 1; k++)
		p->checked[k] = 0;
	int err = attach(p, fds);
	if (err < 0)
		return err;
	dup3(fds[0], p->fd, O_CLOEXEC);
	dup3(fds[1], p->have_fd, O_CLOEXEC);
	close(fds[0]);
	close(fds[1]);
	return 0;
}

void pack_put(struct pack *p, uint32_t i, const struct tree_chunk *c, const void *data)
{
	if (p->fd < 0)
		return;
	pthread_mutex_lock(&p->lock);
	int err = 0;
	if (is_sealed(p)) {
		if (pack_has(p, i))
			goto out; /* another process was faster */
		err = replace(p);
	}
	if (!err)
		err = io_pwrite_full(p->fd, data, c->raw, c->pack_off);
	if (!err)
		err = set_mark(p, i, mark_of(data, c->raw));
	if (!err)
		set_checked(p, i);
	else if (!atomic_exchange(&p->told, true))
		log_warn("cache: pack %s cannot be written, reads go on without: %s", p->name, err_text(err));
out:
	pthread_mutex_unlock(&p->lock);
}

int pack_seal(struct pack *p)
{
	int fd = p->fd;
	if (fd < 0)
		return -ENOENT;
	pthread_mutex_lock(&p->lock);
	for (uint32_t i = 0; i < p->count && fd >= 0; i++)
		if (!pack_has(p, i) || !is_checked(p, i))
			fd = -ENOENT;
	if (fd >= 0 && !is_sealed(p) && fchmod(fd, 0444) < 0)
		fd = -errno;
	pthread_mutex_unlock(&p->lock);
	return fd;
}
