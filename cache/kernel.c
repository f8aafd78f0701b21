/* SPDX-License-Identifier: MIT */
/*
 * kernel.c: kernel.conf read, checked and completed with what is meant where nothing is said.
 *
 * Keys are read without regard to case: "fullVM.memory" is what the manual shows.
 */
#include "cache/kernel_raw.h"

#include "cache/base/conf.h"
#include "cache/limits.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_LEAST   (UINT64_C(1) << 20)
#define MEMORY_MOST    (UINT64_C(1) << 40)
#define MEMORY_DEFAULT (UINT64_C(64) << 20)
#define CPUS_MOST      256u

const char *const kernel_mode_names[] = { "fullVM", "splitVM", "splitHW", NULL };
const char *const top_names[TOP_COUNT] = { "name", "version", "description", "license", "homepage",
	"keywords", "family", "arch", "modes", "stdout", "terminal", "template", "build", "tools" };
const char *const launch_names[LAUNCH_COUNT] = { "image", "initrd", "cmdline", "memory", "memory_min", "cpus",
	"cpus_max", "machine", "console" };

static const char *const stdout_words[] = { "port", "console", NULL };
static const char *const terminal_words[] = { "stdin", "console", "shell", NULL };
static const char *const machine_words[] = { "auto", "microvm", "pc", NULL };
static const char *const console_words[] = { "serial", "virtio", "debugcon", "vga", NULL };

/* --- grammar of names ------------------------------------------------------------------------- */

static bool low_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Length of a separator inside a component: . _ __ or any number of -; 0 if there is none. */
static size_t separator(const char *s)
{
	if (s[0] == '.')
		return 1;
	if (s[0] == '_')
		return s[1] == '_' ? 2 : 1;
	return strspn(s, "-");
}

bool name_is_repository(const char *s)
{
	if (strlen(s) > 255)
		return false;
	for (;;) {
		if (!low_alnum(*s))
			return false;
		while (low_alnum(*s))
			s++;
		if (!*s)
			return true;
		size_t n = *s == '/' ? 1 : separator(s);
		if (n == 0)
			return false;
		s += n;
	}
}

bool name_is_tag(const char *s)
{
	if (*s == '.' || *s == '-' || !*s || strlen(s) > 128)
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && *s != '_' && *s != '.' && *s != '-')
			return false;
	return true;
}

/* --- one value -------------------------------------------------------------------------------- */

static int index_of(const char *const *words, size_t count, const char *s)
{
	for (size_t i = 0; i < count; i++)
		if (words[i] && strcasecmp(words[i], s) == 0)
			return (int)i;
	return -1;
}

static int check_free_text(const char *key, const char *value, struct why *why)
{
	for (const char *p = value; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return why_fail(
				why, -EINVAL, "%s: control characters and line ends are refused", key);
	if (strlen(value) > 4096)
		return why_fail(why, -EINVAL, "%s: longer than 4096 bytes", key);
	return 0;
}

/* A path that stays below where it begins. */
static int check_path(const char *key, const char *value, struct why *why)
{
	for (const char *p = value; *p;) {
		size_t n = strcspn(p, "/");
		if (n == 0 || n > MAX_NAME_LEN || (n == 1 && p[0] == '.') || (n == 2 && !memcmp(p, "..", 2)))
			return why_fail(why, -EINVAL,
				"%s: \"%s\" is not a plain path (no leading /, no \"..\", no \"//\")", key,
				value);
		p += n;
		if (*p == '/' && !*++p)
			return why_fail(why, -EINVAL, "%s: \"%s\" ends with a slash", key, value);
	}
	return 0;
}

static int check_modes(const char *value, bool strict, struct why *why)
{
	autofree char *copy = xstrdup(value);
	char *save, *word = strtok_r(copy, " \t", &save);
	for (; word && strict; word = strtok_r(NULL, " \t", &save))
		if (conf_word("modes", word, kernel_mode_names, why) < 0)
			return -EINVAL;
	return 0;
}

static int check_top(int key, const char *value, bool strict, struct why *why)
{
	if (key == TOP_NAME && !name_is_repository(value))
		return why_fail(why, -EINVAL,
			"name: \"%s\" is not a repository name ([a-z0-9]+ with . _ - inside, components "
			"joined by /)",
			value);
	if (key == TOP_VERSION && !name_is_tag(value))
		return why_fail(why, -EINVAL,
			"version: \"%s\" cannot be a tag (letters, digits, . _ -, at most 128)", value);
	if (key == TOP_MODES)
		return check_modes(value, strict, why);
	if (key == TOP_STDOUT && strict)
		return conf_word("stdout", value, stdout_words, why) < 0 ? -EINVAL : 0;
	if (key == TOP_TERMINAL && strict)
		return conf_word("terminal", value, terminal_words, why) < 0 ? -EINVAL : 0;
	if (key == TOP_TEMPLATE)
		return check_path("template", value, why);
	return 0;
}

static int check_launch(int key, const char *value, bool strict, struct why *why)
{
	uint64_t n;
	const char *name = launch_names[key];
	switch (key) {
	case LAUNCH_IMAGE:
	case LAUNCH_INITRD:
		return check_path(name, value, why);
	case LAUNCH_MEMORY:
	case LAUNCH_MEMORY_MIN:
		return conf_size(name, value, MEMORY_LEAST, MEMORY_MOST, &n, why);
	case LAUNCH_CPUS:
	case LAUNCH_CPUS_MAX:
		return conf_number(name, value, 1, CPUS_MOST, &n, why);
	case LAUNCH_MACHINE:
		return strict && conf_word(name, value, machine_words, why) < 0 ? -EINVAL : 0;
	case LAUNCH_CONSOLE:
		return strict && conf_word(name, value, console_words, why) < 0 ? -EINVAL : 0;
	default:
		return 0;
	}
}

/* --- the text --------------------------------------------------------------------------------- */

struct parsing {
	struct kernel_raw *raw;
	bool strict;
};

static int unknown_key(const char *key, struct why *why)
{
	autobuf struct buf known = { 0 };
	for (int i = 0; i < TOP_COUNT; i++)
		buf_printf(&known, "%s ", top_names[i]);
	for (int i = 0; i < LAUNCH_COUNT; i++)
		buf_printf(&known, "%s ", launch_names[i]);
	for (int i = 0; i < MODE_COUNT; i++)
		buf_printf(&known, "%s.KEY%s", kernel_mode_names[i], i + 1 < MODE_COUNT ? " " : "");
	return why_fail(why, -EINVAL, "%s: unknown key; there are: %s", key, known.data);
}

/* Where the value of (key) is kept; NULL if there is no such key. */
static char **slot(struct kernel_raw *r, const char *key, int *top, int *launch)
{
	*launch = -1;
	*top = index_of(top_names, TOP_COUNT, key);
	if (*top >= 0)
		return &r->top[*top];
	int mode = 0;
	const char *dot = strchr(key, '.');
	if (dot) {
		autofree char *word = xstrndup(key, (size_t)(dot - key));
		mode = 1 + index_of(kernel_mode_names, MODE_COUNT, word);
		key = dot + 1;
	}
	*launch = mode == 0 && dot ? -1 : index_of(launch_names, LAUNCH_COUNT, key);
	return *launch < 0 ? NULL : &r->launch[mode][*launch];
}

static int on_line(void *arg, unsigned line, const char *key, const char *value, struct why *why)
{
	(void)line;
	struct parsing *p = arg;
	int top, launch;
	char **to = slot(p->raw, key, &top, &launch);
	if (!to)
		return p->strict ? unknown_key(key, why) : 0;
	if (*to)
		return why_fail(why, -EINVAL, "%s: is there twice", key);
	int err = check_free_text(key, value, why);
	if (!err && *value)
		err = top >= 0 ? check_top(top, value, p->strict, why)
			       : check_launch(launch, value, p->strict, why);
	if (!err)
		*to = xstrdup(value);
	return err;
}

int kernel_raw_parse(struct kernel_raw *r, const char *text, size_t len, bool strict, struct why *why)
{
	memset(r, 0, sizeof(*r));
	if (len > MAX_KERNEL_CONF || memchr(text, 0, len))
		return why_fail(why, -EINVAL, "kernel.conf is larger than %u bytes, or is not a text",
			MAX_KERNEL_CONF);
	autofree char *lowered = conf_lower_keys(text, len);
	struct parsing p = { r, strict };
	int err = conf_parse(lowered, len, on_line, &p, why);
	return err ? -EINVAL : 0;
}

void kernel_raw_free(struct kernel_raw *r)
{
	for (int i = 0; i < TOP_COUNT; i++)
		free(r->top[i]);
	for (int m = 0; m <= MODE_COUNT; m++)
		for (int i = 0; i < LAUNCH_COUNT; i++)
			free(r->launch[m][i]);
	memset(r, 0, sizeof(*r));
}

void kernel_raw_put(const struct kernel_raw *r, struct buf *out)
{
	for (int i = 0; i < TOP_COUNT; i++)
		if (r->top[i])
			conf_put(out, top_names[i], r->top[i]);
	for (int m = 0; m <= MODE_COUNT; m++) {
		for (int i = 0; i < LAUNCH_COUNT; i++) {
			if (!r->launch[m][i])
				continue;
			autofree char *key = m ? xasprintf("%s.%s", kernel_mode_names[m - 1], launch_names[i])
					       : xstrdup(launch_names[i]);
			conf_put(out, key, r->launch[m][i]);
		}
	}
}

/* --- what it means ---------------------------------------------------------------------------- */

static const char *launch_value(const struct kernel_raw *r, int mode, int key)
{
	const char *v = r->launch[1 + mode][key];
	if (!v)
		v = r->launch[0][key];
	return v ? v : "";
}

static uint64_t launch_number(const struct kernel_raw *r, int mode, int key, uint64_t missing)
{
	uint64_t n = missing;
	const char *v = launch_value(r, mode, key);
	if (!*v)
		return missing;
	if (key == LAUNCH_MEMORY || key == LAUNCH_MEMORY_MIN)
		conf_size("", v, MEMORY_LEAST, MEMORY_MOST, &n, NULL);
	else
		conf_number("", v, 1, CPUS_MOST, &n, NULL);
	return n;
}

static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);
	for (const char *p = list; p && *p; p += strcspn(p, " \t")) {
		p += strspn(p, " \t");
		if (strncmp(p, word, n) == 0 && (!p[n] || p[n] == ' ' || p[n] == '\t'))
			return true;
	}
	return false;
}

static int build_launch(struct kernel_launch *l, const struct kernel_raw *r, int mode, struct why *why)
{
	l->supported = has_word(r->top[TOP_MODES], kernel_mode_names[mode]);
	l->image = xstrdup(launch_value(r, mode, LAUNCH_IMAGE));
	l->initrd = xstrdup(launch_value(r, mode, LAUNCH_INITRD));
	l->cmdline = xstrdup(launch_value(r, mode, LAUNCH_CMDLINE));
	l->machine = xstrdup(launch_value(r, mode, LAUNCH_MACHINE));
	l->console = xstrdup(launch_value(r, mode, LAUNCH_CONSOLE));
	l->memory_min = launch_number(r, mode, LAUNCH_MEMORY_MIN, MEMORY_LEAST);
	l->memory = launch_number(
		r, mode, LAUNCH_MEMORY, l->memory_min > MEMORY_DEFAULT ? l->memory_min : MEMORY_DEFAULT);
	l->cpus = (uint32_t)launch_number(r, mode, LAUNCH_CPUS, 1);
	l->cpus_max = (uint32_t)launch_number(r, mode, LAUNCH_CPUS_MAX, l->cpus);
	if (l->memory < l->memory_min)
		return why_fail(why, -EINVAL, "%s: memory is less than memory_min", kernel_mode_names[mode]);
	if (l->cpus > l->cpus_max)
		return why_fail(why, -EINVAL, "%s: cpus is more than cpus_max", kernel_mode_names[mode]);
	return 0;
}

static int check_complete(const struct kernel_raw *r, struct why *why)
{
	static const int needed[] = { TOP_NAME, TOP_VERSION, TOP_ARCH, TOP_MODES };
	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++)
		if (!r->top[needed[i]] || !*r->top[needed[i]])
			return why_fail(why, -EINVAL, "%s: is missing", top_names[needed[i]]);
	for (int m = 0; m < MODE_COUNT; m++)
		if (has_word(r->top[TOP_MODES], kernel_mode_names[m]) && !*launch_value(r, m, LAUNCH_IMAGE))
			return why_fail(why, -EINVAL, "image: is missing for %s", kernel_mode_names[m]);
	return 0;
}

static char *top_value(const struct kernel_raw *r, int key)
{
	return xstrdup(r->top[key] ? r->top[key] : "");
}

static int build_conf(struct kernel_conf *k, const struct kernel_raw *r, bool strict, struct why *why)
{
	k->name = top_value(r, TOP_NAME);
	k->version = top_value(r, TOP_VERSION);
	k->description = top_value(r, TOP_DESCRIPTION);
	k->license = top_value(r, TOP_LICENSE);
	k->homepage = top_value(r, TOP_HOMEPAGE);
	k->keywords = top_value(r, TOP_KEYWORDS);
	k->family = top_value(r, TOP_FAMILY);
	k->arch = top_value(r, TOP_ARCH);
	k->build = top_value(r, TOP_BUILD);
	k->template_dir = top_value(r, TOP_TEMPLATE);
	k->tools = top_value(r, TOP_TOOLS);
	k->stdout_console = r->top[TOP_STDOUT] && strcmp(r->top[TOP_STDOUT], "console") == 0;
	for (int m = 0; m < MODE_COUNT; m++) {
		int err = build_launch(&k->launch[m], r, m, why);
		if (err)
			return err;
	}
	return strict ? check_complete(r, why) : 0;
}

int kernel_conf_parse(struct kernel_conf *k, const char *text, size_t len, bool strict, struct why *why)
{
	struct kernel_raw r;
	memset(k, 0, sizeof(*k));
	int err = kernel_raw_parse(&r, text, len, strict, why);
	if (!err)
		err = build_conf(k, &r, strict, why);
	kernel_raw_free(&r);
	return err;
}

void kernel_conf_free(struct kernel_conf *k)
{
	char *const texts[] = { k->name, k->version, k->description, k->license, k->homepage, k->keywords,
		k->family, k->arch, k->build, k->template_dir, k->tools };
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		free(texts[i]);
	for (int m = 0; m < MODE_COUNT; m++) {
		struct kernel_launch *l = &k->launch[m];
		free(l->image);
		free(l->initrd);
		free(l->cmdline);
		free(l->machine);
		free(l->console);
	}
	memset(k, 0, sizeof(*k));
}
