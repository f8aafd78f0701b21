/* SPDX-License-Identifier: MIT */
/* registries.c: see registries.h. */
#include "fs/registries.h"

#include "cache/base/conf.h"
#include "cache/base/io.h"
#include "fs/start.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_MAX    (1u << 20)
#define SYSTEM_CONFIG "/etc/diverfs.conf"

static bool is_address(const char *word)
{
	return strstr(word, "://") && strncmp(word, "file://", 7) != 0;
}

/* A mistyped path must not become a mount that shows nothing. What goes away later is the cache's to tell. */
static char *layout_path(const char *word, struct why *why)
{
	char *path = options_absolute(strncmp(word, "file://", 7) ? word : word + 7);
	autofree char *mark = xasprintf("%s/oci-layout", path);
	if (!access(mark, F_OK))
		return path;
	if (!access(path, F_OK))
		why_fail(why, -EINVAL,
			"registry %s: that is no OCI image layout: it has no file oci-layout (diverfs "
			"publish makes one)",
			word);
	else
		why_fail_errno(why, -errno,
			"registry %s (a directory with an OCI image layout, an http(s):// address, or `embedded')",
			word);
	free(path);
	return NULL;
}

static char *registry_where(const char *word, struct why *why)
{
	if (strcmp(word, "embedded"))
		return is_address(word) ? xstrdup(word) : layout_path(word, why);
	char *path = options_installed("share/diverfs/registry");
	if (!access(path, F_OK))
		return path;
	why_fail_errno(why, -errno,
		"%s: the embedded registry is missing: install diverfs as a whole (make), or name a registry",
		path);
	free(path);
	return NULL;
}

static struct registry_choice *add(struct registry_choices *r, char *where)
{
	r->list = xrealloc(r->list, (r->count + 1) * sizeof(*r->list));
	struct registry_choice *c = &r->list[r->count++];
	*c = (struct registry_choice){ .where = where };
	return c;
}

/* --- the file ---------------------------------------------------------------------------------- */

static char **split(const char *words)
{
	char **out = xcalloc(strlen(words) / 2 + 2, sizeof(*out));
	size_t n = 0;
	for (const char *s = words + strspn(words, " \t,"); *s;) {
		size_t len = strcspn(s, " \t,");
		out[n++] = xstrndup(s, len);
		s += len + strspn(s + len, " \t,");
	}
	return out;
}

static void free_words(char **words)
{
	for (char **w = words; w && *w; w++)
		free(*w);
	free(words);
}

static int take_line(void *arg, unsigned line, const char *key, const char *value, struct why *why)
{
	struct registry_choices *r = arg;
	(void)line;
	if (!strcmp(key, "registry")) {
		if (!*value)
			return why_fail(why, -EINVAL, "registry: which?");
		add(r, xstrdup(value));
		return 0;
	}
	if (strcmp(key, "names") && strcmp(key, "ca") && strcmp(key, "insecure"))
		return why_fail(why, -EINVAL, "%s: there are registry, names, ca and insecure", key);
	if (!r->count)
		return why_fail(
			why, -EINVAL, "%s: before it there must be the `registry =' that it is about", key);
	struct registry_choice *c = &r->list[r->count - 1];
	if (!strcmp(key, "insecure"))
		return conf_bool(key, value, &c->insecure, why);
	if (!strcmp(key, "ca")) {
		free(c->ca_file);
		c->ca_file = options_absolute(value);
		return 0;
	}
	free_words(c->names);
	c->names = split(value);
	return 0;
}

static int read_file(const char *path, bool must, struct registry_choices *r, struct why *why)
{
	autobuf struct buf text = { 0 };
	int err = io_read_file(AT_FDCWD, path, CONFIG_MAX, &text);
	if (err == -ENOENT && !must)
		return err;
	if (err < 0)
		return why_fail_errno(why, err, "%s", path);
	err = conf_parse(text.data ? text.data : "", text.len, take_line, r, why);
	if (err)
		why_prefix(why, "%s", path);
	return err;
}

static int read_config(const char *config, struct registry_choices *r, struct why *why)
{
	const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	if (config)
		return read_file(config, true, r, why);
	autofree char *own = xdg && xdg[0] == '/' ? xasprintf("%s/diverfs/config", xdg)
			     : home		  ? xasprintf("%s/.config/diverfs/config", home)
						  : NULL;
	int err = own ? read_file(own, false, r, why) : -ENOENT;
	if (err == -ENOENT)
		err = read_file(SYSTEM_CONFIG, false, r, why);
	return err == -ENOENT ? 0 : err;
}

/* --- the choice -------------------------------------------------------------------------------- */

static void choice_free(struct registry_choice *c)
{
	free(c->where);
	free_words(c->names);
	free(c->ca_file);
}

void registries_free(struct registry_choices *r)
{
	for (size_t i = 0; i < r->count; i++)
		choice_free(&r->list[i]);
	free(r->list);
	*r = (struct registry_choices){ 0 };
}

static bool same_place(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	while (n > 0 && a[n - 1] == '/')
		n--;
	while (m > 0 && b[m - 1] == '/')
		m--;
	return n == m && !memcmp(a, b, n);
}

/* What the file says of (where) becomes (to)'s. */
static void take_settings(struct registry_choices *file, struct registry_choice *to, const char *where)
{
	for (size_t i = 0; i < file->count; i++) {
		struct registry_choice *f = &file->list[i];
		if (!same_place(f->where, where) || to->names || to->ca_file)
			continue;
		to->names = f->names;
		to->ca_file = f->ca_file;
		to->insecure = f->insecure;
		f->names = NULL;
		f->ca_file = NULL;
	}
}

int registries_choose(
	const char *config, char *const *given, size_t count, struct registry_choices *out, struct why *why)
{
	struct registry_choices file = { 0 };
	*out = (struct registry_choices){ 0 };
	int err = read_config(config, &file, why);
	size_t n = count ? count : file.count ? file.count : 1;
	for (size_t i = 0; !err && i < n; i++) {
		const char *word = count ? given[i] : file.count ? file.list[i].where : "embedded";
		char *where = registry_where(word, why);
		if (where)
			take_settings(&file, add(out, where), word);
		else
			err = why->err;
	}
	registries_free(&file);
	return err;
}
