/* SPDX-License-Identifier: MIT */
/*
 * room.c: the sum of what is kept, and who must go. The sum is a guess between two counts: each process adds what it
 * stores, to a number that all of them share, the file `sum` in the cache's directory.
 */
#include "cache/room.h"

#include "cache/base/io.h"
#include "cache/pack.h"
#include "cache/pins.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define QUOTA_LEAST   (UINT64_C(64) << 20)
#define COUNT_NS      UINT64_C(2000000000)
#define STUCK_NS      UINT64_C(500000000) /* nothing could go: do not look again for so long */
#define REST_NS	      UINT64_C(10000000000)
#define TREE_BONUS_NS (INT64_C(86400) * 1000000000)
#define HALF_WRITTEN  60 /* seconds after which a temporary file has no writer any more */

struct sum {
	_Atomic uint64_t used;
	_Atomic uint64_t taken; /* all that was stored, ever: only differences say something */
};

struct room {
	int dirfd;
	uint64_t quota;
	struct sum *sum; /* shared; or (alone), where that cannot be */
	struct sum alone;
	_Atomic uint64_t files;
	_Atomic uint64_t counted_at, stuck_until; /* monotonic */
	pthread_mutex_t lock;			  /* who counts and evicts */
	pthread_mutex_t packs_lock;		  /* guards the list */
	struct pack *packs;
	pthread_mutex_t written_lock; /* guards the list */
	struct written *written;
};

struct written { /* and perhaps not on the disk yet */
	struct written *next;
	int dirfd;
	char name[];
};

struct item { /* what may go */
	int64_t used_at;
	uint64_t bytes;
	enum part part;
	struct digest digest;
};

struct count {
	struct item *list;
	size_t count, cap;
	uint64_t bytes, files;
};

/* --- packs of this process -------------------------------------------------------------------- */

void room_enter(struct room *r, struct pack *p)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->packs_lock);
	*pack_next(p) = r->packs;
	r->packs = p;
	pthread_mutex_unlock(&r->packs_lock);
}

void room_leave(struct room *r, struct pack *p)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->packs_lock);
	for (struct pack **at = &r->packs; *at; at = pack_next(*at)) {
		if (*at == p) {
			*at = *pack_next(p);
			break;
		}
	}
	pthread_mutex_unlock(&r->packs_lock);
}

void room_rest(struct room *r)
{
	pthread_mutex_lock(&r->packs_lock);
	for (struct pack *p = r->packs; p; p = *pack_next(p))
		pack_rest(p, REST_NS);
	pthread_mutex_unlock(&r->packs_lock);
}

/* Two packs of this process may have one name (one is being adopted by the other): all must rest. */
static bool rest_named(struct room *r, const struct digest *d)
{
	bool found = false, rests = true;
	pthread_mutex_lock(&r->packs_lock);
	for (struct pack *p = r->packs; p; p = *pack_next(p)) {
		if (digest_equal(pack_id(p), d)) {
			found = true;
			rests = pack_rest(p, 0) && rests;
		}
	}
	pthread_mutex_unlock(&r->packs_lock);
	return found && rests;
}

/* --- counting --------------------------------------------------------------------------------- */

static void add_item(struct count *k, enum part part, const struct digest *d, const struct stat *st)
{
	if (k->count == k->cap) {
		k->cap = k->cap ? 2 * k->cap : 256;
		k->list = xrealloc(k->list, k->cap * sizeof(*k->list));
	}
	k->list[k->count++] = (struct item){
		.used_at = st->st_mtim.tv_sec * INT64_C(1000000000) + st->st_mtim.tv_nsec +
			   (part == PART_TREES ? TREE_BONUS_NS : 0),
		.bytes = (uint64_t)st->st_blocks * 512,
		.part = part,
		.digest = *d,
	};
}

/* "<hex>" of any part, "<hex>.have" of packs, "<hex>-v1" of trees. */
static bool parse_name(enum part part, const char *name, struct digest *d)
{
	static const char *const after[PARTS] = { ".have", "-v", "" };
	char hex[DIGEST_HEX_LEN + 1];
	if (strlen(name) < DIGEST_HEX_LEN)
		return false;
	memcpy(hex, name, DIGEST_HEX_LEN);
	hex[DIGEST_HEX_LEN] = 0;
	name += DIGEST_HEX_LEN;
	return digest_parse_hex(hex, d) == 0 && (!*name || strncmp(name, after[part], 2) == 0);
}

static void count_file(struct count *k, int fd, int part, const char *name, const struct stat *st)
{
	struct digest d;
	if (strncmp(name, ".tmp-", 5) == 0 && st->st_mtim.tv_sec < time(NULL) - HALF_WRITTEN &&
		unlinkat(fd, name, 0) == 0)
		return;
	k->bytes += (uint64_t)st->st_blocks * 512;
	k->files++;
	if (part < PARTS && parse_name((enum part)part, name, &d))
		add_item(k, (enum part)part, &d, st);
}

static void count_dir(struct count *k, int at, const char *path, int part)
{
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		if (fd >= 0)
			close(fd);
		return;
	}
	for (struct dirent *e; (e = readdir(d));) {
		struct stat st;
		if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			count_file(k, fd, part, e->d_name, &st);
	}
	closedir(d);
}

static int by_name(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int order = (int)x->part - (int)y->part;
	return order ? order : memcmp(&x->digest, &y->digest, sizeof(x->digest));
}

static int by_age(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	return x->used_at < y->used_at ? -1 : x->used_at > y->used_at;
}

/* A pack and its marks are one thing, used when the marks say. */
static void join_pairs(struct count *k)
{
	size_t to = 0;
	if (!k->count)
		return;
	qsort(k->list, k->count, sizeof(*k->list), by_name);
	for (size_t i = 1; i < k->count; i++) {
		struct item *x = &k->list[to], *y = &k->list[i];
		if (by_name(x, y) != 0) {
			k->list[++to] = *y;
			continue;
		}
		x->bytes += y->bytes;
		x->used_at = x->used_at > y->used_at ? x->used_at : y->used_at;
	}
	k->count = to + 1;
}

static void count_all(struct room *r, struct count *k)
{
	uint64_t before = r->sum->taken;
	*k = (struct count){ 0 };
	pthread_mutex_lock(&r->packs_lock);
	for (struct pack *p = r->packs; p; p = *pack_next(p))
		pack_note_use(p);
	pthread_mutex_unlock(&r->packs_lock);
	for (int part = 0; part < PARTS; part++)
		count_dir(k, r->dirfd, part_names[part], part);
	count_dir(k, r->dirfd, "pins", PARTS);
	count_dir(k, r->dirfd, "learned", PARTS);
	count_dir(k, r->dirfd, ".", PARTS);
	join_pairs(k);
	k->bytes += r->sum->taken - before; /* by others, meanwhile: we may have missed it */
	r->sum->used = k->bytes;
	r->files = k->files;
	r->counted_at = clock_mono_ns();
}

/* --- evicting --------------------------------------------------------------------------------- */

static void name_of(const struct item *it, const char *suffix, char name[DIGEST_HEX_LEN + 16])
{
	digest_hex(&it->digest, name);
	strcat(name, suffix);
}

/* -EBUSY: somebody uses it. */
static int evict_pack(struct room *r, int dir, const struct item *it)
{
	char name[DIGEST_HEX_LEN + 16], have[DIGEST_HEX_LEN + 16];
	struct stat st;
	name_of(it, "", name);
	name_of(it, ".have", have);
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_nlink > 1)
		return -EBUSY;
	autoclose int fd = openat(dir, have, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 &&
		!(rest_named(r, &it->digest) && flock(fd, LOCK_EX | LOCK_NB) == 0))
		return -EBUSY;
	if (fd >= 0)
		unlinkat(dir, have, 0); /* first: what is not marked is not there */
	autoclose int guard = openat(dir, have, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (guard < 0 ? errno == EEXIST : flock(guard, LOCK_EX | LOCK_NB) < 0)
		return -EBUSY; /* somebody has opened it just now, and begins with marks of his own */
	int err = unlinkat(dir, name, 0) < 0 ? -errno : 0;
	if (guard >= 0)
		unlinkat(dir, have, 0);
	return err;
}

static int evict_tree(int dir, const struct item *it)
{
	char name[DIGEST_HEX_LEN + 16];
	int err = -ENOENT;
	for (unsigned version = 1; version <= TREE_VERSION; version++) {
		char suffix[12];
		snprintf(suffix, sizeof(suffix), "-v%u", version);
		name_of(it, suffix, name);
		if (unlinkat(dir, name, 0) == 0)
			err = 0;
	}
	return err;
}

static int evict_object(int dir, const struct item *it)
{
	char name[DIGEST_HEX_LEN + 16];
	name_of(it, "", name);
	return unlinkat(dir, name, 0) < 0 ? -errno : 0;
}

/* Returns the bytes that went; at least (bytes), if there were so many that might. */
static uint64_t evict(struct room *r, struct count *k, uint64_t bytes)
{
	uint64_t gone = 0, files = 0;
	struct pins *pins = pins_load(r->dirfd);
	int dir[PARTS];
	for (int part = 0; part < PARTS; part++)
		dir[part] = openat(r->dirfd, part_names[part], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (k->count)
		qsort(k->list, k->count, sizeof(*k->list), by_age);
	for (size_t i = 0; i < k->count && gone < bytes; i++) {
		const struct item *it = &k->list[i];
		int at = dir[it->part];
		if (at < 0 || pins_has(pins, it->part, &it->digest))
			continue;
		int err = it->part == PART_PACKS   ? evict_pack(r, at, it)
			  : it->part == PART_TREES ? evict_tree(at, it)
						   : evict_object(at, it);
		if (err)
			continue;
		gone += it->bytes;
		files++;
	}
	for (int part = 0; part < PARTS; part++)
		if (dir[part] >= 0)
			close(dir[part]);
	pins_free(pins);
	uint64_t was = r->sum->used; /* which another process may have counted anew meanwhile */
	while (!atomic_compare_exchange_weak(&r->sum->used, &was, was - (gone < was ? gone : was)))
		;
	if (files)
		log_info("cache: %llu files, %llu KiB, that were used longest ago are gone to make room",
			(unsigned long long)files, (unsigned long long)gone >> 10);
	return gone;
}

int room_drop(struct room *r, const struct digest *pack)
{
	struct item it = { .part = PART_PACKS, .digest = *pack };
	autoclose int dir = openat(r->dirfd, part_names[PART_PACKS], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? -errno : evict_pack(r, dir, &it);
}

/* With some reserve, so that not every chunk asks again. */
static int fit(struct room *r, uint64_t bytes)
{
	struct count k;
	uint64_t reserve = r->quota / 16;
	count_all(r, &k);
	if (k.bytes + bytes > r->quota)
		evict(r, &k, k.bytes + bytes + reserve - r->quota);
	free(k.list);
	return r->sum->used + bytes <= r->quota ? 0 : -ENOSPC;
}

static void add(struct room *r, uint64_t bytes)
{
	r->sum->used += bytes;
	r->sum->taken += bytes;
}

int room_take(struct room *r, uint64_t bytes)
{
	if (!r)
		return 0;
	uint64_t now = clock_mono_ns();
	bytes = (bytes + 4095) / 4096 * 4096;
	if (r->sum->used + bytes <= r->quota && now - r->counted_at < COUNT_NS) {
		add(r, bytes);
		return 0;
	}
	if (now < r->stuck_until)
		return -ENOSPC;
	int err = 0;
	pthread_mutex_lock(&r->lock);
	if (r->sum->used + bytes > r->quota || clock_mono_ns() - r->counted_at >= COUNT_NS)
		err = fit(r, bytes);
	pthread_mutex_unlock(&r->lock);
	if (err)
		r->stuck_until = clock_mono_ns() + STUCK_NS;
	else
		add(r, bytes);
	return err;
}

void room_note(struct room *r, uint64_t bytes)
{
	if (r)
		add(r, (bytes + 4095) / 4096 * 4096);
}

int room_make(struct room *r, uint64_t bytes)
{
	struct count k;
	if (!r)
		return -ENOSPC;
	pthread_mutex_lock(&r->lock);
	count_all(r, &k);
	uint64_t gone = evict(r, &k, bytes + k.bytes / 16);
	free(k.list);
	pthread_mutex_unlock(&r->lock);
	return gone ? 0 : -ENOSPC;
}

void room_sweep(struct room *r)
{
	pthread_mutex_lock(&r->lock);
	fit(r, 0);
	pthread_mutex_unlock(&r->lock);
}

static void note_written(struct room *r, int dirfd, const char *name)
{
	size_t len = strlen(name) + 1;
	struct written *w = xmalloc(sizeof(*w) + len);
	w->dirfd = dirfd;
	memcpy(w->name, name, len);
	pthread_mutex_lock(&r->written_lock);
	w->next = r->written;
	r->written = w;
	pthread_mutex_unlock(&r->written_lock);
}

int room_write_file(struct room *r, int dirfd, const char *name, const void *data, size_t len)
{
	int err = room_take(r, len);
	if (!err)
		err = io_write_file(dirfd, name, data, len, 0444, !r);
	for (int tries = 0; (err == -ENOSPC || err == -EDQUOT) && tries < 3; tries++) {
		if (room_make(r, len))
			break;
		err = io_write_file(dirfd, name, data, len, 0444, !r);
	}
	if (!err && r)
		note_written(r, dirfd, name);
	return err;
}

/* One that is gone by now, or that the disk cannot keep, is fetched again by whoever wants it. */
static void sync_one(int dirfd, const char *name)
{
	autoclose int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && fsync(fd) < 0)
		log_warn("cache: %s: %s", name, err_text(errno));
}

void room_sync(struct room *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->written_lock);
	struct written *w = r->written;
	r->written = NULL;
	pthread_mutex_unlock(&r->written_lock);
	for (struct written *next; w; w = next) {
		next = w->next;
		sync_one(w->dirfd, w->name);
		if (!next || next->dirfd != w->dirfd)
			fsync(w->dirfd);
		free(w);
	}
}

void room_usage(const struct room *r, struct room_usage *out)
{
	*out = (struct room_usage){ r->sum->used, r->quota, r->files };
}

/* --- open and close --------------------------------------------------------------------------- */

static uint64_t default_quota(int dirfd)
{
	struct statvfs st;
	uint64_t all = fstatvfs(dirfd, &st) == 0 ? (uint64_t)st.f_blocks * st.f_frsize : 0;
	uint64_t share = all / 5 & ~((UINT64_C(1) << 20) - 1); /* a number that can be read */
	return share > QUOTA_LEAST ? share : QUOTA_LEAST;
}

/* Its block is there before it is mapped: a full disk is an error, not a signal. */
static struct sum *share_sum(int dirfd)
{
	autoclose int fd = openat(dirfd, "sum", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	void *at = MAP_FAILED;
	if (fd >= 0 && posix_fallocate(fd, 0, sizeof(struct sum)) == 0)
		at = mmap(NULL, sizeof(struct sum), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return at == MAP_FAILED ? NULL : at;
}

struct room *room_open(int dirfd, uint64_t quota)
{
	struct room *r = xcalloc(1, sizeof(*r));
	r->sum = share_sum(dirfd);
	if (!r->sum)
		r->sum = &r->alone;
	r->dirfd = dirfd;
	r->quota = quota ? quota : default_quota(dirfd);
	pthread_mutex_init(&r->lock, NULL);
	pthread_mutex_init(&r->packs_lock, NULL);
	pthread_mutex_init(&r->written_lock, NULL);
	return r;
}

void room_close(struct room *r)
{
	if (!r)
		return;
	room_sync(r);
	pthread_mutex_destroy(&r->lock);
	pthread_mutex_destroy(&r->packs_lock);
	pthread_mutex_destroy(&r->written_lock);
	if (r->sum != &r->alone)
		munmap(r->sum, sizeof(*r->sum));
	free(r);
}
