/* SPDX-License-Identifier: MIT */
/* publish_check.c: every entry is found with its size, and every chunk has its digest. */
#include "cache/publish_check.h"

#include "cache/impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int check_entries(const struct tree *t, const struct publish_sums *sums, struct why *why)
{
	for (size_t i = 0; i < sums->count; i++) {
		const struct publish_sum *s = &sums->list[i];
		struct entry e;
		enum entry_type type = s->type == 'd' ? ENTRY_DIR : s->type == 'l' ? ENTRY_LINK : ENTRY_FILE;
		if (tree_path(t, s->path, &e) < 0 || e.type != type ||
			(type != ENTRY_DIR && e.size != s->size))
			return why_fail(why, -EILSEQ, "%s is not found again in what was written", s->path);
	}
	return 0;
}

static int check_chunk(struct registry *reg, const char *name, const struct tree *t,
	const struct tree_chunk *c, struct buf *packed, struct buf *raw, struct why *why)
{
	const struct tree_layer *l = &t->layers[c->layer];
	struct digest is;
	buf_clear(packed);
	buf_clear(raw);
	char *from = buf_reserve(packed, c->packed), *to = buf_reserve(raw, c->raw);
	if (c->kind != CHUNK_ZSTD)
		from = to;
	int err = reg->ops->blob(reg, name, &l->blob, l->blob_size, c->blob_off, from, c->packed, why);
	if (!err && from != to)
		err = zstd_unpack(from, c->packed, to, c->raw, why);
	if (err)
		return err;
	digest_of(to, c->raw, &is);
	return digest_equal(&is, &c->digest)
		       ? 0
		       : why_fail(why, -EILSEQ, "a chunk that was just written does not match its digest");
}

int publish_check(const char *layout, const char *name, const struct digest *manifest,
	const struct publish_sums *sums, struct why *why)
{
	autobuf struct buf packed = { 0 }, raw = { 0 };
	struct registry *reg;
	struct tree *t = NULL;
	int err = registry_layout_open(layout, &reg, why);
	if (err)
		return err;
	err = load_afresh(reg, name, manifest, &t, why);
	if (!err)
		err = check_entries(t, sums, why);
	for (uint32_t i = 0; !err && i < t->head->chunk_count; i++)
		err = check_chunk(reg, name, t, &t->chunks[i], &packed, &raw, why);
	tree_unref(t);
	reg->ops->close(reg);
	if (err)
		why_prefix(why, "reading back what was written");
	return err;
}
