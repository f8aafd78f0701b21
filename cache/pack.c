/* SPDX-License-Identifier: MIT */
/*
 * pack.c: marks are read through a mapping and written with pwrite, because writing through a mapping to a
 * disk that is full ends in SIGBUS.
 */
#include "cache/pack_impl.h"

#include "cache/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include <xxh_x86dispatch.h> /* (the library picks what this CPU does best) */

#define NOTE_NS	 UINT64_C(2000000000)
#define RETRY_NS UINT64_C(1000000000)

/* --- attaching -------------------------------------------------------------------------------- */

size_t pack_have_len(const struct pack *p)
{
	return ((size_t)p->count * 8 + sizeof(struct vouch) + 4095) / 4096 * 4096;
}

static void have_name(const struct pack *p, char name[DIGEST_HEX_LEN + 8])
{
	snprintf(name, DIGEST_HEX_LEN + 8, "%s.have", p->name);
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

static bool still_named(int dirfd, const char *name, int fd)
{
	struct stat is, was;
	return fstat(fd, &was) == 0 && fstatat(dirfd, name, &is, AT_SYMLINK_NOFOLLOW) == 0 &&
	       is.st_ino == was.st_ino && is.st_dev == was.st_dev;
}

/* Both files, and the lock that keeps them: -EAGAIN if somebody evicted them meanwhile. */
static int open_locked(const struct pack *p, int fds[2])
{
	char have[DIGEST_HEX_LEN + 8];
	have_name(p, have);
	autoclose int fd = open_sized(p->dirfd, p->name, p->size);
	if (fd < 0)
		return fd;
	autoclose int have_fd = open_whole(p->dirfd, have, pack_have_len(p));
	if (have_fd < 0)
		return have_fd;
	if (flock(have_fd, LOCK_SH | LOCK_NB) < 0 || !still_named(p->dirfd, have, have_fd) ||
		!still_named(p->dirfd, p->name, fd))
		return -EAGAIN;
	fds[0] = io_steal(&fd);
	fds[1] = io_steal(&have_fd);
	return 0;
}

/* Before a reader of a pack that is being filled are holes. Reading ahead, the kernel would make pages of zeros of them,
 * while whoever reads waits: for a file that came by the network that took longer than all else. */
static void expect_holes(int fd)
{
	struct stat st;
	if (fstat(fd, &st) == 0 && (st.st_mode & 0222))
		posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
}

/* Opens both files and maps the marks. */
static int open_files(struct pack *p, int fds[2])
{
	int err = -EAGAIN;
	for (int i = 0; i < 20 && err == -EAGAIN; i++) {
		err = open_locked(p, fds);
		if (err == -ENOSPC && room_make(p->room, pack_have_len(p)) == 0)
			err = -EAGAIN;
	}
	if (err)
		return err;
	void *map = mmap(NULL, pack_have_len(p), PROT_READ, MAP_SHARED, fds[1], 0);
	if (map == MAP_FAILED) {
		err = -errno;
		close(fds[0]);
		close(fds[1]);
		return err;
	}
	expect_holes(fds[0]);
	struct marks *m = xmalloc(sizeof(*m));
	*m = (struct marks){ .before = p->have, .mark = map };
	p->have = m;
	return 0;
}

/* With (use) for writing. */
static void attach(struct pack *p)
{
	int fds[2];
	if (p->fd >= 0 || p->count == 0 || clock_mono_ns() < p->retry)
		return;
	int err = open_files(p, fds);
	if (!err)
		room_note(p->room, pack_have_len(p)); /* and no more: a claim may attach in the loop */
	if (err) {
		p->retry = clock_mono_ns() + RETRY_NS;
		if (!atomic_exchange(&p->told, true))
			log_warn("cache: pack %s is not kept: %s", p->name, err_text(err));
		return;
	}
	p->fd = fds[0];
	p->have_fd = fds[1];
	p->stamp = pack_stamp(p->fd);
	p->foreign = false;
	p->noted_at = 0;
}

static void detach(struct pack *p)
{
	for (struct marks *m = p->have, *before; m; m = before) {
		before = m->before;
		munmap((void *)m->mark, pack_have_len(p));
		free(m);
	}
	p->have = NULL;
	if (p->fd >= 0)
		close(p->fd);
	if (p->have_fd >= 0)
		close(p->have_fd);
	p->fd = p->have_fd = -1;
	for (uint32_t k = 0; k < p->count / 8 + 1; k++)
		p->checked[k] = 0;
}

int pack_enter(struct pack *p, bool now)
{
	for (int i = 0; i < 2; i++) {
		int busy = now ? pthread_rwlock_tryrdlock(&p->use) : pthread_rwlock_rdlock(&p->use);
		if (busy)
			return -EAGAIN;
		p->used_at = clock_mono_ns();
		if (p->fd >= 0)
			return 0;
		pthread_rwlock_unlock(&p->use);
		if (now)
			return -EAGAIN;
		pthread_rwlock_wrlock(&p->use);
		attach(p);
		pthread_rwlock_unlock(&p->use);
	}
	return -ENOENT;
}

void pack_leave(struct pack *p)
{
	pthread_rwlock_unlock(&p->use);
}

struct pack **pack_next(struct pack *p)
{
	return &p->next;
}

static void note_use(struct pack *p)
{
	uint64_t used = p->used_at;
	if (p->have_fd < 0 || p->noted_at >= used)
		return;
	p->noted_at = used + NOTE_NS;
	uint64_t ago = clock_mono_ns() - used, at = clock_real_ns() - ago;
	struct timespec t[2] = { { .tv_nsec = UTIME_OMIT },
		{ (time_t)(at / 1000000000), (long)(at % 1000000000) } };
	futimens(p->have_fd, t);
}

void pack_note_use(struct pack *p)
{
	if (pthread_rwlock_tryrdlock(&p->use))
		return;
	note_use(p);
	pthread_rwlock_unlock(&p->use);
}

bool pack_rest(struct pack *p, uint64_t idle_ns)
{
	if (p->holds || (idle_ns && clock_mono_ns() - p->used_at < idle_ns) ||
		pthread_rwlock_trywrlock(&p->use))
		return false;
	if (!p->holds && p->fd >= 0) {
		p->noted_at = 0;
		note_use(p);
		detach(p);
	}
	bool rests = p->fd < 0;
	pthread_rwlock_unlock(&p->use);
	return rests;
}

void pack_hold(struct pack *p)
{
	p->holds++;
}

void pack_let(struct pack *p)
{
	p->used_at = clock_mono_ns();
	p->holds--;
}

bool pack_attached(struct pack *p)
{
	if (pthread_rwlock_tryrdlock(&p->use))
		return true; /* it is just being attached or detached, and not detached while it is held */
	bool is = p->fd >= 0;
	pthread_rwlock_unlock(&p->use);
	return is;
}

void pack_attach(struct pack *p)
{
	if (pack_enter(p, false) == 0)
		pack_leave(p);
}

struct pack *pack_open(int dirfd, struct room *room, const struct tree_layer *layer)
{
	struct pack *p = xcalloc(1, sizeof(*p));
	p->dirfd = dirfd;
	p->room = room;
	p->id = layer->pack;
	p->size = layer->pack_size;
	p->count = layer->chunk_count;
	p->fd = p->have_fd = -1;
	digest_hex(&p->id, p->name);
	pthread_rwlock_init(&p->use, NULL);
	pthread_mutex_init(&p->lock, NULL);
	p->checked = xcalloc(p->count / 8 + 1, 1);
	room_enter(room, p);
	return p;
}

void pack_close(struct pack *p)
{
	if (!p)
		return;
	room_leave(p->room, p);
	p->noted_at = 0;
	note_use(p);
	detach(p);
	pthread_rwlock_destroy(&p->use);
	pthread_mutex_destroy(&p->lock);
	free((void *)p->checked);
	free(p);
}

const struct digest *pack_id(const struct pack *p)
{
	return &p->id;
}

/* --- marks ------------------------------------------------------------------------------------ */

/* The library's AVX-512 leaves the upper halves of its registers in use. Until they are let go, each instruction of SHA-256 waits
 * for the one before: in this thread it would take 2.4 times as long from the first mark on. */
static void leave_avx(void)
{
	if (__builtin_cpu_supports("avx"))
		__asm__ volatile("vzeroupper");
}

uint64_t pack_mark_of(const void *data, size_t len)
{
	uint64_t x = XXH3_64bits(data, len);
	leave_avx();
	return x ? x : 1;
}

bool pack_is_checked(const struct pack *p, uint32_t i)
{
	return p->checked[i / 8] >> (i % 8) & 1;
}

void pack_set_checked(struct pack *p, uint32_t i)
{
	atomic_fetch_or(&p->checked[i / 8], (uint8_t)(1u << (i % 8)));
}

uint64_t pack_mark_at(const struct pack *p, uint32_t i)
{
	const struct marks *m = p->have;
	return m ? m->mark[i] : 0;
}

bool pack_marked(const struct pack *p, uint32_t i)
{
	return pack_mark_at(p, i) != 0;
}

bool pack_has(struct pack *p, uint32_t i)
{
	if (pthread_rwlock_tryrdlock(&p->use))
		return false;
	bool here = pack_marked(p, i);
	pthread_rwlock_unlock(&p->use);
	return here;
}

/* The marks of a pack that is detached, from the disk. */
static uint64_t here_on_disk(const struct pack *p, const struct tree_chunk *chunks)
{
	char name[DIGEST_HEX_LEN + 8];
	uint64_t here = 0;
	have_name(p, name);
	autoclose int fd = openat(p->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	autofree uint64_t *marks = fd < 0 ? NULL : xcalloc(p->count + 1, sizeof(*marks));
	if (!marks || io_pread_full(fd, marks, (size_t)p->count * 8, 0) < 0)
		return 0;
	for (uint32_t i = 0; i < p->count; i++)
		here += marks[i] ? chunks[i].raw : 0;
	return here;
}

uint64_t pack_here(struct pack *p, const struct tree_chunk *chunks)
{
	uint64_t here = 0;
	if (pthread_rwlock_tryrdlock(&p->use))
		return 0;
	if (p->fd < 0)
		here = here_on_disk(p, chunks);
	else
		for (uint32_t i = 0; i < p->count; i++)
			here += pack_marked(p, i) ? chunks[i].raw : 0;
	pthread_rwlock_unlock(&p->use);
	return here;
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

void pack_found_damaged(struct pack *p, uint32_t i)
{
	log_warn("cache: chunk %u of pack %s is damaged; it is dropped and fetched again", i, p->name);
	pthread_mutex_lock(&p->lock);
	set_mark(p, i, 0);
	atomic_fetch_and(&p->checked[i / 8], (uint8_t) ~(1u << (i % 8)));
	pthread_mutex_unlock(&p->lock);
}

static int get(struct pack *p, uint32_t i, const struct tree_chunk *c, void *buf, bool now)
{
	if (!pack_marked(p, i))
		return -ENOENT;
	uint64_t mark = pack_mark_at(p, i);
	if (now) {
		int err = read_now(p->fd, buf, c->raw, c->pack_off);
		if (err)
			return err;
	} else if (io_pread_full(p->fd, buf, c->raw, c->pack_off) != (ssize_t)c->raw) {
		pack_found_damaged(p, i);
		return -ENOENT;
	}
	if (pack_is_checked(p, i))
		return 0;
	if (pack_mark_of(buf, c->raw) != mark) {
		if (now)
			return -EAGAIN; /* the pool finds the same, and may write */
		pack_found_damaged(p, i);
		return -ENOENT;
	}
	pack_set_checked(p, i);
	return 0;
}

int pack_get(struct pack *p, uint32_t i, const struct tree_chunk *c, void *buf, bool now)
{
	int err = pack_enter(p, now);
	if (err)
		return err;
	err = get(p, i, c, buf, now);
	pack_leave(p);
	return err;
}

int pack_peek(struct pack *p, uint32_t i, uint64_t off, void *buf, size_t len)
{
	int err = pack_enter(p, true);
	if (err)
		return -ENOENT;
	if (!pack_marked(p, i) || !pack_is_checked(p, i))
		err = -ENOENT;
	if (!err)
		err = read_now(p->fd, buf, len, off);
	if (!err && !pack_is_checked(p, i)) /* replaced meanwhile */
		err = -ENOENT;
	pack_leave(p);
	return err;
}

/* --- claims ----------------------------------------------------------------------------------- */

static int lock_mark(const struct pack *p, uint32_t i, short type)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)i * 8, .l_len = 8 };
	return fcntl(p->have_fd, F_OFD_SETLK, &l);
}

bool pack_claim(struct pack *p, uint32_t i)
{
	if (pack_enter(p, false))
		return true; /* nothing is kept, so nobody else's fetch would help */
	bool other = lock_mark(p, i, F_WRLCK) < 0 && (errno == EAGAIN || errno == EACCES);
	pack_leave(p);
	return !other;
}

void pack_unclaim(struct pack *p, uint32_t i)
{
	if (pack_enter(p, true))
		return; /* detached: the lock went with the descriptor */
	lock_mark(p, i, F_UNLCK);
	pack_leave(p);
}

/* --- writing ---------------------------------------------------------------------------------- */

bool pack_is_sealed(const struct pack *p)
{
	struct stat st;
	return fstat(p->fd, &st) == 0 && (st.st_mode & 0222) == 0;
}

/* A sealed pack rotted: who has a link to it keeps the old file, and a new, empty one takes the name. */
static int replace(struct pack *p)
{
	char have[DIGEST_HEX_LEN + 8];
	int fds[2];
	have_name(p, have);
	unlinkat(p->dirfd, have, 0);
	unlinkat(p->dirfd, p->name, 0);
	for (uint32_t k = 0; k < p->count / 8 + 1; k++)
		p->checked[k] = 0;
	int err = open_files(p, fds);
	if (err < 0)
		return err;
	dup3(fds[0], p->fd, O_CLOEXEC);
	dup3(fds[1], p->have_fd, O_CLOEXEC);
	p->stamp = pack_stamp(p->fd);
	close(fds[0]);
	close(fds[1]);
	return 0;
}

static int write_chunk(
	struct pack *p, uint32_t i, const struct tree_chunk *c, const void *data, uint64_t mark)
{
	p->foreign = p->foreign || pack_stamp(p->fd) != p->stamp;
	int err = io_pwrite_full(p->fd, data, c->raw, c->pack_off);
	p->stamp = pack_stamp(p->fd);
	return err ? err : set_mark(p, i, mark);
}

/* A full disk is no reason to go without, as long as something older can go. */
static int keep(struct pack *p, uint32_t i, const struct tree_chunk *c, const void *data, uint64_t mark)
{
	int err = pack_is_sealed(p) ? replace(p) : 0;
	if (!err)
		err = room_take(p->room, c->raw);
	if (!err)
		err = write_chunk(p, i, c, data, mark);
	for (int tries = 0; (err == -ENOSPC || err == -EDQUOT) && tries < 3; tries++) {
		if (room_make(p->room, c->raw))
			break;
		err = write_chunk(p, i, c, data, mark);
	}
	return err;
}

void pack_put(struct pack *p, uint32_t i, const struct tree_chunk *c, const void *data)
{
	if (pack_enter(p, false))
		return;
	uint64_t mark = pack_mark_of(data, c->raw); /* while others may write */
	pthread_mutex_lock(&p->lock);
	bool there = pack_marked(p, i); /* another process was faster; it is checked when it is read */
	int err = there ? 0 : keep(p, i, c, data, mark);
	if (!err && !there)
		pack_set_checked(p, i);
	else if (err && !atomic_exchange(&p->told, true))
		log_warn("cache: of pack %s not all is kept: %s", p->name,
			err == -ENOSPC ? "no room is left, and all that is kept is in use or pinned"
				       : err_text(err));
	pthread_mutex_unlock(&p->lock);
	pack_leave(p);
}
