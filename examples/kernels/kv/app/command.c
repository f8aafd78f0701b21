/* SPDX-License-Identifier: MIT */
/* command.c: the commands. Each is a row of a table: its name, how many words it takes, and what it does. */
#include "kv.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WORDS_MOST 8u /* of commands other than get */
#define MONTH	   (30l * 24 * 3600)

struct words {
	char *word[WORDS_MOST + 1];
	unsigned count;
	bool quiet; /* the last one was noreply, and is not counted */
};

static void say(struct connection *c, const char *text)
{
	if (!c->quiet)
		answer_text(c, text);
}

static bool number(const char *s, uint64_t most, uint64_t *out)
{
	*out = 0;
	if (!*s)
		return false;
	for (; *s; s++)
		if (*s < '0' || *s > '9' || __builtin_mul_overflow(*out, 10, out) ||
			__builtin_add_overflow(*out, (uint64_t)(*s - '0'), out) || *out > most)
			return false;
	return true;
}

/* Seconds from now, or since 1970 if it is more than a month; negative: over already. */
static bool expiry(const char *s, time_t *out)
{
	uint64_t n;

	if (!number(s + (*s == '-'), INT64_MAX / 2, &n))
		return false;
	*out = *s == '-' ? 1 : !n ? 0 : n <= (uint64_t)MONTH ? time(NULL) + (time_t)n : (time_t)n;
	return true;
}

static bool key_ok(const char *key)
{
	size_t len = strlen(key);

	for (const char *p = key; *p; p++)
		if ((unsigned char)*p < 0x21 || *p == 0x7f)
			return false;
	return len && len <= KEY_MOST;
}

static void bad(struct connection *c)
{
	say(c, "CLIENT_ERROR bad command line format\r\n");
}

struct getting {
	struct connection *c;
	bool version;
};

static void found(void *arg, const struct item *it)
{
	struct getting *g = arg;
	char head[KEY_MOST + 80];
	int n = snprintf(head, sizeof(head), "VALUE %.*s %" PRIu32 " %" PRIu32, (int)it->key_len, it->bytes,
		it->flags, it->len);

	if (g->version)
		n += snprintf(head + n, sizeof(head) - (size_t)n, " %" PRIu64, it->version);
	answer(g->c, head, (size_t)n);
	answer(g->c, "\r\n", 2);
	answer(g->c, it->bytes + it->key_len, it->len);
	answer(g->c, "\r\n", 2);
	atomic_fetch_add(&stats.hits, 1);
}

/* Any number of keys. Their values could be much more than what the other end has room for: so that memory stays
 * bounded, they stop at sixteen of the largest values. */
static void get(struct connection *c, char *keys, bool version)
{
	struct getting g = { c, version };
	char *key, *rest = keys;
	unsigned count = 0;

	for (; (key = strtok_r(NULL, " ", &rest)); count++) {
		if (!key_ok(key)) {
			bad(c);
			return;
		}
		if (c->out_len - c->out_at > 16 * VALUE_MOST) {
			answer_text(c, "SERVER_ERROR out of memory writing get response\r\n");
			return;
		}
		atomic_fetch_add(&stats.gets, 1);
		table_get(key, strlen(key), found, &g);
	}
	answer_text(c, count ? "END\r\n" : "ERROR\r\n");
}

static void skip(struct connection *c, uint64_t bytes, const char *text)
{
	c->skip = bytes;
	c->skip_answer = text;
}

/* COMMAND key flags exptime bytes [version]: the value follows. */
static void store(struct connection *c, struct words *w, enum how how)
{
	uint64_t flags, bytes;
	time_t until;

	if (w->count != (how == CAS ? 6u : 5u) || !number(w->word[4], INT32_MAX, &bytes)) {
		bad(c);
		return;
	}
	if (!key_ok(w->word[1]) || !number(w->word[2], UINT32_MAX, &flags) || !expiry(w->word[3], &until) ||
		(how == CAS && !number(w->word[5], UINT64_MAX, &c->version))) {
		skip(c, bytes + 2, "CLIENT_ERROR bad command line format\r\n");
		return;
	}
	if (bytes > VALUE_MOST) {
		skip(c, bytes + 2, "SERVER_ERROR object too large for cache\r\n");
		return;
	}
	c->pending = item_new(w->word[1], strlen(w->word[1]), (uint32_t)bytes);
	if (!c->pending) {
		skip(c, bytes + 2, "SERVER_ERROR out of memory storing object\r\n");
		return;
	}
	c->pending->flags = (uint32_t)flags;
	c->pending->until = until;
	c->have = 0;
	c->how = how;
}

static void tell(struct connection *c, enum outcome r)
{
	static const char *const text[] = { "STORED", "NOT_STORED", "EXISTS", "NOT_FOUND",
		"SERVER_ERROR out of memory storing object",
		"CLIENT_ERROR cannot increment or decrement non-numeric value" };

	say(c, text[r]);
	say(c, "\r\n");
}

void command_value(struct connection *c)
{
	struct item *it = c->pending;
	const char *end = it->bytes + it->key_len + it->len;

	c->pending = NULL;
	if (memcmp(end, "\r\n", 2) !=
		0) { /* the line that follows begins where it should, or is another error */
		item_free(it);
		say(c, "CLIENT_ERROR bad data chunk\r\n");
		return;
	}
	atomic_fetch_add(&stats.sets, 1);
	tell(c, table_put(it, c->how, c->version));
}

static void set(struct connection *c, struct words *w)
{
	store(c, w, SET);
}
static void add(struct connection *c, struct words *w)
{
	store(c, w, ADD);
}
static void replace(struct connection *c, struct words *w)
{
	store(c, w, REPLACE);
}
static void append(struct connection *c, struct words *w)
{
	store(c, w, APPEND);
}
static void prepend(struct connection *c, struct words *w)
{
	store(c, w, PREPEND);
}
static void cas(struct connection *c, struct words *w)
{
	store(c, w, CAS);
}

static void delete (struct connection *c, struct words *w)
{
	if (!key_ok(w->word[1])) {
		bad(c);
		return;
	}
	atomic_fetch_add(&stats.deletes, 1);
	say(c, table_delete(w->word[1], strlen(w->word[1])) ? "DELETED\r\n" : "NOT_FOUND\r\n");
}

static void change(struct connection *c, struct words *w, bool down)
{
	uint64_t by, value;
	enum outcome r;
	char text[32];

	if (!key_ok(w->word[1]) || !number(w->word[2], UINT64_MAX, &by)) {
		say(c, "CLIENT_ERROR invalid numeric delta argument\r\n");
		return;
	}
	r = table_count(w->word[1], strlen(w->word[1]), down, by, &value);
	snprintf(text, sizeof(text), "%" PRIu64 "\r\n", value);
	if (r == STORED)
		say(c, text);
	else
		tell(c, r);
}

static void incr(struct connection *c, struct words *w)
{
	change(c, w, false);
}
static void decr(struct connection *c, struct words *w)
{
	change(c, w, true);
}

static void touch(struct connection *c, struct words *w)
{
	time_t until;

	if (!key_ok(w->word[1]) || !expiry(w->word[2], &until))
		bad(c);
	else
		say(c, table_touch(w->word[1], strlen(w->word[1]), until) ? "TOUCHED\r\n" : "NOT_FOUND\r\n");
}

static void flush_all(struct connection *c, struct words *w)
{
	(void)w;
	table_flush();
	say(c, "OK\r\n");
}

static void version(struct connection *c, struct words *w)
{
	(void)w;
	say(c, "VERSION " KV_VERSION "\r\n");
}

static void quit(struct connection *c, struct words *w)
{
	(void)w;
	c->closing = true;
}

static void show(struct connection *c, struct words *w)
{
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{ "pid", (uint64_t)getpid() },
		{ "uptime", (uint64_t)(time(NULL) - stats.start) },
		{ "time", (uint64_t)time(NULL) },
		{ "threads", stats.workers },
		{ "curr_items", stats.items },
		{ "bytes", stats.bytes },
		{ "limit_maxbytes", stats.limit },
		{ "cmd_get", stats.gets },
		{ "cmd_set", stats.sets },
		{ "get_hits", stats.hits },
		{ "get_misses", stats.gets - stats.hits },
		{ "cmd_delete", stats.deletes },
		{ "curr_connections", stats.connections },
		{ "total_connections", stats.all_connections },
	};
	char line[80];

	(void)w;
	answer_text(c, "STAT version " KV_VERSION "\r\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		answer(c, line,
			(size_t)snprintf(
				line, sizeof(line), "STAT %s %" PRIu64 "\r\n", rows[i].name, rows[i].value));
	answer_text(c, "END\r\n");
}

static const struct {
	const char *name;
	unsigned least, most; /* words, with the name */
	void (*run)(struct connection *c, struct words *w);
} commands[] = {
	{ "set", 1, 8, set },
	{ "add", 1, 8, add },
	{ "replace", 1, 8, replace },
	{ "append", 1, 8, append },
	{ "prepend", 1, 8, prepend },
	{ "cas", 1, 8, cas },
	{ "delete", 2, 3, delete },
	{ "incr", 3, 3, incr },
	{ "decr", 3, 3, decr },
	{ "touch", 3, 3, touch },
	{ "flush_all", 1, 2, flush_all },
	{ "stats", 1, 2, show },
	{ "version", 1, 1, version },
	{ "quit", 1, 1, quit },
};

static void split(char *line, struct words *w)
{
	char *rest = line, *word;

	*w = (struct words){ 0 };
	while (w->count <= WORDS_MOST && (word = strtok_r(w->count ? NULL : line, " ", &rest)))
		w->word[w->count++] = word;
	if (w->count > 1 && !strcmp(w->word[w->count - 1], "noreply")) {
		w->quiet = true;
		w->count--;
	}
}

void command_line(struct connection *c, char *line, size_t len)
{
	struct words w;

	c->quiet = false;
	if (strlen(line) != len) { /* a NUL within */
		answer_text(c, "ERROR\r\n");
		return;
	}
	if (!strncmp(line, "get ", 4) || !strncmp(line, "gets ", 5)) {
		bool version_too = line[3] == 's';

		get(c, line + 4 + version_too, version_too);
		return;
	}
	split(line, &w);
	for (size_t i = 0; w.count && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(w.word[0], commands[i].name)) {
			if (w.count < commands[i].least || w.count > commands[i].most)
				break;
			c->quiet = w.quiet;
			commands[i].run(c, &w);
			return;
		}
	answer_text(c, "ERROR\r\n");
}
