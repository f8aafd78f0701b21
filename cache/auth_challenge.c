/* SPDX-License-Identifier: MIT */
/* auth_challenge.c: WWW-Authenticate, as servers write it: several challenges in one header or in many. */
#include "cache/auth.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *blanks(const char *s)
{
	return s + strspn(s, " \t,");
}

static size_t token_len(const char *s)
{
	return strcspn(s, " \t,=\"");
}

/* A quoted string or a token; moves (*at) behind it. */
static char *take_value(const char **at)
{
	struct buf out = { 0 };
	const char *s = *at;
	if (*s != '"') {
		size_t n = strcspn(s, " \t,");
		*at = s + n;
		return xstrndup(s, n);
	}
	for (s++; *s && *s != '"'; s++) {
		if (*s == '\\' && s[1])
			s++;
		buf_append(&out, s, 1);
	}
	*at = s + (*s == '"');
	return buf_steal(&out);
}

static void set(char **field, char *value)
{
	free(*field);
	*field = value;
}

static void take_parameter(struct challenge *c, const char *name, size_t len, char *value)
{
	if (len == 5 && !strncasecmp(name, "realm", 5))
		set(&c->realm, value);
	else if (len == 7 && !strncasecmp(name, "service", 7))
		set(&c->service, value);
	else if (len == 5 && !strncasecmp(name, "scope", 5))
		set(&c->scope, value);
	else
		free(value);
}

static bool is_word(const char *s, size_t len, const char *word)
{
	return len == strlen(word) && !strncasecmp(s, word, len);
}

/* Bearer is better than Basic; of equals the first stays. */
static void keep_better(struct challenge *best, struct challenge *c)
{
	if (c->kind > best->kind && (c->kind == CHALLENGE_BASIC || c->realm)) {
		challenge_free(best);
		*best = *c;
	} else {
		challenge_free(c);
	}
	*c = (struct challenge){ 0 };
}

static void read_line(struct challenge *best, const char *s)
{
	struct challenge c = { 0 };
	for (s = blanks(s); *s; s = blanks(s)) {
		size_t n = token_len(s);
		const char *after = s + n + strspn(s + n, " \t");
		if (n == 0) {
			s++;
		} else if (*after == '=') {
			const char *v = after + 1 + strspn(after + 1, " \t");
			char *value = take_value(&v);
			take_parameter(&c, s, n, value);
			s = v;
		} else {
			keep_better(best, &c);
			c.kind = is_word(s, n, "Bearer")  ? CHALLENGE_BEARER
				 : is_word(s, n, "Basic") ? CHALLENGE_BASIC
							  : CHALLENGE_NONE;
			s += n;
		}
	}
	keep_better(best, &c);
}

void challenge_read(struct challenge *c, const struct fetch_answer *answer)
{
	char *line;
	*c = (struct challenge){ 0 };
	for (unsigned i = 0; i < 8 && (line = fetch_header(answer, "www-authenticate", i)); i++) {
		read_line(c, line);
		free(line);
	}
}

void challenge_free(struct challenge *c)
{
	free(c->realm);
	free(c->service);
	free(c->scope);
	*c = (struct challenge){ 0 };
}
