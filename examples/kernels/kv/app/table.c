/* SPDX-License-Identifier: MIT */
/* table.c: the items, in a number of hash tables with a lock each, so that workers seldom meet. */
#include "kv.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS 64u

static struct shard {
	pthread_mutex_t lock;
	struct item **slot;
	size_t slots, count; /* (slots) is a power of two */
	uint64_t version;
} shards[SHARDS];

struct stats stats;

bool table_open(uint64_t limit)
{
	stats.limit = limit;
	stats.start = time(NULL);
	for (unsigned i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&shards[i].lock, NULL);
		shards[i].slots = 64;
		shards[i].slot = calloc(shards[i].slots, sizeof(*shards[i].slot));
		if (!shards[i].slot)
			return false;
	}
	return true;
}

/* FNV-1a, and its bits mixed once more: the low ones choose the shard, others the slot. */
static uint64_t hash_of(const char *key, size_t len)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)key[i]) * 0x100000001b3u;
	return h ^ h >> 32;
}

static size_t size_of(uint32_t key_len, uint32_t len)
{
	return sizeof(struct item) + key_len + len + 2; /* \r\n arrives with a value */
}

struct item *item_new(const char *key, size_t key_len, uint32_t len)
{
	size_t size = size_of((uint32_t)key_len, len);
	struct item *it;

	if (atomic_fetch_add(&stats.bytes, size) + size > stats.limit || !(it = malloc(size))) {
		atomic_fetch_sub(&stats.bytes, size);
		return NULL;
	}
	*it = (struct item){ .hash = hash_of(key, key_len), .key_len = (uint32_t)key_len, .len = len };
	memcpy(it->bytes, key, key_len);
	return it;
}

void item_free(struct item *it)
{
	if (!it)
		return;
	atomic_fetch_sub(&stats.bytes, size_of(it->key_len, it->len));
	free(it);
}

static struct shard *enter(uint64_t hash)
{
	struct shard *s = &shards[hash % SHARDS];

	pthread_mutex_lock(&s->lock);
	return s;
}

static void leave(struct shard *s)
{
	pthread_mutex_unlock(&s->lock);
}

static struct item **place(struct shard *s, uint64_t hash)
{
	return &s->slot[hash / SHARDS & (s->slots - 1)];
}

static void take_out(struct shard *s, struct item **at)
{
	struct item *it = *at;

	*at = it->next;
	s->count--;
	atomic_fetch_sub(&stats.items, 1);
	item_free(it);
}

/* Where the item is linked; NULL: it is not there, or its time is over. */
static struct item **find(struct shard *s, uint64_t hash, const char *key, size_t len)
{
	for (struct item **at = place(s, hash); *at; at = &(*at)->next) {
		struct item *it = *at;

		if (it->hash != hash || it->key_len != len || memcmp(it->bytes, key, len) != 0)
			continue;
		if (!it->until || it->until > time(NULL))
			return at;
		take_out(s, at);
		return NULL;
	}
	return NULL;
}

/* Without memory for more slots it stays as it is, only slower. */
static void grow(struct shard *s)
{
	struct item **old = s->slot, **slot = calloc(2 * s->slots, sizeof(*slot));
	size_t slots = s->slots;

	if (!slot)
		return;
	s->slot = slot;
	s->slots *= 2;
	for (size_t i = 0; i < slots; i++)
		for (struct item *it = old[i], *next; it; it = next) {
			struct item **at = place(s, it->hash);

			next = it->next;
			it->next = *at;
			*at = it;
		}
	free(old);
}

/* The old value with the new one behind or before it; the flags stay the old ones. */
static struct item *join(const struct item *old, const struct item *more, bool before)
{
	const struct item *a = before ? more : old, *b = before ? old : more;
	struct item *it = item_new(old->bytes, old->key_len, old->len + more->len);

	if (!it)
		return NULL;
	it->flags = old->flags;
	it->until = old->until;
	memcpy(it->bytes + it->key_len, a->bytes + a->key_len, a->len);
	memcpy(it->bytes + it->key_len + a->len, b->bytes + b->key_len, b->len);
	return it;
}

static enum outcome allowed(const struct item *old, enum how how, uint64_t version)
{
	if (how == CAS)
		return !old ? NOT_FOUND : old->version == version ? STORED : EXISTS;
	if (how == ADD)
		return old ? NOT_STORED : STORED;
	return how == SET || old ? STORED : NOT_STORED;
}

static enum outcome put(struct shard *s, struct item **new, enum how how, uint64_t version)
{
	struct item *it = *new, **at = find(s, it->hash, it->bytes, it->key_len), **first;
	enum outcome r = allowed(at ? *at : NULL, how, version);

	if (r != STORED)
		return r;
	if (how == APPEND || how == PREPEND) {
		struct item *both =
			(uint64_t)(*at)->len + it->len <= VALUE_MOST ? join(*at, it, how == PREPEND) : NULL;

		if (!both)
			return NO_MEMORY;
		item_free(it);
		*new = it = both;
	}
	if (at)
		take_out(s, at);
	else if (s->count >= s->slots)
		grow(s);
	it->version = ++s->version;
	first = place(s, it->hash);
	it->next = *first;
	*first = it;
	s->count++;
	atomic_fetch_add(&stats.items, 1);
	*new = NULL;
	return STORED;
}

enum outcome table_put(struct item *it, enum how how, uint64_t version)
{
	struct shard *s = enter(it->hash);
	enum outcome r = put(s, &it, how, version);

	leave(s);
	item_free(it);
	return r;
}

bool table_get(const char *key, size_t len, void (*found)(void *arg, const struct item *it), void *arg)
{
	uint64_t hash = hash_of(key, len);
	struct shard *s = enter(hash);
	struct item **at = find(s, hash, key, len);

	if (at)
		found(arg, *at);
	leave(s);
	return at;
}

bool table_delete(const char *key, size_t len)
{
	uint64_t hash = hash_of(key, len);
	struct shard *s = enter(hash);
	struct item **at = find(s, hash, key, len);

	if (at)
		take_out(s, at);
	leave(s);
	return at;
}

bool table_touch(const char *key, size_t len, time_t until)
{
	uint64_t hash = hash_of(key, len);
	struct shard *s = enter(hash);
	struct item **at = find(s, hash, key, len);

	if (at)
		(*at)->until = until;
	leave(s);
	return at;
}

static bool number_of(const struct item *it, uint64_t *value)
{
	const char *p = it->bytes + it->key_len;

	*value = 0;
	if (!it->len || it->len > 20)
		return false;
	for (uint32_t i = 0; i < it->len; i++) {
		if (p[i] < '0' || p[i] > '9' || __builtin_mul_overflow(*value, 10, value) ||
			__builtin_add_overflow(*value, (uint64_t)(p[i] - '0'), value))
			return false;
	}
	return true;
}

static enum outcome count(struct shard *s, const struct item *old, bool down, uint64_t by, uint64_t *value)
{
	char text[24];
	struct item *it;

	if (!number_of(old, value))
		return NOT_NUMBER;
	*value = down ? (*value > by ? *value - by : 0) : *value + by; /* upwards it wraps */
	it = item_new(old->bytes, old->key_len,
		(uint32_t)snprintf(text, sizeof(text), "%llu", (unsigned long long)*value));
	if (!it)
		return NO_MEMORY;
	memcpy(it->bytes + it->key_len, text, it->len);
	it->flags = old->flags;
	it->until = old->until;
	return put(s, &it, SET, 0);
}

enum outcome table_count(const char *key, size_t len, bool down, uint64_t by, uint64_t *value)
{
	uint64_t hash = hash_of(key, len);
	struct shard *s = enter(hash);
	struct item **at = find(s, hash, key, len);
	enum outcome r = at ? count(s, *at, down, by, value) : NOT_FOUND;

	leave(s);
	return r;
}

void table_flush(void)
{
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *s = enter(i);

		for (size_t j = 0; j < s->slots; j++)
			while (s->slot[j])
				take_out(s, &s->slot[j]);
		leave(s);
	}
}
