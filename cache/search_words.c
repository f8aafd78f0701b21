/* SPDX-License-Identifier: MIT */
/* search_words.c: one pass over the words. */
#include "cache/search_words.h"

#include "cache/base/utf8.h"

#include <stdlib.h>
#include <string.h>

static const struct key {
	const char *word, *column; /* NULL: the tag */
} keys[] = {
	{ "name", "name" },
	{ "description", "description" },
	{ "keyword", "keywords" },
	{ "keywords", "keywords" },
	{ "readme", "readme" },
	{ "mode", "mode" },
	{ "modes", "mode" },
	{ "arch", "arch" },
	{ "license", "license" },
	{ "family", "family" },
	{ "tag", NULL },
	{ "version", NULL },
};
#define KEYS (sizeof(keys) / sizeof(*keys))

static bool is_utf8(const char *s)
{
	for (size_t len = strlen(s); len > 0;) {
		size_t n = utf8_len(s, len);
		if (n == 0)
			return false;
		s += n;
		len -= n;
	}
	return true;
}

/* Anything of which the tokenizer could make a token. */
static bool has_token(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s >= 0x80 || (*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'z') ||
			(*s >= 'A' && *s <= 'Z'))
			return true;
	return false;
}

static const struct key *key_of(const char *word, const char **value)
{
	size_t n = strcspn(word, ":");
	if (!word[n] || !word[n + 1])
		return NULL;
	for (size_t i = 0; i < KEYS; i++) {
		if (strlen(keys[i].word) == n && strncasecmp(word, keys[i].word, n) == 0) {
			*value = word + n + 1;
			return &keys[i];
		}
	}
	return NULL;
}

static void put_match(struct buf *out, const char *column, const char *text)
{
	buf_puts(out, out->len ? " AND " : "");
	if (column)
		buf_printf(out, "%s : ", column);
	buf_puts(out, "\"");
	for (; *text; text++)
		buf_append(out, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1);
	buf_puts(out, "\" *");
}

static bool add_word(struct search_words *w, const char *word)
{
	const char *value = word;
	const struct key *k = key_of(word, &value);
	if (k && !k->column) {
		w->tags[w->tag_count++] = xstrdup(value);
		return true;
	}
	if (!has_token(value))
		return false;
	put_match(&w->match, k ? k->column : NULL, value);
	return true;
}

bool search_words_parse(struct search_words *w, const char *text)
{
	autofree char *copy = xstrdup(text);
	char *save = NULL;
	unsigned count = 0;
	bool good = is_utf8(text);
	*w = (struct search_words){ 0 };
	for (char *word = strtok_r(copy, "+ \t\r\n", &save); good && word && count < SEARCH_WORDS_MAX;
		word = strtok_r(NULL, "+ \t\r\n", &save), count++)
		good = add_word(w, word);
	return good && count > 0;
}

bool search_words_tag(const struct search_words *w, const char *tag)
{
	for (unsigned i = 0; i < w->tag_count; i++)
		if (strncmp(tag, w->tags[i], strlen(w->tags[i])) != 0)
			return false;
	return true;
}

void search_words_free(struct search_words *w)
{
	buf_free(&w->match);
	for (unsigned i = 0; i < w->tag_count; i++)
		free(w->tags[i]);
	w->tag_count = 0;
}
