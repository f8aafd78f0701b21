/* SPDX-License-Identifier: MIT */
/*
 * tree.c: all that goes into the root, by path. Links are followed here, on the host, and stay links inside, so that both ends
 * of each are there.
 */
#include "deployers/root/root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The list */

static uint64_t hash(const void *data, size_t len, uint64_t h)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
	return h;
}

#define HASH_A UINT64_C(0xcbf29ce484222325)
#define HASH_B UINT64_C(0x84222325cbf29ce4)

static uint32_t *slot_of(const struct root_tree *t, const char *path)
{
	size_t at = hash(path, strlen(path), HASH_A) & (t->slots - 1);

	while (t->slot[at] && strcmp(t->entry[t->slot[at] - 1].path, path))
		at = (at + 1) & (t->slots - 1);
	return &t->slot[at];
}

static void grow(struct root_tree *t)
{
	t->room = t->room ? t->room * 2 : 256;
	t->entry = xrealloc(t->entry, t->room * sizeof(*t->entry));
	free(t->slot);
	t->slots = t->room * 2;
	t->slot = xcalloc(t->slots, sizeof(*t->slot));
	for (size_t i = 0; i < t->count; i++)
		*slot_of(t, t->entry[i].path) = (uint32_t)i + 1;
}

void tree_init(struct root_tree *t)
{
	*t = (struct root_tree){ .prefix = "" };
	grow(t);
	libs_open(&t->libs);
}

static void entry_free(struct root_entry *e)
{
	free(e->path);
	free(e->from);
	free(e->text);
}

void tree_free(struct root_tree *t)
{
	for (size_t i = 0; i < t->count; i++)
		entry_free(&t->entry[i]);
	free(t->entry);
	free(t->slot);
	libs_close(&t->libs);
}

static const char *inside(const char *path)
{
	return path + strspn(path, "/");
}

bool tree_has(const struct root_tree *t, const char *path)
{
	return *slot_of(t, inside(path)) != 0;
}

/* The entry at (path), new and empty if it was not there. */
static struct root_entry *put(struct root_tree *t, const char *path)
{
	if (t->count + 1 > t->room)
		grow(t);
	uint32_t *slot = slot_of(t, inside(path));
	if (*slot) {
		struct root_entry *e = &t->entry[*slot - 1];
		t->bytes -= e->size;
		free(e->from);
		free(e->text);
		*e = (struct root_entry){ .path = e->path };
		return e;
	}
	t->entry[t->count] = (struct root_entry){ .path = xstrdup(inside(path)) };
	*slot = (uint32_t)++t->count;
	return &t->entry[t->count - 1];
}

void tree_dir(struct root_tree *t, const char *path, mode_t mode)
{
	put(t, path)->mode = S_IFDIR | mode;
}

void tree_file(struct root_tree *t, const char *path, const char *text)
{
	struct root_entry *e = put(t, path);

	e->mode = S_IFREG | 0644;
	e->text = xstrdup(text);
	e->size = strlen(text);
}

static void put_host(
	struct root_tree *t, const char *path, const char *from, const struct stat *st, const char *target)
{
	struct root_entry *e = put(t, path);

	e->from = xstrdup(from);
	e->text = target ? xstrdup(target) : NULL;
	e->mode = st->st_mode & (S_IFMT | 01777);
	e->size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
	e->mtime_ns = st->st_mtim.tv_sec * INT64_C(1000000000) + st->st_mtim.tv_nsec;
	e->ctime_ns = st->st_ctim.tv_sec * INT64_C(1000000000) + st->st_ctim.tv_nsec;
	e->inode = st->st_ino;
	t->bytes += e->size;
}

/* Adding */

struct adding {
	struct root_tree *t;
	bool follow; /* links, and what programs need */
	dev_t dev;   /* of the tree that is walked: others are left out */
	unsigned depth;
	struct why *why;
};

static int check_bounds(const struct adding *a, const char *path)
{
	if (a->t->count >= ROOT_ENTRIES_MAX)
		return why_fail(
			a->why, -EFBIG, "%s: the root has more than %u files", path, ROOT_ENTRIES_MAX);
	if (a->t->bytes > ROOT_BYTES_MAX)
		return why_fail(a->why, -EFBIG, "%s: the root has more than %" PRIu64 " GiB", path,
			ROOT_BYTES_MAX >> 30);
	if (a->depth > ROOT_DEPTH_MAX)
		return why_fail(a->why, -ELOOP, "%s: directories more than %u deep", path, ROOT_DEPTH_MAX);
	return 0;
}

static int add_tree(struct adding *a, const char *from, const char *to);

static int name_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in (from), sorted; NULL-terminated. */
static char **list_dir(const char *from)
{
	char **names = xcalloc(1, sizeof(char *));
	DIR *d = opendir(from);
	struct dirent *e;
	size_t n = 0;

	while (d && n < ROOT_ENTRIES_MAX && (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		names = xrealloc(names, (n + 2) * sizeof(char *));
		names[n++] = xstrdup(e->d_name);
		names[n] = NULL;
	}
	if (d)
		closedir(d);
	qsort(names, n, sizeof(char *), name_order);
	return names;
}

static int add_below(struct adding *a, const char *from, const char *to)
{
	char **names = list_dir(from);
	int err = 0;

	a->depth++;
	for (char **n = names; *n; n++) {
		autofree char *f = xasprintf("%s/%s", from, *n), *p = xasprintf("%s/%s", to, *n);
		if (!err)
			err = add_tree(a, f, p);
		free(*n);
	}
	a->depth--;
	free(names);
	return err;
}

static int add_needs(struct adding *a, const char *real, const char *path);
static int add_need(struct adding *a, const char *path, const char *need);

static int add_tree(struct adding *a, const char *from, const char *to)
{
	char target[PATH_MAX];
	struct stat st;
	int err = check_bounds(a, from);

	if (err)
		return err;
	if (lstat(from, &st) < 0 || st.st_dev != a->dev)
		return 0; /* gone meanwhile, or another file system: /proc, a mount of ours */
	if (S_ISLNK(st.st_mode)) {
		ssize_t n = readlink(from, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = 0;
		put_host(a->t, to, from, &st, target);
		return a->follow ? add_need(a, to, to) : 0;
	}
	if (S_ISDIR(st.st_mode)) {
		put_host(a->t, to, from, &st, NULL);
		return add_below(a, from, to);
	}
	if (!S_ISREG(st.st_mode))
		return 0;
	if (access(from, R_OK) < 0) {
		log_warn("%s is left out: %s", from, err_text(errno));
		return 0;
	}
	if (a->follow && tree_has(a->t, to))
		return 0;
	put_host(a->t, to, from, &st, NULL);
	return a->follow ? add_needs(a, from, to) : 0;
}

int tree_add(struct root_tree *t, const char *from, const char *to, struct why *why)
{
	struct adding a = { .t = t, .why = why };
	struct stat st;

	if (stat(from, &st) < 0)
		return why_fail_errno(why, -errno, "%s", from);
	if (!S_ISDIR(st.st_mode))
		return why_fail(why, -ENOTDIR, "%s is no directory", from);
	a.dev = st.st_dev;
	return add_below(&a, from, to);
}

/* Something that (path) needs, which may be missing: many files are never run. */
static int add_need(struct adding *a, const char *path, const char *need)
{
	struct why why = { 0 };
	int err = tree_add_host(a->t, need, &why);

	if (err == -EFBIG) {
		*a->why = why;
		return err;
	}
	if (err)
		log_warn("%s needs %s: %s", path, need, why.text);
	return 0;
}

/* "#!/usr/bin/env python3" wants two programs. */
static int add_script(struct adding *a, const char *path, const char *line)
{
	char program[256] = "", word[256] = "";
	static const char *const dirs[] = { "/usr/local/bin", "/usr/bin", "/bin" };

	if (sscanf(line, "#! %255s %255s", program, word) < 1 || *program != '/')
		return 0;
	int err = add_need(a, path, program);
	const char *base = strrchr(program, '/') + 1;
	for (size_t i = 0; !err && !strcmp(base, "env") && i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		autofree char *found = xasprintf("%s/%s", dirs[i], word);
		if (!strchr(word, '/') && access(found, X_OK) == 0)
			return add_need(a, path, found);
	}
	return err;
}

/* What glibc itself opens by name once it is needed: for pthread_cancel() and pthread_exit(), which abort without it. */
static int add_opened(struct adding *a, const struct elf *e, const char *path, const char *library)
{
	char found[PATH_MAX];

	if (strcmp(library, "libc.so.6"))
		return 0;
	libs_find(&a->t->libs, a->t->prefix, "libgcc_s.so.1", e, path, found, sizeof(found));
	return *found ? add_need(a, path, found) : 0;
}

static int add_libraries(struct adding *a, const struct elf *e, const char *path)
{
	char found[PATH_MAX];
	int err = e->interpreter ? add_need(a, path, e->interpreter) : 0;

	for (size_t i = 0; i < e->count && !err; i++) {
		libs_find(&a->t->libs, a->t->prefix, e->needed[i], e, path, found, sizeof(found));
		if (*found)
			err = add_need(a, path, found);
		else
			log_warn("%s needs %s, which is not found", path, e->needed[i]);
		if (!err)
			err = add_opened(a, e, path, e->needed[i]);
	}
	return err;
}

/* What the file (real), a program perhaps, needs to run. */
static int add_needs(struct adding *a, const char *real, const char *path)
{
	int fd = open(real, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	char line[512] = "";
	struct why why = { 0 };
	struct elf e;
	int err = 0;

	if (fd < 0 || pread(fd, line, sizeof(line) - 1, 0) < 4) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	if (!strncmp(line, "#!", 2)) {
		line[strcspn(line, "\n")] = 0;
		err = add_script(a, path, line);
	} else if (elf_read(fd, real, &e, &why) < 0) {
		log_warn("%s", why.text);
	} else {
		err = e.elf ? add_libraries(a, &e, path) : 0;
		elf_free(&e);
	}
	close(fd);
	return err;
}

/* Entries are added meanwhile: those that were there are looked at. */
int tree_add_needs(struct root_tree *t, const char *below, struct why *why)
{
	struct adding a = { .t = t, .follow = true, .why = why };
	size_t count = t->count;
	int err = 0;

	for (size_t i = 0; i < count && !err; i++) {
		const struct root_entry *e = &t->entry[i];
		if (strncmp(e->path, below, strlen(below)) || !S_ISREG(e->mode) || !e->from)
			continue;
		autofree char *from = xstrdup(e->from), *path = xasprintf("/%s", e->path);
		err = add_needs(&a, from, path);
	}
	return err;
}

/* A host path, link by link */

static int end_of_path(
	struct root_tree *t, const char *path, const char *real, const struct stat *st, struct why *why)
{
	struct adding a = { .t = t, .follow = true, .dev = st->st_dev, .why = why };

	if (S_ISDIR(st->st_mode)) {
		put_host(t, path, real, st, NULL);
		return add_below(&a, real, path);
	}
	if (!S_ISREG(st->st_mode))
		return why_fail(why, -EINVAL, "%s is neither a file nor a directory", path);
	if (access(real, R_OK) < 0)
		return why_fail_errno(why, -errno, "%s", path);
	return add_tree(&a, real, path);
}

/* The path that a link at (at) with (target) leads to, with the (rest) behind it. */
static char *redirect(const char *at, const char *target, const char *rest)
{
	const char *slash = strrchr(at, '/');

	if (*target == '/')
		return xasprintf("%s%s", target, rest);
	return xasprintf("%.*s/%s%s", (int)(slash - at), at, target, rest);
}

/* Without "." and "..", which is right where no link came before: they are resolved from the left. */
static void flatten(char *path)
{
	char *to = path;

	for (const char *s = path; *s;) {
		size_t n = strcspn(s, "/");

		if (n == 2 && !strncmp(s, "..", 2)) {
			while (to > path && *--to != '/')
				;
		} else if (n && !(n == 1 && *s == '.')) {
			*to++ = '/';
			memmove(to, s, n);
			to += n;
		}
		s += n + (s[n] == '/');
	}
	*to = 0;
}

int tree_add_host(struct root_tree *t, const char *path, struct why *why)
{
	autofree char *left = xstrdup(path);
	char target[PATH_MAX];
	struct stat st = { 0 };

	for (unsigned links = 0; links < 40; links++) {
		size_t at = 0;
		bool link = false;

		flatten(left);
		while (left[at] && !link) {
			at += 1 + strcspn(left + at + 1, "/");
			autofree char *here = xstrndup(left, at);
			autofree char *real = xasprintf("%s%s", t->prefix, here);

			if (lstat(real, &st) < 0)
				return why_fail_errno(why, -errno, "%s", path);
			link = S_ISLNK(st.st_mode);
			if (link) {
				ssize_t n = readlink(real, target, sizeof(target) - 1);
				target[n > 0 ? n : 0] = 0;
				put_host(t, here, real, &st, target);
				char *next = redirect(here, target, left + at);
				free(left);
				left = next;
			} else if (left[at] && !tree_has(t, here)) {
				put_host(t, here, real, &st, NULL);
			}
		}
		if (!link) {
			autofree char *real = xasprintf("%s%s", t->prefix, left);
			return *left ? end_of_path(t, left, real, &st, why)
				     : why_fail(why, -EINVAL,
					       "%s is all of the host; name less (or root = /)", path);
		}
	}
	return why_fail(why, -ELOOP, "%s: too many links", path);
}

/* Finishing */

static int path_order(const void *a, const void *b)
{
	return strcmp(((const struct root_entry *)a)->path, ((const struct root_entry *)b)->path);
}

void tree_sort(struct root_tree *t)
{
	qsort(t->entry, t->count, sizeof(*t->entry), path_order);
	memset(t->slot, 0, t->slots * sizeof(*t->slot));
	for (size_t i = 0; i < t->count; i++)
		*slot_of(t, t->entry[i].path) = (uint32_t)i + 1;
}

void tree_fingerprint(const struct root_tree *t, char out[33])
{
	uint64_t a = HASH_A, b = HASH_B;

	for (size_t i = 0; i < t->count; i++) {
		const struct root_entry *e = &t->entry[i];
		autofree char *line = xasprintf("%s%c%s%c%s%c%o %" PRIu64 " %" PRId64 " %" PRId64 " %" PRIu64
						"\n",
			e->path, 1, e->from ? e->from : "", 1, e->text ? e->text : "", 1, e->mode, e->size,
			S_ISDIR(e->mode) ? 0 : e->mtime_ns, S_ISDIR(e->mode) ? 0 : e->ctime_ns, e->inode);
		a = hash(line, strlen(line), a);
		b = hash(line, strlen(line), b ^ a);
	}
	snprintf(out, 33, "%016" PRIx64 "%016" PRIx64, a, b);
}
