/* SPDX-License-Identifier: MIT */
/*
 * load_foreign.c: source layers of other tools: eStargz by its table, and what has none from one end to the other, when
 * somebody wants to know what is in it.
 */
#include "cache/base/io.h"
#include "cache/foreign.h"
#include "cache/layer.h"
#include "cache/layer_archive.h"
#include "cache/layer_estargz.h"
#include "cache/limits.h"
#include "cache/load_inner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What a rerun finds again: blobs that were read whole stay mapped until the load ends. */
static struct whole *find_whole(const struct load *l, const struct digest *d)
{
	struct whole *w = l->wholes;
	while (w && !digest_equal(&w->digest, d))
		w = w->next;
	return w;
}

int load_whole(struct load *l, const struct descriptor *d, const char **bytes, struct why *why)
{
	struct whole *w = find_whole(l, &d->digest);
	int err = 0;
	if (!l->cache || !l->cache->unpacker)
		return why_fail(why, -EBADMSG,
			"the layer has no annotations of zstd:chunked, so it cannot be read file by file, "
			"and there is no "
			"program here that reads it otherwise");
	if (!w && registry_is_remote(l->registry)) {
		struct spool *s = load_spool(l, &d->digest, d->size);
		if (!s)
			return -EAGAIN;
		w = xcalloc(1, sizeof(*w));
		*w = (struct whole){ .next = l->wholes, .digest = d->digest, .size = d->size, .spool = s };
		l->wholes = w;
	} else if (!w) {
		err = whole_read(l->cache, l->registry, l->repository, &d->digest, d->size, &w, why);
		if (err)
			return err;
		w->next = l->wholes;
		l->wholes = w;
	}
	*bytes = whole_bytes(w);
	return 0;
}

void load_free_wholes(struct load *l)
{
	while (l->wholes) {
		struct whole *w = l->wholes;
		l->wholes = w->next;
		whole_free(w);
	}
}

static int add_estargz(struct load *l, struct tree_build *b, uint32_t src, const struct descriptor *d,
	const struct digest *toc, struct why *why)
{
	char footer[ESTARGZ_FOOTER];
	autobuf struct buf packed = { 0 };
	uint64_t off = 0;
	if (d->size <= ESTARGZ_FOOTER)
		return why_fail(why, -EBADMSG, "the layer is too short for its table of contents");
	int err = load_part(l, &d->digest, d->size, d->size - ESTARGZ_FOOTER, footer, ESTARGZ_FOOTER, why);
	if (!err)
		err = layer_estargz_place(footer, d->size, &off, why);
	if (err)
		return err;
	size_t len = d->size - ESTARGZ_FOOTER - off;
	err = load_part(l, &d->digest, d->size, off, buf_reserve(&packed, len), len, why);
	return err ? err : layer_estargz_add(b, src, &d->digest, d->size, off, toc, packed.data, why);
}

/* Nothing that stands behind the sources in the tree's order: entries keep their places when these come. */
static bool images_are_flat(const json_t *config)
{
	const json_t *files = json_object_get(config, "files");
	for (size_t i = 0; i < json_array_size(files); i++) {
		const char *path = json_string_value(json_object_get(json_array_get(files, i), "path"));
		if (!path || strspn(path, "/.") || strchr(path, '/') != strrchr(path, '/'))
			return false;
	}
	return true;
}

bool load_may_lack(struct load *l, const struct artifact *a)
{
	autobuf struct buf text = { 0 };
	autojson json_t *config = NULL;
	struct digest toc;
	return l->extent >= EXTENT_LOOK && registry_is_remote(l->registry) && !layer_toc_is_chunked(a->source.annotations) &&
	       !layer_estargz_digest(a->source.annotations, &toc) &&
	       load_blob(l, &a->config, "config", MAX_CONFIG, &text, NULL) == 0 &&
	       strict_load(text.data ? text.data : "", text.len, "config", &config, NULL) == 0 &&
	       images_are_flat(config);
}

int load_foreign_source(
	struct load *l, struct tree_build *b, uint32_t src, const struct descriptor *d, struct why *why)
{
	struct digest toc;
	const char *bytes;
	if (layer_estargz_digest(d->annotations, &toc))
		return add_estargz(l, b, src, d, &toc, why);
	int err = load_whole(l, d, &bytes, why);
	return err ? err
		   : layer_archive_add(
			     b, src, l->cache->unpacker, &d->digest, bytes, d->size, &l->cache->closing, why);
}
