/* SPDX-License-Identifier: MIT */
/*
 * pack_whole.c: packs as a whole. One of which every chunk is here and was compared with its mark may be read by others,
 * who compare nothing: by who gets a link to it, and by the kernel. So that this needs not be done again by each process,
 * it is written down after the marks, together with what would show that somebody has written to the file since. That
 * holds until the machine starts again, as power loss may leave anything.
 */
#include "cache/base/io.h"
#include "cache/pack_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

uint64_t pack_stamp(int fd)
{
	struct stat st;
	return fstat(fd, &st) < 0 ? 0 : (uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec;
}

static bool all_marked(const struct pack *p)
{
	for (uint32_t i = 0; i < p->count; i++)
		if (!pack_marked(p, i))
			return false;
	return p->count > 0;
}

static bool all_checked(const struct pack *p)
{
	for (uint32_t i = 0; i < p->count; i++)
		if (!pack_is_checked(p, i))
			return false;
	return true;
}

/* --- what is known to be sound ----------------------------------------------------------------- */

static uint64_t boot;
static pthread_once_t boot_once = PTHREAD_ONCE_INIT;

static void find_boot(void)
{
	autobuf struct buf id = { 0 };
	if (io_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &id) >= 0 && id.len)
		boot = pack_mark_of(id.data, id.len);
}

/* False: nothing can be said of this file. */
static bool vouch_for(const struct pack *p, struct vouch *v)
{
	struct stat st;
	pthread_once(&boot_once, find_boot);
	if (!boot || fstat(p->fd, &st) < 0 || (uint64_t)st.st_size != p->size)
		return false;
	*v = (struct vouch){ .boot = boot, .inode = st.st_ino, .stamp = pack_stamp(p->fd) };
	v->check = pack_mark_of(v, offsetof(struct vouch, check));
	return true;
}

static bool is_vouched(const struct pack *p)
{
	const struct marks *m = p->have;
	struct vouch v, is;
	if (!m || !vouch_for(p, &v))
		return false;
	memcpy(&is, (const char *)m->mark + (size_t)p->count * 8, sizeof is);
	return !memcmp(&is, &v, sizeof v);
}

/* With the lock. Compared since it was attached, and written to by us alone. */
static bool is_sound(const struct pack *p)
{
	return !p->foreign && p->stamp && pack_stamp(p->fd) == p->stamp && all_checked(p);
}

void pack_vouch(struct pack *p)
{
	struct vouch v;
	if (pack_enter(p, true))
		return;
	pthread_mutex_lock(&p->lock);
	if (all_marked(p) && is_sound(p) && !is_vouched(p) && vouch_for(p, &v))
		io_pwrite_full(p->have_fd, &v, sizeof v, (uint64_t)p->count * 8);
	pthread_mutex_unlock(&p->lock);
	pack_leave(p);
}

int pack_whole(struct pack *p)
{
	int fd = -ENOENT;
	if (pack_enter(p, true))
		return -EAGAIN;
	if (pthread_mutex_trylock(&p->lock) == 0) {
		if (all_marked(p) && (is_vouched(p) || is_sound(p)))
			fd = fcntl(p->fd, F_DUPFD_CLOEXEC, 3);
		pthread_mutex_unlock(&p->lock);
	}
	pack_leave(p);
	return fd;
}

int pack_seal(struct pack *p)
{
	int fd = pack_enter(p, false);
	if (fd)
		return -ENOENT;
	pthread_mutex_lock(&p->lock);
	if (!all_marked(p) || !all_checked(p))
		fd = -ENOENT;
	if (fd >= 0 && !pack_is_sealed(p) && fchmod(p->fd, 0444) < 0)
		fd = -errno;
	if (fd >= 0)
		fd = fcntl(p->fd, F_DUPFD_CLOEXEC, 3);
	pthread_mutex_unlock(&p->lock);
	pack_leave(p);
	return fd;
}

/* --- scrubbing -------------------------------------------------------------------------------- */

static bool chunk_is_sound(struct pack *p, uint32_t i, const struct tree_chunk *c, char *buf, bool full)
{
	struct digest is;
	if (io_pread_full(p->fd, buf, c->raw, c->pack_off) != (ssize_t)c->raw ||
		pack_mark_of(buf, c->raw) != pack_mark_at(p, i))
		return false;
	if (!full)
		return true;
	digest_of(buf, c->raw, &is);
	return digest_equal(&is, &c->digest);
}

void pack_scrub(struct pack *p, const struct tree_chunk *chunks, bool full, const _Atomic bool *stop,
	struct pack_scrub *out)
{
	autofree char *buf = NULL;
	size_t cap = 0;
	uint64_t used_at = p->used_at;
	if (pack_enter(p, false))
		return;
	p->used_at = used_at; /* to look after it is not to use it */
	for (uint32_t i = 0; i < p->count && !*stop; i++) {
		const struct tree_chunk *c = &chunks[i];
		if (!pack_marked(p, i))
			continue;
		if (c->raw > cap) {
			cap = c->raw;
			free(buf);
			buf = xmalloc(cap);
		}
		if (chunk_is_sound(p, i, c, buf, full)) {
			pack_set_checked(p, i);
			out->good++;
		} else {
			pack_found_damaged(p, i);
			out->bad++;
		}
	}
	pack_leave(p);
}
