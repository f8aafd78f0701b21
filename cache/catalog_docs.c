/* SPDX-License-Identifier: MIT */
/* catalog_docs.c: the rows of docs have the numbers of those of kernels. */
#include "cache/catalog_docs.h"

#include "cache/catalog_inner.h"

#include <string.h>

const char catalog_docs_schema[] = "CREATE TABLE IF NOT EXISTS kernels (id INTEGER PRIMARY KEY, name TEXT "
				   "NOT NULL, digest TEXT NOT NULL,"
				   " known INTEGER NOT NULL, UNIQUE (name, digest));"
				   "CREATE VIRTUAL TABLE IF NOT EXISTS docs USING fts5 (name, description, "
				   "keywords, readme, mode, arch, license,"
				   " family, prefix = '1 2 3');";

bool catalog_knows(struct catalog *c, const char *name, const char *digest)
{
	bool known = false;
	pthread_mutex_lock(&c->lock);
	sqlite3_stmt *s = catalog_prepare(c, "SELECT known FROM kernels WHERE name = ?1 AND digest = ?2");
	if (s) {
		catalog_bind(s, 1, name);
		catalog_bind(s, 2, digest);
		known = sqlite3_step(s) == SQLITE_ROW && sqlite3_column_int(s, 0);
	}
	sqlite3_finalize(s);
	pthread_mutex_unlock(&c->lock);
	return known;
}

/* --- writing ---------------------------------------------------------------------------------- */

struct writing { /* statements that are used again and again */
	struct catalog *c;
	sqlite3_stmt *find, *add, *know, *clear, *put;
	bool ok;
};

static void writing_begin(struct writing *w, struct catalog *c)
{
	*w = (struct writing){ .c = c };
	w->find = catalog_prepare(c, "SELECT id, known FROM kernels WHERE name = ?1 AND digest = ?2");
	w->add = catalog_prepare(c, "INSERT INTO kernels (name, digest, known) VALUES (?1, ?2, 0)");
	w->know = catalog_prepare(c, "UPDATE kernels SET known = 1 WHERE id = ?1");
	w->clear = catalog_prepare(c, "DELETE FROM docs WHERE rowid = ?1");
	w->put = catalog_prepare(c,
		"INSERT INTO docs (rowid, name, description, keywords, readme, mode, arch, license,"
		" family) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
	w->ok = w->find && w->add && w->know && w->clear && w->put &&
		sqlite3_exec(c->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK;
}

static void writing_end(struct writing *w)
{
	sqlite3_finalize(w->find);
	sqlite3_finalize(w->add);
	sqlite3_finalize(w->know);
	sqlite3_finalize(w->clear);
	sqlite3_finalize(w->put);
	if (!w->ok || sqlite3_exec(w->c->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
		log_warn("catalog: the search index is not kept: %s", sqlite3_errmsg(w->c->db));
		if (!sqlite3_get_autocommit(w->c->db))
			sqlite3_exec(w->c->db, "ROLLBACK", NULL, NULL, NULL);
	}
}

/* The row of (name, digest): its number, or 0 if it is not there. */
static sqlite3_int64 find_row(struct writing *w, const char *name, const char *digest, bool *known)
{
	sqlite3_int64 id = 0;
	catalog_bind(w->find, 1, name);
	catalog_bind(w->find, 2, digest);
	if (sqlite3_step(w->find) == SQLITE_ROW) {
		id = sqlite3_column_int64(w->find, 0);
		*known = sqlite3_column_int(w->find, 1);
	}
	sqlite3_reset(w->find);
	return id;
}

static sqlite3_int64 add_row(struct writing *w, const char *name, const char *digest)
{
	catalog_bind(w->add, 1, name);
	catalog_bind(w->add, 2, digest);
	w->ok = w->ok && catalog_run(w->c, w->add);
	return sqlite3_last_insert_rowid(w->c->db);
}

static void put_row(struct writing *w, sqlite3_int64 id, const struct doc *d)
{
	const char *const texts[] = { d->name, d->description, d->keywords, d->readme, d->mode, d->arch,
		d->license, d->family };
	sqlite3_bind_int64(w->clear, 1, id);
	sqlite3_bind_int64(w->put, 1, id);
	for (int i = 0; i < 8; i++)
		catalog_bind(w->put, 2 + i, texts[i] ? texts[i] : "");
	w->ok = w->ok && catalog_run(w->c, w->clear) && catalog_run(w->c, w->put);
}

void catalog_put_doc(struct catalog *c, const struct doc *d)
{
	struct writing w;
	bool known;
	pthread_mutex_lock(&c->lock);
	writing_begin(&w, c);
	if (w.ok) {
		sqlite3_int64 id = find_row(&w, d->name, d->digest, &known);
		if (!id)
			id = add_row(&w, d->name, d->digest);
		put_row(&w, id, d);
		sqlite3_bind_int64(w.know, 1, id);
		w.ok = w.ok && catalog_run(c, w.know);
	}
	writing_end(&w);
	pthread_mutex_unlock(&c->lock);
}

void catalog_add_names(struct catalog *c, const struct names *names, catalog_unknown_fn *unknown, void *arg)
{
	struct writing w;
	pthread_mutex_lock(&c->lock);
	writing_begin(&w, c);
	for (uint32_t i = 0; w.ok && i < names_count(names); i++) {
		const struct name *n = names_at(names, i);
		bool known = false;
		sqlite3_int64 id = find_row(&w, n->name, n->digest, &known);
		if (!id)
			put_row(&w, add_row(&w, n->name, n->digest), &(struct doc){ .name = n->name });
		if (!known)
			unknown(arg, i);
	}
	writing_end(&w);
	pthread_mutex_unlock(&c->lock);
}

/* --- finding ---------------------------------------------------------------------------------- */

#define SCORED(where)                                                                                        \
	"SELECT k.name, k.digest FROM (SELECT rowid AS id, goodness(docs) AS score "                         \
	"FROM docs"                                                                                          \
	" WHERE docs MATCH ?1" where " ORDER BY score LIMIT ?2) AS d JOIN kernels AS k ON k.id = d.id"       \
	" ORDER BY d.score, k.name"

/* Returns how many there were. */
static uint32_t find(struct catalog *c, const char *sql, const char *match, const char *but, uint32_t max,
	catalog_hit_fn *hit, void *arg)
{
	uint32_t found = 0;
	sqlite3_stmt *s = catalog_prepare(c, sql);
	if (s) {
		catalog_bind(s, 1, match);
		sqlite3_bind_int64(s, 2, max);
		if (but)
			catalog_bind(s, 3, but);
		for (; sqlite3_step(s) == SQLITE_ROW; found++)
			hit(arg, catalog_column(s, 0), catalog_column(s, 1));
	}
	sqlite3_finalize(s);
	return found;
}

/* What matches without its README is better than what needs it, and costs half as much to find. */
void catalog_find(struct catalog *c, const char *match, uint32_t max, catalog_hit_fn *hit, void *arg)
{
	autofree char *without = xasprintf("- {readme} : (%s)", match);
	pthread_mutex_lock(&c->lock);
	uint32_t found = find(c, SCORED(""), without, NULL, max, hit, arg);
	if (found < max)
		find(c, SCORED(" AND rowid NOT IN (SELECT rowid FROM docs WHERE docs MATCH ?3)"), match,
			without, max - found, hit, arg);
	pthread_mutex_unlock(&c->lock);
}
