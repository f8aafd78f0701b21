/* SPDX-License-Identifier: MIT */
/*
 * search_words.h: the words of a search, as an expression of FTS5.
 *
 *     unikernel+x86_64            both; words are separated by '+' or blanks
 *     spl                         prefixes match
 *     mode:splitVM+name:red       KEY:WORD looks in one place only: name, description, keyword(s), readme, mode(s),
 *                                 arch, license, family; tag (or version) compares the beginning of the tag
 *
 * Trust    words come from strangers: each becomes a quoted string, so that nothing in it is an operator
 * Threads  any
 */
#ifndef CACHE_SEARCH_WORDS_H
#define CACHE_SEARCH_WORDS_H

#include "cache/base/buf.h"

#include <stdbool.h>

#define SEARCH_WORDS_MAX 32 /* further ones are not looked at */

struct search_words {
	struct buf match; /* FTS5; "" if only tags are asked for */
	char *tags[SEARCH_WORDS_MAX];
	unsigned tag_count;
};

/* False: no kernel can match (nothing to look for, or not UTF-8). End with search_words_free either way. */
bool search_words_parse(struct search_words *w, const char *text);
bool search_words_tag(const struct search_words *w, const char *tag);
void search_words_free(struct search_words *w);

#endif
