/* SPDX-License-Identifier: MIT */
/* cache_search.c: words become expressions; kernels are found, with metadata or without, and only those that are listed. */
#include "cache_rig.h"

#include "cache/search.h"
#include "cache/search_words.h"

static void is_match(const char *words, const char *want)
{
	struct search_words w;
	bool good = search_words_parse(&w, words);
	if (!want)
		assert_false(good);
	else
		assert_string_equal(w.match.data ? w.match.data : "", want);
	search_words_free(&w);
}

static void makes_expressions(void **state)
{
	(void)state;
	is_match("a+b c", "\"a\" * AND \"b\" * AND \"c\" *");
	is_match("mode:splitVM", "mode : \"splitVM\" *");
	is_match("Keyword:x", "keywords : \"x\" *");
	is_match("foo:bar", "\"foo:bar\" *");
	is_match("name:", "\"name:\" *");
	is_match("a\"b", "\"a\"\"b\" *");
	is_match("tag:1.0", "");
	is_match("", NULL);
	is_match("+ +", NULL);
	is_match("\"", NULL);
	is_match("a+*", NULL);
	is_match("\xff", NULL);
	is_match("a\xc3", NULL);
}

static void keeps_to_tags(void **state)
{
	(void)state;
	struct search_words w;
	assert_true(search_words_parse(&w, "tag:1+version:1.2"));
	assert_true(search_words_tag(&w, "1.2.3"));
	assert_false(search_words_tag(&w, "1.1"));
	assert_false(search_words_tag(&w, ""));
	search_words_free(&w);
}

static struct hits *last_hits;

static void on_hits(void *arg, int err, const struct why *why, struct hits *hits)
{
	last_hits = hits;
	rig_answered(arg, err, why);
}

/* The names found, each followed by a blank. */
static const char *found(struct rig *r, const char *words)
{
	static char text[4096];
	*text = 0;
	cache_search(r->cache, words, on_hits, r);
	assert_int_equal(rig_wait(r), 0);
	for (uint32_t i = 0; i < hits_count(last_hits); i++) {
		const struct name *n = hits_at(last_hits, i);
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s:%s ", n->name, n->tag);
	}
	hits_put(last_hits);
	return text;
}

static void finds(void **state)
{
	(void)state;
	struct rig r;
	make_kernel("a", "sort", 1);
	make_kernel("b", "upper", 2);
	put_text("b/README.md", "Turns letters; see sort.\n");
	publish_to("a", "layout", NULL, NULL);
	publish_to("b", "layout", NULL, NULL);
	publish_to("b", "layout", "x/y/upper:2", NULL);
	rig_open(&r, "cache", "layout");
	assert_string_equal(found(&r, "sort"), "sort:1.0 upper:1.0 x/y/upper:2 ");
	assert_string_equal(found(&r, "letters+tag:2"), "x/y/upper:2 ");
	assert_string_equal(found(&r, "mode:splitVM"), "");
	assert_string_equal(found(&r, "tag:1"), "sort:1.0 upper:1.0 ");
	rig_close(&r);
	/* another mount with the same cache and another registry */
	publish_to("a", "other", "only:1", NULL);
	rig_open(&r, "cache", "other");
	assert_string_equal(found(&r, "sort"), "only:1 ");
	assert_string_equal(found(&r, "upper"), "");
	rig_close(&r);
}

/* A kernel whose metadata cannot be read is found by its name. */
static void finds_the_unknown(void **state)
{
	(void)state;
	struct rig r;
	make_kernel("a", "sort", 1);
	publish_to("a", "layout", NULL, NULL);
	autofree char *cmd =
		xasprintf("rm -rf %s/blobs && mkdir -p %s/blobs/sha256", at("layout"), at("layout"));
	assert_int_equal(system(cmd), 0);
	rig_open(&r, "cache", "layout");
	assert_string_equal(found(&r, "sort"), "sort:1.0 ");
	assert_string_equal(found(&r, "mode:fullVM"), "");
	rig_close(&r);
}

RUN("cache_search", tmp_test(makes_expressions), tmp_test(keeps_to_tags), tmp_test(finds),
	tmp_test(finds_the_unknown))
