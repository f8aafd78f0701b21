/* SPDX-License-Identifier: MIT */
/* cache_search.c DIR N: an index of N kernels in DIR; prints the median and the worst time of a search, in ms. */
#include "cache/base/io.h"
#include "cache/catalog_docs.h"
#include "cache/search_words.h"

#include <stdio.h>
#include <stdlib.h>

#define ROUNDS 200

static const char *const words[] = { "unikernel", "network", "boots", "kernel", "storage", "key", "value",
	"web", "server", "small", "language", "runtime", "lua", "python", "ring", "virtio", "scheduler",
	"memory", "research", "fast" };
#define WORDS (sizeof(words) / sizeof(*words))

static unsigned next_random(void)
{
	static uint64_t x = 88172645463325252u;
	x ^= x << 13, x ^= x >> 7, x ^= x << 17;
	return (unsigned)(x >> 33);
}

static void put_words(struct buf *out, unsigned n)
{
	while (n-- > 0) { /* few words are frequent, most are not */
		unsigned rare = next_random() % 8;
		if (rare)
			buf_printf(out, "word%u ", next_random() % (rare * 1000));
		else
			buf_printf(out, "%s ", words[next_random() % WORDS]);
	}
}

static void put_kernel(struct catalog *c, unsigned i)
{
	autobuf struct buf name = { 0 }, digest = { 0 }, description = { 0 }, keywords = { 0 },
			   readme = { 0 };
	buf_printf(&name, "%s/%s-%u", words[i % WORDS], words[i / WORDS % WORDS], i);
	buf_printf(&digest, "sha256:%064x", i);
	put_words(&description, 8);
	put_words(&keywords, 4);
	put_words(&readme, 150);
	catalog_put_doc(
		c, &(struct doc){ name.data, digest.data, description.data, keywords.data, readme.data,
			   i % 3 ? "fullVM " : "fullVM splitVM ", "x86_64", "MIT", "unikraft" });
}

static void count_hit(void *arg, const char *name, const char *digest)
{
	(void)name, (void)digest;
	++*(unsigned *)arg;
}

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

int main(int argc, char **argv)
{
	static const char *const asked[] = { "unikernel+x86_64", "mode:splitVM+arch:x86_64", "lua", "k",
		"web+server+fast", "name:storage", "zzyzx" };
	uint64_t took[ROUNDS];
	struct catalog *c;
	struct why why = { 0 };
	unsigned hits = 0;
	log_open("cache_search", LOG_LEVEL_WARN);
	autofree char *path = xasprintf("%s/search.sqlite", argc > 1 ? argv[1] : ".");
	if (catalog_open(path, &c, &why) < 0) {
		log_error("%s", why.text);
		return 1;
	}
	for (unsigned i = 0; argc > 2 && i < (unsigned)atoi(argv[2]); i++)
		put_kernel(c, i);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct search_words w;
		uint64_t began = clock_mono_ns();
		if (search_words_parse(&w, asked[i % (sizeof(asked) / sizeof(*asked))]))
			catalog_find(c, w.match.data, 1000, count_hit, &hits);
		took[i] = clock_mono_ns() - began;
		search_words_free(&w);
	}
	qsort(took, ROUNDS, sizeof(*took), by_size);
	printf("%.2f %.2f\n", (double)took[ROUNDS / 2] / 1e6, (double)took[ROUNDS - 1] / 1e6);
	catalog_close(c);
	return hits == 0;
}
