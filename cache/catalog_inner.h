/* SPDX-License-Identifier: MIT */
/*
 * catalog_inner.h: between catalog.c and catalog_docs.c: the database and its lock.
 *
 * Threads  under the lock
 */
#ifndef CACHE_CATALOG_INNER_H
#define CACHE_CATALOG_INNER_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>

struct catalog {
	sqlite3 *db;
	pthread_mutex_t lock; /* a statement is one thread's from bind to reset */
};

/* For catalog_open, besides catalog.c's own. */
extern const char catalog_docs_schema[];
/* Gives docs the function goodness(docs), the smaller the better: an SQLite error code. */
int catalog_rank_add(sqlite3 *db);

/* NULL, and a line in the log, if it is wrong. */
sqlite3_stmt *catalog_prepare(struct catalog *c, const char *sql);
void catalog_bind(sqlite3_stmt *s, int i, const char *text);
/* Runs a statement that yields no rows, and makes it ready for the next time. */
bool catalog_run(struct catalog *c, sqlite3_stmt *s);
/* "" for NULL. */
const char *catalog_column(sqlite3_stmt *s, int i);

#endif
