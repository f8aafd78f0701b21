/* SPDX-License-Identifier: MIT */
/* pins.c: small text files, read whole: there are few. */
#include "cache/pins.h"

#include "cache/base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_PIN (1u << 20)

const char *const part_names[PARTS] = { "packs", "trees", "objects" };

struct pin {
	enum part part;
	struct digest digest;
};

struct pins {
	struct pin *list;
	size_t count, cap;
};

static void put_line(struct buf *out, enum part part, const struct digest *d)
{
	char hex[DIGEST_HEX_LEN + 1];
	digest_hex(d, hex);
	buf_printf(out, "%s %s\n", part_names[part], hex);
}

static int pins_dir(int cache_fd)
{
	int err = io_mkdirs(cache_fd, "pins", 0755);
	int fd = err < 0 ? err : openat(cache_fd, "pins", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 && !err ? -errno : fd;
}

int pins_add(int cache_fd, const char *reference, const struct tree *t, struct why *why)
{
	autobuf struct buf text = { 0 };
	char name[DIGEST_HEX_LEN + 1];
	struct digest id;
	buf_printf(&text, "kernel %s\n", reference);
	put_line(&text, PART_TREES, &t->head->manifest);
	put_line(&text, PART_OBJECTS, &t->head->manifest);
	digest_of(text.data, text.len, &id);
	digest_hex(&id, name);
	for (uint32_t i = 0; i < t->head->layer_count; i++) {
		put_line(&text, PART_PACKS, &t->layers[i].pack);
		put_line(&text, PART_OBJECTS, &t->layers[i].blob);
	}
	autoclose int dir = pins_dir(cache_fd);
	int err = dir < 0 ? dir : io_write_file(dir, name, text.data, text.len, 0644, true);
	return err < 0 ? why_fail_errno(why, err, "cannot pin %s", reference) : 0;
}

typedef void pin_fn(void *arg, int dir, const char *name, const char *reference, const char *rest);

static void each(int cache_fd, pin_fn *fn, void *arg)
{
	int dir = pins_dir(cache_fd);
	DIR *d = dir < 0 ? NULL : fdopendir(dir);
	if (!d) {
		if (dir >= 0)
			close(dir);
		return;
	}
	for (struct dirent *e; (e = readdir(d));) {
		autobuf struct buf text = { 0 };
		if (strlen(e->d_name) != DIGEST_HEX_LEN || io_read_file(dir, e->d_name, MAX_PIN, &text) < 0 ||
			!text.len || strncmp(text.data, "kernel ", 7) != 0)
			continue;
		char *end = strchr(text.data, '\n');
		if (!end)
			continue;
		*end = 0;
		fn(arg, dir, e->d_name, text.data + 7, end + 1);
	}
	closedir(d);
}

struct removal {
	const char *reference;
	int err;
};

static void remove_one(void *arg, int dir, const char *name, const char *reference, const char *rest)
{
	struct removal *r = arg;
	(void)rest;
	if (strcmp(reference, r->reference) == 0)
		r->err = unlinkat(dir, name, 0) < 0 ? -errno : 0;
}

int pins_remove(int cache_fd, const char *reference, struct why *why)
{
	struct removal r = { reference, -ENOENT };
	each(cache_fd, remove_one, &r);
	if (r.err == -ENOENT)
		return why_fail(why, r.err, "%s is not pinned", reference);
	return r.err ? why_fail_errno(why, r.err, "cannot unpin %s", reference) : 0;
}

static void count_one(void *arg, int dir, const char *name, const char *reference, const char *rest)
{
	(void)dir, (void)name, (void)reference, (void)rest;
	++*(uint32_t *)arg;
}

uint32_t pins_count(int cache_fd)
{
	uint32_t n = 0;
	each(cache_fd, count_one, &n);
	return n;
}

static void add_pin(struct pins *p, enum part part, const struct digest *d)
{
	if (p->count == p->cap) {
		p->cap = p->cap ? 2 * p->cap : 64;
		p->list = xrealloc(p->list, p->cap * sizeof(*p->list));
	}
	memset(&p->list[p->count], 0, sizeof(*p->list));
	p->list[p->count].part = part;
	p->list[p->count++].digest = *d;
}

static void load_one(void *arg, int dir, const char *name, const char *reference, const char *rest)
{
	(void)dir, (void)name, (void)reference;
	for (const char *s = rest; *s; s += strcspn(s, "\n"), s += *s == '\n') {
		for (enum part part = 0; part < PARTS; part++) {
			size_t n = strlen(part_names[part]);
			char hex[DIGEST_HEX_LEN + 1];
			struct digest d;
			if (strncmp(s, part_names[part], n) != 0 || s[n] != ' ')
				continue;
			snprintf(hex, sizeof(hex), "%.64s", s + n + 1);
			if (digest_parse_hex(hex, &d) == 0)
				add_pin(arg, part, &d);
		}
	}
}

static int by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct pin));
}

struct pins *pins_load(int cache_fd)
{
	struct pins *p = xcalloc(1, sizeof(*p));
	each(cache_fd, load_one, p);
	if (p->count)
		qsort(p->list, p->count, sizeof(*p->list), by_bytes);
	return p;
}

bool pins_has(const struct pins *p, enum part part, const struct digest *d)
{
	struct pin key;
	memset(&key, 0, sizeof(key));
	key.part = part;
	key.digest = *d;
	return p->count && bsearch(&key, p->list, p->count, sizeof(key), by_bytes);
}

void pins_free(struct pins *p)
{
	free(p->list);
	free(p);
}
