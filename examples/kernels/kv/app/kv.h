/* SPDX-License-Identifier: MIT */
/*
 * kv.h: a key-value server that speaks memcached's text protocol. main.c accepts connections and spreads them over
 * workers, one a CPU; connection.c moves bytes; command.c understands them; table.c keeps the items.
 *
 * Threads  a connection belongs to one worker; the table is shared, and locks itself
 * Memory   bounded: items by the limit that is given (then SERVER_ERROR), a connection by its two buffers: who does not
 *          read its answers is not read from either
 * Source   memcached, doc/protocol.txt (the commands and answers)
 */
#ifndef KV_H
#define KV_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define KV_VERSION "1.0"
#define KEY_MOST   250u
#define VALUE_MOST (1u << 20)
#define LINE_MOST  8192u
#define OUT_MOST   (256u * 1024) /* answers that wait before we read on */

/* --- table.c */
struct item {
	struct item *next;
	uint64_t hash, version;
	time_t until; /* 0: for ever */
	uint32_t flags, key_len, len;
	char bytes[]; /* the key, then the value */
};
enum how { SET, ADD, REPLACE, APPEND, PREPEND, CAS };
enum outcome { STORED, NOT_STORED, EXISTS, NOT_FOUND, NO_MEMORY, NOT_NUMBER };

bool table_open(uint64_t limit);
struct item *item_new(const char *key, size_t key_len, uint32_t len); /* NULL: no memory, or over the limit */
void item_free(struct item *it);
/* Takes the item over, or frees it. (version) is of CAS. */
enum outcome table_put(struct item *it, enum how how, uint64_t version);
/* Calls (found) with the item, its lock held; false: it is not there. */
bool table_get(const char *key, size_t len, void (*found)(void *arg, const struct item *it), void *arg);
bool table_delete(const char *key, size_t len);
/* Adds, or subtracts down to 0; (*value) is the new one. */
enum outcome table_count(const char *key, size_t len, bool down, uint64_t by, uint64_t *value);
bool table_touch(const char *key, size_t len, time_t until);
void table_flush(void);

extern struct stats {
	_Atomic uint64_t items, bytes, gets, hits, sets, deletes, connections, all_connections;
	uint64_t limit;
	unsigned workers;
	time_t start;
} stats;

/* --- connection.c */
struct connection {
	int fd;
	bool ended;   /* the other end says no more */
	bool closing; /* when all answers are sent */
	bool broken;  /* at once */
	bool watched_out;
	struct item *pending; /* its value is coming */
	size_t have;	      /* of its value, and the \r\n behind it */
	uint64_t skip;	      /* bytes of a value that is not wanted */
	enum how how;
	uint64_t version;
	bool quiet;		 /* noreply */
	const char *skip_answer; /* what to say once it was skipped; NULL: nothing */
	size_t in_at, in_len;	 /* what is in (in) and was not used yet */
	size_t out_at, out_len, out_room;
	char *out;
	char in[LINE_MOST + 2];
};
struct connection *connection_new(int fd);
void connection_free(struct connection *c);
/* It can be read, or written. What to wait for next, as epoll has it; 0: it is over. */
uint32_t connection_run(struct connection *c);
void answer(struct connection *c, const char *text, size_t len);
void answer_text(struct connection *c, const char *text);

/* --- command.c: one line, without its end. */
void command_line(struct connection *c, char *line, size_t len);
/* The value has come. */
void command_value(struct connection *c);

#endif
