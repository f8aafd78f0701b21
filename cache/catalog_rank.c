/* SPDX-License-Identifier: MIT */
/*
 * catalog_rank.c: how good a hit is. Of FTS5's own bm25 the part that tells kernels apart: where a word was found, and
 * how often. It would also weigh words by how rare they are and texts by their length, and for that look at every
 * hit twice and at a row of its own for each: three times as slow with 10,000 kernels.
 */
#include "cache/catalog_inner.h"
#include "cache/search_words.h"

/* What a word is worth by the column in which it is, in the order of docs' columns. */
static const double weights[] = { 10, 4, 6, 1, 2, 2, 2, 4 };
#define COLUMNS ((int)(sizeof(weights) / sizeof(*weights)))
#define ENOUGH	10.0 /* of one word; more of it adds less and less */

static void rank(const Fts5ExtensionApi *api, Fts5Context *hit, sqlite3_context *result, int argc,
	sqlite3_value **argv)
{
	double found[SEARCH_WORDS_MAX] = { 0 }, score = 0;
	int count = 0, word, column, at;
	(void)argc, (void)argv;
	int rc = api->xInstCount(hit, &count);
	for (int i = 0; i < count && rc == SQLITE_OK; i++) {
		rc = api->xInst(hit, i, &word, &column, &at);
		if (rc == SQLITE_OK && word < SEARCH_WORDS_MAX && column < COLUMNS)
			found[word] += weights[column];
	}
	for (int i = 0; i < SEARCH_WORDS_MAX; i++)
		score += found[i] / (found[i] + ENOUGH);
	if (rc == SQLITE_OK)
		sqlite3_result_double(result, -score);
	else
		sqlite3_result_error_code(result, rc);
}

int catalog_rank_add(sqlite3 *db)
{
	fts5_api *fts5 = NULL;
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v2(db, "SELECT fts5(?1)", -1, &s, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_bind_pointer(s, 1, &fts5, "fts5_api_ptr", NULL);
		sqlite3_step(s);
		rc = fts5 ? fts5->xCreateFunction(fts5, "goodness", NULL, rank, NULL) : SQLITE_ERROR;
	}
	sqlite3_finalize(s);
	return rc;
}
