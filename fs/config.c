/* SPDX-License-Identifier: MIT */
/*
 * config.c: one table says which keys there are, how each is read, and what is told about the wrong ones.
 */
#include "fs/config.h"
#include "fs/config_device.h"

#include "cache/base/conf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_MIN  (1ull << 20)
#define MEMORY_MAX  (1ull << 40)
#define CPUS_MAX    255u
#define PATH_BYTES  4095u
#define TIMEOUT_MAX (10ull * 365 * 86400)

static const char *const machine_words[] = { "auto", "microvm", "pc", NULL };
static const char *const accel_words[] = { "auto", "kvm", "tcg", NULL };
static const char *const console_words[] = { "serial", NULL };

typedef int key_fn(struct config *c, const char *key, const char *value, struct why *why);

static bool one_of(char ch, const char *set)
{
	return (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || (ch && strchr(set, ch));
}

/* OCI: components of [a-z0-9]+ with separators inside, joined by '/'. */
static bool name_ok(const char *s, size_t len)
{
	bool sep = true; /* where a letter or digit must come next */

	if (!len || len > 255)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!one_of(s[i], "._-/"))
			return false;
		if (s[i] == '/' && (sep || i + 1 == len))
			return false;
		if (sep && !one_of(s[i], ""))
			return false;
		sep = s[i] == '/';
	}
	return one_of(s[len - 1], "");
}

static bool tag_ok(const char *s)
{
	size_t len = strlen(s);

	if (!len || len > 128 || *s == '.' || *s == '-')
		return false;
	for (; *s; s++)
		if (!one_of(*s, "._-") && !(*s >= 'A' && *s <= 'Z'))
			return false;
	return true;
}

static bool digest_ok(const char *s)
{
	return strncmp(s, "sha256:", 7) == 0 && strlen(s) == 71 && strspn(s + 7, "0123456789abcdef") == 64;
}

int config_split_kernel(const char *value, char **name, char **reference, struct why *why)
{
	const char *at = strchr(value, '@'), *colon = at ? NULL : strrchr(value, ':');
	const char *end = at ? at : colon ? colon : value + strlen(value);

	*name = *reference = NULL;
	if (!name_ok(value, (size_t)(end - value)))
		return why_fail(why, -EINVAL,
			"kernel: '%s' is not a kernel's name (write NAME, NAME:TAG or NAME@sha256:...)",
			value);
	if (at && !digest_ok(at + 1))
		return why_fail(why, -EINVAL,
			"kernel: '%s' is not a digest (sha256: and 64 hexadecimal digits)", at + 1);
	if (colon && !tag_ok(colon + 1))
		return why_fail(why, -EINVAL, "kernel: '%s' is not a tag", colon + 1);
	*name = xstrndup(value, (size_t)(end - value));
	if (*end)
		*reference = xstrdup(end + 1);
	return 0;
}

static int key_kernel(struct config *c, const char *key, const char *value, struct why *why)
{
	(void)key;
	return config_split_kernel(value, &c->kernel, &c->reference, why);
}

static int key_mode(struct config *c, const char *key, const char *value, struct why *why)
{
	int m = conf_word(key, value, kernel_mode_names, why);

	if (m < 0)
		return m;
	c->mode = m;
	return 0;
}

static int key_memory(struct config *c, const char *key, const char *value, struct why *why)
{
	return conf_size(key, value, MEMORY_MIN, MEMORY_MAX, &c->memory, why);
}

static int key_cpus(struct config *c, const char *key, const char *value, struct why *why)
{
	uint64_t n;
	int err = conf_number(key, value, 1, CPUS_MAX, &n, why);

	if (!err)
		c->cpus = (uint32_t)n;
	return err;
}

static int key_cmdline(struct config *c, const char *key, const char *value, struct why *why)
{
	for (const char *p = value; *p; p++)
		if ((unsigned char)*p < 0x20 && *p != '\t')
			return why_fail(why, -EINVAL,
				"%s: a command line cannot hold a line break or control character", key);
	c->cmdline = xstrdup(value);
	return 0;
}

static int key_build(struct config *c, const char *key, const char *value, struct why *why)
{
	if (!*value)
		return why_fail(why, -EINVAL,
			"%s: there is no command (leave the line out for the kernel's own)", key);
	c->build = xstrdup(value);
	return 0;
}

static int take_word(
	char **out, const char *key, const char *value, const char *const *words, struct why *why)
{
	int i = conf_word(key, value, words, why);

	if (i < 0)
		return i;
	*out = xstrdup(value);
	return 0;
}

static int key_machine(struct config *c, const char *key, const char *value, struct why *why)
{
	return take_word(&c->machine, key, value, machine_words, why);
}

static int key_accel(struct config *c, const char *key, const char *value, struct why *why)
{
	return take_word(&c->accel, key, value, accel_words, why);
}

static int key_console(struct config *c, const char *key, const char *value, struct why *why)
{
	return take_word(&c->console, key, value, console_words, why);
}

static int key_timeout(struct config *c, const char *key, const char *value, struct why *why)
{
	size_t len = strlen(value);
	char unit = len > 1 ? value[len - 1] : 0;
	uint64_t each = unit == 'm' ? 60 : unit == 'h' ? 3600 : 1;
	autofree char *digits = xstrndup(value, unit == 's' || each > 1 ? len - 1 : len);
	int err = conf_number(key, digits, 0, TIMEOUT_MAX / each, &c->timeout_s, why);

	c->timeout_s *= each;
	return err;
}

/* One word of (key), as a POSIX shell would take it, but without expansions. (*p) moves behind it. */
static int take_arg(const char **p, struct buf *word, const char *key, struct why *why)
{
	char quote = 0;

	for (const char *s = *p;; s++) {
		if (!*s && quote)
			return why_fail(why, -EINVAL, "%s: the closing %c is missing", key, quote);
		if (!*s || (!quote && (*s == ' ' || *s == '\t' || *s == '\n'))) {
			*p = s;
			return 0;
		}
		if (quote ? *s == quote : *s == '"' || *s == '\'') {
			quote = quote ? 0 : *s;
			continue;
		}
		if (*s == '\\' && quote != '\'' && s[1] && (!quote || strchr("\"\\", s[1])))
			s++;
		buf_append(word, s, 1);
	}
}

static int take_args(char ***list, uint32_t *count, const char *key, const char *value, struct why *why)
{
	for (const char *p = value;;) {
		autobuf struct buf word = { 0 };
		int err;

		p += strspn(p, " \t\n");
		if (!*p)
			return 0;
		if (*count == CONFIG_ARGS_MAX)
			return why_fail(why, -EINVAL, "%s: more than %u words", key, CONFIG_ARGS_MAX);
		err = take_arg(&p, &word, key, why);
		if (err)
			return err;
		*list = xrealloc(*list, (*count + 2) * sizeof(**list));
		(*list)[(*count)++] = buf_steal(&word);
		(*list)[*count] = NULL;
	}
}

static int key_args(struct config *c, const char *key, const char *value, struct why *why)
{
	return take_args(&c->args, &c->nargs, key, value, why);
}

/* Split modes */

static int key_ros(struct config *c, const char *key, const char *value, struct why *why)
{
	int err = config_split_kernel(value, &c->ros, &c->ros_reference, why);

	return err ? why_prefix(why, "%s", key) : 0;
}

static int key_ros_memory(struct config *c, const char *key, const char *value, struct why *why)
{
	return conf_size(key, value, MEMORY_MIN, MEMORY_MAX, &c->ros_memory, why);
}

static int key_ros_cpus(struct config *c, const char *key, const char *value, struct why *why)
{
	uint64_t n;
	int err = conf_number(key, value, 1, CPUS_MAX, &n, why);

	if (!err)
		c->ros_cpus = (uint32_t)n;
	return err;
}

/* No "..": the path means the same in the root as on the host. */
static int path_ok(const char *key, const char *path, struct why *why)
{
	if (*path != '/' || strlen(path) > PATH_BYTES)
		return why_fail(why, -EINVAL, "%s: '%s' is not an absolute path", key, path);
	for (const char *s = path; (s = strstr(s, "/..")); s += 3)
		if (!s[3] || s[3] == '/')
			return why_fail(why, -EINVAL, "%s: '%s' has .. in it", key, path);
	return 0;
}

/* It goes through the kernel's command line, where there is no quoting. */
static bool exec_ok(const char *path)
{
	for (; *path; path++)
		if ((unsigned char)*path <= ' ' || *path == '"' || *path == 0x7f)
			return false;
	return true;
}

static int key_exec(struct config *c, const char *key, const char *value, struct why *why)
{
	int err = take_args(&c->exec_args, &c->nexec_args, key, value, why);

	if (err)
		return err;
	if (!c->nexec_args)
		return why_fail(why, -EINVAL, "%s: which program? (exec = /bin/busybox sh)", key);
	err = path_ok(key, c->exec_args[0], why);
	if (!err && !exec_ok(c->exec_args[0]))
		err = why_fail(why, -EINVAL, "%s: the program's path may not hold blanks or quotes", key);
	if (err)
		return err;
	c->exec = c->exec_args[0];
	memmove(c->exec_args, c->exec_args + 1, c->nexec_args-- * sizeof(*c->exec_args));
	return 0;
}

static int key_root(struct config *c, const char *key, const char *value, struct why *why)
{
	int err = path_ok(key, value, why);

	if (!err)
		c->root = xstrdup(value);
	return err;
}

static int key_files(struct config *c, const char *key, const char *value, struct why *why)
{
	int err = take_args(&c->files, &c->nfiles, key, value, why);

	for (uint32_t i = 0; i < c->nfiles && !err; i++)
		err = path_ok(key, c->files[i], why);
	return err;
}

static const struct {
	const char *name;
	key_fn *fn;
} keys[] = {
	{ "kernel", key_kernel },
	{ "mode", key_mode },
	{ "memory", key_memory },
	{ "cpus", key_cpus },
	{ "cmdline", key_cmdline },
	{ "args", key_args },
	{ "net", config_net },
	{ "disk", config_disk },
	{ "machine", key_machine },
	{ "accel", key_accel },
	{ "console", key_console },
	{ "build", key_build },
	{ "timeout", key_timeout },
	{ "ros", key_ros },
	{ "ros_memory", key_ros_memory },
	{ "ros_cpus", key_ros_cpus },
	{ "exec", key_exec },
	{ "root", key_root },
	{ "files", key_files },
};
#define NKEYS (sizeof(keys) / sizeof(keys[0]))

static int unknown_key(const char *key, struct why *why)
{
	autobuf struct buf list = { 0 };

	for (size_t i = 0; i < NKEYS; i++)
		buf_printf(&list, "%s%s", i ? ", " : "", keys[i].name);
	return why_fail(why, -EINVAL, "there is no key '%s'; the keys are %s", key, list.data);
}

static int take_key(void *arg, unsigned line, const char *key, const char *value, struct why *why)
{
	struct config *c = arg;

	(void)line;
	for (size_t i = 0; i < NKEYS; i++) {
		if (strcmp(keys[i].name, key) != 0)
			continue;
		if (c->seen & (1ull << i))
			return why_fail(why, -EINVAL, "%s is given twice; keep one of the lines", key);
		c->seen |= 1ull << i;
		return keys[i].fn(c, key, value, why);
	}
	return unknown_key(key, why);
}

int config_parse(struct config *c, const char *text, size_t len, struct why *why)
{
	int err;

	*c = (struct config){ .mode = -1, .args = xcalloc(1, sizeof(char *)) };
	if (len > CONFIG_TEXT_MAX)
		err = why_fail(why, -EFBIG, "config is larger than %u bytes", CONFIG_TEXT_MAX);
	else
		err = conf_parse(text, len, take_key, c, why);
	if (err)
		config_free(c);
	return err;
}

static void free_words(char **words)
{
	for (char **w = words; w && *w; w++)
		free(*w);
	free(words);
}

void config_free(struct config *c)
{
	free_words(c->args);
	free_words(c->exec_args);
	free_words(c->files);
	free(c->exec);
	free(c->root);
	free(c->ros);
	free(c->ros_reference);
	free(c->kernel);
	free(c->reference);
	free(c->cmdline);
	free(c->build);
	free(c->machine);
	free(c->accel);
	free(c->forwards);
	free(c->disk);
	free(c->console);
	*c = (struct config){ .mode = -1 };
}

/* A kernel that says nothing of a machine leaves the choice to the deployer. */
static const char *either(const char *mine, const char *kernels, const char *last)
{
	return mine ? mine : kernels && *kernels ? kernels : last;
}

static int first_mode(const struct kernel_conf *k)
{
	for (int m = 0; m < MODE_COUNT; m++)
		if (k->launch[m].supported)
			return m;
	return MODE_FULLVM;
}

static int check_sizes(const struct settings *s, const struct kernel_conf *k, struct why *why)
{
	const struct kernel_launch *l = &k->launch[s->mode];
	autobuf struct buf have = { 0 }, min = { 0 };

	if (s->memory < l->memory_min) {
		conf_put_size(&have, s->memory);
		conf_put_size(&min, l->memory_min);
		return why_fail(why, -EINVAL, "memory: %s is too little; %s needs at least %s (memory = %s)",
			have.data, k->name, min.data, min.data);
	}
	if (l->cpus_max && s->cpus > l->cpus_max)
		return why_fail(why, -EINVAL, "cpus: %s can use %u at most", k->name, l->cpus_max);
	return 0;
}

/* A mode that was chosen, and not only the kernel's first. */
static int check_program(const struct config *c, int mode, struct why *why)
{
	if (mode != MODE_FULLVM || !c->exec)
		return 0;
	return why_fail(why, -EINVAL,
		"exec: in %s there is no Linux whose programs a kernel could run (take mode = %s, or leave the "
		"line out)",
		kernel_mode_names[MODE_FULLVM], kernel_mode_names[MODE_SPLITVM]);
}

int config_settle(
	const struct config *c, const struct kernel_conf *k, int mode, struct settings *out, struct why *why)
{
	int m = mode >= 0 ? mode : c->mode >= 0 ? c->mode : first_mode(k);
	const struct kernel_launch *l = &k->launch[m];
	int err;

	if (!l->supported)
		return why_fail(why, -EOPNOTSUPP, "%s does not run in %s (see modes in its kernel.conf)",
			k->name, kernel_mode_names[m]);
	*out = (struct settings){
		.mode = m,
		.memory = c->memory	  ? c->memory
			  : l->memory	  ? l->memory
			  : l->memory_min ? l->memory_min
					  : 16 * MEMORY_MIN,
		.cpus = c->cpus	  ? c->cpus
			: l->cpus ? l->cpus
				  : 1,
		.cmdline = either(c->cmdline, l->cmdline, ""),
		.machine = m == MODE_SPLITVM ? "pc" : either(c->machine, l->machine, "auto"),
		.accel = either(c->accel, NULL, "auto"),
		.console = either(c->console, l->console, "serial"),
		.build = either(c->build, k->build, ""),
		.image = either(NULL, l->image, ""),
		.initrd = either(NULL, l->initrd, ""),
		.ros = either(c->ros, NULL, "ros"),
		.ros_reference = c->ros_reference,
		.ros_memory = c->ros_memory,
		.ros_cpus = c->ros_cpus,
	};
	err = check_sizes(out, k, why);
	if (!err)
		err = check_program(c, mode >= 0 ? mode : c->mode, why);
	return err ? err : config_check_devices(c, m, why);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Compares the numbers that (*a) and (*b) begin with, and moves behind them. */
static int compare_numbers(const char **a, const char **b)
{
	size_t la, lb;
	int r;

	*a += strspn(*a, "0");
	*b += strspn(*b, "0");
	la = strspn(*a, "0123456789");
	lb = strspn(*b, "0123456789");
	r = la != lb ? (la > lb ? 1 : -1) : strncmp(*a, *b, la);
	*a += la;
	*b += lb;
	return r;
}

bool config_version_higher(const char *a, const char *b)
{
	while (*a || *b) {
		if (is_digit(*a) && is_digit(*b)) {
			int r = compare_numbers(&a, &b);

			if (r)
				return r > 0;
			continue;
		}
		if (*a != *b) {
			if (!*a ||
				!*b) /* what follows a '-' comes before the release: 1.0-rc1 < 1.0 < 1.0.1 */
				return *a ? *a != '-' : *b == '-';
			return *a > *b;
		}
		a++;
		b++;
	}
	return false;
}
