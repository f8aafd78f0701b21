/* SPDX-License-Identifier: MIT */
/* tags.c: a hash table that grows. */
#include "cache/tags.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct tags {
	struct tag **buckets;
	size_t size, count; /* size is a power of two */
};

struct tags *tags_new(void)
{
	struct tags *t = xcalloc(1, sizeof(*t));
	t->size = 64;
	t->buckets = xcalloc(t->size, sizeof(*t->buckets));
	return t;
}

void tags_free(struct tags *t)
{
	for (size_t i = 0; t && i < t->size; i++) {
		while (t->buckets[i]) {
			struct tag *g = t->buckets[i];
			t->buckets[i] = g->next;
			free(g->key);
			free(g);
		}
	}
	if (t)
		free(t->buckets);
	free(t);
}

static struct tag **bucket(const struct tags *t, const char *key)
{
	return &t->buckets[XXH3_64bits(key, strlen(key)) & (t->size - 1)];
}

static void grow(struct tags *t)
{
	struct tags bigger = { .size = 2 * t->size };
	bigger.buckets = xcalloc(bigger.size, sizeof(*bigger.buckets));
	for (size_t i = 0; i < t->size; i++) {
		for (struct tag *g = t->buckets[i], *next; g; g = next) {
			struct tag **to = bucket(&bigger, g->key);
			next = g->next;
			g->next = *to;
			*to = g;
		}
	}
	free(t->buckets);
	t->buckets = bigger.buckets;
	t->size = bigger.size;
}

struct tag *tags_find(struct tags *t, const char *name, const char *tag, bool make)
{
	autofree char *key = xasprintf("%s:%s", name, tag);
	struct tag *g = *bucket(t, key);
	while (g && strcmp(g->key, key) != 0)
		g = g->next;
	if (g || !make)
		return g;
	if (++t->count > t->size)
		grow(t);
	struct tag **to = bucket(t, key);
	g = xcalloc(1, sizeof(*g));
	g->key = xstrdup(key);
	g->next = *to;
	*to = g;
	return g;
}
