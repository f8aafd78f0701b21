/* SPDX-License-Identifier: MIT */
/*
 * intern.c: an open-addressing table at most half full, hashed with FNV-1a.
 */
#include "fs/intern.h"
#include "cache/base/buf.h"

#include <stdlib.h>
#include <string.h>

static uint64_t hash(const char *s)
{
	uint64_t h = 14695981039346656037u;
	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211u;
	return h ^ h >> 32;
}

/* Where (key) is, or where it would go. */
static uint32_t *find(const struct intern *t, const char *key)
{
	uint32_t i = (uint32_t)hash(key) & (t->slot_count - 1);
	while (t->slots[i] && strcmp(t->keys[t->slots[i] - 1], key))
		i = (i + 1) & (t->slot_count - 1);
	return &t->slots[i];
}

static void grow(struct intern *t)
{
	free(t->slots);
	t->slot_count = t->slot_count ? 2 * t->slot_count : 64;
	t->slots = xcalloc(t->slot_count, sizeof *t->slots);
	t->keys = xrealloc(t->keys, t->slot_count / 2 * sizeof *t->keys);
	for (uint32_t id = 0; id < t->count; id++)
		*find(t, t->keys[id]) = id + 1;
}

int64_t intern_id(struct intern *t, const char *key, bool add)
{
	uint32_t *slot = t->slot_count ? find(t, key) : NULL;
	if (slot && *slot)
		return *slot - 1;
	if (!add)
		return -1;
	if (t->count == t->slot_count / 2) {
		grow(t);
		slot = find(t, key);
	}
	t->keys[t->count] = xstrdup(key);
	*slot = ++t->count;
	return t->count - 1;
}

const char *intern_key(const struct intern *t, uint32_t id)
{
	return t->keys[id];
}

void intern_free(struct intern *t)
{
	for (uint32_t i = 0; i < t->count; i++)
		free(t->keys[i]);
	free(t->keys);
	free(t->slots);
	*t = (struct intern){ 0 };
}
