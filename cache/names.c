/* SPDX-License-Identifier: MIT */
/* names.c: sorted lists of names. */
#include "cache/names.h"

#include "cache/cosign.h"

#include "cache/kernel_raw.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct names {
	_Atomic uint32_t refs;
	uint32_t count;
	struct name *list;
	char *missing;
};

bool names_add(
	struct names_draft *d, const char *name, const char *tag, const char *registry, const char *digest)
{
	struct digest ignored;
	bool named = name_is_repository(name) || strcmp(name, UNNAMED) == 0;
	if (!named || !name_is_tag(tag) || (*digest && digest_parse(digest, &ignored) < 0))
		return false;
	if (d->count == d->cap) {
		d->cap = d->cap ? d->cap * 2 : 32;
		d->list = xrealloc(d->list, d->cap * sizeof(*d->list));
	}
	struct name *n = &d->list[d->count++];
	size_t name_len = strlen(name) + 1, tag_len = strlen(tag) + 1, registry_len = strlen(registry) + 1;
	char *texts = xmalloc(name_len + tag_len + registry_len); /* one allocation, freed by the name */
	n->name = memcpy(texts, name, name_len);
	n->tag = memcpy(texts + name_len, tag, tag_len);
	n->registry = memcpy(texts + name_len + tag_len, registry, registry_len);
	snprintf(n->digest, sizeof(n->digest), "%s", digest);
	return true;
}

static int by_name(const void *a, const void *b)
{
	const struct name *x = a, *y = b;
	int c = strcmp(x->name, y->name);
	return c ? c : strcmp(x->tag, y->tag);
}

/* Of equals the one that was added last comes first: texts are compared, then places in the draft. */
static int by_name_and_order(const void *a, const void *b, void *arg)
{
	const struct name *list = arg;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	int c = by_name(&list[x], &list[y]);
	return c ? c : x < y ? 1 : -1;
}

struct names *names_finish(struct names_draft *d)
{
	struct names *n = xcalloc(1, sizeof(*n));
	uint32_t *order = xcalloc(d->count + 1, sizeof(*order));
	n->refs = 1;
	n->list = xcalloc(d->count + 1, sizeof(*n->list));
	for (uint32_t i = 0; i < d->count; i++)
		order[i] = i;
	qsort_r(order, d->count, sizeof(*order), by_name_and_order, d->list);
	for (uint32_t i = 0; i < d->count; i++) {
		const struct name *next = &d->list[order[i]];
		if (n->count && by_name(&n->list[n->count - 1], next) == 0)
			free((char *)next->name);
		else
			n->list[n->count++] = *next;
	}
	free(order);
	free(d->list);
	*d = (struct names_draft){ 0 };
	return n;
}

void names_drop(struct names_draft *d)
{
	names_put(names_finish(d));
}

uint32_t names_shown(const struct names *n)
{
	uint32_t shown = 0;
	for (uint32_t i = 0; i < n->count; i++)
		shown += !cosign_is_tag(n->list[i].tag);
	return shown;
}

struct names *names_merge(
	struct names *const *list, uint32_t count, const char *missing, names_shows_fn *shows, void *arg)
{
	struct names_draft d = { 0 };
	for (uint32_t r = 0; r < count; r++) {
		for (uint32_t i = 0; list[r] && i < list[r]->count; i++) {
			const struct name *n = &list[r]->list[i];
			bool taken = false;
			for (uint32_t before = 0; before < r && !taken; before++)
				taken = list[before] && names_find(list[before], n->name, NULL);
			if (!taken && !cosign_is_tag(n->tag) && (!shows || shows(arg, r, list[r], n)))
				names_add(&d, n->name, n->tag, n->registry, n->digest);
		}
	}
	struct names *all = names_finish(&d);
	all->missing = missing ? xstrdup(missing) : NULL;
	return all;
}

bool names_equal(const struct names *a, const struct names *b)
{
	if (a == b)
		return true;
	if (!a || !b || a->count != b->count ||
		strcmp(a->missing ? a->missing : "", b->missing ? b->missing : ""))
		return false;
	for (uint32_t i = 0; i < a->count; i++)
		if (by_name(&a->list[i], &b->list[i]) != 0 ||
			strcmp(a->list[i].digest, b->list[i].digest) != 0 ||
			strcmp(a->list[i].registry, b->list[i].registry) != 0)
			return false;
	return true;
}

const struct name *names_find(const struct names *n, const char *name, const char *tag)
{
	uint32_t lo = 0, hi = n->count;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = strcmp(name, n->list[mid].name);
		if (c == 0 && tag)
			c = strcmp(tag, n->list[mid].tag);
		if (c == 0)
			return &n->list[mid];
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

struct names *names_get(struct names *n)
{
	n->refs++;
	return n;
}

void names_put(struct names *n)
{
	if (!n || --n->refs > 0)
		return;
	for (uint32_t i = 0; i < n->count; i++)
		free((char *)n->list[i].name);
	free(n->list);
	free(n->missing);
	free(n);
}

const char *names_missing(const struct names *n)
{
	return n->missing;
}

uint32_t names_count(const struct names *n)
{
	return n->count;
}

const struct name *names_at(const struct names *n, uint32_t i)
{
	return i < n->count ? &n->list[i] : NULL;
}
