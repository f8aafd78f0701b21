/* SPDX-License-Identifier: MIT */
/* layer_zstd.c: frames of zstd, packed and unpacked whole: chunks are small. */
#include "cache/layer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

struct zstd_packer {
	ZSTD_CCtx *ctx;
};

/* Decompressing in one call needs no window of its own: what a frame may cost is (raw_len), whatever it
 * claims. */
int zstd_unpack(const void *packed, size_t packed_len, void *raw, size_t raw_len, struct why *why)
{
	char none;
	size_t n = ZSTD_decompress(raw_len ? raw : &none, raw_len, packed, packed_len);
	if (ZSTD_isError(n))
		return why_fail(why, -EILSEQ, "cannot be decompressed to %zu bytes: %s", raw_len,
			ZSTD_getErrorName(n));
	if (n != raw_len)
		return why_fail(
			why, -EILSEQ, "decompresses to %zu bytes where %zu were promised", n, raw_len);
	return 0;
}

static void must(size_t r)
{
	if (!ZSTD_isError(r))
		return;
	log_error("zstd: %s", ZSTD_getErrorName(r));
	abort();
}

struct zstd_packer *zstd_packer_new(int level)
{
	struct zstd_packer *p = xcalloc(1, sizeof(*p));
	p->ctx = ZSTD_createCCtx();
	if (!p->ctx)
		abort();
	must(ZSTD_CCtx_setParameter(p->ctx, ZSTD_c_compressionLevel, level));
	must(ZSTD_CCtx_setParameter(p->ctx, ZSTD_c_checksumFlag, 1));
	return p;
}

void zstd_packer_free(struct zstd_packer *p)
{
	if (!p)
		return;
	ZSTD_freeCCtx(p->ctx);
	free(p);
}

void zstd_pack(struct zstd_packer *p, const void *raw, size_t len, struct buf *out)
{
	size_t room = ZSTD_compressBound(len);
	char *to = buf_reserve(out, room);
	size_t n = ZSTD_compress2(p->ctx, to, room, raw, len);
	must(n);
	out->len += n;
	out->data[out->len] = 0;
}
