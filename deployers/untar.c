/* SPDX-License-Identifier: MIT */
/*
 * untar.c: blocks of 512 bytes; a path is walked component by component, and no link is ever followed.
 */
#include "deployers/untar.h"

#include "cache/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK	 512u
#define TEXT_MAX 16384u

struct header { /* POSIX.1-1988 ustar */
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
	char magic[8], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "ustar");

/* Octal text, or with the first bit set a big-endian number. */
static bool number(const char *field, size_t size, uint64_t *out)
{
	uint64_t n = 0;
	size_t i = 0;

	if ((unsigned char)field[0] & 0x80) {
		for (i = 0; i < size; i++) {
			unsigned char c = (unsigned char)field[i] & (i ? 0xff : 0x7f);
			if (n >> 55)
				return false;
			n = n << 8 | c;
		}
		*out = n;
		return true;
	}
	while (i < size && field[i] == ' ')
		i++;
	for (; i < size && field[i] >= '0' && field[i] <= '7'; i++) {
		if (n >> 60)
			return false;
		n = n << 3 | (uint64_t)(field[i] - '0');
	}
	*out = n;
	return i == size || field[i] == ' ' || field[i] == 0;
}

static bool checksum_ok(const struct header *h)
{
	const unsigned char *p = (const unsigned char *)h;
	const size_t at = offsetof(struct header, checksum);
	uint64_t sum = 0, said;

	for (size_t i = 0; i < BLOCK; i++)
		sum += i >= at && i < at + sizeof(h->checksum) ? ' ' : p[i];
	return number(h->checksum, sizeof(h->checksum), &said) && said == sum;
}

/* Paths */

/* Cleans a name in place: no leading slash or "./", no "//" and "/./" inside. False if it is not one that may be. */
static bool clean(char *name)
{
	char *to = name;
	unsigned depth = 0;

	for (const char *s = name; *s;) {
		size_t n = strcspn(s, "/");

		if ((n == 2 && s[0] == '.' && s[1] == '.') || n > 255)
			return false;
		if (n && !(n == 1 && *s == '.')) {
			if (to != name)
				*to++ = '/';
			memmove(to, s, n);
			to += n;
			if (++depth > UNTAR_DEPTH_MAX)
				return false;
		}
		s += n + (s[n] == '/');
	}
	*to = 0;
	return true;
}

/* Whether a link at (name) to (target) stays inside. */
static bool stays_inside(const char *name, const char *target)
{
	int depth = 0;

	if (!*target || *target == '/' || strlen(target) >= UNTAR_NAME_MAX)
		return false;
	for (const char *s = name; *s; s++)
		depth += *s == '/';
	for (const char *s = target; *s;) {
		size_t n = strcspn(s, "/");

		if (n == 2 && s[0] == '.' && s[1] == '.')
			depth--;
		else if (n && !(n == 1 && *s == '.'))
			depth++;
		if (depth < 0)
			return false;
		s += n + (s[n] == '/');
	}
	return true;
}

/* The directory that (name) lies in, made where it is missing; (*last) is the name's last component. An fd or -errno. */
static int open_parent(const struct untar *u, const char *name, const char **last)
{
	int fd = fcntl(u->dirfd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	for (const char *slash; (slash = strchr(name, '/')); name = slash + 1) {
		autofree char *part = xstrndup(name, (size_t)(slash - name));
		autoclose int dir = fd;

		if (mkdirat(dir, part, 0755) < 0 && errno != EEXIST)
			return -errno;
		fd = openat(dir, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return -errno;
	}
	*last = name;
	return fd;
}

/* What an earlier entry of the same name left, unless it is a directory. */
static int make_way(int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return unlinkat(dir, name, 0) < 0 ? -errno : 0;
}

static int make_file(struct untar *u, int dir, const char *name, unsigned mode)
{
	int err = make_way(dir, name);

	if (err)
		return err;
	u->fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	/* Our umask is strict, the program's was not. */
	return u->fd < 0 || fchmod(u->fd, 0600 | (mode & 0777)) < 0 ? -errno : 0;
}

static int make_dir(int dir, const char *name, unsigned mode)
{
	struct stat st;

	if (mkdirat(dir, name, 0700) == 0)
		return fchmodat(dir, name, 0700 | (mode & 0777), 0) < 0 ? -errno : 0;
	if (errno != EEXIST || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -EEXIST;
}

static int make_link(const struct untar *u, int dir, const char *name, char *target)
{
	const char *last;
	struct stat st;
	int err = make_way(dir, name);

	if (err || !clean(target) || !*target)
		return err ? err : -EBADMSG;
	autoclose int from = open_parent(u, target, &last);
	if (from < 0)
		return from;
	if (fstatat(from, last, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	return linkat(from, last, dir, name, 0) < 0 ? -errno : 0;
}

static int make_symlink(struct untar *u, int dir, const char *path, const char *name, const char *target)
{
	int err;

	if (!stays_inside(path, target)) {
		u->skipped++;
		return 0;
	}
	err = make_way(dir, name);
	if (err)
		return err;
	return symlinkat(target, dir, name) < 0 ? -errno : 0;
}

static int make_entry(struct untar *u, char type, char *path, char *link, unsigned mode)
{
	const char *name;

	if (!*path) /* "./" itself */
		return 0;
	autoclose int dir = open_parent(u, path, &name);
	if (dir < 0)
		return dir;
	switch (type) {
	case 0:
	case '0':
	case '7':
		return make_file(u, dir, name, mode);
	case '5':
		return make_dir(dir, name, mode);
	case '1':
		return make_link(u, dir, name, link);
	case '2':
		return make_symlink(u, dir, path, name, link);
	}
	u->skipped++;
	return 0;
}

/* Entries */

static void forget_names(struct untar *u)
{
	free(u->name);
	free(u->link);
	u->name = u->link = NULL;
	u->sized = false;
}

static char *field(const char *text, size_t size)
{
	return xstrndup(text, strnlen(text, size));
}

static char *entry_name(struct untar *u, const struct header *h)
{
	if (u->name)
		return xstrdup(u->name);
	/* GNU's old headers have other things where the prefix is. */
	if (memcmp(h->magic, "ustar", 6) || !*h->prefix)
		return field(h->name, sizeof(h->name));
	autofree char *prefix = field(h->prefix, sizeof(h->prefix));
	autofree char *name = field(h->name, sizeof(h->name));
	return xasprintf("%s/%s", prefix, name);
}

static int begin_text(struct untar *u, char type, struct why *why)
{
	if (u->left > TEXT_MAX)
		return why_fail(
			why, -EFBIG, "a name or attribute of %llu bytes", (unsigned long long)u->left);
	u->text_kind = type;
	buf_clear(&u->text);
	return 0;
}

static int begin_entry(struct untar *u, const struct header *h, struct why *why)
{
	uint64_t mode;
	int err;

	if (++u->entries > UNTAR_ENTRIES_MAX)
		return why_fail(why, -EFBIG, "more than %u entries", UNTAR_ENTRIES_MAX);
	autofree char *path = entry_name(u, h);
	autofree char *link = u->link ? xstrdup(u->link) : field(h->link, sizeof(h->link));
	if (!number(h->mode, sizeof(h->mode), &mode))
		mode = 0644;
	if (strlen(path) >= UNTAR_NAME_MAX || !clean(path))
		return why_fail(why, -EBADMSG, "a name that leads elsewhere or is too long");
	if (h->type == '1' || h->type == '2' || h->type == '5')
		u->left = 0; /* no bytes follow those, whatever the size says */
	err = make_entry(u, h->type, path, link, (unsigned)mode);
	forget_names(u);
	return err ? why_fail_errno(why, err, "%.200s cannot be made", path) : 0;
}

static int begin(struct untar *u, const struct header *h, struct why *why)
{
	static const struct header zero;

	if (!memcmp(h, &zero, sizeof(zero))) {
		u->ended = ++u->zeroes >= 2;
		return 0;
	}
	u->zeroes = 0;
	if (!checksum_ok(h) || !number(h->size, sizeof(h->size), &u->left))
		return why_fail(why, -EBADMSG, "it is no tar archive, or damaged");
	if (strchr("LKxg", h->type) && h->type) {
		int err = begin_text(u, h->type, why);
		if (err)
			return err;
	} else {
		if (u->sized)
			u->left = u->size;
		int err = begin_entry(u, h, why);
		if (err)
			return err;
	}
	if (u->left > u->bytes_left)
		return why_fail(why, -EFBIG, "more bytes than may be kept");
	u->bytes_left -= u->left;
	u->pad = (BLOCK - u->left % BLOCK) % BLOCK;
	return 0;
}

/* "LEN key=value\n" ... */
static int take_pax(struct untar *u, struct why *why)
{
	char *s = u->text.data, *end = s + u->text.len;

	while (s < end) {
		char *key;
		unsigned long len = strtoul(s, &key, 10);

		if (key == s || *key != ' ' || len < (unsigned long)(key - s) + 3 ||
			len > (unsigned long)(end - s) || s[len - 1] != '\n')
			return why_fail(why, -EBADMSG, "a damaged attribute");
		s[len - 1] = 0;
		key++;
		if (!strncmp(key, "path=", 5)) {
			free(u->name);
			u->name = xstrdup(key + 5);
		} else if (!strncmp(key, "linkpath=", 9)) {
			free(u->link);
			u->link = xstrdup(key + 9);
		} else if (!strncmp(key, "size=", 5)) {
			char *rest;
			u->size = strtoull(key + 5, &rest, 10);
			u->sized = rest != key + 5 && !*rest;
		}
		s += len;
	}
	return 0;
}

static int finish_text(struct untar *u, struct why *why)
{
	char kind = u->text_kind;

	u->text_kind = 0;
	if (kind == 'L' || kind == 'K') {
		char **to = kind == 'L' ? &u->name : &u->link;
		free(*to);
		*to = xstrdup(u->text.data ? u->text.data : "");
	}
	return kind == 'x' && u->text.len ? take_pax(u, why) : 0;
}

static int finish(struct untar *u, struct why *why)
{
	if (u->fd >= 0 && close(u->fd) < 0) {
		u->fd = -1;
		return why_fail_errno(why, -errno, "a file cannot be written");
	}
	u->fd = -1;
	return u->text_kind ? finish_text(u, why) : 0;
}

static int take_bytes(struct untar *u, const char *data, size_t len, struct why *why)
{
	int err = 0;

	if (u->text_kind)
		buf_append(&u->text, data, len);
	else if (u->fd >= 0)
		err = io_write_full(u->fd, data, len);
	u->left -= len;
	if (err)
		return why_fail_errno(why, err, "a file cannot be written");
	return u->left ? 0 : finish(u, why);
}

int untar_feed(struct untar *u, const void *data, size_t len, struct why *why)
{
	const char *p = data;
	int err = 0;

	while (len && !err && !u->ended) {
		size_t n = len;

		if (u->left) {
			n = n < u->left ? n : (size_t)u->left;
			err = take_bytes(u, p, n, why);
		} else if (u->pad) {
			n = n < u->pad ? n : (size_t)u->pad;
			u->pad -= n;
		} else {
			n = n < BLOCK - u->head.len ? n : BLOCK - u->head.len;
			buf_append(&u->head, p, n);
			if (u->head.len == BLOCK) {
				struct header h;
				memcpy(&h, u->head.data, sizeof(h));
				buf_clear(&u->head);
				err = begin(u, &h, why);
				if (!err && !u->left)
					err = finish(u, why);
			}
		}
		p += n;
		len -= n;
	}
	return err;
}

bool untar_whole(const struct untar *u)
{
	return u->ended || (!u->left && !u->pad && !u->head.len && !u->text_kind);
}

void untar_begin(struct untar *u, int dirfd, uint64_t bytes_max)
{
	*u = (struct untar){ .dirfd = dirfd, .bytes_left = bytes_max, .fd = -1 };
}

void untar_end(struct untar *u)
{
	if (u->fd >= 0)
		close(u->fd);
	u->fd = -1;
	buf_free(&u->head);
	buf_free(&u->text);
	forget_names(u);
}
