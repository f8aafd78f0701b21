/* SPDX-License-Identifier: MIT */
/* kernel_json.c: kernel.conf as the artifact's config, and back. */
#include "cache/kernel_raw.h"

#include "cache/base/conf.h"
#include "cache/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_list(int top)
{
	return top == TOP_MODES || top == TOP_TOOLS;
}

static bool is_size(int launch)
{
	return launch == LAUNCH_MEMORY || launch == LAUNCH_MEMORY_MIN;
}

static bool is_count(int launch)
{
	return launch == LAUNCH_CPUS || launch == LAUNCH_CPUS_MAX;
}

static json_t *words_to_json(const char *value)
{
	json_t *list = json_array();
	autofree char *copy = xstrdup(value);
	char *save;
	for (char *w = strtok_r(copy, " \t", &save); w; w = strtok_r(NULL, " \t", &save))
		json_array_append_new(list, json_string(w));
	return list;
}

static json_t *launch_to_json(int key, const char *value)
{
	uint64_t n = 0;
	if (*value && is_size(key))
		conf_size("", value, 0, UINT64_MAX, &n, NULL);
	else if (*value && is_count(key))
		conf_number("", value, 0, UINT64_MAX, &n, NULL);
	else
		return json_string(value);
	return json_integer((json_int_t)n);
}

static bool any(char *const *values)
{
	for (int i = 0; i < LAUNCH_COUNT; i++)
		if (values[i])
			return true;
	return false;
}

json_t *kernel_raw_to_json(const struct kernel_raw *r)
{
	json_t *o = json_object(), *boot = json_array();
	json_object_set_new(o, "schema", json_integer(1));
	for (int i = 0; i < TOP_COUNT; i++)
		if (r->top[i])
			json_object_set_new(o, top_names[i],
				is_list(i) ? words_to_json(r->top[i]) : json_string(r->top[i]));
	for (int m = 0; m <= MODE_COUNT; m++) {
		if (m > 0 && !any(r->launch[m]))
			continue;
		json_t *b = json_object();
		if (m > 0)
			json_object_set_new(b, "mode", json_string(kernel_mode_names[m - 1]));
		for (int i = 0; i < LAUNCH_COUNT; i++)
			if (r->launch[m][i])
				json_object_set_new(b, launch_names[i], launch_to_json(i, r->launch[m][i]));
		json_array_append_new(boot, b);
	}
	json_object_set_new(o, "boot", boot);
	return o;
}

static int words_from_json(char **to, const json_t *o, const char *key, struct why *why)
{
	autobuf struct buf b = { 0 };
	json_t *list = NULL;
	int err = strict_list(o, key, OPTIONAL, 256, &list, why);
	if (err || !list)
		return err;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *w = json_string_value(json_array_get(list, i));
		if (!w)
			return why_fail(why, -EBADMSG, "\"%s\" holds something that is not a string", key);
		buf_printf(&b, "%s%s", i ? " " : "", w);
	}
	*to = buf_steal(&b);
	return 0;
}

static int text_from_json(char **to, const json_t *o, const char *key, struct why *why)
{
	const char *v = NULL;
	int err = strict_text(o, key, OPTIONAL, &v, why);
	if (!err && v)
		*to = xstrdup(v);
	return err;
}

static int launch_from_json(char **to, const json_t *b, int key, struct why *why)
{
	uint64_t n = 0;
	const char *name = launch_names[key];
	const json_t *v = json_object_get(b, name);
	const char *text = json_string_value(v);
	if (!v || (!is_size(key) && !is_count(key)) || (text && !*text))
		return text_from_json(to, b, name, why);
	int err = strict_number(b, name, REQUIRED, MAX_JSON_INT, &n, why);
	if (err)
		return err;
	autobuf struct buf out = { 0 };
	if (is_size(key))
		conf_put_size(&out, n);
	else
		buf_printf(&out, "%llu", (unsigned long long)n);
	*to = buf_steal(&out);
	return 0;
}

/* Which row of launch[] an element of boot[] is for; -1: a mode that we do not know. */
static int boot_row(const json_t *b, struct why *why)
{
	const char *mode = NULL;
	int err = strict_text(b, "mode", OPTIONAL, &mode, why);
	if (err)
		return err;
	if (!mode)
		return 0;
	for (int m = 0; m < MODE_COUNT; m++)
		if (strcmp(mode, kernel_mode_names[m]) == 0)
			return 1 + m;
	return -1;
}

static int boot_from_json(struct kernel_raw *r, const json_t *b, bool seen[1 + MODE_COUNT], struct why *why)
{
	if (!json_is_object(b))
		return why_fail(why, -EBADMSG, "\"boot\" holds something that is not an object");
	int row = boot_row(b, why);
	if (row == -1)
		return 0;
	if (row < 0)
		return row;
	if (seen[row])
		return why_fail(why, -EBADMSG, "\"boot\" speaks twice of one mode");
	seen[row] = true;
	for (int i = 0; i < LAUNCH_COUNT; i++) {
		int err = launch_from_json(&r->launch[row][i], b, i, why);
		if (err)
			return err;
	}
	return 0;
}

int kernel_raw_from_json(struct kernel_raw *r, const json_t *config, struct why *why)
{
	json_t *boot = NULL;
	bool seen[1 + MODE_COUNT] = { false };
	memset(r, 0, sizeof(*r));
	for (int i = 0; i < TOP_COUNT; i++) {
		int err = is_list(i) ? words_from_json(&r->top[i], config, top_names[i], why)
				     : text_from_json(&r->top[i], config, top_names[i], why);
		if (err)
			return err;
	}
	int err = strict_list(config, "boot", OPTIONAL, 64, &boot, why);
	for (size_t i = 0; !err && i < json_array_size(boot); i++)
		err = boot_from_json(r, json_array_get(boot, i), seen, why);
	return err;
}
