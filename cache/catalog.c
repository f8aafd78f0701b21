/* SPDX-License-Identifier: MIT */
/* catalog.c: the catalog's file, names and trees; catalog_docs.c searches. They and
 * catalog_rank.c alone include sqlite3. */
#include "cache/catalog.h"

#include "cache/catalog_inner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* (before the journal's mode, which a new file is synced for) */
static const char is_new[] = "PRAGMA synchronous = OFF;", is_made[] = "PRAGMA synchronous = NORMAL;";
static const char schema[] =
	"PRAGMA journal_mode = WAL;"
	"CREATE TABLE IF NOT EXISTS registries (place TEXT PRIMARY KEY, as_of INTEGER NOT NULL);"
	"CREATE TABLE IF NOT EXISTS names (place TEXT NOT NULL, name TEXT NOT NULL, tag TEXT NOT NULL,"
	" digest TEXT NOT NULL, PRIMARY KEY (place, name, tag)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS tags (place TEXT NOT NULL, name TEXT NOT NULL, tag TEXT NOT NULL,"
	" digest TEXT NOT NULL, PRIMARY KEY (place, name, tag)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS trees (digest TEXT PRIMARY KEY, used INTEGER NOT NULL);";

/* A new one is not waited for: half of one, after a power loss, is begun anew like any that is damaged. */
static int try_open(const char *path, sqlite3 **db)
{
	struct stat st;
	bool begins = stat(path, &st) < 0 || st.st_size == 0;
	int rc = sqlite3_open_v2(
		path, db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_busy_timeout(*db, 5000);
	sqlite3_exec(*db, begins ? is_new : is_made, NULL, NULL, NULL);
	/* sqlite does not wait by itself when two processes turn a new file to WAL */
	for (int i = 0; i < 500; i++) {
		rc = sqlite3_exec(*db, schema, NULL, NULL, NULL);
		if (rc == SQLITE_OK)
			rc = sqlite3_exec(*db, catalog_docs_schema, NULL, NULL, NULL);
		if (rc == SQLITE_OK)
			rc = catalog_rank_add(*db);
		if (rc != SQLITE_BUSY)
			break;
		usleep(10000);
	}
	sqlite3_exec(*db, is_made, NULL, NULL, NULL);
	return rc;
}

static void set_aside(const char *path)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };
	for (size_t i = 0; i < 3; i++) {
		autofree char *from = xasprintf("%s%s", path, suffixes[i]);
		autofree char *to = xasprintf("%s.damaged%s", path, suffixes[i]);
		rename(from, to);
	}
}

int catalog_open(const char *path, struct catalog **out, struct why *why)
{
	sqlite3 *db = NULL;
	int rc = try_open(path, &db);
	if (rc == SQLITE_NOTADB || rc == SQLITE_CORRUPT) {
		log_warn("cache: %s is damaged; it is set aside and begun anew", path);
		sqlite3_close(db);
		set_aside(path);
		rc = try_open(path, &db);
	}
	if (rc != SQLITE_OK) {
		int err = rc == SQLITE_FULL ? -ENOSPC : rc == SQLITE_READONLY ? -EROFS : -EIO;
		why_fail(why, err, "%s: %s; is the cache directory writable?", path,
			db ? sqlite3_errmsg(db) : "");
		sqlite3_close(db);
		return err;
	}
	struct catalog *c = xcalloc(1, sizeof(*c));
	c->db = db;
	pthread_mutex_init(&c->lock, NULL);
	*out = c;
	return 0;
}

void catalog_close(struct catalog *c)
{
	if (!c)
		return;
	sqlite3_close(c->db);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

sqlite3_stmt *catalog_prepare(struct catalog *c, const char *sql)
{
	sqlite3_stmt *s = NULL;
	if (sqlite3_prepare_v2(c->db, sql, -1, &s, NULL) != SQLITE_OK)
		log_warn("catalog: %s", sqlite3_errmsg(c->db));
	return s;
}

void catalog_bind(sqlite3_stmt *s, int i, const char *text)
{
	sqlite3_bind_text(s, i, text, -1, SQLITE_STATIC);
}

bool catalog_run(struct catalog *c, sqlite3_stmt *s)
{
	int rc = s ? sqlite3_step(s) : SQLITE_ERROR;
	if (rc != SQLITE_DONE && s)
		log_warn("catalog: %s", sqlite3_errmsg(c->db));
	if (s)
		sqlite3_reset(s);
	return rc == SQLITE_DONE;
}

static bool replace_names(struct catalog *c, const char *registry, const struct names *names)
{
	sqlite3_stmt *place = catalog_prepare(c, "INSERT OR REPLACE INTO registries VALUES (?1, ?2)");
	sqlite3_stmt *clear = catalog_prepare(c, "DELETE FROM names WHERE place = ?1");
	sqlite3_stmt *add = catalog_prepare(c, "INSERT OR REPLACE INTO names VALUES (?1, ?2, ?3, ?4)");
	bool ok = place && clear && add;
	if (ok) {
		catalog_bind(place, 1, registry);
		sqlite3_bind_int64(place, 2, time(NULL));
		catalog_bind(clear, 1, registry);
		ok = catalog_run(c, place) && catalog_run(c, clear);
	}
	for (uint32_t i = 0; ok && i < names_count(names); i++) {
		const struct name *n = names_at(names, i);
		catalog_bind(add, 1, registry);
		catalog_bind(add, 2, n->name);
		catalog_bind(add, 3, n->tag);
		catalog_bind(add, 4, n->digest);
		ok = catalog_run(c, add);
	}
	sqlite3_finalize(place);
	sqlite3_finalize(clear);
	sqlite3_finalize(add);
	return ok;
}

void catalog_put_names(struct catalog *c, const char *registry, const struct names *names)
{
	pthread_mutex_lock(&c->lock);
	if (sqlite3_exec(c->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK) {
		bool ok = replace_names(c, registry, names);
		if (sqlite3_exec(c->db, ok ? "COMMIT" : "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK) {
			log_warn("catalog: names of %s are not kept: %s", registry, sqlite3_errmsg(c->db));
			sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
		}
	} else {
		log_warn("catalog: names of %s are not kept: %s", registry, sqlite3_errmsg(c->db));
	}
	pthread_mutex_unlock(&c->lock);
}

const char *catalog_column(sqlite3_stmt *s, int i)
{
	const char *t = (const char *)sqlite3_column_text(s, i);
	return t ? t : "";
}

struct names *catalog_get_names(struct catalog *c, const char *registry, int64_t *as_of)
{
	struct names *names = NULL;
	pthread_mutex_lock(&c->lock);
	sqlite3_stmt *when = catalog_prepare(c, "SELECT as_of FROM registries WHERE place = ?1");
	sqlite3_stmt *list = catalog_prepare(c, "SELECT name, tag, digest FROM names WHERE place = ?1");
	if (when && list) {
		catalog_bind(when, 1, registry);
		catalog_bind(list, 1, registry);
		if (sqlite3_step(when) == SQLITE_ROW) {
			struct names_draft d = { 0 };
			*as_of = sqlite3_column_int64(when, 0);
			while (sqlite3_step(list) == SQLITE_ROW)
				names_add(&d, catalog_column(list, 0), catalog_column(list, 1), registry,
					catalog_column(list, 2));
			names = names_finish(&d);
		}
	}
	sqlite3_finalize(when);
	sqlite3_finalize(list);
	pthread_mutex_unlock(&c->lock);
	return names;
}

void catalog_put_tag(struct catalog *c, const char *registry, const char *name, const char *tag,
	const struct digest *digest)
{
	char text[DIGEST_TEXT_LEN + 1];
	digest_text(digest, text);
	pthread_mutex_lock(&c->lock);
	sqlite3_stmt *s = catalog_prepare(c, "INSERT OR REPLACE INTO tags VALUES (?1, ?2, ?3, ?4)");
	if (s) {
		catalog_bind(s, 1, registry);
		catalog_bind(s, 2, name);
		catalog_bind(s, 3, tag);
		catalog_bind(s, 4, text);
		catalog_run(c, s);
	}
	sqlite3_finalize(s);
	pthread_mutex_unlock(&c->lock);
}

struct catalog_tag *catalog_get_tags(struct catalog *c, const char *registry, size_t *count)
{
	struct catalog_tag *list = NULL;
	size_t cap = 0;
	*count = 0;
	pthread_mutex_lock(&c->lock);
	sqlite3_stmt *s = catalog_prepare(c, "SELECT name, tag, digest FROM tags WHERE place = ?1");
	if (s)
		catalog_bind(s, 1, registry);
	while (s && sqlite3_step(s) == SQLITE_ROW) {
		struct catalog_tag t;
		if (digest_parse(catalog_column(s, 2), &t.digest) < 0)
			continue;
		t.name = xstrdup(catalog_column(s, 0));
		t.tag = xstrdup(catalog_column(s, 1));
		if (*count == cap) {
			cap = cap ? 2 * cap : 64;
			list = xrealloc(list, cap * sizeof(*list));
		}
		list[(*count)++] = t;
	}
	sqlite3_finalize(s);
	pthread_mutex_unlock(&c->lock);
	return list;
}

void catalog_used_tree(struct catalog *c, const struct digest *d)
{
	char text[DIGEST_TEXT_LEN + 1];
	digest_text(d, text);
	pthread_mutex_lock(&c->lock);
	sqlite3_stmt *s = catalog_prepare(c, "INSERT OR REPLACE INTO trees VALUES (?1, ?2)");
	if (s) {
		catalog_bind(s, 1, text);
		sqlite3_bind_int64(s, 2, time(NULL));
		catalog_run(c, s);
	}
	sqlite3_finalize(s);
	pthread_mutex_unlock(&c->lock);
}
