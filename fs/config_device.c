/* SPDX-License-Identifier: MIT */
/* config_device.c: net and disk, checked as they are written. Whether a port or a file can be had is known at the launch. */
#include "fs/config_device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FORWARDS_MAX 64u
#define PATH_MOST    4095u

static int add_forward(struct config *c, const char *key, const char *word, struct why *why)
{
	struct forward f;
	int err = forward_parse(key, word, &f, why);

	if (err)
		return err;
	for (uint32_t i = 0; i < c->nforwards; i++)
		if (forward_same_port(&c->forwards[i], &f))
			return why_fail(
				why, -EINVAL, "%s: port %u of the host is forwarded twice", key, f.host_port);
	if (c->nforwards == FORWARDS_MAX)
		return why_fail(why, -EINVAL, "%s: more than %u ports", key, FORWARDS_MAX);
	c->forwards = xrealloc(c->forwards, (c->nforwards + 1) * sizeof(*c->forwards));
	c->forwards[c->nforwards++] = f;
	return 0;
}

static int net_word(struct config *c, const char *key, const char *word, struct why *why)
{
	if (!strcmp(word, "none") || !strcmp(word, "user")) {
		if (c->net)
			return why_fail(why, -EINVAL, "%s: %s and %s do not go together", key, c->net, word);
		c->net = *word == 'n' ? "none" : "user";
		return 0;
	}
	if (strcmp(word, "restrict") != 0 && !strchr(word, ':'))
		return why_fail(why, -EINVAL, "%s: '%s' is not none, user, restrict or tcp:[HOST:]PORT->PORT",
			key, word);
	if (!c->net || !strcmp(c->net, "none"))
		return why_fail(why, -EINVAL, "%s: %s needs a network (%s = user %s)", key, word, key, word);
	if (strcmp(word, "restrict") != 0)
		return add_forward(c, key, word, why);
	c->net = "restricted";
	return 0;
}

int config_net(struct config *c, const char *key, const char *value, struct why *why)
{
	autofree char *words = xstrdup(value);
	char *rest = words, *word;
	int err = 0;

	while (!err && (word = strtok_r(NULL, " \t", &rest)))
		err = net_word(c, key, word, why);
	if (!err && !c->net)
		err = why_fail(why, -EINVAL, "%s: none or user?", key);
	return err;
}

int config_disk(struct config *c, const char *key, const char *value, struct why *why)
{
	size_t len = strlen(value);

	c->disk_write = len > 3 && (!strcmp(value + len - 3, " rw") || !strcmp(value + len - 3, "\trw"));
	if (c->disk_write)
		len -= 3;
	while (len && (value[len - 1] == ' ' || value[len - 1] == '\t'))
		len--;
	if (*value != '/' || len > PATH_MOST)
		return why_fail(why, -EINVAL,
			"%s: '%s' is not an absolute path (%s = /PATH, or /PATH rw to let it be written)",
			key, value, key);
	c->disk = xstrndup(value, len);
	return 0;
}

int config_check_devices(const struct config *c, int mode, struct why *why)
{
	if (mode == MODE_FULLVM)
		return 0;
	if (c->disk)
		return why_fail(why, -EINVAL,
			"disk: a kernel in %s has none; files come from src/, root and files (or take mode = "
			"fullVM, or leave the line out)",
			kernel_mode_names[mode]);
	if (c->machine && strcmp(c->machine, "microvm") == 0)
		return why_fail(why, -EINVAL,
			"machine: the Linux of %s needs a pc (take machine = auto, or leave the line out)",
			kernel_mode_names[mode]);
	return 0;
}
