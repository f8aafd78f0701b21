/* SPDX-License-Identifier: MIT */
/* layer_archive.c: the other end of diverfs-unpack: feeds it, and believes nothing that it says. */
#include "cache/layer_archive.h"

#include "cache/base/io.h"
#include "cache/layer.h"
#include "cache/limits.h"
#include "cache/unpack/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define STALL_MS  30000
#define RATIO	  4000u /* gzip makes at most 1032 of one */
#define RAW_FREE  (UINT64_C(64) << 20)
#define ERROR_MAX 400u

struct feed {
	pid_t pid;
	int in, out; /* its stdin, -1 when all is written; its stdout */
	const char *bytes;
	uint64_t left;
	uint64_t came, most; /* bytes of content, and how many there may be */
	const _Atomic bool *stop;
};

/* --- the program ------------------------------------------------------------------------------ */

static int start(struct feed *f, const char *program, struct why *why)
{
	static char *const environment[] = { NULL };
	char *const argv[] = { (char *)"diverfs-unpack", NULL };
	posix_spawn_file_actions_t actions;
	int in[2], out[2];
	if (pipe2(in, O_CLOEXEC) < 0)
		return why_fail_errno(why, -errno, "a pipe");
	if (pipe2(out, O_CLOEXEC) < 0) {
		close(in[0]);
		close(in[1]);
		return why_fail_errno(why, -errno, "a pipe");
	}
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], 0);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	int err = -posix_spawn(&f->pid, program, &actions, NULL, argv, environment);
	posix_spawn_file_actions_destroy(&actions);
	close(in[0]);
	close(out[1]);
	f->in = in[1];
	f->out = out[0];
	io_set_nonblock(f->in, true);
	io_set_nonblock(f->out, true);
	if (err) {
		f->pid = -1;
		return why_fail_errno(why, err,
			"%s, which reads archives, cannot be executed; install diverfs as a whole", program);
	}
	return 0;
}

static void end(struct feed *f)
{
	if (f->in >= 0)
		close(f->in);
	close(f->out);
	if (f->pid < 0)
		return;
	kill(f->pid, SIGKILL);
	while (waitpid(f->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void feed_some(struct feed *f)
{
	size_t some = f->left < (1u << 20) ? (size_t)f->left : 1u << 20;
	ssize_t n = some ? write(f->in, f->bytes, some) : 0;
	if (n > 0) {
		f->bytes += n;
		f->left -= (uint64_t)n;
	}
	if (f->left == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) { /* it may have seen enough */
		close(f->in);
		f->in = -1;
	}
}

/* Exactly (len) bytes of what it says. */
static int take(struct feed *f, void *buf, size_t len, struct why *why)
{
	char *to = buf;
	for (int quiet = 0; len > 0;) {
		struct pollfd p[2] = { { f->out, POLLIN, 0 }, { f->in, POLLOUT, 0 } };
		int ready = poll(p, f->in >= 0 ? 2 : 1, 200);
		if (*f->stop)
			return why_fail(why, -ECANCELED, "the cache is closing");
		quiet = ready > 0 ? 0 : quiet + 200;
		if (quiet >= STALL_MS)
			return why_fail(why, -EBADMSG,
				"the archive is not unpacked: nothing came of it for %d s", STALL_MS / 1000);
		if (f->in >= 0 && p[1].revents)
			feed_some(f);
		if (!p[0].revents)
			continue;
		ssize_t n = read(f->out, to, len);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return why_fail(why, -EBADMSG, "the archive is damaged, or larger than it may be");
		to += n;
		len -= (size_t)n;
	}
	return 0;
}

/* --- records ---------------------------------------------------------------------------------- */

/* A text of a record, NUL-terminated and without NUL inside. */
static int take_text(struct feed *f, uint32_t len, uint32_t most, struct buf *out, struct why *why)
{
	buf_clear(out);
	if (len > most)
		return why_fail(why, -EBADMSG, "an entry has a name of %u bytes", len);
	char *to = buf_reserve(out, len + 1);
	int err = take(f, to, len, why);
	if (err)
		return err;
	out->len = len;
	to[len] = 0;
	return strlen(to) == len ? 0 : why_fail(why, -EBADMSG, "an entry has a name with a NUL in it");
}

static int take_content(
	struct feed *f, uint64_t size, const struct archive_reader *r, char *buf, struct why *why)
{
	if (size > f->most - f->came)
		return why_fail(why, -EFBIG,
			"the archive unpacks to more than %llu bytes: that is no kernel, but a bomb",
			(unsigned long long)f->most);
	f->came += size;
	while (size > 0) {
		size_t n = size < LAYER_CHUNK ? (size_t)size : LAYER_CHUNK;
		int err = take(f, buf, n, why);
		if (!err)
			err = r->piece(r->arg, buf, n, why);
		if (err)
			return err;
		size -= n;
	}
	return 0;
}

/* 1: there was an entry; 0: that was all. */
static int take_entry(struct feed *f, const struct archive_reader *r, struct buf *path, struct buf *target,
	char *buf, struct why *why)
{
	static const enum item_kind kinds[] = { ITEM_FILE, ITEM_DIR, ITEM_LINK, ITEM_HARD, ITEM_HIDDEN };
	struct unpack_record is;
	int err = take(f, &is, sizeof(is), why);
	if (!err && (is.magic != UNPACK_MAGIC || is.type > UNPACK_ERROR))
		err = why_fail(why, -EBADMSG, "the program that reads archives has lost its mind");
	if (!err)
		err = take_text(
			f, is.path_len, is.type == UNPACK_ERROR ? ERROR_MAX : MAX_PATH_LEN + 2, path, why);
	if (!err)
		err = take_text(f, is.target_len, MAX_PATH_LEN + 2, target, why);
	if (err || is.type == UNPACK_END)
		return err;
	if (is.type == UNPACK_ERROR)
		return why_fail(why, -EBADMSG, "the archive cannot be read: %s", path->data);
	struct tree_item item = { .kind = kinds[is.type], .mode = is.mode & 0777, .mtime = is.mtime };
	item.size = is.type == UNPACK_FILE ? is.size : 0;
	item.target = is.type == UNPACK_LINK || is.type == UNPACK_HARD ? target->data : NULL;
	err = r->entry(r->arg, path->data, &item, why);
	if (!err)
		err = take_content(f, item.size, r, buf, why);
	return err ? err : 1;
}

static uint64_t most_of(uint64_t size)
{
	uint64_t most = size > MAX_LAYER_RAW / RATIO ? MAX_LAYER_RAW : RAW_FREE + size * RATIO;
	return most < MAX_LAYER_RAW ? most : MAX_LAYER_RAW;
}

int layer_archive_read(const char *program, const void *bytes, uint64_t size, const struct archive_reader *r,
	const _Atomic bool *stop, struct why *why)
{
	struct feed f = { .bytes = bytes, .left = size, .most = most_of(size), .stop = stop };
	autobuf struct buf path = { 0 }, target = { 0 };
	int err = start(&f, program, why);
	autofree char *buf = xmalloc(LAYER_CHUNK);
	if (!err)
		for (err = 1; err > 0;)
			err = take_entry(&f, r, &path, &target, buf, why);
	if (f.out > 0)
		end(&f);
	return err;
}

/* --- a tree ----------------------------------------------------------------------------------- */

struct adding {
	struct tree_build *b;
	uint32_t base, file;
};

/* The archive's own directory, "./", is not an entry. */
static bool is_root(const char *path)
{
	return path[strspn(path, "./")] == 0 && !strstr(path, "..");
}

static int add_entry(void *arg, const char *path, const struct tree_item *item, struct why *why)
{
	struct adding *a = arg;
	if (item->kind == ITEM_DIR && is_root(path))
		return 0;
	return tree_add(a->b, a->base, path, item, &a->file, why);
}

static int add_piece(void *arg, const void *data, size_t len, struct why *why)
{
	struct adding *a = arg;
	struct chunk_item c = { .kind = CHUNK_WHOLE, .raw = len };
	digest_of(data, len, &c.digest);
	return tree_add_chunk(a->b, a->file, &c, why);
}

int layer_archive_add(struct tree_build *b, uint32_t base, const char *program, const struct digest *blob,
	const void *bytes, uint64_t size, const _Atomic bool *stop, struct why *why)
{
	struct adding a = { .b = b, .base = base };
	int err = tree_add_layer(b, blob, size, 0, size, why);
	if (err)
		return err;
	return layer_archive_read(
		program, bytes, size, &(struct archive_reader){ add_entry, add_piece, &a }, stop, why);
}
